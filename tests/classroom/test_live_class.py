"""A class played over its port by Python clients: polls, custody, training, and what verify says of its record."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest

from hefl_core.classroom import live_class as c
from hefl_core.classroom import record as r
from hefl_core.classroom import training as t
from hefl_core.classroom.bots import Bots, Player
from hefl_core.classroom.custody import DEALER_FREE, DEALT, Ceremony, Held
from hefl_core.classroom.guards import Refusal
from hefl_core.classroom.live_class import LiveClass, Settings
from hefl_core.classroom.open_class import OpenClass
from hefl_core.classroom.phone_client import PhoneClient
from hefl_core.classroom.question import Question
from hefl_core.classroom.verify import verify_class
from hefl_core.errors import (
    DecryptionRefused,
    IntegrityError,
    ParameterError,
    QuorumError,
    RoundError,
    RuntimeUnavailable,
)
from hefl_core.schemes.base import SecretShare
from hefl_core.schemes.quorum import Quorum
from tests.classroom.playing import DEALT_3_OF_5, SLEEP, TEA, room, until
from tests.classroom.test_guards import ballot, refused

PHONES, ROUNDS = 40, 5


def counts(players, sheet, at=0, choices=3):
    return tuple(sum(one.picked[sheet.id][at] == choice for one in players) for choice in range(choices))


# -- forty phones ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    """Forty phones, 3 of 5 hold the key: a poll of two questions, then five rounds; two leave, one joins."""
    with room(DEALT_3_OF_5) as made:
        made.seat(PHONES)
        made.teacher.name_holders()
        until(lambda: not made.live.key.undelivered, "every share fetched")
        made.sheet = made.ask(TEA, SLEEP)
        made.teacher.add_up()
        made.teacher.open_sum()
        made.phase(c.RESULT)
        made.poll = made.live.result
        made.seen = _follow_rounds(made)
        made.content = made.teacher.close()
        made.path = tmp_path_factory.mktemp("class") / "record"
        made.path.write_bytes(made.content)
        yield made


def _follow_rounds(made):
    """Train. After round 2 two phones leave, one of them a holder; after round 3 one joins. Members and models, by round."""
    live, seen, done = made.live, {}, set()
    original = live.begin_round

    def begin(number, attempt):
        if number == 3 and number not in done:
            done.add(number)
            for player in (made.players[1], made.players[-1]):
                player._stopped.set()
                player.client.hang_up()
        original(number, attempt)

    live.begin_round = begin
    opened = live._next_model

    def model(found, voters):
        now = live.round
        members = live.summing.seats
        before = now.model
        opened(found, voters)
        after = live.round.model
        seen[now.number] = (before, after, members)

    live._next_model = model
    made.teacher.train(ROUNDS)
    until(lambda: 3 in seen, "round 3")
    made.late = made.seat(1)[0]
    until(lambda: live.phase == c.RESULT, "the last round")
    return seen


def test_forty_answers_are_summed_and_opened_by_three_of_five(played):
    tea, sleep = played.poll.questions
    first = [one for one in played.players if one.client.seat <= PHONES]
    assert tea.counts == counts(first, played.sheet) and sum(tea.counts) == PHONES
    assert (sleep.total, sleep.count) == (sum(one.picked[played.sheet.id][1] for one in first), PHONES)
    assert played.poll.checks == ("", "") and played.failed == []


def test_no_round_is_lost_when_two_leave_and_one_joins(played):
    assert sorted(played.seen) == [1, 2, 3, 4, 5]
    members = {number: set(found[2]) for number, found in played.seen.items()}
    gone = {played.players[1].client.seat, PHONES}
    assert members[1] == members[2] == set(range(1, PHONES + 1))
    assert set(range(1, PHONES + 1)) - gone <= members[3] | gone
    assert members[5] & gone == set()
    assert played.late.client.seat in members[4] | members[5]


def test_the_model_is_that_of_the_plain_oracle_within_the_bound(played):
    deal = t.Deal.of(played.live.settings.seats)
    scheme, most = played.live.key.scheme, played.live.settings.seats
    for before, after, members in played.seen.values():
        plain = np.mean([t.train(deal.model, before, deal.rows[seat - 1]) for seat in members], axis=0)
        allowed = scheme.sum_error(t.BOUND, len(members), most) / len(members) + 1e-6  # float32 of the model
        assert np.max(np.abs(after - before - plain)) <= allowed
        assert np.max(np.abs(plain)) > 10 * allowed
    assert deal.accuracy(played.seen[5][1]) > 0.9 > deal.accuracy(deal.first_model())


def test_verify_adds_and_opens_every_sum_again(played):
    verdict = verify_class(played.path)
    assert (verdict.sums, verdict.opened, verdict.word) == (1 + ROUNDS, 1 + ROUNDS, 0)
    assert verdict.seats == PHONES + 1 and verdict.bots == 0
    assert "phones sign nothing" in str(verdict)


def lines_of(content):
    import io

    return [line.entry for line, _ in r.read_lines(io.BytesIO(content))]


def rewritten(path, entries):
    """A record of these entries whose chain is right."""
    made = r.Record()
    for entry in entries:
        made.write(entry)
    path.write_bytes(made.content())
    made.end()
    return path


def _other_body(entry):
    return replace_struct(entry, body=entry.body[:8] + bytes(8) + entry.body[16:])


def replace_struct(entry, **fields):
    import msgspec

    return msgspec.structs.replace(entry, **fields)


FORGERIES = {
    "an upload changed": (r.Uploaded, _other_body, "other bytes"),
    "a sum of three, where two accomplices hold the key": (
        r.Summed,
        lambda e: replace_struct(e, seats=e.seats[:3]),
        "found 3",
    ),
    "a smaller cohort": (r.Began, lambda e: replace_struct(e, min_cohort=1), "smallest cohort: expected 4"),
    "a sum without one": (r.Summed, lambda e: replace_struct(e, seats=e.seats[1:]), "other bytes"),
    "a seat counted twice": (r.Summed, lambda e: replace_struct(e, seats=(*e.seats, e.seats[0])), "each once"),
    "another result": (
        r.Opened,
        lambda e: replace_struct(e, integers=(e.integers[0] + 1, *e.integers[1:])),
        "other numbers",
    ),
    "another part": (r.Answered, _other_body, "noise|other numbers"),
    "another key": (
        r.Keyed,
        lambda e: replace_struct(e, key=replace(e.key, material=e.key.material + b"x")),
        "fingerprint",
    ),
    "a name of nobody": (r.Named, lambda e: replace_struct(e, names=e.names[1:]), "one for each seat"),
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_forged_record_is_seen_though_its_chain_is_right(played, tmp_path, forgery):
    kind, change, found = FORGERIES[forgery]
    entries = lines_of(played.content)[: 200 if kind is not r.Named else None]
    at = next(number for number, entry in enumerate(entries) if isinstance(entry, kind))
    entries[at] = change(entries[at])
    with pytest.raises(IntegrityError, match=found):
        verify_class(rewritten(tmp_path / "forged", entries))


def test_a_cut_or_spliced_record_is_seen(played, tmp_path):
    path = tmp_path / "cut"
    path.write_bytes(played.content[:-100])
    with pytest.raises(IntegrityError, match="cut off"):
        verify_class(path)
    with pytest.raises(IntegrityError, match="tail is cut off"):
        verify_class(rewritten(path, lines_of(played.content)[:60]))
    middle = len(played.content) // 2
    path.write_bytes(played.content[:middle] + bytes([played.content[middle] ^ 1]) + played.content[middle + 1 :])
    with pytest.raises(IntegrityError):
        verify_class(path)


def test_the_table_has_counts_and_no_names(played):
    table = played.teacher.to_csv()
    assert table.splitlines()[0] == "question,text,choice,count,voters,check" and "Tea?,yes," in table
    assert not any(seat.name in table for seat in played.live.seats)


# -- custody -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def three_of_five():
    """Seven phones that do nothing by themselves; five of them have shares; a question is answered and added up."""
    with room(DEALT_3_OF_5) as made:
        made.phones = [made.client() for _ in range(7)]
        made.teacher.name_holders([phone.seat for phone in made.phones[:5]])
        for index, phone in enumerate(made.phones[:5], 1):
            phone.holder = index
            phone.take_share()
        made.teacher.ask([TEA])
        made.digests = {phone.seat: answered(phone) for phone in made.phones}
        made.teacher.add_up()
        made.teacher.open_sum()
        yield made


def answered(phone, pick=1):
    body = ballot(phone, pick)
    phone.request("POST", "/answer/1", body)
    return hashlib.sha256(body).hexdigest()


def opening_of(made):
    import json

    return json.loads(made.live.state().to_json())["opening"]


def test_t_minus_1_yeses_and_t_minus_1_parts_open_nothing(three_of_five):
    made = three_of_five
    for phone in made.phones[:2]:
        phone.consent(opening_of(made), True)
    assert opening_of(made)["active"] is None
    refused(403, lambda: made.phones[0].request("POST", "/partial/1", bytes(49152)))
    made.phones[2].consent(opening_of(made), True)
    assert opening_of(made)["active"] == [1, 2, 3]
    for phone in made.phones[:2]:
        phone.partial(opening_of(made), made.digests[phone.seat])
    with pytest.raises(QuorumError):
        made.live.opening.open()
    refused(403, lambda: made.phones[3].request("POST", "/partial/1", bytes(49152)))
    assert made.live.phase == c.OPENING
    made.phones[2].partial(opening_of(made), made.digests[made.phones[2].seat])
    assert made.live.result.counts == (0, 7, 0)


def test_too_many_noes_leave_the_sum_closed_and_no_other_set_opens_it(three_of_five, tmp_path):
    made, asked = three_of_five, opening_of(three_of_five)
    for phone in made.phones[:3]:
        phone.consent(asked, False)
    assert made.live.phase == c.LOBBY and "3 of 5 holders said no" in made.live.state().closed_because
    refused(409, lambda: made.phones[3].consent(asked, True))
    with pytest.raises(RoundError):
        made.teacher.open_sum()
    path = tmp_path / "closed"
    path.write_bytes(made.teacher.close())
    verdict = verify_class(path)
    assert (verdict.sums, verdict.opened, verdict.dropped) == (1, 0, 1)


def test_a_holder_that_refuses_or_sends_another_part_leaves_the_sum_closed(three_of_five):
    made = three_of_five
    for phone in made.phones[:3]:
        phone.consent(opening_of(made), True)
    made.phones[0].partial(opening_of(made))
    made.phones[1].partial(opening_of(made))
    good = bytearray(49152)
    made.phones[2].request("POST", "/partial/1", bytes(good))
    assert made.live.phase == c.LOBBY and made.live.result is None and "damaged or foreign" in made.live.said


def test_a_holders_phone_refuses_what_its_rules_forbid(three_of_five):
    made = three_of_five
    for phone in made.phones[:3]:
        phone.consent(opening_of(made), True)
    first, asked = made.phones[0], opening_of(made)
    c1, mine = first.request("GET", asked["c1"]), made.digests[first.seat]
    first.check_opening(asked, c1, mine)
    without = asked | {"members": [one for one in asked["members"] if one["seat"] != first.seat]}
    with pytest.raises(DecryptionRefused, match="own ciphertext"):
        first.check_opening(without, c1, mine)
    with pytest.raises(DecryptionRefused, match="cohort"):
        first.check_opening(asked | {"terms": 3}, c1, mine)
    alone = made.live.opening.summing.addends[3].c1
    with pytest.raises(DecryptionRefused, match="not that of the listed"):
        first.check_opening(asked, alone, mine)
    first.partial(asked, mine)
    with pytest.raises(DecryptionRefused, match="one set"):
        first.check_opening(asked | {"active": [1, 4, 5]}, c1, mine)


def test_a_refusal_by_name_is_on_record(three_of_five):
    made = three_of_five
    for phone in made.phones[:3]:
        phone.consent(opening_of(made), True)
    made.phones[0].request("POST", "/partial/1", b"", {"X-Hefl-Refuse": "mine is missing"})
    assert made.live.said == "holder 1 refused: mine is missing" and made.live.phase == c.LOBBY


def test_a_sum_of_few_is_not_added_up_and_holders_come_first():
    with room(DEALT_3_OF_5) as made:
        phones = [made.client() for _ in range(5)]
        with pytest.raises(RoundError, match="holders"):
            made.teacher.ask([TEA])
        made.teacher.name_holders([phone.seat for phone in phones])
        for index, phone in enumerate(phones, 1):
            phone.holder = index
            phone.take_share()
        made.teacher.ask([TEA])
        for phone in phones[:3]:
            answered(phone)
        with pytest.raises(RoundError, match="at least 4"):
            made.teacher.add_up()
        answered(phones[3])
        made.teacher.add_up()


def test_a_bot_holds_no_share():
    with room(DEALT_3_OF_5) as made:
        bots = Bots(made.server)
        bots.add(3)
        made.players = bots.players
        phones = [made.client() for _ in range(4)]
        until(lambda: sum(made.live.present(seat.number) for seat in made.live.seats) == 3, "bots")
        for chosen in ((), (1, *(phone.seat for phone in phones))):
            with pytest.raises(RoundError, match="bots hold nothing"):
                made.teacher.name_holders(chosen)
        assert not made.live.holders
        phones.append(made.client())
        assert 1 not in made.teacher.name_holders([phone.seat for phone in phones])


def test_no_dealt_share_is_left_here_when_the_first_answer_comes():
    with room(DEALT_3_OF_5) as made:
        phones = [made.client() for _ in range(5)]
        made.teacher.name_holders([phone.seat for phone in phones])
        for index, phone in enumerate(phones[:2], 1):
            phone.holder = index
            phone.take_share()
        with pytest.raises(Refusal, match="expected 3 phones to have theirs, found 2"):
            made.teacher.ask([TEA])
        phones[2].holder = 3
        phones[2].take_share()
        assert made.live.key.undelivered == (4, 5)
        made.teacher.ask([TEA])
        assert made.live.key.undelivered == ()
        refused(409, lambda: phones[3].request("GET", "/share"))


@pytest.mark.parametrize("quorum", [(1, 5), (5, 5), (3, 8)])
def test_custody_that_makes_no_sense_is_refused(quorum):
    with pytest.raises(ParameterError):
        Held(DEALT, Quorum(*quorum))
    with pytest.raises(ParameterError):
        Settings(DEALT_3_OF_5, min_cohort=3)
    with pytest.raises(ParameterError, match="INSECURE|secure"):
        Held(DEALT, Quorum(3, 5), "INSECURE_bfv-threshold-1024")


def test_five_phones_make_a_key_that_this_process_never_has():
    """The relay alone: the seals between the phones are the page's, and here bytes of the same length."""
    held = Held(DEALER_FREE, Quorum(3, 5))
    with room(held) as made:
        phones = [made.client() for _ in range(6)]
        assert made.live.key.public is None
        refused(409, lambda: phones[0].request("GET", "/key"))
        refused(403, lambda: phones[0].request("POST", "/commitment", bytes(32)))
        made.teacher.name_holders([phone.seat for phone in phones[:5]])
        shares = ceremony(made, phones[:5])
        assert made.live.phase == c.LOBBY and made.live.key.undelivered == ()
        with pytest.raises(ParameterError):
            _ = made.live.key.whole
        for index, (phone, material) in enumerate(zip(phones[:5], shares, strict=True), 1):
            phone.holder = index
            phone.hold(SecretShare(phone.key_id(), phone.quorum(), index, material))
        made.teacher.ask([TEA])
        for phone in phones:
            answered(phone, 2)
        made.teacher.add_up()
        made.teacher.open_sum()
        for phone in phones[2:5]:
            phone.consent(opening_of(made), True)
        for phone in phones[2:5]:
            phone.partial(opening_of(made))
        assert made.live.result.counts == (0, 0, 6)


