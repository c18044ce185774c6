"""Forgeries of a record, by hand: by whoever holds the files, by one client, and by the coordinator that wrote it.

Each is checked with the pinned roster and the clients' heads, and each is found where it was made. The controls are honest
records: the same ones, put together again by the same hands.
"""

import hashlib
from dataclasses import replace

import msgspec
import pytest

from hefl_core.errors import IntegrityError, RuntimeUnavailable
from hefl_core.federation.record.client_heads import ClientHeads
from hefl_core.federation.record.grammar import Conversation
from hefl_core.federation.record.statements import Statements
from hefl_core.federation.record.transcript import Closing, LeftOut, Transcript, Unsent
from hefl_core.federation.record.verify import verify
from hefl_core.ids import AUDITOR, COORDINATOR
from hefl_core.keys.ceremony_result import CeremonyResult
from hefl_core.runtime.run import Run
from hefl_core.terms import messages as m
from hefl_core.terms.experiment import Experiment
from hefl_core.wire.canonical import decode
from hefl_core.wire.envelope import Position
from tests.conftest import finished
from tests.security.forging import Record

ALONE = Experiment(
    dataset="breast_cancer", model="logistic", scheme="INSECURE_bfv-1024", clients=4, rounds=2, epoch_rounds=1
)
TOGETHER = ALONE.but(scheme="INSECURE_bfv-threshold-1024", custody="2-of-4", epoch_rounds=2)
NO_DEALER = TOGETHER.but(custody="dealer-free:2-of-4", rounds=1, epoch_rounds=1)
RUNS = {"alone": ALONE, "together": TOGETHER, "no dealer": NO_DEALER}
ZERO = bytes(32)
ANOTHER = hashlib.sha256(b"another").digest()


@pytest.fixture(scope="module")
def runs():
    return {name: finished(experiment) for name, experiment in RUNS.items()} | {"retried": retried()}


def retried():
    """In round 2 a holder is out of reach when it is asked for its part: a second attempt."""
    run, away = Run(TOGETHER), []
    for sent in run.steps():
        if sent.step == "roster":
            client = run.parties.clients[0]
            answer = client.partial_decryption

            def gone(position, answer=answer):
                if position.round == 2 and not away:
                    away.append(position)
                    raise RuntimeUnavailable("client-1: out of reach")
                return answer(position)

            client.partial_decryption = gone
    return run


def test_a_retry_is_honest(runs):
    record = Record(runs["retried"])
    verdict = record.verify(runs["retried"].transcript)
    assert (verdict.rounds, verdict.sums) == (2, 3) and verdict.notes
    assert [e.position.attempt for e in record.entries if getattr(e, "step", "") == m.SUM] == [1, 1, 2]


# -- honest ones ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", RUNS)
def test_an_honest_record_passes_and_so_does_one_put_together_again(runs, name):
    record = Record(runs[name])
    verdict = record.verify(runs[name].transcript)
    assert verdict.authenticated and verdict.heads == 4 and verdict.signers == (4, 4)
    assert verdict.sums == verdict.rounds == RUNS[name].rounds and verdict.unsent == verdict.notes == 0
    again = record.closed_honestly()
    assert again.to_bytes() == runs[name].transcript.to_bytes()
    record.renumber(COORDINATOR)  # with the coordinator's key: nothing to do, nothing is done
    assert record.closed_honestly().to_bytes() == again.to_bytes()
    assert verify(Transcript.from_bytes(again.to_bytes()), record.pin, record.heads).sums is None


def test_without_bodies_receipts_of_a_round_still_say_the_same(runs):
    record = Record(runs["alone"])
    at = record.at(m.RECEIPT, "client-4", 2)
    record.entries[at] = record.signed(at, "client-4", another_state(record))
    forged = record.closed_by("client-1", "client-2", "client-3")
    with pytest.raises(IntegrityError, match=f"line {at + 1}: receipt of client-4"):
        verify(Transcript.from_bytes(forged.to_bytes()), record.pin)


def test_a_head_of_the_same_number_and_another_message_is_seen(runs):
    record = Record(runs["alone"])
    number, _ = record.heads.heads["client-1"]
    heads = replace(record.heads, heads={**record.heads.heads, "client-1": (number, ZERO)})
    with pytest.raises(IntegrityError, match="heads: client-1"):
        verify(runs["alone"].transcript, record.pin, heads)


def test_a_second_attempt_with_other_members_than_the_sum_before_is_seen(runs):
    """The coordinator lists three of the four clients whose sum the first attempt had; its key signs the shorter list."""
    record = Record(runs["retried"])
    at = max(n for n, e in enumerate(record.entries) if getattr(e, "step", "") == m.COMMITMENTS)
    whole = record.body(at, m.CommitmentList)
    fewer = m.CommitmentList(whole.listed[:-1], whole.commitments[:-1])
    record.entries[at] = record.signed(at, COORDINATOR, fewer, commitments=fewer.digest)
    record.renumber(COORDINATOR)
    forged = record.closed_honestly()
    with pytest.raises(
        IntegrityError, match=f"line {at + 1}: commitments: expected the members of this round's earlier sum"
    ):
        verify(forged, record.pin)


