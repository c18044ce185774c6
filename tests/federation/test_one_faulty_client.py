"""One client that fails in a round, in whichever step, costs attempts: the round goes on where enough others remain.

Each control takes the rule away: then the same client ends the run.
"""

from contextlib import closing
from dataclasses import replace
from functools import partial

import pytest

from hefl_core.checks.lying_clients import Honest, _stage
from hefl_core.errors import HeflError, IntegrityError, KeyUseError, RoundError, RuntimeUnavailable, WireError
from hefl_core.federation import answers
from hefl_core.federation.auditor import Auditor
from hefl_core.federation.coordinator import Coordinator
from hefl_core.federation.outside import Whereabouts, reason
from hefl_core.federation.post import Post
from hefl_core.federation.record.client_heads import ClientHeads
from hefl_core.federation.record.grammar import Conversation, Place
from hefl_core.federation.record.proceedings import Proceedings
from hefl_core.federation.record.transcript import LeftOut, Sent, Unsent
from hefl_core.federation.record.verify import pin_of, verify
from hefl_core.federation.standing import Standing
from hefl_core.ids import AUDITOR, COORDINATOR
from hefl_core.keys.roster import sealing_statement
from hefl_core.keys.sealing import sealer
from hefl_core.runtime import stage
from hefl_core.runtime.client_home import home_of, model_of
from hefl_core.runtime.restart import Restartable
from hefl_core.runtime.run import Run
from hefl_core.schemes.base import CiphertextVector
from hefl_core.terms import messages as m
from hefl_core.terms.experiment import Experiment
from hefl_core.terms.letter import Letter
from hefl_core.wire.canonical import decode, encode
from hefl_core.wire.envelope import Envelope, Position
from tests.security.forging import Record
from tests.security.hostile import World, names

ALONE = Experiment(dataset="breast_cancer", model="logistic", scheme="INSECURE_bfv-1024", clients=4, rounds=1)
TOGETHER = ALONE.but(scheme="INSECURE_bfv-threshold-1024", custody="2-of-4")
LARGER = TOGETHER.but(custody="3-of-5", clients=5)
FIRST = Position(1, 1)


def play(kind, experiment=TOGETHER):
    """A run with client 1 of this kind. Returns it, and the error that ended it, if one did."""
    run = Run(experiment, stage=partial(_stage, kind))
    try:
        for _ in run.steps():
            pass
    except HeflError as error:
        return run, error
    return run, None


def ended_well(kind, experiment=TOGETHER, attempts=2):
    """The run ends, its record verifies, and the round took so many attempts. Returns the run."""
    run, error = play(kind, experiment)
    assert error is None, error
    record = run.transcript
    assert verify(record, pin_of(record), ClientHeads.of(record)).rounds == experiment.rounds
    assert [item.attempts for item in run.rounds] == [attempts]
    return run


def notes(run, party="client-1"):
    return "\n".join(f"{note.step}: {note.reason}" for note in run.transcript.left_out if note.party == party)


def contributors(run):
    return run.rounds[0].contributors


def away(self, position):
    raise RuntimeUnavailable(f"{self.name}: away")


# -- an upload that the auditor cannot read ----------------------------------------------------------------------------


def sealed_past_the_auditor(client, position):
    """An upload that the coordinator can open; for the auditor it is sealed to another key."""
    roster = client.enrolment.roster
    fake = replace(roster.member(AUDITOR), sealing=roster.member(client.name).sealing)
    return client.compose(
        m.UPDATE,
        position,
        (COORDINATOR, AUDITOR),
        client._ciphertext,
        commitments=client.current_list(position).digest,
        blocks=len(decode(client._ciphertext, CiphertextVector).blocks),
        seal=sealer([roster.member(COORDINATOR), fake], client.sealing_info(m.UPDATE, position, client.name)),
    )


class PastTheAuditor(Honest):
    def _make_upload(self, position):
        return sealed_past_the_auditor(self, position)


@pytest.mark.parametrize("experiment", [ALONE, TOGETHER, LARGER], ids=["individual", "2-of-4", "3-of-5"])
def test_an_upload_that_the_auditor_cannot_read_leaves_its_sender_out(experiment):
    run = ended_well(PastTheAuditor, experiment)
    assert "client-1" not in contributors(run) and len(contributors(run)) == experiment.clients - 1
    assert "upload: RoundError: update of client-1: the auditor has none that it can read" in notes(run)
    objection = next(sent for sent in run.transcript.sent if sent.step == m.OBJECTION)
    assert objection.position == FIRST and objection.receivers == (COORDINATOR,)
    assert decode(run.transcript.body(objection), m.Objection).lacking == ("client-1",)
    before = [sent.step for sent in run.transcript.sent if sent.position == FIRST and sent.position.round]
    assert before[-1] == m.OBJECTION and m.SUM not in before