def ceremony(made, phones):
    """Play the three steps; each holder's share. A contribution comes only after its commitment."""
    from hefl_core.classroom import bridge
    from hefl_core.schemes.ring import joint, rlwe, shamir

    scheme, found = made.live.key.scheme, made.live.key.ceremony
    ring, quorum = scheme.ring, made.live.settings.held.quorum
    size = bridge.sealed_nbytes(scheme.preset)
    parts = [scheme.joint_contribution(found.seed) for _ in phones]
    raws = []
    for _, b in parts:
        values = shamir.from_bytes(b, ring.primes, ring.degree, "b")
        raws.append(rlwe.inverse_ntt(values, ring.primes).astype("<u8").tobytes())
    refused(409, lambda: phones[0].request("POST", "/contribution", raws[0]))
    for phone, raw in zip(phones, raws, strict=True):
        phone.request("POST", "/commitment", hashlib.sha256(raw).digest())
    refused(409, lambda: phones[0].request("POST", "/commitment", bytes(32)))
    for phone, raw in zip(phones, raws, strict=True):
        refused(409, lambda phone=phone: phone.request("GET", "/contributions"))
        phone.request("POST", "/contribution", raw)
    assert phones[0].request("GET", "/contributions") == b"".join(raws)
    dealt = [joint.deal(ring, secret, quorum, index) for index, (secret, _) in enumerate(parts, 1)]
    for index, (phone, row) in enumerate(zip(phones, dealt, strict=True), 1):
        sealed = [piece.ljust(size, b"\0") for other, piece in enumerate(row, 1) if other != index]
        phone.request("POST", "/dealing", b"".join(sealed))
    shares = []
    for index, phone in enumerate(phones, 1):
        body = phone.request("GET", "/dealing")
        got = [body[at : at + size][: len(dealt[index % 5][index - 1])] for at in range(0, len(body), size)]
        got.insert(index - 1, dealt[index - 1][index - 1])
        shares.append(joint.share(ring, got, index))
    return shares