# -- (a) whoever holds the files -----------------------------------------------------------------------------------


def unchained(change):
    """The lines as they stand, changed without chaining them anew."""

    def forge(record):
        lines = list(record.run.transcript.lines)
        line = change(record, lines)
        return Transcript._restore(lines, record.blobs), line

    return forge


def drop(record, lines):
    at = record.at(m.COMMITMENT, "client-2", 2)
    del lines[at]
    return at + 1


def double(record, lines):
    at = record.at(m.UPDATE, "client-2", 2)
    lines.insert(at, lines[at])
    return at + 2


def swap(record, lines):
    at = record.at(m.RECEIPT, "client-1", 1)
    lines[at], lines[at + 1] = lines[at + 1], lines[at]
    return at + 1


def cut(record, lines):
    del lines[record.at(m.RECEIPT, "client-4", 2) :]
    return len(lines)


def chained(change):
    """Chained anew, the end counted right, under the old signatures."""

    def forge(record):
        line = change(record)
        return record.under_old_signatures(), line

    return forge


def the_end(record):
    return len(record.entries) + 1


def cut_and_count(record):
    del record.entries[record.at(m.RECEIPT, "client-3", 2) :]
    return the_end(record)


def change_a_time(record):
    at = record.at(m.SUM, round_=1)
    slower = tuple(replace(work, seconds=work.seconds + 1) for work in record.entries[at].work)
    record.entries[at] = msgspec.structs.replace(record.entries[at], work=slower)
    return the_end(record)


def invent_a_refusal(record):
    record.entries.insert(9, LeftOut("client-1", "receive sum", Position(1, 1), "IntegrityError: invented"))
    return the_end(record)


def resize(record):
    at = record.at(m.UPDATE, "client-1", 1)
    record.entries[at] = msgspec.structs.replace(record.entries[at], nbytes=1)
    return at + 1


def readdress_the_line(record):
    at = record.at(m.COMMITMENT, "client-1", 1)
    record.entries[at] = msgspec.structs.replace(record.entries[at], receivers=(COORDINATOR, "client-2"))
    return at + 1


def without_the_auditor(record):
    del record.entries[record.at(m.CONFIRMATION, round_=2)]
    return record.at(m.RECEIPT, round_=2) + 1


def without_a_round(record):
    record.entries = [
        entry
        for entry in record.entries
        if not (hasattr(entry, "head") and (entry.position.round == 1 or entry.position.epoch == 1))
    ]
    return 2


def swap_blobs(record):
    one, other = record.at(m.UPDATE, "client-1", 1), record.at(m.UPDATE, "client-2", 1)
    a, b = record.entries[one].body, record.entries[other].body
    record.blobs[a], record.blobs[b] = record.blobs[b], record.blobs[a]
    return one + 1


def lose_a_ciphertext(record):
    del record.blobs[record.header(record.at(m.UPDATE, "client-3", 1)).content_digest]
    return record.at(m.SUM, round_=1) + 1


def another_roster(record):
    at = record.at("roster")
    roster = record.entries[at].inline
    record.entries[at] = msgspec.structs.replace(record.entries[at], inline=roster[:-1] + bytes([roster[-1] ^ 1]))
    return at + 1


def fewer_signatures(record):
    open_ = record.transcript()
    return record.transcript(Closing(*open_.tail, record.old_end.signatures[:2])), the_end(record)


def signatures_in_another_order(record):
    open_ = record.transcript()
    return record.transcript(Closing(*open_.tail, record.old_end.signatures[::-1])), the_end(record)


def an_end_in_the_middle(record):
    lines = list(record.run.transcript.lines)
    head = hashlib.sha256(lines[-1].to_json()).digest()
    lines.append(msgspec.structs.replace(lines[2], previous=head))
    return Transcript._restore(lines, record.blobs), len(lines)