@pytest.mark.parametrize("experiment", [ALONE, TOGETHER], ids=["individual", "2-of-4"])
def test_without_the_auditors_objection_it_ends_the_run(experiment, monkeypatch):
    monkeypatch.setattr(Auditor, "objection", lambda self, position: None)
    _, error = play(PastTheAuditor, experiment)
    assert isinstance(error, IntegrityError) and "the auditor never received the update of client-1" in str(error)


def test_with_nobody_to_spare_the_run_ends_by_its_name():
    run, error = play(PastTheAuditor, ALONE.but(clients=3))
    assert isinstance(error, RoundError) and "update of client-1: the auditor has none that it can read" in str(error)
    assert not run.rounds


class WellSealedNonsense(Honest):
    """The second fault: both can open it, and what they find is not what was committed to."""

    def _make_upload(self, position):
        self._ciphertext = self._ciphertext[:-8] + bytes(8)
        return super()._make_upload(position)


class AfterASum(Honest):
    """The third: it has an upload in the round's first sum, ends that attempt, and then sends what the auditor cannot read."""

    def partial_decryption(self, position):
        if position.attempt == 1:
            raise RoundError("no part")
        return super().partial_decryption(position)

    def _make_upload(self, position):
        return super()._make_upload(position) if position.attempt == 1 else sealed_past_the_auditor(self, position)


def asks_everybody(monkeypatch):
    """The post forgets who failed; what is left is the coordinator's own rule."""
    monkeypatch.setattr(Post, "reliable", lambda self, holders, position: holders)
    monkeypatch.setattr(Post, "can_spare", lambda self, holders, position: position.attempt == 1)


def test_what_neither_can_use_is_left_out_as_well():
    assert "client-1" not in contributors(ended_well(WellSealedNonsense))


def test_after_a_sum_its_earlier_upload_is_carried_over(monkeypatch):
    assert "client-1" in contributors(ended_well(AfterASum))
    asks_everybody(monkeypatch)
    assert "client-1" in contributors(ended_well(AfterASum, attempts=3))
    monkeypatch.setattr(Coordinator, "_carried", lambda *_: ())
    _, error = play(AfterASum)
    assert isinstance(error, RoundError) and "the auditor has none that it can read" in str(error)


class Durable:
    """A stage whose coordinator and auditor are started anew from their stores after every message."""

    def __init__(self, kind, home):
        self.kind, self.home, self.parties = kind, home, []

    def settle(self, name, make):
        self.parties.append(Restartable(name, lambda: stage.open_store(self.home, name), make))
        return self.parties[-1]

    def __call__(self, manifest, observer):
        kms = stage.make_kms(manifest)
        root, experiment = kms.member, manifest.experiment
        coordinator = self.settle(COORDINATOR, lambda store: stage.make_coordinator(manifest, root, store))
        auditor = self.settle(AUDITOR, lambda store: stage.make_auditor(manifest, root, store))
        first = self.kind("client-1", manifest, root, home_of(experiment, 1), model_of(manifest).init, observer)
        others = [stage.make_client(manifest, root, index, observer) for index in range(2, experiment.clients + 1)]
        return stage.local_stage_of(kms, coordinator, auditor, (first, *others), manifest, self.close)

    def close(self):
        for party in self.parties:
            party.release()


def test_an_objection_outlives_coordinator_and_auditor(tmp_path):
    durable = Durable(PastTheAuditor, tmp_path)
    with closing(Run(TOGETHER, stage=durable)) as run:
        for sent in run.steps():
            if sent.position.round:
                for party in durable.parties:
                    party.restart()
        assert verify(run.transcript, pin_of(run.transcript)).rounds == 1 and run.rounds[0].attempts == 2
        assert "client-1" not in contributors(run)


def test_a_sum_after_an_objection_breaks_the_record(monkeypatch):
    """A coordinator that goes on all the same: no confirmation follows, and the verifier names the sum."""
    monkeypatch.setattr(Post, "end_attempt", lambda *_: None)
    monkeypatch.setattr(Coordinator, "_admit_objection", lambda *_: None)
    run, error = play(PastTheAuditor, ALONE)
    assert isinstance(error, HeflError)
    with pytest.raises(IntegrityError, match="sum of coordinator: the auditor lacks updates of this list"):
        verify(run.transcript, pin_of(run.transcript))


def test_an_objection_comes_before_the_sum_and_no_confirmation_after_it():
    """Forged with the auditor's own key: after the sum, after all applied it; and one that nobody got, before a confirmation."""
    for kind, after in ((m.SUM, "expected it before the sum"), (m.RECEIPT, "expected it before the sum")):
        run, error = play(Honest, ALONE)
        assert error is None
        record = Record(run)
        record.verify(record.closed_honestly())  # the control
        last = max(at for at, entry in enumerate(record.entries) if isinstance(entry, Sent) and entry.step == kind)
        listed = record.header(record.at(m.COMMITMENTS))
        sum_at = record.header(record.at(m.CONFIRMATION))
        forged = record.signed(
            record.at(m.CONFIRMATION),
            AUDITOR,
            m.Objection(listed.digest, names(2)),
            kind=m.OBJECTION,
            recipients=(COORDINATOR,),
            blocks=0,
            position=sum_at.position,
            **record.next_of(AUDITOR, last + 1),
        )
        record.entries.insert(last + 1, forged)
        record.renumber(AUDITOR)
        with pytest.raises(IntegrityError, match=after):
            record.verify(record.closed_honestly())