def test_a_ceremony_takes_each_step_once_and_in_order():
    found = Ceremony(Held(DEALER_FREE, Quorum(2, 3)))
    assert found.step == "commitment"
    found.put("commitment", 1, bytes(32))
    for step, index in (("commitment", 1), ("contribution", 1), ("dealing", 2)):
        with pytest.raises(Exception, match="ceremony"):
            found.put(step, index, bytes(32))


# -- what the sum check sees ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ballot_words", "check"),
    [((1, 0, 0), ""), ((25, 0, 0), "31 votes of 7 voters"), ((1, 1, 1), "9 votes of 7 voters"), ((2, -1, 0), "")],
    ids=["honest", "25 at once", "all choices", "moves one vote: not seen"],
)
def test_the_sum_check_after_opening(ballot_words, check):
    with room() as made:
        phones = [made.client() for _ in range(7)]
        made.teacher.ask([TEA])
        for phone in phones[1:]:
            answered(phone)
        modulus = made.live.key.scheme.ring.plain_modulus
        phones[0].request("POST", "/answer/1", raw_ballot(phones[0], [word % modulus for word in ballot_words]))
        made.teacher.add_up()
        made.teacher.open_sum()
        assert made.live.result.checks == (check,)
        assert made.live.result.counts == tuple(n + m for n, m in zip(ballot_words, (0, 6, 0), strict=True))


