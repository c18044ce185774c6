import io
import json
import zipfile

import pytest

from hefl_core.checks.claims.ledger import check_claims
from hefl_core.errors import WireError
from hefl_core.federation.record.transcript import EAVESDROPPER, Sent, Transcript, TranscriptLine
from hefl_core.federation.record.transcript_zip import pack, unpack
from hefl_core.figures.formula import formula
from hefl_core.figures.knowledge import State, knowledge, seats_of
from hefl_core.figures.questions import question_before
from hefl_core.figures.sequence import chapters, picture, sequence
from hefl_core.figures.thing import thing
from hefl_core.terms.experiment import Experiment
from pages.parts import html, i18n
from tests.conftest import finished
from tests.gui.conftest import run_on


@pytest.fixture(scope="module")
def alone(small_run):
    return small_run.transcript


@pytest.fixture(scope="module")
def together():
    experiment = Experiment(
        dataset="breast_cancer", scheme="bfv-threshold-classroom", custody="2-of-3", clients=3, rounds=1, batch=16
    )
    return finished(experiment)


def at(transcript, step, which=0):
    return [n for n, sent in enumerate(transcript.sent, start=1) if sent.step == step][which]


# -- the matrix ------------------------------------------------------------------------------------------------


def test_before_the_first_message_nobody_has_anything(alone):
    matrix = knowledge(alone, 0)
    assert all(
        cell.state in (State.NOTHING, State.NOT_YET) for (_, s), cell in matrix.cells.items() if "records" not in s
    )


def test_the_coordinator_reads_nothing(alone):
    for sent in range(len(alone.sent) + 1):
        matrix = knowledge(alone, sent)
        assert not any(cell.state.readable for (seat, _), cell in matrix.cells.items() if seat == "coordinator")


def test_the_matrix_agrees_with_what_each_seat_received(alone):
    matrix = knowledge(alone, len(alone.sent))
    for seat in ("coordinator", "auditor", "kms", EAVESDROPPER, "client-1"):
        seen = {(s.sent.step, s.sent.sender): s for s in alone.seen_by(seat) if s.sent.position.round == matrix.round}
        for secret in matrix.secrets:
            if secret.kind != "update" or secret.owner == seat:
                continue
            had = seen.get(("update", secret.owner))
            expected = State.NOTHING if had is None else State.SEALED if had.content is None else State.CIPHERTEXT
            assert matrix.cell(seat, secret.name).state is expected, (seat, secret.name)


def test_individual_custody_falls_to_coordinator_and_one_client(alone):
    matrix = knowledge(alone, len(alone.sent))
    leaks = [s.name for s in matrix.secrets if matrix.leaks("coordinator+client-2", s)]
    assert leaks == ["update/client-1", "update/client-3"]


def test_collective_custody_does_not(together):
    transcript = together.transcript
    matrix = knowledge(transcript, len(transcript.sent))
    assert not any(matrix.leaks("coordinator+client-2", s) for s in matrix.secrets)
    key = matrix.cell("client-2", "key")
    assert (key.state, key.have, key.need) == (State.SHARE, 1, 2)
    both = knowledge(transcript, len(transcript.sent), ("coordinator+client-1+client-2",))
    assert any(both.leaks("coordinator+client-1+client-2", s) for s in both.secrets)


def test_collective_sums_open_with_the_partials(together):
    transcript = together.transcript
    before, after = at(transcript, "sum"), at(transcript, "partial", -1)
    assert not knowledge(transcript, before).cell("client-1", "sum").state.readable
    assert knowledge(transcript, after).cell("client-1", "sum").state is State.CAN_OPEN
    assert not knowledge(transcript, after).cell("coordinator", "sum").state.readable


