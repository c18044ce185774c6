"""What went into the coordinator, against the allow-list; and what is not on it is seen."""

from dataclasses import replace

import msgspec
import pytest

from hefl_core.errors import RuntimeUnavailable
from hefl_core.federation.client import Client
from hefl_core.federation.record.transcript import LeftOut, Sent, Transcript, TranscriptLine
from hefl_core.ids import AUDITOR, COORDINATOR
from hefl_core.keys.ceremony import STEPS as CEREMONY
from hefl_core.probes.inputs import FIELDS, READABLE, Decoder, examine, examine_record
from hefl_core.runtime.calls import STEPS
from hefl_core.runtime.launch import run_experiment
from hefl_core.terms import messages as m
from hefl_core.wire.canonical import decode, encode
from hefl_core.wire.envelope import Position
from tests.conftest import SMALL

EXAMPLES = 113


def changed(result, step, change):
    """The transcript with one message's content replaced, its header fitting."""
    copy = Transcript.from_bytes(result.transcript.to_bytes(), dict(result.transcript.blobs))
    at, entry = next(
        (n, line.entry)
        for n, line in enumerate(copy.lines)
        if isinstance(line.entry, Sent) and line.entry.step == step and COORDINATOR in line.entry.receivers
    )
    digest = entry.head.header.content_digest
    copy.blobs[digest] = change(copy.content(entry))
    copy.lines[at] = TranscriptLine(copy.lines[at].previous, entry)
    return copy


@pytest.mark.parametrize("seat", [COORDINATOR, AUDITOR])
def test_every_byte_of_a_run_is_on_the_list(small_result, seat):
    found = examine(small_result.transcript, seat)
    assert found.findings == () and found.messages > 10 and found.nbytes > 10_000
    assert dict(found.kinds)["update"] == small_result.experiment.clients * small_result.experiment.rounds


def test_collective_custody_rotation_and_a_ceremony_are_on_the_list_too():
    for custody in ("2-of-3", "dealer-free:2-of-3"):
        run = SMALL.but(
            scheme="INSECURE_bfv-threshold-1024", custody=custody, epoch_rounds=1, clients=3, model="logistic"
        )
        assert examine(run_experiment(run).transcript, COORDINATOR).findings == ()


def test_an_example_count_has_nowhere_to_hide(small_result):
    """In a field of its own, in a public number, a size, a place, a name: each is a finding."""
    assert not any("examples" in name for one, names in FIELDS.items() for name in names if one != "RoundPlan")
    transcript = small_result.transcript
    upload = next(s for s in transcript.sent if s.step == m.UPDATE)
    vector = decode(transcript.content(upload), READABLE[m.UPDATE])
    receipt = next(s for s in transcript.sent if s.step == m.RECEIPT)
    body = decode(transcript.content(receipt), READABLE[m.RECEIPT])
    fields = {"sum": body.sum, "state": body.state}
    for step, content in (
        (m.RECEIPT, encode({**fields, "examples": EXAMPLES})),
        (m.RECEIPT, encode(replace(body, sum=EXAMPLES.to_bytes(2, "big")))),
        (m.UPDATE, encode(replace(vector, integers=EXAMPLES))),
        (m.UPDATE, encode(replace(vector, length=EXAMPLES))),
        (m.COMMITMENT, encode(m.Commitment(bytes(32), EXAMPLES, ()))),
        (m.UPDATE, encode(vector) + EXAMPLES.to_bytes(2, "big")),
    ):
        assert examine(changed(small_result, step, lambda _, c=content: c), COORDINATOR).findings, (step, content[:40])


def test_headers_count_in_order_and_unknown_types_and_kinds_are_findings(small_result):
    decoder = Decoder.of(small_result.transcript)
    head = next(s for s in small_result.transcript.sent if s.step == m.COMMITMENT).head
    decoder.walk(head, "as sent")
    assert not decoder.findings
    for wrong in (
        replace(head, header=replace(head.header, sequence=EXAMPLES)),
        replace(head, header=replace(head.header, length=EXAMPLES)),
        {"examples": EXAMPLES},
        EXAMPLES,
    ):
        before = len(decoder.findings)
        decoder.walk(wrong, "planted")
        assert len(decoder.findings) > before, wrong


@pytest.mark.parametrize(
    ("party", "step", "said"),
    [
        ("client-1", "receive plan", "in attempt 1, attempt 1, attempt 3"),
        ("client-1", "receive plan", "\u00b9\u00b9\u00b3 of them"),
        ("client-1", "receive plan", "in round 1"),
        (COORDINATOR, "receive update", f"{EXAMPLES} examples of client-1"),
    ],
)
def test_a_note_of_anybody_tells_no_number_but_its_own_place(small_result, party, step, said):
    """Of round 2. The control: without the number it is none."""
    for text, found in ((said, True), ("refused in round 2, attempt 1", False)):
        copy = Transcript.from_bytes(small_result.transcript.to_bytes(), dict(small_result.transcript.blobs))
        copy.note(LeftOut(party, step, Position(1, 2), f"RoundError: {text}"))
        assert bool(examine_record(copy, STEPS)) is found, text


def test_no_client_decides_how_many_epochs_there_are(small_result):
    """A client's own header names epoch 113: nothing else may name it because of that."""
    copy = Transcript.from_bytes(small_result.transcript.to_bytes(), dict(small_result.transcript.blobs))
    at = next(n for n, line in enumerate(copy.lines) if isinstance(line.entry, Sent) and line.entry.step == m.RECEIPT)
    entry = copy.lines[at].entry
    header = replace(entry.head.header, position=Position(EXAMPLES, 1))
    lying = msgspec.structs.replace(entry, head=replace(entry.head, header=header))
    copy.lines[at] = TranscriptLine(copy.lines[at].previous, lying)
    assert any("Position.epoch is no place" in one for one in examine(copy, COORDINATOR).findings)
    copy.note(LeftOut("client-1", "receive plan", Position(EXAMPLES, 1), "RoundError: no"))
    assert any("place that the run has" in one for one in examine_record(copy, STEPS))


def test_a_ceremony_that_is_repeated_takes_a_number(monkeypatch):
    """Nine rounds with a key each, and a ceremony that broke: epoch 10 is a place of this run."""
    ceremony = Client.ceremony

    def breaks(self, step, *arguments, **named):
        if (self.name, self.enrolment.roster.epoch, step) == ("client-2", 1, CEREMONY[2]):
            raise RuntimeUnavailable("client-2: gone")
        return ceremony(self, step, *arguments, **named)

    monkeypatch.setattr(Client, "ceremony", breaks)
    experiment = SMALL.but(
        dataset="breast_cancer", model="logistic", scheme="INSECURE_bfv-threshold-1024", rounds=9, epoch_rounds=1
    )
    transcript = run_experiment(experiment.but(custody="dealer-free:2-of-4", clients=4)).transcript
    assert max(sent.position.epoch for sent in transcript.sent) == 10
    for seat in (COORDINATOR, AUDITOR):
        assert examine(transcript, seat).findings == ()
