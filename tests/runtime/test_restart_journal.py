"""Whoever runs the rounds is lost, with the coordinator, at any point; another process goes on from what was written."""

from dataclasses import replace
from pathlib import Path

import pytest

from hefl_core.errors import DataError, IntegrityError, RuntimeUnavailable
from hefl_core.federation.record.transcript import Sent, Transcript, Unsent, read_line
from hefl_core.federation.record.verify import verify
from hefl_core.runtime import journal as written
from hefl_core.runtime.client_home import dealt_data
from hefl_core.runtime.journal import MEASURED, TRANSCRIPT, Journal
from hefl_core.runtime.restart import durable_local_stage
from hefl_core.runtime.run import Run
from tests.conftest import SMALL, finished

UNSEEN = SMALL.but(observed=False)


class Killed(BaseException):
    """As SIGKILL: nobody can catch it and go on."""


class Place:
    """Parties that outlive the process that runs the rounds, and its folder."""

    def __init__(self, experiment, folder):
        self.experiment, self.folder = experiment, folder / "results"
        self.manifest = dealt_data(experiment).manifest(experiment)
        self.stage = durable_local_stage(self.manifest, None)

    def begin(self):
        """Another process: a coordinator from its store, a run from the minutes."""
        self.stage.parties.coordinator.restart()
        journal = Journal(self.folder, self.manifest, self.stage.parties.kms.member)
        return Run(
            self.experiment,
            stage=lambda manifest, observer: self.stage,
            manifest=self.manifest,
            journal=journal,
        )

    def models(self):
        return {client._party.theta.tobytes() for client in self.stage.parties.clients}


@pytest.fixture
def place(tmp_path):
    made = []

    def make(**changes):
        made.append(Place(UNSEEN.but(**changes), tmp_path))
        return made[-1]

    yield make
    for one in made:
        one.stage.close()


def killed_at_every(what, place, when, monkeypatch):
    """Run to the end, killed before or after each new line of the record, once for each that ``what`` tells apart."""
    write, kills = written._write, set()

    def dying(path, data, mode):
        said = what(data) if path.name == TRANSCRIPT else None
        if said is None or said in kills:
            write(path, data, mode)
            return
        kills.add(said)
        if when == "after":
            write(path, data, mode)
        raise Killed

    monkeypatch.setattr(written, "_write", dying)
    while True:
        try:
            run = place.begin()
            for _ in run.steps():
                pass
            return run, kills
        except Killed:
            continue


def message(line):
    """Who says what in which round; a ceremony that is begun again says it again."""
    entry = read_line(line[:-1]).entry
    return (entry.step, entry.position.round, entry.sender, entry.receivers) if isinstance(entry, Sent) else type(entry)


def step(line):
    """What is said, by whomever first."""
    found = message(line)
    return found[0] if isinstance(found, tuple) else found


TOGETHER = {"scheme": "bfv-threshold", "custody": "2-of-3"}
WITHOUT_DEALER = TOGETHER | {"custody": "dealer-free:2-of-3"}


@pytest.mark.parametrize(
    ("what", "when", "changes"),
    [
        (message, "before", {"epoch_rounds": 1}),
        (message, "after", {}),
        (message, "after", TOGETHER),
        (step, "after", WITHOUT_DEALER | {"rounds": 1}),
    ],
    ids=["before each, two keys", "after each", "after each, 2-of-3", "after each step, dealer-free"],
)
def test_killed_all_along_the_record_the_models_are_those_of_an_undisturbed_run(
    place, what, when, changes, monkeypatch
):
    here = place(**changes)
    run, kills = killed_at_every(what, here, when, monkeypatch)
    undisturbed = finished(here.experiment)
    lost = {Unsent} if "dealer-free" in str(changes) else set()  # what a ceremony that is begun again had made
    assert kills == {what(line.to_json() + b"\n") for line in undisturbed.transcript.lines} | lost
    assert here.models() == {undisturbed.parties.clients[0].theta.tobytes()}
    assert all(item.attempts == 1 for item in run.rounds) and not run.transcript.left_out
    on_disk = Transcript.load(here.folder / TRANSCRIPT)
    assert on_disk.to_bytes() == run.transcript.to_bytes()
    assert verify(on_disk).sums == here.experiment.rounds == len(run.rounds)


def test_somebody_who_was_away_when_it_died_gets_what_it_missed_from_the_next_process(place, monkeypatch):
    """client-3 misses a sum and the plan after it; who would have delivered them later is gone too."""
    here = place(clients=4, rounds=4)
    third = here.stage.parties.clients[2]
    with monkeypatch.context() as away:
        run = here.begin()
        for sent in run.steps():
            if (sent.step, sent.sender, sent.position.round) == ("update", "client-3", 2):
                away.setattr(third, "call", lost)
            if sent.step == "sum" and sent.position.round == 3:
                break
    assert {entry.party for entry in run.transcript.left_out} == {"client-3"}
    run = here.begin()
    for _ in run.steps():
        pass
    assert len(here.models()) == 1 and verify(run.transcript).sums == 4
    assert [len(item.contributors) for item in run.rounds] == [4, 4, 3, 4]


def lost(*_):
    raise RuntimeUnavailable("client-3: unplugged")


def test_a_torn_last_line_is_cut_and_a_changed_record_is_refused(place):
    here = place()
    run = here.begin()
    for sent in run.steps():
        if sent.step == "sum":
            break
    path = here.folder / TRANSCRIPT
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:100])
    (here.folder / MEASURED).write_bytes(b'{"round":1,')
    for _ in here.begin().steps():
        pass
    assert path.read_bytes().startswith(whole) and len(here.models()) == 1
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:3] + lines[4:]))
    with pytest.raises(IntegrityError, match="the chain breaks at line 4"):
        here.begin()
    path.write_bytes(b"".join(lines))
    measured = here.folder / MEASURED
    for changed in (b"[]\n", measured.read_bytes().splitlines(keepends=True)[1]):
        kept = measured.read_bytes()
        measured.write_bytes(changed)
        with pytest.raises(IntegrityError, match=r"measured\.jsonl"):
            here.begin()
        measured.write_bytes(kept)
    here.manifest = replace(here.manifest, nonce=bytes(16))
    with pytest.raises(IntegrityError, match="a home serves one experiment"):
        here.begin()


def test_after_the_end_nothing_is_said_any_more(place):
    here = place()
    for _ in here.begin().steps():
        pass
    before = (here.folder / TRANSCRIPT).read_bytes()
    again = here.begin()
    assert list(again.steps()) == [] and len(again.result().rounds) == 2
    assert (here.folder / TRANSCRIPT).read_bytes() == before


def test_a_full_disk_ends_the_run_and_with_room_another_process_goes_on(place, monkeypatch):
    here = place()
    with monkeypatch.context() as full:
        open_ = Path.open

        def no_room(self, mode="r", *arguments, **options):
            if self.name == TRANSCRIPT and mode == "ab" and self.exists() and self.read_bytes().count(b"\n") > 12:
                raise OSError(28, "No space left on device")
            return open_(self, mode, *arguments, **options)

        full.setattr(Path, "open", no_room)
        with pytest.raises(DataError, match="No space left on device; make room"):
            for _ in here.begin().steps():
                pass
    run = here.begin()
    for _ in run.steps():
        pass
    assert len(here.models()) == 1 and verify(run.transcript).sums == 2
