"""Round zero through the whole protocol: every scheme and custody agrees as a reader of all tables would."""

import numpy as np
import pytest

from hefl_core.errors import DataError
from hefl_core.federation.record.verify import verify
from hefl_core.runtime import stage
from hefl_core.runtime.round_zero import agreement_home, layout, round_zero, terms
from hefl_core.runtime.run import Run
from hefl_core.tables.round_zero.rounds import ROUNDS
from hefl_core.terms.experiment import Experiment
from tests.tables.hospitals import A, B, C, alike, pooled, reader


def open_stage(experiment, contents):
    """All parties in this process, each client with its own table."""

    def opened(manifest, observer):
        kms, rounds = stage.make_kms(manifest), layout(experiment)
        homes = [agreement_home(rounds, at + 1, reader(one)) for at, one in enumerate(contents)]
        clients = tuple(
            stage.make_client(manifest, kms.member, at + 1, observer, home=home) for at, home in enumerate(homes)
        )
        coordinator, auditor = stage.make_coordinator(manifest, kms.member), stage.make_auditor(manifest, kms.member)
        return stage.local_stage_of(kms, coordinator, auditor, clients, manifest)

    return opened


def run_zero(experiment, contents=(A, B, C)):
    run = Run(round_zero(experiment), manifest=terms(experiment), stage=open_stage(experiment, contents))
    for _ in run.steps():
        pass
    return run


@pytest.mark.parametrize(
    "scheme, custody",
    [
        ("bfv-lean", "individual"),
        ("bfv-compact", "individual"),
        ("ckks-lean", "individual"),
        ("bfv-threshold", "2-of-3"),
        ("plaintext", "individual"),
    ],
)
def test_the_clients_agree_as_a_reader_of_all_tables_would(scheme, custody):
    experiment = Experiment(scheme=scheme, custody=custody, clients=3, rounds=5)
    run = run_zero(experiment)
    schema, totals = pooled([A, B, C])
    for client in run.parties.clients:
        found = layout(experiment).agreed(client.theta)
        assert alike(found.schema, schema) and np.allclose(found.totals, totals, rtol=1e-14, atol=1e-9)
    assert len(run.result().rounds) == ROUNDS


def test_the_record_verifies_like_any_other():
    run = run_zero(Experiment(clients=3))
    verify(run.transcript)


def test_the_coordinator_has_neither_totals_nor_a_hospitals_sums():
    """Only ciphertexts reach it; without encryption the same search finds every hospital's numbers."""
    hits = {}
    for scheme in ("bfv-lean", "plaintext"):
        experiment = Experiment(scheme=scheme, clients=3)
        run, rounds = run_zero(experiment), layout(experiment)
        names = rounds.part(1)
        needle = rounds.update(np.zeros(rounds.parameters, np.float32), 1, 1, reader(A))[names]
        stored = b"".join(run.parties.coordinator._ciphertexts[name] for name in run.parties.coordinator._ciphertexts)
        record = b"".join(run.transcript.body(sent) for sent in run.transcript.sent if sent.step in ("update", "sum"))
        hits[scheme] = sum(
            bytes(form) in stored + record
            for form in (needle[:64].astype("<f8"), needle[:64].astype("<f4"), needle[:64].astype("<i8"))
        )
    assert hits["bfv-lean"] == 0 and hits["plaintext"] > 0


def test_tables_that_do_not_fit_end_the_run_with_the_columns_name():
    other = C.replace(b"dose", b"Dosis")
    with pytest.raises(DataError, match="'Dosis' at 1"):
        run_zero(Experiment(clients=3), (A, B, other))