BY_FILES = {
    "a line is dropped": ("alone", unchained(drop), "chain breaks"),
    "a line is doubled": ("alone", unchained(double), "chain breaks"),
    "two lines are swapped": ("alone", unchained(swap), "chain breaks"),
    "the tail is cut, its end too": ("alone", unchained(cut), "tail is cut off"),
    "the tail is cut, the end counted anew": (
        "alone",
        chained(cut_and_count),
        "expected receipts of at least 3 clients .min_cohort. of round 2, found 2",
    ),
    "what a step cost is changed": ("alone", chained(change_a_time), "closing: the signature"),
    "a refusal is invented": ("alone", chained(invent_a_refusal), "closing: the signature"),
    "a size is changed": ("alone", chained(resize), "update of client-1: the recorded size"),
    "a receiver is written in": ("alone", chained(readdress_the_line), "commitment of client-1: .*other receivers"),
    "the confirmation is taken out": (
        "alone",
        chained(without_the_auditor),
        "receipt of client-1: expected the confirmation of auditor",
    ),
    "an epoch and its round are taken out": (
        "alone",
        chained(without_a_round),
        "roster of kms: expected number 0 of kms",
    ),
    "blobs are swapped": ("alone", chained(swap_blobs), "update of client-1: its blob .* replaced"),
    "an added ciphertext is taken away": (
        "alone",
        chained(lose_a_ciphertext),
        "update of client-3: its blob .* missing",
    ),
    "the roster is changed": ("alone", chained(another_roster), "roster: its bytes are not those"),
    "signatures of the end are taken away": ("alone", fewer_signatures, "closing: expected at least 3"),
    "signatures of the end change places": ("alone", signatures_in_another_order, "closing: .*in order"),
    "the record goes on after its end": ("alone", an_end_in_the_middle, "goes on after it"),
}


# -- (b) one client's key ------------------------------------------------------------------------------------------


def instead(step, body=None, **changes):
    """client-2 says something else than it said in round 2. Whoever wrote the record put it down, and the others sign the end."""

    def forge(record):
        at = record.at(step, "client-2", 2)
        given = {name: value(record) if callable(value) else value for name, value in changes.items()}
        record.entries[at] = record.signed(at, "client-2", body(record) if callable(body) else body, **given)
        return record.closed_by("client-1", "client-3", "client-4"), at + 1

    return forge


def besides(like, **changes):
    """client-2 says one thing more in round 2, after its last message."""

    def forge(record):
        at, place = record.at(like, round_=2 if like != "share" else 0), record.at(m.RECEIPT, "client-2", 2) + 1
        said = changes | {"sender": "client-2"} | record.next_of("client-2", place)
        record.entries.insert(place, record.signed(at, "client-2", **said))
        return record.closed_by("client-1", "client-3", "client-4"), place + 1

    return forge


def again(record):
    """The same message once more, a little later."""
    at = record.at(m.COMMITMENT, "client-2", 2)
    record.entries.insert(at + 2, record.entries[at])
    return record.closed_honestly(), at + 3


def first_to_apply(record):
    """client-1, the first to say so, says that it applied the sum to another state."""
    at = record.at(m.RECEIPT, "client-1", 2)
    record.entries[at] = record.signed(at, "client-1", another_state(record))
    return record.closed_by("client-2", "client-3", "client-4"), at + 1


def under_anothers_name(record):
    """client-2 signs client-3's receipt."""
    at = record.at(m.RECEIPT, "client-3", 2)
    record.entries[at] = record.signed(at, "client-2")
    return record.closed_honestly(), at + 1


def a_message_of_its_own_taken_back(record):
    """client-2 signs its second update anew, as if there had been no second commitment."""
    at, to = record.at(m.COMMITMENT, "client-2", 2), record.at(m.COMMITMENTS, round_=2)
    del record.entries[at]
    record.renumber("client-2")
    return record.closed_by("client-1", "client-3", "client-4"), to


def nobody_got(**changes):
    """A header of client-2 that is said to have reached nobody."""

    def forge(record):
        at = record.at(m.RECEIPT, "client-2", 2)
        said = record.next_of("client-2", at + 1) | changes
        record.entries.insert(at + 1, Unsent(record.signed(at, "client-2", **said).head))
        return record.closed_by("client-1", "client-3", "client-4"), at + 2

    return forge


def key_of_epoch_1(record):
    return record.header(record.at(m.COMMITMENT, "client-2", 1)).key_id


def receipt_of_round_1(record):
    return record.body(record.at(m.RECEIPT, "client-2", 1), m.Receipt)


def another_state(record):
    return m.Receipt(record.header(record.at(m.SUM, round_=2)).digest, ZERO)