def objection_of(record, before):
    """The auditor's objection to this list, signed and numbered as it would be before the entry at this index."""
    place = record.at(m.CONFIRMATION)
    forged = record.signed(
        place,
        AUDITOR,
        m.Objection(record.header(record.at(m.COMMITMENTS)).digest, names(2)),
        kind=m.OBJECTION,
        recipients=(COORDINATOR,),
        blocks=0,
        **record.next_of(AUDITOR, before),
    )
    return Unsent(forged.head)


def without_rule(monkeypatch, kinds):
    """The grammar without its word on objections, of the messages of these kinds."""
    check = Conversation._check_objection

    def blind(self, header, place, sent):
        if header.kind not in kinds:
            check(self, header, place, sent)

    monkeypatch.setattr(Conversation, "_check_objection", blind)


@pytest.mark.parametrize(
    ("kind", "step", "after", "found"),
    [
        (m.CONFIRMATION, m.SUM, 0, "confirmation of auditor: the auditor lacks updates of this list"),
        (m.CONFIRMATION, m.CONFIRMATION, 0, "confirmation of auditor: the auditor lacks updates of this list"),
        (m.OBJECTION, m.CONFIRMATION, 1, "objection of auditor: expected it before the sum"),
    ],
)
def test_an_objection_that_nobody_got_and_a_confirmation_exclude_each_other(kind, step, after, found, monkeypatch):
    """Signed by the auditor, and on record before the sum, right before its confirmation, or right after it."""
    run, error = play(Honest, ALONE)
    assert error is None
    for rule in (True, False):
        if not rule:
            without_rule(monkeypatch, (kind,))
        record = Record(run)
        index = record.at(step) + after
        record.entries.insert(index, objection_of(record, index))
        record.renumber(AUDITOR)
        if rule:
            with pytest.raises(IntegrityError, match=found):
                record.verify(record.closed_honestly())
        else:  # the control
            assert record.verify(record.closed_honestly()).unsent == 1


def test_failures_of_a_round_end_with_it():
    """A holder that gave no part in round 1 is asked again in round 2, and left out again when it fails there too."""
    standing, everybody = Standing(), ("a", "b", "c")
    standing.fail("a", Position(1, 1))
    assert standing.others(everybody, 2, Position(1, 1)) == ("b", "c")
    assert standing.others(everybody, 2, Position(1, 2)) == everybody
    standing.fail("b", Position(1, 2))
    assert standing.others(everybody, 2, Position(1, 2)) == ("a", "c")
    assert standing.accuse("c", "a", Position(1, 3)) and standing.others(everybody, 2, Position(1, 3)) == ("a", "b")


def objected(world, lacking, listed=None):
    """The auditor's objection, with this content."""
    published = world.coordinator.said(FIRST, m.COMMITMENTS).header.digest
    return world.auditor._compose(m.OBJECTION, FIRST, (COORDINATOR,), encode(m.Objection(listed or published, lacking)))


def uploaded():
    world = World(ALONE)
    world.deliver(world.list_of(FIRST, names(1, 2, 3, 4)), AUDITOR, *names(1, 2, 3, 4))
    world.uploads(FIRST, names(1, 2, 3, 4))
    return world


WRONG_OBJECTIONS = {
    "to another list": ({"lacking": names(1), "listed": bytes(32)}, "has another list"),
    "to nobody": ({"lacking": ()}, "some of the listed clients"),
    "to a client that is not listed": ({"lacking": ("client-9",)}, "some of the listed clients"),
    "to one client twice": ({"lacking": names(1, 1)}, "some of the listed clients"),
}


@pytest.mark.parametrize("name", WRONG_OBJECTIONS)
def test_an_objection_to_something_else_is_refused(name):
    world, (content, message) = uploaded(), WRONG_OBJECTIONS[name]
    with pytest.raises(IntegrityError, match=message):
        world.deliver(objected(world, **content), COORDINATOR)
    assert world.coordinator.aggregate(FIRST)  # nothing was dropped


def test_an_objection_is_heard_before_the_sum_and_not_after():
    world = uploaded()
    assert world.auditor.objection(FIRST) is None
    world.deliver(objected(world, names(2)), COORDINATOR)
    with pytest.raises(RoundError, match="missing client-2"):
        world.coordinator.aggregate(FIRST)
    world = uploaded()
    world.coordinator.aggregate(FIRST)
    with pytest.raises(RoundError, match="too late, the sum is made"):
        world.deliver(objected(world, names(2)), COORDINATOR)


# -- nothing where a letter is due -------------------------------------------------------------------------------------


