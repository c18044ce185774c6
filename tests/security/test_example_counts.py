"""Nothing that coordinator or auditor keep grows with a client's number of examples: measured, on disk and in memory.

Every number that a record, a result or a log holds for each client is correlated with n_k; so are the places of the clients'
lines. The threshold is that of chance at 1e-9 over all series. The control plants what used to stand there.
"""

import json
import math
import re
from collections import defaultdict
from dataclasses import replace
from functools import partial

import msgspec
import numpy as np
import pytest
from scipy.stats import t as student

from hefl_core.errors import EncodingError, IntegrityError, RoundError
from hefl_core.federation.client import Home
from hefl_core.federation.outside import Whereabouts, is_public_reason, reason
from hefl_core.federation.post import TRAINING_STEP, untimed
from hefl_core.federation.record.transcript import LeftOut, Sent, Transcript, TranscriptLine
from hefl_core.ids import AUDITOR, COORDINATOR
from hefl_core.runtime import client_home
from hefl_core.runtime.calls import pack_result, refusal_of
from hefl_core.runtime.journal import Journal
from hefl_core.runtime.launch import run_experiment
from hefl_core.runtime.run import Run
from hefl_core.terms import messages as m
from hefl_core.terms.letter import Letter, Work
from hefl_core.wire.envelope import Position
from tests.conftest import SMALL

CLIENTS = 24
COUNTS = {f"client-{k}": 20 + 9 * ((7 * k) % CLIENTS) for k in range(1, CLIENTS + 1)}
"""Very different, in no order."""
ALPHA = 1e-9
UNEVEN = SMALL.but(clients=CLIENTS, model="logistic", observed=False)


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A run of clients with very different n_k, and the folder in which the coordinator keeps its record and result."""
    folder = tmp_path_factory.mktemp("coordinator")
    with pytest.MonkeyPatch.context() as patch:
        dealt = client_home.home_of

        def uneven(experiment, index):
            home = dealt(experiment, index)
            return Home(COUNTS[f"client-{index}"], home.train, home.evaluate)

        for place in ("hefl_core.runtime.client_home.home_of", "hefl_core.runtime.stage.home_of"):
            patch.setattr(place, uneven)
        manifest = client_home.dealt_data(UNEVEN).manifest(UNEVEN)
        manifest = replace(manifest, examples_max=256)
        run = Run(UNEVEN, manifest=manifest)
        begin = run._begin

        def with_minutes():
            begun = begin()
            journal = Journal(folder, manifest, begun.stage.parties.kms.member)
            run._journal = journal
            run._begun = replace(begun, transcript=journal.transcript)
            run._begun.post.transcript = journal.transcript
            return run._begun

        run._begin = with_minutes
        for _ in run.steps():
            pass
    (folder / "result.json").write_text(run.result().to_json(), encoding="utf-8")
    assert {client.name: client._weight for client in run.parties.clients} == COUNTS
    return folder, run


def numbers(value, path=""):
    """(where, number) of everything in a JSON value; names of clients are taken out of the path."""
    if isinstance(value, dict):
        for key, part in value.items():
            yield from numbers(part, f"{path}.{key}")
    elif isinstance(value, list):
        for part in value:
            yield from numbers(part, f"{path}[]")
    elif isinstance(value, bool) or value is None:
        return
    elif isinstance(value, int | float):
        yield path, float(value)
    elif isinstance(value, str):
        yield f"{path}#", float(len(value))
        for found in re.findall(r"(?<![\w.])-?\d+(?:\.\d+)?(?![\w])", value):
            yield f"{path}=", float(found)


def whose(line):
    """The client that a line of the record is about."""
    entry = line["entry"]
    name = entry["head"]["header"]["sender"] if entry["type"] == "sent" else entry.get("party")
    return name if name in COUNTS else None


def series_of(lines):
    """Every quantity that is on record once for each client: name to {client: values}."""
    found = defaultdict(lambda: defaultdict(list))
    for place, line in enumerate(lines):
        client, entry = whose(line), line["entry"]
        if client is None:
            continue
        position = entry["head"]["header"]["position"] if entry["type"] == "sent" else entry["position"]
        where = f"{entry['type']} {entry['step']} {position}"
        found[f"{where}: place"][client].append(float(place))
        for path, number in numbers(line):
            found[f"{where}: {path}"][client].append(number)
    return found


def suspicious(found, counts):
    """The series that follow n_k more than chance allows; how many were looked at."""
    told = []
    names = sorted(counts)
    rows = []
    for where, by_client in found.items():
        lengths = {len(values) for values in by_client.values()}
        if set(by_client) == set(names) and len(lengths) == 1:
            rows += [(f"{where} {at}", [by_client[n][at] for n in names]) for at in range(min(lengths))]
    limit = float(student.isf(ALPHA / (4 * max(1, len(rows))), len(names) - 2))
    for where, values in rows:
        for scale in (np.asarray, _ranks):
            x, y = scale(np.array(values)), scale(np.array([float(counts[n]) for n in names]))
            if np.std(x) > 0:
                r = float(np.corrcoef(x, y)[0, 1])
                if abs(r) * math.sqrt((len(names) - 2) / max(1e-15, 1 - r * r)) > limit:
                    told.append((where, round(r, 4)))
    return told, len(rows)


def _ranks(values):
    return np.argsort(np.argsort(values, kind="stable"), kind="stable").astype(float)


def lines_of(folder):
    return [json.loads(line) for line in (folder / "transcript.jsonl").read_bytes().splitlines()]


def in_memory(transcript):
    return [json.loads(line.to_json()) for line in transcript.lines]


def test_no_number_on_the_coordinators_disk_follows_n_k(kept):
    folder, _ = kept
    told, looked = suspicious(series_of(lines_of(folder)), COUNTS)
    assert told == [] and looked > 50


def test_nor_one_in_its_memory(kept):
    _, run = kept
    told, looked = suspicious(series_of(in_memory(run.transcript)), COUNTS)
    assert told == [] and looked > 50
    for party in (run.parties.coordinator, run.parties.auditor):
        held = [envelope.header for (_, _, sender), envelope in party._inbox.items() if sender in COUNTS]
        by_sender = defaultdict(lambda: defaultdict(list))
        for place, header in enumerate(held):
            for path, number in [*numbers(json.loads(msgspec.json.encode(header))), ("place", float(place))]:
                by_sender[f"{header.kind} {header.position}: {path}"][header.sender].append(number)
        assert suspicious(by_sender, COUNTS)[0] == []


def test_what_is_said_of_a_round_says_nothing_of_the_clients_work(kept):
    """No seconds of training, encrypting, decrypting in measured.jsonl and result.json: they are sums over n_k."""
    folder, _ = kept
    measured = [json.loads(line) for line in (folder / "measured.jsonl").read_bytes().splitlines()]
    for item in (*measured, *json.loads((folder / "result.json").read_text())["rounds"]):
        for unit in ("seconds", "cpu_seconds"):
            assert [item[unit][phase] for phase in ("train", "encrypt", "decrypt")] == [None] * 3
            assert item[unit]["aggregate"] > 0
        assert not [
            where for where, _ in numbers(item) if "client" in where and "upload" not in where and "down" not in where
        ]


def planted(transcript, change):
    """A copy of the record with each client's commitment of round 2 changed."""
    copy = Transcript.from_bytes(transcript.to_bytes(), dict(transcript.blobs))
    for at, line in enumerate(copy.lines):
        entry = line.entry
        if isinstance(entry, Sent) and entry.step == m.COMMITMENT and entry.position.round == 2:
            copy.lines[at] = TranscriptLine(line.previous, change(entry))
    return copy