BY_A_CLIENT = {
    "it confirms a sum": ("alone", besides(m.CONFIRMATION), "confirmation of client-2: expected it from the auditor"),
    "it sends a sum": ("alone", besides(m.SUM), "sum of client-2: expected it from the coordinator"),
    "it sends a share to the coordinator": (
        "alone",
        besides("share", recipients=(COORDINATOR,), position=Position(2, 0)),
        "share of client-2: expected it from the kms",
    ),
    "it commits twice": ("alone", besides(m.COMMITMENT), "commitment of client-2: a second one"),
    "it is the first to apply, to another state": ("alone", first_to_apply, "receipt of client-1"),
    "it is the first to apply, together": ("together", first_to_apply, "receipt of client-1"),
    "it applies twice": ("alone", besides(m.RECEIPT), "receipt of client-2: a second one"),
    "it says what the protocol does not have": (
        "alone",
        besides(m.RECEIPT, kind="gossip"),
        "expected a kind of message that the protocol has",
    ),
    "it is ready under individual custody": (
        "alone",
        besides(m.RECEIPT, kind=m.READY),
        "ready of client-2: there is none",
    ),
    "its message stands there twice": ("alone", again, "commitment of client-2: number 3 again, a replay"),
    "it signs in another's name": ("alone", under_anothers_name, "receipt: the signature is not 'client-3'"),
    "it leaves a number out": ("alone", instead(m.RECEIPT, sequence=9), "receipt of client-2: expected number 5"),
    "it forks its own chain": ("alone", instead(m.RECEIPT, previous=ZERO), "receipt of client-2: does not follow"),
    "it takes a commitment back": (
        "alone",
        a_message_of_its_own_taken_back,
        "commitments: client-2's is not on record",
    ),
    "it applied another state": (
        "alone",
        instead(m.RECEIPT, another_state),
        "receipt of client-2: it says something else",
    ),
    "it applied the sum before": ("alone", instead(m.RECEIPT, receipt_of_round_1), "receipt of client-2: it says"),
    "it uploads another ciphertext": (
        "alone",
        instead(m.UPDATE, content_digest=ANOTHER),
        "update of client-2: .*committed",
    ),
    "it counts ciphertexts in a receipt": (
        "alone",
        instead(m.RECEIPT, blocks=113),
        "receipt of client-2: expected d = .* in 0 ciphertexts, found .* in 113",
    ),
    "it counts other ciphertexts in an upload": (
        "alone",
        instead(m.UPDATE, blocks=113),
        "update of client-2: expected d = .* ciphertexts, found",
    ),
    "it gives a content the size of a number": (
        "alone",
        instead(m.RECEIPT, content_nbytes=113),
        "receipt of client-2: expected .* bytes of content, found 113",
    ),
    "it gives an upload the size of a number": (
        "together",
        instead(m.UPDATE, content_nbytes=113),
        "update of client-2: expected .* bytes of content, found 113",
    ),
    "it uploads for another list": ("alone", instead(m.UPDATE, commitments=ZERO), "update of client-2: .*another list"),
    "it uploads in the open": ("alone", instead(m.UPDATE, sealed=False), "update of client-2: expected it sealed"),
    "it uploads to another client": (
        "alone",
        instead(m.UPDATE, recipients=(COORDINATOR, AUDITOR, "client-3")),
        "update of client-2: expected it to coordinator, auditor",
    ),
    "it commits under a stale key": ("alone", instead(m.COMMITMENT, key_id=key_of_epoch_1), "names another key"),
    "it commits in a round that is over": (
        "alone",
        instead(m.COMMITMENT, position=Position(1, 1)),
        "commitment of client-2: expected epoch 2, round 2",
    ),
    "it commits to another plan": ("alone", instead(m.COMMITMENT, plan=ZERO), "commitment of client-2: .*another plan"),
    "it goes on from another state": ("alone", instead(m.COMMITMENT, state=ZERO), "commitment of client-2: .*state"),
    "it has another run's number": (
        "alone",
        instead(m.RECEIPT, experiment="0" * 64),
        "receipt of client-2: .*experiment",
    ),
    "nobody got a number too far": ("alone", nobody_got(sequence=99), "receipt of client-2: expected number 6"),
    "nobody got another's message": ("alone", nobody_got(sender="client-3"), "the signature is not 'client-3'"),
    "nobody got a second receipt": ("alone", nobody_got(), "receipt of client-2: a second one"),
    "it is ready for another sum": ("together", instead(m.READY, m.Ready(ZERO, ZERO)), "ready of client-2: it says"),
    "it sends a part that nobody asked for": (
        "together",
        lambda record: unasked(record),
        "partial of client-4: expected it from client-1, client-2 only; it was not asked",
    ),
    "it sends its part in the open": (
        "together",
        instead(m.PARTIAL, sealed=False),
        "partial of client-2: expected it sealed",
    ),
    "it deals itself": (
        "together",
        besides(m.RECEIPT, kind="ceremony deal", position=Position(1, 0), recipients=("client-1",)),
        "ceremony deal of client-2: there is none under custody 2-of-4",
    ),
    "it reveals before all have committed": (
        "no dealer",
        lambda record: too_early(record),
        "ceremony nonce reveal of client-1: expected the ceremony nonce commitment of client-4 before it",
    ),
    "it approves another key": (
        "no dealer",
        lambda record: another_approval(record),
        "epoch 1: it shows other approvals",
    ),
}


