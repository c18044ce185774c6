"""One client that answers wrongly, or not at all, is left out by a named error; the others go on, and their record is green.

Each control takes the rule away: then that client ends the run, or spoils its record, as it did before there was one.
"""

import hashlib
import re
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from hefl_core.checks.lying_clients import Honest, _stage
from hefl_core.errors import HeflError, IntegrityError, RoundError, RuntimeUnavailable
from hefl_core.evaluation import ClassMetrics
from hefl_core.federation import post
from hefl_core.federation.client import Observation
from hefl_core.federation.coordinator import Coordinator
from hefl_core.federation.record.client_heads import ClientHeads
from hefl_core.federation.record.verify import pin_of, verify
from hefl_core.ids import OBSERVER
from hefl_core.keys.sealing import seal
from hefl_core.runtime import observer, run
from hefl_core.runtime.run import Run
from hefl_core.terms.experiment import Experiment
from hefl_core.terms.letter import Letter
from hefl_core.wire.canonical import encode
from hefl_core.wire.envelope import Envelope

ALONE = Experiment(dataset="breast_cancer", scheme="INSECURE_bfv-1024", clients=4, rounds=2, epoch_rounds=2)
TOGETHER = ALONE.but(scheme="INSECURE_bfv-threshold-1024", custody="2-of-4")
OBSERVED = ALONE.but(observed=True)


def lived(kind, experiment=ALONE):
    """A run with client 1 of this kind, to its end. Raises: whatever ends it."""
    made = Run(experiment, stage=partial(_stage, kind))
    for _ in made.steps():
        pass
    return made


def judged(made):
    """What stands in the notes about client 1, once the record is found right. Raises: IntegrityError."""
    record = made.transcript
    assert verify(record, pin_of(record), ClientHeads.of(record)).rounds == 2 == len(made.rounds)
    assert {note.party for note in record.left_out if note.step != "apply"} <= {"client-1"}
    return [f"{note.step}: {note.reason}" for note in record.left_out if note.party == "client-1"]


def relettered(client, letter, body=None, **changes):
    """The same letter with another header, signed by this client."""
    header = replace(letter.envelope.header, **changes)
    return Letter.of(
        Envelope(header, client.identity.sign(encode(header)), letter.envelope.body if body is None else body)
    )


def answering(step, wrong):
    """A client that answers this step of round 2 in its own way."""

    def answer(self, position):
        return getattr(Honest, step)(self, position) if position.round == 1 else wrong(self, position)

    return type(f"Answers_{step}", (Honest,), {step: answer})


def raising(error):
    def refuse(self, position):
        raise error

    return refuse


def misdirected(self, position):
    return relettered(self, Honest.commit(self, position), recipients=("coordinator", "auditor"))


def says_roster(self, position):
    body = b"\xc1 no roster"
    digest = hashlib.sha256(body).digest()
    letter = Honest.commit(self, position)
    return relettered(self, letter, body, kind="roster", content_digest=digest, content_nbytes=len(body))


def of_last_round(self, position):
    letter = Honest.commit(self, position)
    return relettered(self, letter, position=replace(position, round=1))


def no_letter(self, position):
    return b"no letter"


def nothing(self, position):
    return None


WRONG = {
    "a letter to others": (answering("commit", misdirected), "expected its receivers"),
    "a letter of another kind": (answering("commit", says_roster), "found a message of another kind"),
    "a letter of another place": (answering("commit", of_last_round), "expected it for round 2"),
    "no letter at all": (
        answering("commit", no_letter),
        "WireError: commit of client-1: expected a Letter, found something else",
    ),
    "a refusal to upload": (answering("upload", raising(RoundError("no"))), "upload: RoundError: no"),
    "an upload that is found to be wrong": (answering("upload", raising(IntegrityError("no"))), "IntegrityError: no"),
    "no answer to the call for uploads": (answering("upload", raising(RuntimeUnavailable("away"))), "away"),
    "nothing instead of an upload": (
        answering("upload", nothing),
        "upload of client-1: expected a Letter, found nothing",
    ),
}


@pytest.mark.parametrize("custody", [ALONE, TOGETHER], ids=["individual", "2-of-4"])
@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_answer_costs_its_sender_the_round_and_nobody_else(name, custody):
    kind, reason = WRONG[name]
    made = lived(kind, custody)
    assert re.search(reason, "\n".join(judged(made)))
    assert [len(item.contributors) for item in made.rounds] == [4, 3]
    assert "client-1" not in made.rounds[1].contributors


