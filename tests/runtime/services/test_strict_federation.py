"""What tests/federation says of a round holds between services under TLS, for every family of schemes and both custodies.

Each pair is one run of objects and one of services (threads over real mutual TLS), read by the same tests.
"""

import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from hefl_core.cli.main import main
from hefl_core.errors import RoundError
from hefl_core.federation.record.client_heads import ClientHeads
from hefl_core.federation.record.transcript import Transcript
from hefl_core.federation.record.verify import pin_of, verify
from hefl_core.ids import COORDINATOR
from hefl_core.keys.epochs import EpochAnnouncement
from hefl_core.runtime.client_results import read_rounds
from hefl_core.terms.messages import EncryptedSum
from hefl_core.wire.canonical import decode
from tests.conftest import SMALL, finished
from tests.runtime.services.strict_world import world

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")
STRICT_DOC = Path(__file__).parents[3] / "docs" / "strict.md"
CLIENTS = ("client-1", "client-2", "client-3")
SMALLER = SMALL.but(observed=False, model="logistic")
PAIRS = {
    "plaintext": {"scheme": "plaintext"},
    "bfv, seeded": {"scheme": "bfv-lean-seeded"},
    "ckks": {"scheme": "ckks-lean"},
    "paillier": {"scheme": "INSECURE_paillier-512"},
    "paillier, 2-of-3, two keys": {"scheme": "INSECURE_paillier-512", "custody": "2-of-3", "epoch_rounds": 1},
    "ckks, 2-of-3": {"scheme": "ckks-threshold", "custody": "2-of-3"},
}
"""BFV together, dealt and without a dealer: test_strict.py."""


@dataclass(frozen=True)
class Pair:
    """The same experiment twice. ``models``: θ by client, of the services."""

    local: Transcript
    strict: Transcript
    local_model: np.ndarray
    models: dict[str, np.ndarray]
    lines: dict[str, tuple]
    heads: dict[str, ClientHeads]
    exact: bool
    collective: bool


@pytest.fixture(scope="module", params=PAIRS.values(), ids=PAIRS)
def pair(request, tmp_path_factory):
    experiment = SMALLER.but(**request.param)
    local = finished(experiment)
    with world(experiment, tmp_path_factory.mktemp("pair")) as made:
        run = made.run()
        for _ in run.steps():
            pass
        homes = {name: made.machine.folder / name for name in CLIENTS}
        return Pair(
            local.transcript,
            run.transcript,
            local.parties.clients[0].theta,
            {name: np.load(home / "results" / "model.npy", allow_pickle=False) for name, home in homes.items()},
            {name: read_rounds(home) for name, home in homes.items()},
            {name: ClientHeads.load(home / "results" / "head.json") for name, home in homes.items()},
            not experiment.scheme.startswith("ckks"),
            "custody" in request.param,
        )


def test_the_same_messages_are_sent(pair):
    for number in (0, 1, 2):
        said = [Counter(sent.step for sent in record.of_round(number)) for record in (pair.strict, pair.local)]
        assert said[0] == said[1] and said[0]
    assert not pair.strict.left_out


def test_every_client_ends_with_the_local_models(pair):
    assert len({model.tobytes() for model in pair.models.values()}) == 1
    assert len({tuple((line.round, line.model) for line in lines) for lines in pair.lines.values()}) == 1
    assert [line.round for line in pair.lines["client-1"]] == [1, 2]
    found, expected = pair.models["client-1"], pair.local_model
    if pair.exact:
        assert found.tobytes() == expected.tobytes()
    else:
        assert np.max(np.abs(found - expected)) < 1e-4
    assert pair.lines["client-1"][-1].accuracy > 0.5


def test_the_record_verifies_and_its_sums_are_of_all(pair):
    verdict = verify(pair.strict, pin_of(pair.strict), ClientHeads.together(list(pair.heads.values())))
    assert verdict.heads == 3 and dict(ClientHeads.of(pair.strict).heads) == {
        name: head.heads[name] for name, head in pair.heads.items()
    }
    assert (verdict.rounds, verdict.sums, verdict.signers) == (2, 2, (3, 3))
    for sent in pair.strict.sent:
        if sent.step == "sum":
            total = decode(pair.strict.body(sent), EncryptedSum)
            assert sorted(item.header.sender for item in total.updates) == sorted(CLIENTS)
            assert total.total.terms == 3


def test_the_coordinator_gets_no_share_and_no_partial(pair):
    """Control: what it does get is there."""
    seen = {seen.sent.step for seen in pair.strict.seen_by(COORDINATOR)}
    assert {"plan", "update", "sum", "confirmation", "receipt"} <= seen
    assert not {"share", "partial"} & seen
    partials = [sent for sent in pair.strict.sent if sent.step == "partial"]
    assert len(partials) == (2 * 2 if pair.collective else 0)
    assert all(sent.head.header.sealed for sent in partials)


def test_each_key_has_its_rounds(pair):
    keys = [
        decode(pair.strict.body(sent), EpochAnnouncement).record.epoch
        for sent in pair.strict.sent
        if sent.step == "epoch"
    ]
    used = [sent.position.epoch for sent in pair.strict.sent if sent.step == "sum"]
    assert used == [sent.position.epoch for sent in pair.local.sent if sent.step == "sum"]
    assert sorted(set(used)) == keys


def test_whom_the_owner_of_the_kms_revokes_while_it_runs_is_out_under_the_next_key(tmp_path, monkeypatch):
    """The very command of docs/strict.md, typed beside the running service; the coordinator may not ask for it."""
    command = next(line for line in STRICT_DOC.read_text().splitlines() if "hefl_core keys revoke" in line)
    words = command.split("`python -m hefl_core ")[1].split("`")[0]
    with world(SMALLER.but(clients=4, rounds=3, epoch_rounds=2), tmp_path) as made:
        run = made.run()
        for sent in run.steps():
            if (sent.step, sent.sender, sent.position.round) == ("receipt", "client-4", 1):
                with pytest.raises(RoundError, match="a kms answers nothing else"):
                    made.server.ask("kms", "revoke", "client-3")
                home = str(made.machine.folder / "kms")
                monkeypatch.setattr(sys, "argv", ["hefl_core", *words.replace("HOME", home).split()])
                with pytest.raises(SystemExit) as left:
                    main()
                assert left.value.code == 0
        rounds = [[s.sender for s in run.transcript.of_round(number) if s.step == "update"] for number in (1, 2, 3)]
        everybody, others = ["client-1", "client-2", "client-3", "client-4"], ["client-1", "client-2", "client-4"]
        assert [sorted(names) for names in rounds] == [everybody, everybody, others]
        assert verify(run.transcript).signers == (3, 3)
        assert len(read_rounds(made.machine.folder / "client-3")) == 2