def unasked(record):
    """A holder outside of the active set answers."""
    at, place = record.at(m.PARTIAL, "client-1", 2), record.at(m.RECEIPT, round_=2)
    said = {"sender": "client-4"} | record.next_of("client-4", place)
    record.entries.insert(place, record.signed(at, "client-4", **said))
    return record.closed_by("client-1", "client-2", "client-3"), place + 1


def too_early(record):
    first, last = record.at("ceremony nonce reveal", "client-1"), record.at("ceremony nonce commitment", "client-4")
    record.entries.insert(last, record.entries.pop(first))
    return record.closed_honestly(), last + 1


def another_approval(record):
    at, epoch = record.at("ceremony approval", "client-2"), record.at("epoch")
    record.entries[at] = record.signed(at, "client-2", replace(record.body(at, CeremonyResult), transcript=ZERO))
    record.renumber("client-2")
    return record.closed_by("client-1", "client-3", "client-4"), epoch + 1


def another_spare(record):
    """A commitment of client-2 in the second attempt that is not the spare it had promised."""
    at, listed = record.at(m.COMMITMENT, "client-2", 2, which=1), record.at(m.COMMITMENTS, round_=2, which=1)
    other = replace(record.body(at, m.Commitment), ciphertext_digest=ANOTHER)
    record.entries[at] = record.signed(at, "client-2", other)
    message = record.body(listed, m.CommitmentList)
    place, heads, said = message.senders.index("client-2"), list(message.listed), list(message.commitments)
    heads[place], said[place] = record.entries[at].head, other
    message = m.CommitmentList(tuple(heads), tuple(said))
    record.entries[listed] = record.signed(listed, COORDINATOR, message, commitments=message.digest)
    return record.closed_by("client-1", "client-3", "client-4"), listed + 1


# -- (c) the coordinator, which wrote the record -------------------------------------------------------------------


def without(step, named, sender=None, round_=2):
    """Messages are taken out; the coordinator numbers its own anew, the clients sign the end that they see."""

    def forge(record):
        while True:
            try:
                del record.entries[record.at(step, sender, round_)]
            except IndexError:
                break
        record.renumber(COORDINATOR)
        return record.closed_honestly(), record.at(*named) + 1

    return forge


def signs(step, body=None, round_=2, **changes):
    """The coordinator says something else than it said."""

    def forge(record):
        at = record.at(step, COORDINATOR, round_)
        given = {name: value(record) if callable(value) else value for name, value in changes.items()}
        record.entries[at] = record.signed(at, COORDINATOR, body(record, at) if body else None, **given)
        record.renumber(COORDINATOR)
        return record.closed_honestly(), at + 1

    return forge


def confirms(name):
    """The coordinator confirms in the auditor's place, under its own name or the auditor's."""

    def forge(record):
        at = record.at(m.CONFIRMATION, round_=2)
        said = record.next_of(COORDINATOR, at) if name == COORDINATOR else {}
        record.entries[at] = record.signed(at, COORDINATOR, sender=name, **said)
        record.renumber(COORDINATOR)
        return record.closed_honestly(), at + 1

    return forge


def repeated(step, place, **changes):
    """One message of the coordinator more, of its own making."""

    def forge(record):
        at, before = record.at(step, COORDINATOR, 2), record.at(place, round_=2)
        said = changes | record.next_of(COORDINATOR, before)
        record.entries.insert(before, record.signed(at, COORDINATOR, **said))
        record.renumber(COORDINATOR)
        return record.closed_honestly(), before + 1

    return forge


def without_attempt(number):
    """Round 2 as if it had begun with its second attempt."""

    def forge(record):
        record.entries = [
            e
            for e in record.entries
            if not (hasattr(e, "head") and e.position.round == 2 and e.position.attempt == number)
        ]
        record.renumber(COORDINATOR)
        return record.closed_honestly(), record.at(m.PLAN, round_=2) + 1

    return forge


def without_round(number):
    def forge(record):
        record.entries = [e for e in record.entries if not (hasattr(e, "head") and e.position.round == number)]
        record.renumber(COORDINATOR)
        return record.closed_honestly(), record.at("epoch", which=1) + 1 if number == 1 else the_end(record)

    return forge


def after_the_end(record):
    """A further attempt of a round that was applied: the beginning of a second sum."""
    at = record.at(m.PLAN, COORDINATOR, 2)
    place = len(record.entries)
    said = {"position": replace(record.header(at).position, attempt=2)} | record.next_of(COORDINATOR, place)
    record.entries.append(record.signed(at, COORDINATOR, **said))
    return record.closed_by("client-1", "client-2", "client-3", "client-4"), place + 1


def two_applied(record):
    """Two sums of round 1, each with receipts: clients 3 and 4, who collude, applied a second one."""
    at = record.at(m.RECEIPT, "client-3", 1)
    fork = m.Receipt(hashlib.sha256(b"another sum").digest(), ZERO)
    record.entries[at] = record.signed(at, "client-3", fork)
    return record.closed_by("client-1", "client-2", "client-4"), at + 1