def raw_ballot(phone, words):
    """A ballot with any words, as a page that was changed may send it: encrypt refuses none below t."""
    from hefl_core.schemes.fixed_point import pack
    from hefl_core.schemes.ring import blocks, seal

    scheme = phone.scheme()
    fields = pack(scheme.fields(60).quantise(np.zeros(1), 1.0), scheme.preset.fields, scheme.preset.field_bits)
    whole = np.concatenate([np.array(words, np.uint64), fields])
    encryptor = seal.encryptor_for(scheme.preset, scheme.ring, phone.key())
    block = blocks.encrypt(scheme.preset, scheme.ring, encryptor, whole)
    return blocks.read(scheme.preset, scheme.ring, block, "ballot", fresh=True).astype("<u8").tobytes()


def test_an_honest_minus_one_is_shown_as_one():
    assert TEA.check((-1, 8, 0), 7).startswith("a choice with -1")
    assert Question("Cups?", most=9).check((64, 7), 7).startswith("a total of 64") and not SLEEP.check((50, 7), 7)


# -- the rest of the machine ----------------------------------------------------------------------------------------------


def test_predict_answer_reveal_with_bots_and_without_names():
    with room() as made:
        bots = Bots(made.server)
        bots.add(3)
        made.players = bots.players
        until(lambda: sum(made.live.present(seat.number) for seat in made.live.seats) == 3, "bots")
        made.teacher.ask([TEA], predict=True)
        until(lambda: made.live.predicted == 3, "predictions")
        assert made.live.state().predictions is None
        made.teacher.begin_answers()
        until(lambda: len(made.live.summing.addends) == 3, "answers")
        made.teacher.anonymise()
        made.teacher.add_up()
        made.teacher.open_sum()
        state = made.live.state()
        assert sum(map(sum, state.predictions)) == 3 and all(seat.bot for seat in state.seats)
        assert {seat.name for seat in state.seats} == {"phone 1", "phone 2", "phone 3"}
        assert not any(isinstance(entry, r.Named) for entry in lines_of(made.teacher.close()))