@pytest.mark.parametrize("name", ["a letter to others", "no letter at all"])
def test_without_the_check_on_arrival_a_letter_ends_the_run(name, monkeypatch):
    monkeypatch.setattr(post, "wrong_answer", lambda *_: None)
    monkeypatch.setattr(post.Post, "_fits", lambda *_: True)
    with pytest.raises((HeflError, AttributeError)):
        lived(WRONG[name][0])


@pytest.mark.parametrize("name", ["a refusal to upload", "no answer to the call for uploads"])
def test_without_the_rule_a_client_that_does_not_upload_ends_the_run(name, monkeypatch):
    monkeypatch.setattr(Coordinator, "_spared", lambda *_: ())
    with pytest.raises((RoundError, RuntimeUnavailable), match="no|away"):
        lived(WRONG[name][0])


def test_with_no_client_to_spare_nobody_is_left_out():
    with pytest.raises(RoundError, match="no"):
        lived(WRONG["a refusal to upload"][0], ALONE.but(clients=3))


class SavedTwice(Honest):
    """The second fault: in round 2 it refuses in turns, and in between it looks like one that came back."""

    def upload(self, position):
        if position.round == 2 and position.attempt != 2:
            raise RuntimeUnavailable("away")
        return super().upload(position)


def test_who_comes_back_in_between_waits_for_the_next_round():
    made = lived(SavedTwice, TOGETHER)
    judged(made)
    assert [len(item.contributors) for item in made.rounds] == [4, 3] and made.rounds[1].attempts == 2


PART = {
    "gone": answering("partial_decryption", raising(RuntimeUnavailable("away"))),
    "refused": answering("partial_decryption", raising(RoundError("no part"))),
}


@pytest.mark.parametrize("name", PART)
def test_a_holder_that_says_it_is_ready_and_gives_no_part_is_not_named_again(name, monkeypatch):
    made = lived(PART[name], TOGETHER)
    assert made.rounds[1].attempts == 2 and judged(made)
    monkeypatch.setattr(post.Post, "reliable", lambda self, holders, position: holders)
    with pytest.raises((RoundError, RuntimeUnavailable)):
        lived(PART[name], TOGETHER)


# -- the end -----------------------------------------------------------------------------------------------------------


def ending(answer):
    return type("Ending", (Honest,), {"sign_closing": lambda self, end: answer()})


def refuses(error):
    def answer():
        raise error

    return answer


ENDS = {
    "refuses": (ending(refuses(IntegrityError("closing: I do not like it"))), "I do not like it"),
    "refuses as out of order": (ending(refuses(RoundError("closing: no"))), "closing: no"),
    "signs nonsense": (ending(lambda: bytes(64)), "the signature is not client-1's"),
    "signs too short": (ending(lambda: b""), "the signature is not client-1's"),
    "gives no bytes": (ending(lambda: 7), "the signature is not client-1's"),
}


@pytest.mark.parametrize("name", ENDS)
def test_who_does_not_sign_the_end_is_noted_and_the_others_close_the_record(name):
    kind, reason = ENDS[name]
    made = lived(kind)
    assert reason in "\n".join(judged(made))
    assert [who for who, _ in made.transcript.lines[-1].entry.signatures] == ["client-2", "client-3", "client-4"]


def test_fewer_signatures_than_min_cohort_close_nothing():
    with pytest.raises(RoundError, match="closing: expected 3 clients' signatures, found 2"):
        lived(ENDS["signs nonsense"][0], ALONE.but(clients=3))


def test_without_the_check_a_signature_of_nobody_spoils_the_record(monkeypatch):
    monkeypatch.setattr(run, "check_closing", lambda name, key, statement, signature: signature)
    with pytest.raises(IntegrityError, match="closing: the signature is not client-1's"):
        judged(lived(ENDS["signs nonsense"][0]))


# -- outside of the rounds ---------------------------------------------------------------------------------------------


TOLD = {
    "refuses to say": (refuses(RoundError("I do not say")), "I do not say"),
    "a formula": (lambda: {'=HYPERLINK("http://evil.invalid","x")': 1}, "kinds of error that are known"),
    "text that turns around": (lambda: {"\u202eevil": 1}, "kinds of error that are known"),
    "a name that is no error": (lambda: {"Any": 1}, "kinds of error that are known"),
    "less than nothing": (lambda: {"WireError": -1}, "found another value"),
    "past what JSON holds": (lambda: {"WireError": 2**63}, "found another value"),
    "true": (lambda: {"WireError": True}, "found another value"),
    "a list": (lambda: ["WireError"], "found list"),
}