def cut_tail(record):
    """What client-1 said last is taken out with all after it; three others, who deviate, sign the shorter record."""
    at = record.at(m.RECEIPT, "client-1", 2)
    moved = [entry for entry in record.entries[at + 1 :] if entry.sender != "client-1"]
    record.entries = [*record.entries[:at], *moved]
    return record.closed_by("client-2", "client-3", "client-4"), None


def too_few(record):
    return record.closed_by("client-1", "client-2"), the_end(record)


def demoted(step, named, sender=None):
    """A message is said to have reached nobody: its header stays, its body goes."""

    def forge(record):
        at = record.at(step, sender, 2)
        record.entries[at] = Unsent(record.entries[at].head)
        return record.closed_honestly(), record.at(*named) + 1

    return forge


def excused(record):
    """In the confirmation's place stands a note that the auditor was out of reach."""
    at = record.at(m.CONFIRMATION, round_=2)
    record.entries[at] = LeftOut(AUDITOR, "confirm", Position(2, 2), "RuntimeUnavailable: out of reach")
    return record.closed_honestly(), record.at(m.RECEIPT, round_=2) + 1


def moved(step, place, sender=None):
    def forge(record):
        at, before = record.at(step, sender, 2), record.at(*place)
        record.entries.insert(before, record.entries.pop(at))
        return record.closed_honestly(), before + 1

    return forge


def without_a_member(record, at):
    message = record.body(at, m.EncryptedSum)
    return m.EncryptedSum(replace(message.total, terms=3), message.updates[:3])


def another_total(record, at):
    message = record.body(at, m.EncryptedSum)
    blob = record.blobs[record.header(record.at(m.UPDATE, "client-1", 2)).content_digest]
    blocks = decode(blob, type(message.total)).blocks
    return m.EncryptedSum(replace(message.total, blocks=blocks), message.updates)


def of_the_round_before(record, at):
    return record.body(record.at(m.SUM, COORDINATOR, 1), m.EncryptedSum)


def shorter_list(record, at):
    listed = record.body(at, m.CommitmentList)
    return m.CommitmentList(listed.listed[:3], listed.commitments[:3])


def doubled_list(record, at):
    listed = record.body(at, m.CommitmentList)
    return m.CommitmentList(listed.listed[:3] + listed.listed[:1], listed.commitments[:3] + listed.commitments[:1])


def plan_with(**changes):
    return lambda record, at: replace(record.body(at, m.RoundPlan), **changes)


def request_with(**changes):
    return lambda record, at: replace(record.body(at, m.DecryptionRequest), **changes)