def test_a_round_whose_holder_goes_begins_again_with_fresh_ciphertexts():
    with room(DEALT_3_OF_5) as made:
        made.seat(6)
        made.teacher.name_holders()
        until(lambda: not made.live.key.undelivered, "shares")
        real, lost = made.live.partial, []

        def lose_one(number, seat, body):
            if not lost:
                lost.append(seat.number)
                return
            real(number, seat, body)

        made.live.partial = lose_one
        made.teacher.train(1)
        until(lambda: made.live.opening and len(made.live.opening.parts) == 2, "all parts but the lost one")
        assert made.live.phase == c.TRAINING
        made.teacher.give_up()
        assert (made.live.round.number, made.live.round.attempt) == (1, 2)
        made.phase(c.RESULT)
        assert made.live.result.voters == 6


def test_phones_see_that_the_class_has_ended_before_its_port_closes():
    made = OpenClass(Settings(), "127.0.0.1")
    phones = [PhoneClient("127.0.0.1", made.server.port) for _ in range(5)]
    seen = []
    for phone in phones:
        phone.join(made.live.seats.code, "")
        seen.append(phone.states())
        next(seen[-1])
    made.close()
    assert [list(states)[-1]["phase"] for states in seen] == [c.CLOSED] * 5


def test_a_volunteers_plain_update_is_the_patient_and_nobody_else_may_send_one():
    with room() as made:
        phones = [made.client() for _ in range(3)]
        for phone in phones:
            until(lambda phone=phone: next(phone.states()) is not None, "a state")
        pages = [phone.states() for phone in phones]
        for page in pages:
            next(page)
        until(lambda: all(made.live.present(phone.seat) for phone in phones), "three phones")
        assert made.teacher.ask_volunteer(2) == 2 and made.live.phase == c.LEAK
        asked = next(state for state in pages[1] if state["leak"])["leak"]
        refused(403, lambda: phones[0].plain(asked))
        refused(400, lambda: phones[1].request("POST", "/plain", bytes(8 * asked["length"])))
        refused(400, lambda: phones[1].request("POST", "/plain", b"\xff" * 8 * asked["length"]))
        huge = np.full(asked["length"], 1e308)
        huge[-2:] = 1e-9
        refused(400, lambda: phones[1].request("POST", "/plain", huge.astype("<f8").tobytes()))
        assert not made.live.leak.read
        phones[1].plain(asked)
        leak = made.live.state().leak
        assert leak.same == len(leak.features) == 30 and leak.read_label == leak.label
        assert np.abs(np.array(leak.read) - phones[1].patients()[0].features[0]).max() < t.SAME
        refused(409, lambda: phones[1].plain(asked))
        made.teacher.train(1)
        assert made.live.leak is None and made.live.state().leak is None
        refused(409, lambda: phones[1].plain(asked))
        for page in pages:
            page.close()