def silent(*steps):
    """A client that answers None in these steps."""
    return type("Silent", (Honest,), {step: lambda self, position: None for step in steps})


def test_a_named_holder_that_answers_nothing_is_not_named_again():
    run = ended_well(silent("partial_decryption"))
    assert (
        notes(run)
        == "partial_decryption: WireError: partial_decryption of client-1: expected a Letter, found nothing; "
        "refuse the answer"
    )
    requests = [sent for sent in run.transcript.sent if sent.step == m.REQUEST]
    active = [decode(run.transcript.body(sent), m.DecryptionRequest).active for sent in requests]
    assert active == [names(1, 2), names(2, 3)]


def test_without_the_rule_a_silent_holder_ends_the_run(monkeypatch):
    monkeypatch.setattr(answers, "UNANSWERED", tuple(answers.SAYS))
    monkeypatch.setattr(Post, "check_parts", lambda *_: None)
    _, error = play(silent("partial_decryption"))
    assert isinstance(error, RoundError) and "expected the partial of client-1" in str(error)


@pytest.mark.parametrize(("step", "attempts", "count"), [("commit", 1, 3), ("upload", 2, 3), ("apply", 1, 4)])
@pytest.mark.parametrize("experiment", [ALONE, TOGETHER], ids=["individual", "2-of-4"])
def test_nothing_in_another_step_is_noted_too(experiment, step, attempts, count):
    run = ended_well(silent(step), experiment, attempts)
    assert f"{step}: WireError: {step} of client-1: expected a Letter, found nothing" in notes(run)
    assert len(contributors(run)) == count


def test_a_client_that_has_no_part_in_a_step_owes_nothing():
    """The control: holders that are not named, and one that is not ready, are noted nowhere."""
    run = ended_well(silent("ready"), attempts=1)
    assert not run.transcript.left_out


class GoneAtTheRequest(Honest):
    """The second fault: it is ready each time, and no request reaches it in time; so nobody asks it for a part."""

    late = 0

    def receive(self, envelope):
        if envelope.header.kind == m.REQUEST and envelope.header.position.attempt > self.late:
            self.late = envelope.header.position.attempt
            raise RuntimeUnavailable(f"{self.name}: away")
        super().receive(envelope)


def test_a_holder_that_the_request_never_reaches_is_not_named_again(monkeypatch):
    assert "client-1" in contributors(ended_well(GoneAtTheRequest))
    monkeypatch.setattr(Standing, "fail", lambda *_: None)
    _, error = play(GoneAtTheRequest)
    assert isinstance(error, RuntimeUnavailable)


# -- failures in turns -------------------------------------------------------------------------------------------------


class InTurns(Honest):
    """No part in the first attempt; in the others it commits and sends no upload."""

    def partial_decryption(self, position):
        return away(self, position)

    def upload(self, position):
        return super().upload(position) if position.attempt == 1 else away(self, position)


@pytest.mark.parametrize("experiment", [TOGETHER, LARGER], ids=["2-of-4", "3-of-5"])
def test_a_client_that_fails_in_turns_costs_one_attempt(experiment):
    run = ended_well(InTurns, experiment)
    assert len(contributors(run)) == experiment.clients  # its first upload: members of a sum stay members


def test_each_rule_alone_saves_the_round_and_without_both_it_is_lost(monkeypatch):
    asks_everybody(monkeypatch)
    ended_well(InTurns, attempts=3)
    monkeypatch.setattr(Coordinator, "_carried", lambda *_: ())
    _, error = play(InTurns)
    assert isinstance(error, RuntimeUnavailable)


class UploadsOnce(Honest):
    """The second fault: under individual custody another breaks the first attempt after the sum, and it uploads no more."""

    def upload(self, position):
        return super().upload(position) if position.attempt == 1 else away(self, position)


def confirmation_lost(run, times=1):
    """The auditor cannot be reached so often, after the sum."""
    real, left = run.parties.auditor.confirm, [1] * times

    def confirm(position):
        if left.pop() if left else 0:
            raise RuntimeUnavailable("auditor: away")
        return real(position)

    run.parties.auditor.confirm = confirm


def test_where_every_client_has_the_key_an_upload_is_carried_over_as_well(monkeypatch):
    for rule in (True, False):
        if not rule:
            monkeypatch.setattr(Coordinator, "_carried", lambda *_: ())
        run = Run(ALONE, stage=partial(_stage, UploadsOnce))
        steps = run.steps()
        next(steps)
        confirmation_lost(run)
        if rule:
            list(steps)
            assert len(contributors(run)) == 4 and run.rounds[0].attempts == 3
        else:
            with pytest.raises(RuntimeUnavailable):
                list(steps)