RECEIPTS, UPDATES = (m.RECEIPT, None, 2), (m.UPDATE, None, 2)
BY_THE_COORDINATOR = {
    "confirmation removed": (
        "alone",
        without(m.CONFIRMATION, RECEIPTS),
        "receipt of client-1: expected the confirmation of auditor",
    ),
    "confirmation by the coordinator": (
        "alone",
        confirms(COORDINATOR),
        "confirmation of coordinator: expected it from the a",
    ),
    "confirmation in the auditor's name": ("alone", confirms(AUDITOR), "confirmation: the signature is not 'auditor'"),
    "confirmation excused by a note": (
        "alone",
        excused,
        "receipt of client-1: expected the confirmation of auditor",
    ),
    "confirmation that nobody got": (
        "alone",
        demoted(m.CONFIRMATION, RECEIPTS),
        "receipt of client-1: expected the confirmation of auditor",
    ),
    "the step of commitments removed": (
        "alone",
        without(m.COMMITMENT, (m.COMMITMENTS, None, 2)),
        "commitments of coordinator: expected the commitment before it",
    ),
    "one commitment removed": (
        "alone",
        without(m.COMMITMENT, (m.COMMITMENTS, None, 2), "client-2"),
        "commitments: client-2's is not on record",
    ),
    "a commitment that nobody got": (
        "alone",
        demoted(m.COMMITMENT, (m.COMMITMENTS, None, 2), "client-2"),
        "commitments: client-2's is not on record",
    ),
    "the list removed": (
        "alone",
        without(m.COMMITMENTS, UPDATES),
        "update of client-1: expected the commitments of",
    ),
    "one update removed": (
        "alone",
        without(m.UPDATE, (m.SUM, None, 2), "client-3"),
        "expected the update of client-3 before it",
    ),
    "the sum removed": (
        "alone",
        without(m.SUM, (m.CONFIRMATION, None, 2)),
        "confirmation of auditor: expected the sum of coordinator before it",
    ),
    "the plan removed": ("alone", without(m.PLAN, (m.COMMITMENT, None, 2)), "commitment of client-1: expected epoch 1"),
    "a receipt removed": ("alone", without(m.RECEIPT, (m.COMMITMENT, "client-3", 2), "client-3", 1), "was taken out"),
    "the first round removed": (
        "alone",
        without_round(1),
        "epoch 2: expected rounds 1 to",
    ),
    "the first attempt removed": ("retried", without_attempt(1), "plan: it is not after the plan before it"),
    "a client's second ciphertext is not the promised one": (
        "retried",
        another_spare,
        "commitment of client-2: expected its spare for attempt 2",
    ),
    "the acknowledgement removed": (
        "together",
        without(m.ACKNOWLEDGEMENT, UPDATES),
        "update of client-1: expected the acknowledgement of auditor",
    ),
    "the last round removed": ("together", without_round(2), "expected 2 rounds as agreed, found 1"),
    "a sum in addition": ("alone", repeated(m.SUM, m.CONFIRMATION), "sum of coordinator: a second one"),
    "a list in addition": ("alone", repeated(m.COMMITMENTS, m.UPDATE), "commitments of coordinator: a second one"),
    "a plan in addition": ("alone", repeated(m.PLAN, m.COMMITMENT), "plan of coordinator: expected an attempt after 1"),
    "a fourth attempt": (
        "alone",
        repeated(m.PLAN, m.COMMITMENT, position=Position(2, 2, 4)),
        "plan of coordinator: expected an attempt after 1, at most 3",
    ),
    "another attempt of an applied round": ("alone", after_the_end, "plan of coordinator: expected round 3, found 2"),
    "two applied sums": ("alone", two_applied, "receipt of client-3: it says something else"),
    "the tail cut": ("alone", cut_tail, "heads: client-1 remembers message 5"),
    "an end signed by too few": ("alone", too_few, "closing: expected at least 3 clients' signatures"),
    "a sum without a listed client": ("alone", signs(m.SUM, without_a_member), "sum: expected the 4 listed updates"),
    "a sum of other bytes": ("alone", signs(m.SUM, another_total), "sum: adding the recorded updates again"),
    "the sum of the round before": (
        "alone",
        signs(m.SUM, of_the_round_before),
        "sum: the update of client-1 is of another",
    ),
    "a list without a client": (
        "alone",
        signs(m.COMMITMENTS, shorter_list),
        "commitments: the header names another list",
    ),
    "a list with a client twice": (
        "alone",
        signs(m.COMMITMENTS, doubled_list),
        "commitments: expected distinct members",
    ),
    "a plan for another cohort": (
        "alone",
        signs(m.PLAN, plan_with(cohort=("mallory", "client-1"))),
        "plan: .*of the roster",
    ),
    "a plan on another bound": ("alone", signs(m.PLAN, plan_with(bound=9.0)), "plan: .*on the agreed terms"),
    "a plan after another plan": (
        "alone",
        signs(m.PLAN, plan_with(previous=ZERO)),
        "plan: it is not after the plan before",
    ),
    "a plan with a small min_cohort": ("alone", signs(m.PLAN, plan_with(min_cohort=1)), "plan: .*min_cohort"),
    "a plan with another start": ("alone", signs(m.PLAN, plan_with(theta_0=bytes(8))), "plan: expected θ_0 in round 1"),
    "a plan in another state": ("alone", signs(m.PLAN, state=ZERO), "plan of coordinator: .*history forks"),
    "a plan under a stale key": (
        "alone",
        signs(m.PLAN, key_id=key_of_epoch_1),
        "plan of coordinator: it names another key",
    ),
    "a plan of a stale epoch": (
        "alone",
        signs(m.PLAN, position=Position(1, 2)),
        "plan of coordinator: expected epoch 2, found 1",
    ),
    "a plan kept from a client": (
        "alone",
        signs(m.PLAN, recipients=(AUDITOR, "client-1", "client-2", "client-3")),
        "plan of coordinator: expected it to auditor, all clients",
    ),
    "the sum before an update": (
        "alone",
        moved(m.SUM, (m.UPDATE, "client-4", 2)),
        "expected the update of client-4 before it",
    ),
    "an update before the list": (
        "alone",
        moved(m.UPDATE, (m.COMMITMENTS, None, 2), "client-1"),
        "expected the commitments of coordinator before it",
    ),
    "a share taken out": (
        "alone",
        without("share", (m.PLAN, None, 1), round_=0),
        "plan of coordinator: expected the share",
    ),
    "the request removed": (
        "together",
        without(m.REQUEST, (m.PARTIAL, None, 2)),
        "partial of client-1: expected the request",
    ),
    "a part removed": (
        "together",
        without(m.PARTIAL, RECEIPTS, "client-1"),
        "receipt of client-1: expected number 8 of client-1",
    ),
    "a request to three": (
        "together",
        signs(m.REQUEST, request_with(active=("client-1", "client-2", "client-3"))),
        "request: expected 2 different holders",
    ),
    "a request to one twice": (
        "together",
        signs(m.REQUEST, request_with(active=("client-1", "client-1"))),
        "request: expected 2 different holders",
    ),
    "a request to one who is not ready": (
        "together",
        signs(m.REQUEST, request_with(active=("client-1", "mallory"))),
        "request: it names a holder that did not say",
    ),
    "a request for another sum": (
        "together",
        signs(m.REQUEST, request_with(sum=ZERO)),
        "request: it names another sum",
    ),
    "another request in addition": ("together", repeated(m.REQUEST, m.PARTIAL), "request of coordinator: a second one"),
    "a ceremony's message removed": (
        "no dealer",
        without("ceremony key reveal", ("ceremony deal",), "client-3", 0),
        "ceremony deal of client-1: expected the ceremony key reveal of client-3 before it",
    ),
    "an approval removed": (
        "no dealer",
        without("ceremony approval", ("epoch",), "client-3", 0),
        "epoch of kms: expected the ceremony approval of client-3 before it",
    ),
}
FORGERIES = {
    **{("files", name): forgery for name, forgery in BY_FILES.items()},
    **{("client", name): forgery for name, forgery in BY_A_CLIENT.items()},
    **{("coordinator", name): forgery for name, forgery in BY_THE_COORDINATOR.items()},
}