def test_every_patient_of_every_seat_would_be_read():
    """Whatever phone volunteers: the step is small enough that the bound cuts nothing off."""
    deal = t.Deal.of(60)
    for rows in deal.rows:
        update = t.train(deal.model, deal.first_model(), rows.take(np.arange(1)), t.PLAIN_RATE)
        read, label = t.read_patient(update, deal.model.classes)
        assert np.abs(read - rows.features[0]).max() < t.SAME and label == rows.labels[0]


def test_verbs_out_of_order_are_refused_and_change_nothing():
    with room() as made:
        before = made.live.state()
        for verb in (made.teacher.add_up, made.teacher.open_sum, made.teacher.give_up, made.teacher.begin_answers,
                     made.teacher.end_training, made.teacher.name_holders, lambda: made.teacher.train(3)):  # fmt: skip
            with pytest.raises(RoundError):
                verb()
        assert made.live.state() == before
        made.teacher.close()
        with pytest.raises(RoundError):
            made.teacher.close()
        refused(409, lambda: made.client())


def test_the_state_has_nothing_secret_and_the_key_no_form_in_it():
    live = LiveClass(Settings())
    said = live.state().to_json()
    assert live.seats.code.encode() not in said and b"token" not in said and b"share" not in said
    live.record.end()


def test_a_player_says_what_it_could_not_do():
    with room() as made:
        phone = made.client()
        player = Player(phone)
        made.teacher.remove(phone.seat)
        player.react({"paused": False, "custody": "one", "question": None, "round": {"members": [phone.seat], "number": 1,
                      "attempt": 1}, "opening": None, "leak": None, "phase": "training"})  # fmt: skip
        assert len(player.failed) == 1 and "401" in player.failed[0]
        with pytest.raises(RuntimeUnavailable, match="401"):
            next(phone.states())