def test_a_share_sent_to_the_coordinator_turns_the_matrix(alone):
    """The planted leak: nothing in the matrix is typed in."""
    copy = Transcript.from_bytes(alone.to_bytes(), dict(alone.blobs))
    number = next(n for n, line in enumerate(copy.lines) if getattr(line.entry, "step", "") == "share")
    old = copy.lines[number]
    entry = old.entry
    copy.lines[number] = TranscriptLine(
        old.previous,
        Sent(
            entry.step,
            entry.head,
            (*entry.receivers, "coordinator"),
            entry.nbytes,
            entry.body,
            entry.work,
            entry.inline,
        ),
    )
    matrix = knowledge(copy, len(copy.sent))
    assert matrix.cell("coordinator", "key").state is State.KNOWS
    assert all(matrix.leaks("coordinator", s) for s in matrix.secrets if s.kind == "update")


def test_plaintext_is_read_by_whoever_carries_it():
    run = finished(Experiment(dataset="breast_cancer", scheme="plaintext", clients=3, rounds=1))
    matrix = knowledge(run.transcript, len(run.transcript.sent))
    assert all(matrix.leaks("coordinator", s) for s in matrix.secrets if s.kind in ("update", "sum"))


def test_of_two_contributors_each_knows_the_other():
    run = finished(Experiment(dataset="breast_cancer", clients=2, rounds=1, min_cohort=2))
    matrix = knowledge(run.transcript, len(run.transcript.sent))
    assert matrix.cell("client-1", "update/client-2").state is State.CAN_OPEN


# -- what is drawn ---------------------------------------------------------------------------------------------


def test_sizes_and_digests_are_those_of_the_transcript(alone):
    for message, sent in zip(sequence(alone), alone.sent, strict=True):
        assert (message.nbytes, message.digest, message.receivers) == (sent.nbytes, sent.body.hex(), sent.receivers)
    json.dumps(picture(alone, "client-1"))


def test_a_seat_sees_no_size_of_what_it_never_gets(alone):
    for message, sent in zip(sequence(alone, "client-1"), alone.sent, strict=True):
        inside = "client-1" in (sent.sender, *sent.receivers)
        assert (message.lock == "absent") is not inside
        assert (message.nbytes is None) is not inside
        assert message.work == () or sent.sender == "client-1"


def test_chapters_cover_every_message(alone):
    found = chapters(alone)
    assert [(c.epoch, c.round) for c in found] == [(1, 0), (1, 1), (1, 2)]
    assert sum(c.last - c.first + 1 for c in found) == len(alone.sent)


@pytest.mark.parametrize("which", ["small_run", "together"])
def test_every_view_of_every_message_from_every_seat(which, request):
    run = request.getfixturevalue(which)
    transcript, seen = run.transcript, run.observer.observations
    for seat in ("observer", *seats_of(transcript)):
        for message in sequence(transcript, seat):
            matrix = knowledge(transcript, message.number)
            it = thing(transcript, message, matrix, seat, seen)
            text = formula(transcript, message, matrix, seat, seen)
            if message.lock == "absent":
                assert not it.facts and not it.raw and it.private is None and not text
            if it.private is not None and seat != "observer":
                secret = "sum" if it.private.of == "mean" else f"update/{it.private.client}"
                assert matrix.cell(seat, secret).state.readable


def test_the_formula_hides_what_the_seat_does_not_know(small_run):
    transcript, seen = small_run.transcript, small_run.observer.observations
    number = at(transcript, "update")
    matrix = knowledge(transcript, number)
    shown = {
        seat: formula(transcript, sequence(transcript, seat)[number - 1], matrix, seat, seen)
        for seat in ("observer", "coordinator", "client-1", "coordinator+client-2")
    }
    assert r"\blacksquare" in shown["coordinator"]
    assert all(r"\blacksquare" not in shown[seat] for seat in ("observer", "client-1", "coordinator+client-2"))
    assert f"{transcript.sent[number - 1].head.header.content_nbytes // 1000}" in shown["observer"].replace(",", "")


def test_questions_are_answered_by_the_run(alone, together):
    def asked(transcript):
        found = (question_before(transcript, n) for n in range(len(transcript.sent)))
        return {q.id: q.answer for q in found if q}

    assert asked(alone) == {"who-holds": 1, "how-large": 1, "what-is-read": 0}
    assert asked(together.transcript)["who-holds"] == 2