@pytest.mark.parametrize("name", TOLD)
def test_what_a_client_counted_is_read_as_counts_or_not_at_all(name):
    answer, reason = TOLD[name]

    class Telling(Honest):
        _asked = False

        def __getattribute__(self, attribute):
            if attribute == "refusals" and object.__getattribute__(self, "_asked"):
                return answer()
            return object.__getattribute__(self, attribute)

        def destroy_epoch(self, epoch):
            self._asked = True
            super().destroy_epoch(epoch)

    made = lived(Telling)
    assert reason in "\n".join(judged(made)) and "client-1" not in made.result().refusals


HALF_RIGHT = ClassMetrics.of(((1, 1), (1, 1)), 0.5)


def observing(**changes):
    """Client 1's observation with other fields; ``raw``: something else in its place."""

    class Observed(Honest):
        def observe(self, position, *, whole=False):
            if "raw" in changes:
                return changes["raw"]
            theta = self.theta.tobytes()
            seen = Observation(
                client=self.name,
                position=position,
                examples=self._weight,
                update=self._update[1].tobytes(),
                theta_digest=hashlib.sha256(theta).digest(),
                applied=self._mean.tobytes(),
                theta=theta,
                accuracy=0.5,
                loss=0.1,
                metrics=HALF_RIGHT,
            )
            info = self.sealing_info(OBSERVER, position, self.name)
            return seal(encode(replace(seen, **changes)), self._observer, info)

    return Observed


D = 62
SEEN = {
    "not sealed": {"raw": b"x"},
    "no bytes": {"raw": None},
    "7 bytes of an update": {"update": b"1234567"},
    "an update that is too long": {"update": bytes(8 * (D + 1))},
    "an update that is no number": {"update": np.full(D, np.nan).tobytes()},
    "an update without end": {"update": np.full(D, 1e308).tobytes()},
    "3 bytes of a model": {"theta": b"123"},
    "another model than its digest": {"theta": bytes(4 * D)},
    "a mean that is too short": {"applied": bytes(8)},
    "a model without a mean": {"applied": b""},
    "an accuracy of 1e300": {"accuracy": 1e300},
    "an accuracy that is no number": {"accuracy": float("nan")},
    "a loss without end": {"loss": float("inf")},
    "a model without metrics": {"metrics": None},
    "metrics of three classes": {"metrics": ClassMetrics.of(((1, 1, 0), (1, 1, 0), (0, 0, 0)), 0.5)},
    "metrics of another accuracy": {"metrics": ClassMetrics.of(((2, 0), (0, 2)), 0.5)},
    "fewer examples than none": {"examples": -5},
    "more examples than agreed": {"examples": 1 << 40},
    "another's name": {"client": "client-3"},
    "a part of an imprint that is too short": {"imprint": (b"x",)},
    "3 bytes of noise": {"opened_noise": b"123"},
}


@pytest.mark.parametrize("name", SEEN)
def test_an_observation_that_is_none_is_noted_and_not_measured(name):
    made = lived(observing(**SEEN[name]), OBSERVED)
    assert all(note.startswith("observe: WireError") for note in judged(made))
    assert all(len(seen) == 3 for seen in made.observer.observations.values())
    assert made.result().to_json()


def test_the_same_observation_unchanged_is_measured():
    made = lived(observing(), OBSERVED)
    assert not judged(made) and all(len(seen) == 4 for seen in made.observer.observations.values())
    assert all(item.max_abs_error <= item.error_bound for item in made.rounds)


def test_without_the_check_seven_bytes_end_the_run(monkeypatch):
    monkeypatch.setattr(observer, "_check", lambda *_: None)
    with pytest.raises(ValueError, match="multiple of element size"):
        lived(observing(update=b"1234567"), OBSERVED)


def test_a_model_is_taken_from_the_first_contributor_alone():
    """The second fault: whoever is not asked to evaluate says that it did, and answers first."""
    kinds = observing(accuracy=1.0)
    made = Run(OBSERVED, stage=partial(_stage, kinds))
    steps = made.steps()
    next(steps)
    made.parties.clients[0].commit = lambda position: (_ for _ in ()).throw(RuntimeUnavailable("away"))
    for _ in steps:
        pass
    assert all("client-1" not in item.contributors for item in made.rounds)
    assert all(item.accuracy < 1.0 for item in made.rounds)