def with_cost(entry):
    """The old cost report: about a tenth of a millisecond per example, with some noise."""
    seconds = 1e-4 * COUNTS[entry.sender] * (1 + 0.02 * math.sin(COUNTS[entry.sender]))
    return Sent(entry.step, entry.head, entry.receivers, entry.nbytes, entry.body, (Work("train", seconds, seconds),))


def test_the_old_cost_report_is_found(kept):
    _, run = kept
    told, _ = suspicious(series_of(in_memory(planted(run.transcript, with_cost))), COUNTS)
    assert len(told) >= 2 and all("work" in where and r > 0.99 for where, r in told)


def test_the_order_of_arrival_is_found(kept):
    """Commitments on record as they come: whoever has fewer examples is there first."""
    _, run = kept
    copy = planted(run.transcript, lambda entry: entry)
    places = [
        at
        for at, line in enumerate(copy.lines)
        if isinstance(line.entry, Sent) and (line.entry.step, line.entry.position.round) == (m.COMMITMENT, 2)
    ]
    arrived = sorted((copy.lines[at] for at in places), key=lambda line: COUNTS[line.entry.sender])
    for at, line in zip(places, arrived, strict=True):
        copy.lines[at] = line
    told, _ = suspicious(series_of(in_memory(copy)), COUNTS)
    assert any("place" in where for where, _ in told)


def test_the_old_refusal_is_found(kept):
    """With the whole text of an error, which names the largest entry of an update weighted by n_k."""
    _, run = kept
    public = partial(reason, where=Whereabouts("client-1", "commit", Position(1, 2), CLIENTS))
    for write, found in ((lambda error: f"{type(error).__name__}: {error}", True), (public, False)):
        copy = Transcript.from_bytes(run.transcript.to_bytes(), dict(run.transcript.blobs))
        place = copy.of_round(2)[0].position
        for name, count in COUNTS.items():
            error = EncodingError(
                f"|entry| {count / 256:.6g} exceeds the bound 0.001; clip the update, or train with a smaller learning rate"
            )
            copy.note(LeftOut(name, "commit", place, write(error)))
        assert bool(suspicious(series_of(in_memory(copy)), COUNTS)[0]) is found


# -- by construction: what a client's letter and refusal cannot carry ------------------------------------------