@pytest.mark.parametrize("key", FORGERIES, ids=": ".join)
def test_a_forgery_is_found_where_it_was_made(runs, key):
    name, forge, message = FORGERIES[key]
    record = Record(runs[name])
    transcript, line = forge(record)
    with pytest.raises(IntegrityError, match=message) as found:
        record.verify(transcript)
    if line is not None:
        assert str(found.value).startswith(f"line {line}: "), found.value


CONTROLS = {
    "confirmation removed": (Conversation, "_check_before"),
    "confirmation excused by a note": (Conversation, "_check_before"),
    "confirmation that nobody got": (Conversation, "_check_before"),
    "a request to one who is not ready": (Statements, "_request"),
    "the tail cut": (ClientHeads, "check"),
    "a receipt removed": (Conversation, "_check_number"),
}
"""Forgeries of the coordinator and the rule that each breaks."""


@pytest.mark.parametrize("name", CONTROLS)
def test_without_its_rule_a_forgery_passes(runs, name, monkeypatch):
    """The control: the same forgery was accepted while the verifier did not know this rule."""
    run, forge, _ = BY_THE_COORDINATOR[name]
    owner, rule = CONTROLS[name]
    monkeypatch.setattr(owner, rule, lambda self, *_: note_only(self, rule, *_))
    record = Record(runs[run])
    assert record.verify(forge(record)[0]).authenticated


def note_only(self, rule, *arguments):
    if rule == "_check_number":
        self.chains[arguments[0].sender] = arguments[0].sequence, arguments[0].digest


def test_there_are_forty_and_more_of_each_kind():
    assert len(FORGERIES) >= 40 and min(len(BY_FILES), len(BY_A_CLIENT), len(BY_THE_COORDINATOR)) >= 15


def test_an_invented_refusal_excuses_nothing_and_is_called_unsigned(runs):
    """Nobody signs a refusal, so whoever writes the record can invent one: it counts for nothing, and the verdict says so."""
    record = Record(runs["alone"])
    record.entries.insert(9, LeftOut("client-1", "receive sum", Position(1, 1), "IntegrityError: invented"))
    verdict = record.verify(record.closed_honestly())
    assert verdict.notes == 1 and "1 notes of refusals, unsigned: they prove and excuse nothing" in str(verdict)


def test_clients_do_not_sign_an_end_without_their_last_message(runs):
    """The tail cut with the keys of nobody but the coordinator: too few sign it."""
    record = Record(runs["alone"])
    at = record.at(m.RECEIPT, "client-1", 2)
    del record.entries[at]
    transcript = record.closed_honestly()
    assert [name for name, _ in transcript.lines[-1].entry.signatures] == ["client-2", "client-3", "client-4"]
    with pytest.raises(IntegrityError, match="heads: client-1"):
        record.verify(transcript)
    del record.entries[at:]
    assert record.closed_honestly().lines[-1].entry.signatures == ()


def test_without_bodies_the_conversation_is_checked_and_the_verdict_says_what_was_not(runs):
    """Which forgeries are found by headers alone."""
    found = 0
    for name, forge, _ in FORGERIES.values():
        record = Record(runs[name])
        transcript, _ = forge(record)
        bare = Transcript._restore(transcript.lines, {})
        try:
            verdict = record.verify(bare)
        except IntegrityError:
            found += 1
        else:
            assert verdict.sums is None and "contents of messages and sums: not checked" in str(verdict)
    assert found >= 0.8 * len(FORGERIES)