def test_no_more_are_carried_over_than_leave_t_fresh_uploads():
    """Fewer than t could answer: a holder opens no sum without an upload of this attempt."""
    world = World(LARGER)
    coordinator, everybody = world.coordinator, names(1, 2, 3, 4, 5)
    coordinator.__class__ = Coordinator
    world.sum_of(FIRST, everybody)
    second = replace(FIRST, attempt=2)
    world.deliver(world.list_of(second, everybody), AUDITOR, *everybody)
    world.acknowledge(second, everybody)
    third = replace(FIRST, attempt=3)
    assert coordinator._carried(third, everybody) == names(1, 2)
    assert coordinator._carried(third, names(3, 4, 5)) == ()


def left_out_and_back(record):
    """The second attempt's list has client 1 again, with what it committed to in the first and never uploaded."""
    first, at = record.at(m.COMMITMENT, "client-1"), record.at(m.COMMITMENTS, which=1)
    told, listed = record.body(first, m.Commitment), record.body(at, m.CommitmentList)
    forged = m.CommitmentList((record.entries[first].head, *listed.listed), (told, *listed.commitments))
    record.entries[at] = record.signed(at, COORDINATOR, forged, commitments=forged.digest)
    record.renumber(COORDINATOR)
    return at


def test_the_verifier_names_one_that_is_carried_over_without_an_upload(monkeypatch):
    """Only what was uploaded can be in a sum: else a list shows members that no sum has."""
    record = Record(ended_well(silent("upload"), ALONE))
    record.verify(record.closed_honestly())  # the control
    at = left_out_and_back(record)
    with pytest.raises(IntegrityError, match=rf"line {at + 1}: .*client-1's is carried over without an upload"):
        record.verify(record.closed_honestly())
    real = Place.header
    monkeypatch.setattr(Place, "header", lambda self, kind, sender: kind == m.UPDATE or real(self, kind, sender))
    with pytest.raises(IntegrityError) as found:  # without the rule the list passes, and a later line breaks
        record.verify(record.closed_honestly())
    assert "without an upload" not in str(found.value) and not str(found.value).startswith(f"line {at + 1}:")


# -- a part that readers cannot open -----------------------------------------------------------------------------------


def part_for(change):
    """A holder whose part is sealed, or labelled, in another way."""

    def make_partial(self, position, request):
        part = self.enrolment.holder.answer(
            self._question(position, request),
            record=self.enrolment.record,
            roster=self.enrolment.roster,
            scheme=self.scheme,
        )
        roster = self.enrolment.roster
        content, readers = change(part, [roster.member(name) for name in roster.clients])
        info = self.sealing_info(m.PARTIAL, position, self.name)
        return self.compose(m.PARTIAL, position, roster.clients, content, seal=sealer(readers, info))

    return type("OtherPart", (Honest,), {"_make_partial": make_partial})


def closed_to(*victims):
    def change(part, readers):
        stranger = readers[0].sealing
        return part.to_bytes(), [replace(one, sealing=stranger) if one.name in victims else one for one in readers]

    return part_for(change)


def relabelled(**changes):
    return part_for(lambda part, readers: (replace(part, **changes).to_bytes(), readers))