def test_a_client_reports_its_costs_to_nobody_but_its_owner_and_the_observer(small_run):
    for client in small_run.parties.clients:
        spent = client.spent(2)
        assert [one.kind for one in spent] == [m.COMMITMENT, m.UPDATE, m.RECEIPT]
        assert {work.step for one in spent for work in one.work} >= {"train", "encrypt", "decrypt"}
        assert all(letter.work == () for letter in client._answers.values())
        seen = next(o for o in small_run.observer.observations[2] if o.client == client.name)
        assert seen.spent == spent
    assert {s.sender for s in small_run.transcript.sent if s.work} <= {COORDINATOR, AUDITOR}


def test_a_letter_between_services_has_no_place_for_a_cost(small_run):
    letter = small_run.parties.coordinator.said(small_run.transcript.sent[-1].position, m.SUM)
    bare, told = (Letter.of(letter, work) for work in ((), (Work("train", 0.113, 0.113),)))
    assert pack_result(bare) == pack_result(told)


def test_commitments_are_taken_up_in_the_cohorts_order_and_the_others_as_they_come():
    class Named:
        def __init__(self, name):
            self.name = name

    parties = [Named(f"client-{k}") for k in (1, 2, 3)]
    arriving = [(parties[2], "c"), (parties[0], "a"), (parties[1], "b")]
    assert [told for _, told in untimed(TRAINING_STEP, parties, iter(arriving))] == ["a", "b", "c"]
    assert [told for _, told in untimed("upload", parties, iter(arriving))] == ["c", "a", "b"]


SAID = [
    (EncodingError("|entry| 1.3 exceeds the bound 1.0", bound=1.0, found=1.3), "details stay with the party"),
    (IntegrityError("examples: a sum of 5 counts cannot be 113"), "examples: a sum of # counts cannot be #"),
    (RoundError("client-2: my 113 examples are too few in round 2, attempt 1"),
     "client-2: my # examples are too few in round 2, attempt 1"),
    (RoundError("mean of -1.3e-05, nan or inf; n_k=113, x113, 2^7.5"), "mean of #, # or #; n_k=#, x#, #"),
]  # fmt: skip


@pytest.mark.parametrize(("error", "told"), SAID, ids=lambda one: str(one)[:20])
def test_a_refusal_leaves_a_client_without_its_numbers(error, told):
    assert refusal_of(error, private=True).text == told
    where = Whereabouts("client-2", "commit", Position(1, 2), 4)
    assert reason(error, where) == f"{type(error).__name__}: {told}"
    assert is_public_reason(reason(error, where), where)
    assert not is_public_reason(f"{type(error).__name__}: {error}", where)


CHOSEN = {
    "attempt 1 attempt 1 attempt 3": "attempt 1 attempt # attempt #",
    "in round 2.75 of round 2": "in round # of round 2",
    "\u00b9\u00b9\u00b3 examples, \u216f, \u4e09": "# examples, #, #",
    "round 113, epoch-4, client-24 and client-3 of client-2": "round #, epoch-#, client-24 and client-# of client-2",
    "client-25, client-1, client-03, client-\uff13": "client-#, client-1, client#, client#",
    "found deadbeeffade and 0a1b2c3d4e5f": "found # and #",
    "no\x1b[2J\nline": "no\u27e8#\u27e9[# line",
}


@pytest.mark.parametrize("text", CHOSEN)
def test_a_note_names_no_place_but_its_own_and_one_other_client(text):
    """Otherwise round, attempt or client is a number that the refusing client chooses."""
    where = Whereabouts("client-2", "commit", Position(2, 2, 1), CLIENTS)
    said = reason(RoundError(text), where)
    assert said == f"RoundError: {CHOSEN[text]}" and is_public_reason(said, where)
    assert not is_public_reason(f"RoundError: {text}", where)


def test_a_clients_largest_entry_is_on_no_record_and_in_no_transcript(monkeypatch):
    """As the issue has it, on a local run: the update does not fit the bound. The user of this process is told all of it."""
    notes = []
    note = Transcript.note
    monkeypatch.setattr(Transcript, "note", lambda self, entry: notes.append(entry) or note(self, entry))
    with pytest.raises(EncodingError, match="exceeds the bound"):
        run_experiment(SMALL.but(bound=1e-6, rounds=1))
    assert [one.reason for one in notes if one.party == "client-1"] == ["EncodingError: details stay with the party"]


def test_the_full_text_stays_at_home(tmp_path):
    from hefl_core.runtime.ray.actors import PartyHost, PartySpec

    host = PartyHost.__new__(PartyHost)
    host._home = tmp_path
    host._specs = {"client-1": PartySpec("client-1", "make_client", ())}
    error = host._outside("client-1", EncodingError("|entry| 1.3 exceeds", bound=1.0, found=1.3))
    assert "1.3" not in repr(error.__reduce__()) and type(error) is EncodingError and error.found is None
    assert "1.3" in (tmp_path / "refusals.txt").read_text()
    assert "1.3" in str(host._outside(COORDINATOR, IntegrityError("1.3")))