# -- files -----------------------------------------------------------------------------------------------------


def test_a_saved_transcript_is_the_same(alone):
    again = unpack(pack(alone))
    assert again.to_bytes() == alone.to_bytes() and again.blobs == alone.blobs
    assert unpack(alone.to_bytes()).sent == alone.sent


def test_bad_files_are_refused(alone):
    with zipfile.ZipFile(changed := io.BytesIO(), "w") as folder:
        folder.writestr("transcript.jsonl", alone.to_bytes())
        folder.writestr("transcript.jsonl.d/" + "0" * 64, b"another content")
    with zipfile.ZipFile(empty := io.BytesIO(), "w"):
        pass
    for bad in (
        b"",
        b"PK",
        b"PK\x03\x04 rubbish",
        b"[]\n",
        changed.getvalue(),
        empty.getvalue(),
        alone.to_bytes()[:-5],
    ):
        with pytest.raises(WireError):
            unpack(bad)


# -- the page --------------------------------------------------------------------------------------------------


def test_the_matrix_looks_up_few_words(alone, monkeypatch):
    """Each look-up asks the session for its language: two thousand of them were half of a step."""
    asked = []
    monkeypatch.setattr(i18n, "language", lambda: asked.append(1) or "en")
    found = knowledge(alone, len(alone.sent))
    html.matrix(found, "coordinator")
    assert 0 < len(asked) < 3 * len(found.seats) * len(found.secrets)


def test_the_page_runs_the_experiment_of_the_address(app):
    run_on(app, "one_round", dataset="digits", clients=3, rounds=1, cursor=12)
    session = app.session_state["experiment"]
    assert session.clients == 3
    assert not app.error
    assert any(item.value.startswith("## 12.") for item in app.markdown)


@pytest.mark.parametrize("seat", ["coordinator", "client-2", "kms", "auditor", "eavesdropper", "coordinator+client-2"])
def test_each_seat_draws(app, seat):
    run_on(app, "one_round", clients=3, rounds=1, cursor=14, seat=seat)
    assert app.query_params["seat"] == seat
    assert not app.error


def test_a_run_that_fails_is_explained(app):
    run_on(app, "one_round", clients=3, rounds=1, bound=1e-9)
    assert app.error and "clip" in app.error[0].value


def test_a_transcript_is_walked_in_place_of_the_run(app, small_run):
    run_on(app, "one_round", clients=3, rounds=1)
    app.session_state["loaded"] = (unpack(pack(small_run.transcript)), "checked")
    app.run()
    assert not app.exception
    assert any("saved transcript" in item.value for item in app.info)
    app.button(key="unload").click().run()
    assert not app.exception and not app.info


def test_claims_reach_the_badges(app):
    run_on(app, "one_round", clients=3, rounds=1, cursor=11)
    app.run()
    assert any("executed" in item.value for item in app.markdown)


def test_a_planted_leak_turns_the_badge_red(small_result):
    from hefl_core.checks.claims.ledger import LEDGER

    claim = next(c for c in LEDGER if c.id == "coordinator-blind")
    assert all(claim.examine(control(small_result)).holds is False for control in claim.controls)
    assert all(f.holds for f in check_claims(small_result).claims)


def test_an_upload_that_breaks_is_not_walked_and_one_without_an_end_says_so(alone):
    from hefl_core.errors import IntegrityError
    from pages.one_round import _verdict

    assert "conversation and its sums were checked" in _verdict(unpack(pack(alone)))
    under_way = Transcript._restore(alone.lines[:-1], alone.blobs)
    assert "its end is missing" in _verdict(unpack(pack(under_way)))
    assert "its end is missing" in _verdict(unpack(alone.lines[0].to_json() + b"\n"))
    torn = Transcript._restore([*alone.lines[:5], *alone.lines[6:]], alone.blobs)
    with pytest.raises(IntegrityError, match="line 6: the chain breaks"):
        _verdict(unpack(pack(torn)))