UNREADABLE = {
    "one reader": (closed_to("client-3"), "client-3"),
    "fewer receipts than min_cohort": (closed_to("client-3", "client-4"), "client-4"),
    "the other holder": (closed_to("client-2"), "client-2"),
    "no part": (part_for(lambda part, readers: (b"\xc1" * len(part.to_bytes()), readers)), "client-2"),
    "another holder's number": (relabelled(index=2), "client-2"),
    "another active set": (relabelled(active=(1, 3)), "client-2"),
    "another sum's": (relabelled(total_digest=bytes(32)), "client-2"),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_a_part_that_readers_cannot_open_costs_an_attempt_and_names_its_sender(name):
    kind, reader = UNREADABLE[name]
    run = ended_well(kind)
    assert f"partial_decryption: RoundError: partial of client-1: {reader} cannot open it" in notes(run)
    assert "receive partial: WireError: partial of client-1" in notes(run, reader)
    assert all(client.rounds_done == 1 for client in run.parties.clients)
    answered = [sent.sender for sent in run.transcript.sent if sent.step == m.PARTIAL and sent.position.attempt == 2]
    assert answered == ["client-2", "client-3"]


@pytest.mark.parametrize(
    "kind", [part_for(lambda part, readers: (b"short", readers)), relabelled(blocks=())], ids=["short", "no blocks"]
)
def test_a_part_of_another_size_is_refused_before_anybody_reads_it(kind):
    """The terms fix a part's size: the post refuses it, and the next attempt asks others."""
    run = ended_well(kind)
    assert "receive partial of client-1: IntegrityError" in notes(run, COORDINATOR)
    assert "cannot open it" not in notes(run)


@pytest.mark.parametrize("name", ["fewer receipts than min_cohort", "no part"])
def test_without_the_rule_it_ends_the_run(name, monkeypatch):
    monkeypatch.setattr(Standing, "accuse", lambda *_: False)
    _, error = play(UNREADABLE[name][0])
    assert isinstance(error, HeflError) and not isinstance(error, RuntimeUnavailable)


class Accuses(Honest):
    """The second fault: parts of others reach it well, and it says each time that it cannot open them."""

    active = (1, 2, 3)

    def receive(self, envelope):
        header = envelope.header
        if header.kind == m.PARTIAL and header.sender != self.name and header.position.attempt in self.active:
            raise WireError(f"partial of {header.sender}: I cannot open it")
        super().receive(envelope)


class AccusesAndWithholds(Accuses):
    """And as a holder it then gives no part of its own."""

    def partial_decryption(self, position):
        return super().partial_decryption(position) if position.attempt == 1 else away(self, position)


class AccusesAndKeepsItsUpload(Accuses):
    def upload(self, position):
        return super().upload(position) if position.attempt == 1 else away(self, position)


@pytest.mark.parametrize(("kind", "attempts"), [(Accuses, 2), (AccusesAndWithholds, 3), (AccusesAndKeepsItsUpload, 3)])
@pytest.mark.parametrize("experiment", [TOGETHER, LARGER], ids=["2-of-4", "3-of-5"])
def test_a_reader_that_accuses_others_falsely_ends_no_run(experiment, kind, attempts):
    run = ended_well(kind, experiment, attempts)
    assert [client.rounds_done for client in run.parties.clients[1:]] == [1] * (experiment.clients - 1)
    assert sum("cannot open it; one of the two" in note.reason for note in run.transcript.left_out) == 1


def test_a_reader_that_were_heard_each_time_would_use_up_the_attempts(monkeypatch):
    real = Standing.accuse

    def every_time(self, holder, reader, position):
        self._heard.clear()
        return real(self, holder, reader, position)

    monkeypatch.setattr(Standing, "accuse", every_time)
    ended_well(Accuses, attempts=3)


class AccusesLast(Accuses):
    """The third: only in the last attempt, after which there is no other."""

    active = (m.MAX_ATTEMPTS,)


def accused_last():
    """A run whose auditor cannot be reached in the first two attempts, so that the complaint comes in the third."""
    run = Run(TOGETHER, stage=partial(_stage, AccusesLast))
    steps = run.steps()
    next(steps)
    confirmation_lost(run, times=m.MAX_ATTEMPTS - 1)
    return run, steps


def test_a_complaint_in_the_last_attempt_is_noted_and_ends_nothing(monkeypatch):
    """The others opened the sum, and there is nobody else to ask: the reader stays behind alone."""
    run, steps = accused_last()
    list(steps)
    assert [item.attempts for item in run.rounds] == [m.MAX_ATTEMPTS]
    assert [client.rounds_done for client in run.parties.clients] == [0, 1, 1, 1]
    assert sum("client-1 cannot open it; one of the two" in note.reason for note in run.transcript.left_out) == 1
    assert verify(run.transcript, pin_of(run.transcript)).rounds == 1
    monkeypatch.setattr("hefl_core.federation.post.MAX_ATTEMPTS", m.MAX_ATTEMPTS + 1)
    with pytest.raises(WireError, match="I cannot open it") as ended:  # the first reason of one that was left out
        list(accused_last()[1])
    assert "a reader cannot open the part of client-2" in str(ended.value.__cause__)


# -- the post's own checks ---------------------------------------------------------------------------------------------


def until(run, kind, count):
    """Step a run until so many messages of a kind are on record. Returns the position of the last."""
    for sent in run.steps():
        count -= sent.step == kind
        if not count:
            return sent.position
    raise AssertionError("the run ended before")


def test_the_post_closes_no_round_with_fewer_receipts_than_min_cohort():
    """With no party to tell, it is the post alone that counts."""
    run = Run(ALONE)
    place = until(run, m.CONFIRMATION, 1)
    post = run._begun.post
    with pytest.raises(RoundError, match="no client applied the sum"):
        post.close([], place)
    for number, client in enumerate(run.parties.clients[:3]):
        if number:
            with pytest.raises(RoundError, match=f"expected receipts of at least 3 clients .*found {number}"):
                post.close([], place)
        post.send(client.apply(place), client, to=[run.parties.coordinator, run.parties.auditor])
    post.close([], place)


def left_unsent(run):
    """Client 1's commitment is ruled on and never sent. Returns the place."""
    place = until(run, m.PLAN, 1)
    waiting = run._begun.post.each(run.parties.clients, "commit", place)
    next(waiting)
    waiting.close()
    return place


def test_a_ruling_does_not_stand_for_the_next_letter():
    run = Run(ALONE)
    place = left_unsent(run)
    two = run.parties.clients[1]
    letter = two.commit(place)
    assert run._begun.post.send(letter, two, to=[run.parties.coordinator]).head == letter.envelope.signed_header
    assert [sent.sender for sent in run.transcript.sent if sent.step == m.COMMITMENT] == ["client-2"]


def test_nor_does_it_let_a_letter_through_that_has_no_place():
    run = Run(ALONE)
    place = left_unsent(run)
    two = run.parties.clients[1]
    good = two.commit(place).envelope
    header = replace(good.header, length=good.header.length + 1)
    wrong = Letter.of(Envelope(header, two.identity.sign(encode(header)), good.body))
    with pytest.raises(IntegrityError, match="commitment of client-2: expected d ="):
        run._begun.post.send(wrong, two, to=[run.parties.coordinator])
    assert not [sent for sent in run.transcript.sent if sent.step == m.COMMITMENT]


def test_a_ruling_on_a_letter_that_was_not_sent_leaves_no_trace(monkeypatch):
    """The attempt ended before: the client's next letter follows, and the lost one is on record as lost."""
    for rule in (True, False):
        if not rule:  # the control: noted when it was ruled on
            real = Post._judge
            monkeypatch.setattr(Post, "_judge", lambda self, entry, real=real: self._take(real(self, entry)))
        run = Run(ALONE)
        place = left_unsent(run)
        post, parties = run._begun.post, run.parties
        lost = parties.clients[0].unrecorded(-1)[-1]
        second = replace(place, attempt=2)
        post.begin(parties.coordinator)
        post.send(parties.coordinator.plan(second), parties.coordinator, to=[parties.auditor, *parties.clients])
        for client, letter in post.each(parties.clients, "commit", second):
            post.send(letter, client, to=[parties.coordinator])
        assert (lost in [line.entry.head for line in run.transcript.lines if isinstance(line.entry, Unsent)]) == rule
        with pytest.raises(IntegrityError, match="cut off" if rule else "expected number 0 of client-1, found 1"):
            verify(run.transcript, pin_of(run.transcript))


def test_it_can_still_be_sent_after_others(monkeypatch):
    """The second fault: the very letter comes later. A large body that was ruled on is no body of an earlier message."""
    monkeypatch.setattr(Conversation, "_check_order", lambda *_: None)  # which commitments may not
    monkeypatch.setattr("hefl_core.federation.record.proceedings.SMALL_BODY_BYTES", 0)
    run = Run(ALONE)
    place = until(run, m.PLAN, 1)
    post, (one, two, *_) = run._begun.post, run.parties.clients
    waiting = post.each(run.parties.clients, "commit", place)
    _, letter = next(waiting)
    waiting.close()
    post.send(two.commit(place), two, to=[run.parties.coordinator])
    post.send(letter, one, to=[run.parties.coordinator])
    assert [sent.sender for sent in run.transcript.sent if sent.step == m.COMMITMENT] == list(names(2, 1))


def test_nor_for_the_same_letter_once_it_is_on_record_as_lost():
    """Its header was recorded as one that nobody got; then the letter comes after all. Control: the ruling still stands."""
    for stands in (False, True):
        run = Run(ALONE)
        place = until(run, m.PLAN, 1)
        post, one = run._begun.post, run.parties.clients[0]
        waiting = post.each(run.parties.clients, "commit", place)
        _, letter = next(waiting)
        waiting.close()
        ruling = post._judged
        assert ruling is not None
        post.record_unsent(one.name, [letter.envelope.signed_header])
        if stands:
            post._judged = ruling
            post.send(letter, one, to=[run.parties.coordinator])
            with pytest.raises(IntegrityError, match="again, a replay"):
                verify(run.transcript, pin_of(run.transcript))
            continue
        with pytest.raises(IntegrityError, match="again, a replay"):
            post.send(letter, one, to=[run.parties.coordinator])
        assert not [sent for sent in run.transcript.sent if sent.step == m.COMMITMENT]


# -- the auditor's objection, and the notes about it -------------------------------------------------------------------


def told_of(party, said, place=FIRST, step="upload"):
    """A note with these words, where the auditor's objection is on record, or at the end."""

    def forge(record):
        kinds = [getattr(entry, "step", "") for entry in record.entries]
        at = kinds.index(m.OBJECTION) + 1 if m.OBJECTION in kinds else len(kinds)
        record.entries.insert(at, LeftOut(party, step, place, f"RoundError: {said}"))
        return at

    return forge


TWO = "update of client-2: the auditor has none that it can read; it is in no sum"
FALSE_NOTES = {
    "about another client": (PastTheAuditor, told_of("client-2", TWO), "names client-1; the note about client-2"),
    "in another's place": (PastTheAuditor, told_of("client-1", TWO), "names client-1; the note about client-1"),
    "in another step": (PastTheAuditor, told_of("client-2", TWO, step="commit"), "names client-1"),
    "spelt otherwise": (PastTheAuditor, told_of("client-2", TWO.upper().replace(" ", "  ")), "names client-1"),
    "under the coordinator's name": (PastTheAuditor, told_of(COORDINATOR, TWO), "the note about coordinator"),
    "without an objection": (Honest, told_of("client-2", TWO), "expected an objection of the auditor"),
    "of another attempt": (
        PastTheAuditor,
        told_of("client-1", TWO.replace("2", "1"), replace(FIRST, attempt=2)),
        "found none",
    ),
}


@pytest.fixture(scope="module")
def objected_to():
    return {kind: ended_well(kind, ALONE, 1 + (kind is PastTheAuditor)) for kind in (PastTheAuditor, Honest)}


@pytest.mark.parametrize("name", FALSE_NOTES)
def test_a_note_that_the_signed_objection_does_not_bear_out_is_the_first_break(objected_to, name, monkeypatch):
    kind, forge, message = FALSE_NOTES[name]
    record = Record(objected_to[kind])
    record.verify(record.closed_honestly())  # the control: the post's own note
    at = forge(record)
    with pytest.raises(IntegrityError, match=f"line {at + 1}: note: .*{message}"):
        record.verify(record.closed_honestly())
    monkeypatch.setattr(Proceedings, "check_objected", lambda *_: None)
    assert record.verify(record.closed_honestly()).authenticated


class SpeaksForTheAuditor(Honest):
    """Another fault: the words come in a client's own refusal. They would break the record of the others."""

    def upload(self, position):
        raise RoundError(TWO)


def test_a_client_that_speaks_for_the_auditor_breaks_no_record(monkeypatch):
    run = ended_well(SpeaksForTheAuditor, ALONE)
    assert set(notes(run).split("\n")) == {"upload: RoundError: details stay with the party"}
    monkeypatch.setattr(Post, "note", spoken)
    run, _ = play(SpeaksForTheAuditor, ALONE)
    with pytest.raises(IntegrityError, match="expected an objection of the auditor"):
        verify(run.transcript, pin_of(run.transcript))


def spoken(self, party, step, position, error):
    """The post as it would be without its own check."""
    where = Whereabouts(party, step, position, self.transcript.manifest.experiment.clients)
    self.transcript.note(LeftOut(party=party, step=step, position=position, reason=reason(error, where)))


class ObjectsToNobody(Auditor):
    """An auditor whose objection is to no list: it breaks the record, and no client is named on its word."""

    def objection(self, position):
        return Letter.of(self._compose(m.OBJECTION, position, (COORDINATOR,), encode(m.Objection(bytes(32), names(2)))))


def test_an_objection_without_a_place_names_nobody():
    run = Run(ALONE)
    steps = run.steps()
    next(steps)
    run.parties.auditor.__class__ = ObjectsToNobody
    with pytest.raises(IntegrityError, match="the auditor has another list") as ended:  # the coordinator refused it
        list(steps)
    assert "its objection has no place in the protocol" in str(ended.value.__cause__)
    assert not notes(run, "client-2")
    with pytest.raises(IntegrityError, match="the auditor has another list"):
        verify(run.transcript, pin_of(run.transcript))


# -- sealing keys that are none ----------------------------------------------------------------------------------------

KEYS_LATER = {"rounds": 3, "epoch_rounds": 1, "min_cohort": 3}
NO_KEYS = {
    "no ML-KEM key": lambda sealing: bytes([255]) * (len(sealing) - 32) + sealing[-32:],
    "32 bytes": lambda sealing: sealing[-32:],
    "of no order for X25519": lambda sealing: sealing[:-32] + bytes(32),
}


def depositing(make, epochs):
    """A client whose sealing keys of these epochs are of another making, with its own true signature under each."""

    class Deposits(Honest):
        def sealing_keys(self, first):
            return tuple(self.other(key) if key.epoch in epochs else key for key in super().sealing_keys(first))

        def other(self, key):
            sealing = make(key.sealing)
            said = sealing_statement(self.manifest.id, key.epoch, self.name, sealing)
            return replace(key, sealing=sealing, voucher=self.identity.sign(said))

    return Deposits


@pytest.mark.parametrize("custody", ["individual", "2-of-4", "dealer-free:2-of-4"])
@pytest.mark.parametrize(("name", "epochs"), [*((name, (1, 2, 3)) for name in NO_KEYS), ("no ML-KEM key", (3,))])
def test_a_sealing_key_that_is_none_leaves_its_client_out(custody, name, epochs):
    run, error = play(
        depositing(NO_KEYS[name], epochs),
        (ALONE if custody == "individual" else TOGETHER).but(custody=custody, **KEYS_LATER),
    )
    assert error is None, error
    assert verify(run.transcript, pin_of(run.transcript), ClientHeads.of(run.transcript)).rounds == 3
    assert all("client-1" not in item.contributors and len(item.contributors) == 3 for item in run.rounds)
    assert "sealing_keys: KeyUseError" in notes(run)


@pytest.mark.parametrize("epochs", [(1, 2), (2,)])
def test_without_the_check_of_deposits_it_ends_the_run(epochs, monkeypatch):
    experiment = TOGETHER.but(**KEYS_LATER | {"rounds": 2})
    _, error = play(depositing(lambda sealing: sealing, epochs), experiment)
    assert error is None  # the control: keys of the same making that are some
    monkeypatch.setattr("hefl_core.keys.kms.service.check_sealing", lambda *_: None)
    run, error = play(depositing(NO_KEYS["no ML-KEM key"], epochs), experiment)
    assert isinstance(error, KeyUseError) and len(run.rounds) == min(epochs) - 1
