"""Each guard of a class's port, attacked as its table says; beside each attack the same request that passes."""

import http.client
import json
import socket

import numpy as np
import pytest

from hefl_core.classroom import guards
from hefl_core.classroom.server import HEADERS
from hefl_core.classroom.teacher import Teacher
from hefl_core.errors import RuntimeUnavailable
from hefl_core.schemes.ring import rlwe
from tests.classroom.playing import DEALT_3_OF_5, TEA, room, until

ROUTES = {
    ("GET", "/"), ("GET", "/web/{name}"), ("GET", "/hashes"), ("GET", "/parameters"), ("GET", "/key"), ("GET", "/events"),
    ("POST", "/join"), ("POST", "/prediction/{id:int}"), ("POST", "/answer/{id:int}"), ("POST", "/update/{id:int}"),
    ("GET", "/patients"), ("GET", "/share"), ("GET", "/sum/{id:int}"), ("GET", "/addends/{id:int}"),
    ("POST", "/consent/{id:int}"), ("POST", "/partial/{id:int}"), ("POST", "/commitment"), ("GET", "/commitments"),
    ("POST", "/contribution"), ("GET", "/contributions"), ("POST", "/dealing"), ("GET", "/dealing"),
    ("POST", "/plain"),
}  # fmt: skip


@pytest.fixture(scope="module")
def asked():
    """A class with a question under way."""
    with room() as made:
        made.phones = [made.client() for _ in range(4)]
        made.question = made.teacher.ask([TEA])
        yield made


@pytest.fixture
def fresh():
    with room(seats=10) as made:
        yield made


def ballot(client, pick=0):
    return client.encrypt(np.zeros(1), TEA.integers(pick), 1.0, 60)


def sent(port, text, source="127.0.0.1"):
    """Raw bytes of a request; the status of the answer, or None when the connection ends without one."""
    with socket.create_connection(("127.0.0.1", port), timeout=60, source_address=(source, 0)) as link:
        link.sendall(text)
        answer = http.client.HTTPResponse(link)
        try:
            answer.begin()
        except (http.client.HTTPException, ConnectionError):
            return None
        return answer.status


def head(verb, path, *lines):
    return "\r\n".join((f"{verb} {path} HTTP/1.1", *lines, "", "")).encode()


def join_request(made, code, host=None, marked="X-Hefl: 1", length=None):
    body = json.dumps({"code": code, "name": "x"}).encode()
    size = len(body) if length is None else length
    return head("POST", "/join", f"Host: {host or made.server.host}", marked, f"Content-Length: {size}") + body


def refused(status, act):
    with pytest.raises(RuntimeUnavailable, match=f": {status} "):
        act()


# -- who is asked --------------------------------------------------------------------------------------------------------


def test_the_routes_are_these_and_none_is_a_verb_of_the_teacher(asked):
    found = {(verb, path) for verb, path, _ in asked.server._routes()}
    assert found == ROUTES
    verbs = {name for name in vars(Teacher) if not name.startswith("_")}
    words = {word for _, path in found for word in path.strip("/").split("/")}
    assert len(verbs) > 10 and not verbs & words
    for verb in verbs:
        for method in ("GET", "POST"):
            lines = ("X-Hefl: 1", "Content-Length: 0") if method == "POST" else ("Accept: */*",)
            assert sent(asked.port, head(method, f"/{verb}", f"Host: {asked.server.host}", *lines)) == 404


@pytest.mark.parametrize(
    "name", ["evil.example", "evil.example:{port}", "localhost:{port}", "127.0.0.1", "127.0.0.1:1"]
)
def test_another_host_name_gets_421(asked, name):
    request = head("GET", "/hashes", f"Host: {name.format(port=asked.port)}")
    assert sent(asked.port, request) == 421
    assert sent(asked.port, head("GET", "/hashes", f"Host: {asked.server.host}")) == 200


def test_two_host_headers_or_none_are_refused(asked):
    twice = head("GET", "/hashes", f"Host: {asked.server.host}", "Host: evil.example")
    assert sent(asked.port, twice) in (400, 421)
    assert sent(asked.port, head("GET", "/hashes", "Accept: */*")) in (400, 421)


def test_a_post_without_the_header_is_refused_and_no_preflight_is_answered(fresh):
    code = fresh.live.seats.code
    assert sent(fresh.port, join_request(fresh, code, marked="X-Other: 1")) == 403
    assert sent(fresh.port, join_request(fresh, code, marked="X-Hefl: 2")) == 403
    asks = head(
        "OPTIONS", "/join", f"Host: {fresh.server.host}", "Origin: http://evil.example",
        "Access-Control-Request-Method: POST", "Access-Control-Request-Headers: x-hefl",
    )  # fmt: skip
    assert sent(fresh.port, asks) == 405
    assert sent(fresh.port, join_request(fresh, code)) == 200


def test_every_answer_has_the_headers_and_no_cookie(asked):
    for path, status in (("/", 200), ("/hashes", 200), ("/share", 401), ("/web/none.js", 404)):
        connection = http.client.HTTPConnection("127.0.0.1", asked.port, timeout=60)
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
        assert answer.status == status
        assert {name: answer.getheader(name) for name in HEADERS} == HEADERS
        assert answer.getheader("set-cookie") is None and answer.getheader("access-control-allow-origin") is None
        connection.close()


@pytest.mark.parametrize(("guard", "request_head"), [("check_host", "evil"), ("check_post", "unmarked")])
def test_without_its_guard_each_of_these_passes(fresh, monkeypatch, guard, request_head):
    code = fresh.live.seats.code
    bad = (
        join_request(fresh, code, host="evil.example")
        if request_head == "evil"
        else join_request(fresh, code, marked="A: b")
    )
    assert sent(fresh.port, bad) in (403, 421)
    monkeypatch.setattr(guards, guard, lambda *_: None)
    assert sent(fresh.port, bad) == 200


# -- who joins -----------------------------------------------------------------------------------------------------------


def test_guessing_the_code_ends_after_few_tries(fresh):
    for _ in range(guards.TRIES_OF_ONE):
        assert sent(fresh.port, join_request(fresh, "222222")) == 401
    assert sent(fresh.port, join_request(fresh, fresh.live.seats.code)) == 429
    assert len(fresh.live.seats) == 0
    assert sent(fresh.port, join_request(fresh, fresh.live.seats.code), source="127.0.0.2") == 200


def test_guessing_from_many_addresses_ends_too_and_a_new_code_opens_again(fresh):
    for number in range(guards.TRIES_OF_ALL):
        fresh.live.seats.tries.failed(f"10.0.{number // 200}.{number % 200}")
    assert sent(fresh.port, join_request(fresh, fresh.live.seats.code)) == 429
    old = fresh.live.seats.code
    assert fresh.teacher.renew_code() != old
    assert sent(fresh.port, join_request(fresh, old)) == 401
    assert sent(fresh.port, join_request(fresh, fresh.live.seats.code.lower())) == 200


def test_of_500_joins_those_that_find_a_seat_get_one(fresh):
    found = [sent(fresh.port, join_request(fresh, fresh.live.seats.code)) for _ in range(500)]
    assert (found.count(200), found.count(429)) == (10, 490) and len(fresh.live.seats) == 10


@pytest.mark.parametrize(
    "body", [b"[]", b"{ ", b'{"code": 1, "name": "x"}', b'{"code": "x"}', b"\xff\xff", b"[" * 1500]
)
def test_a_join_that_is_no_join_is_refused(asked, body):
    request = head("POST", "/join", f"Host: {asked.server.host}", "X-Hefl: 1", f"Content-Length: {len(body)}") + body
    assert sent(asked.port, request) == 400


def test_names_are_made_fit_for_a_wall(asked):
    hostile = asked.client("<b>\u202e" + "x" * 500)
    name = next(seat.name for seat in asked.live.seats if seat.number == hostile.seat)
    assert "\u202e" not in name and len(name) < 40


# -- what is sent --------------------------------------------------------------------------------------------------------


def test_a_stolen_token_answers_once(asked):
    owner = asked.phones[0]
    path, before = f"/answer/{asked.question.id}", len(asked.live.summing.addends)
    owner.request("POST", path, ballot(owner))
    refused(409, lambda: owner.request("POST", path, ballot(owner, 1)))
    assert len(asked.live.summing.addends) == before + 1


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        (("Content-Length: 10000000000",), 413),
        (("Content-Length: 65535",), 413),
        (("Content-Length: 65537",), 413),
        (("Content-Length: 0",), 413),
        (("Content-Length: 6e4",), None),
        ((), 411),
        (("Transfer-Encoding: chunked",), 411),
        (("Content-Length: 65536", "Content-Length: 65535"), None),
        (("Content-Length: 65536", "Transfer-Encoding: chunked"), None),
    ],
)
def test_another_length_is_refused_before_the_body(asked, lines, status):
    request = head(
        "POST", f"/answer/{asked.question.id}", f"Host: {asked.server.host}", "X-Hefl: 1",
        f"X-Hefl-Token: {asked.phones[1].token}", *lines,
    )  # fmt: skip
    found = sent(asked.port, request)  # no byte of a body follows: the answer cannot wait for one
    assert found == status if status else found in (None, 400, 411)


def test_a_body_that_ends_early_is_no_answer(asked):
    phone, before = asked.phones[1], len(asked.live.summing.addends)
    request = head(
        "POST", f"/answer/{asked.question.id}", f"Host: {asked.server.host}", "X-Hefl: 1",
        f"X-Hefl-Token: {phone.token}", "Content-Length: 65536",
    )  # fmt: skip
    with socket.create_connection(("127.0.0.1", asked.port), timeout=60) as link:
        link.sendall(request + ballot(phone)[:1000])
        link.shutdown(socket.SHUT_WR)
        while link.recv(1000):
            pass
    assert len(asked.live.summing.addends) == before
    phone.request("POST", f"/answer/{asked.question.id}", ballot(phone))
    assert len(asked.live.summing.addends) == before + 1


def test_residues_from_the_prime_on_and_an_empty_c1_are_refused(asked):
    phone, path = asked.phones[2], f"/answer/{asked.question.id}"
    good = ballot(phone)
    (prime,) = rlwe.data_primes(asked.live.key.scheme.ring)
    for place in (0, len(good) - 8):
        bad = good[:place] + prime.to_bytes(8, "little") + good[place + 8 :]
        refused(400, lambda bad=bad: phone.request("POST", path, bad))
    refused(400, lambda: phone.request("POST", path, good[: len(good) // 2] + bytes(len(good) // 2)))
    before = len(asked.live.summing.addends)
    phone.request("POST", path, good)
    assert len(asked.live.summing.addends) == before + 1


def test_a_copied_ballot_is_refused_also_with_another_c0(asked):
    owner, thief = asked.client(), asked.client()
    path, good = f"/answer/{asked.question.id}", ballot(owner)
    owner.request("POST", path, good)
    refused(409, lambda: thief.request("POST", path, good))
    changed = ballot(thief)[: len(good) // 2] + good[len(good) // 2 :]
    refused(409, lambda: thief.request("POST", path, changed))
    thief.request("POST", path, ballot(thief))


def test_an_answer_to_another_question_or_in_a_pause_is_refused(asked):
    phone = asked.client()
    refused(409, lambda: phone.request("POST", f"/answer/{asked.question.id + 1}", ballot(phone)))
    refused(409, lambda: phone.request("POST", f"/update/{asked.question.id}", ballot(phone)))
    asked.teacher.pause()
    refused(409, lambda: phone.request("POST", f"/answer/{asked.question.id}", ballot(phone)))
    asked.teacher.pause(False)
    phone.request("POST", f"/answer/{asked.question.id}", ballot(phone))


def test_a_removed_seat_and_a_guessed_token_have_no_place(asked):
    phone = asked.client()
    asked.teacher.remove(phone.seat)
    refused(401, lambda: phone.request("POST", f"/answer/{asked.question.id}", ballot(asked.phones[0])))
    phone.token = phone.token[:-1] + ("A" if phone.token[-1] != "A" else "B")
    refused(401, lambda: phone.request("GET", "/patients"))


def test_only_holders_get_a_share_and_only_once():
    with room(DEALT_3_OF_5) as made:
        phones = [made.client() for _ in range(6)]
        made.teacher.name_holders([phone.seat for phone in phones[:5]])
        refused(403, lambda: phones[5].request("GET", "/share"))
        assert made.live.key.undelivered == (1, 2, 3, 4, 5)
        first = phones[0].request("GET", "/share")
        refused(409, lambda: phones[0].request("GET", "/share"))
        assert made.live.key.undelivered == (2, 3, 4, 5) and first != phones[1].request("GET", "/share")
        phones[2].request("GET", "/share")
        for path in ("/sum/1", "/addends/1"):
            refused(403, lambda path=path: phones[5].request("GET", path))
        made.teacher.ask([TEA])
        for phone in phones:
            phone.request("POST", "/answer/1", ballot(phone))
        made.teacher.add_up()
        made.teacher.open_sum()
        refused(403, lambda: phones[5].post("/consent/1", yes=True))
        phones[0].post("/consent/1", yes=True)


# -- who takes long ------------------------------------------------------------------------------------------------------


def test_half_a_head_is_dropped_and_others_are_answered_meanwhile(fresh, monkeypatch):
    monkeypatch.setattr(guards, "HEAD_SECONDS", 0.5)
    slow = [socket.create_connection(("127.0.0.1", fresh.port), timeout=60) for _ in range(30)]
    for link in slow:
        link.sendall(b"GET /hashes HTTP/1.1\r\nHost: ")
    assert sent(fresh.port, join_request(fresh, fresh.live.seats.code)) == 200
    for link in slow:
        try:
            assert (
                link.recv(100) == b""
            )  # closed by the server; without its deadline this would wait for 60 s and raise
        except ConnectionResetError:
            pass
        link.close()


def test_half_a_head_after_a_whole_request_is_dropped_too(fresh, monkeypatch):
    monkeypatch.setattr(guards, "HEAD_SECONDS", 0.5)
    with socket.create_connection(("127.0.0.1", fresh.port), timeout=60) as link:
        link.sendall(head("GET", "/hashes", f"Host: {fresh.server.host}"))
        answer = http.client.HTTPResponse(link)
        answer.begin()
        answer.read()
        link.sendall(b"GET /hash")
        try:
            assert link.recv(100) == b""
        except ConnectionResetError:
            pass


def test_a_slow_body_gets_408(asked, monkeypatch):
    monkeypatch.setattr(guards, "BODY_SECONDS", 0.3)
    phone = asked.client()
    request = head(
        "POST", f"/answer/{asked.question.id}", f"Host: {asked.server.host}", "X-Hefl: 1",
        f"X-Hefl-Token: {phone.token}", "Content-Length: 65536",
    )  # fmt: skip
    assert sent(asked.port, request + b"half of it") == 408


def test_one_seat_has_few_pages_open(fresh):
    phone = fresh.client()
    open_pages = [phone.states() for _ in range(3)]
    for page in open_pages:
        next(page)
    refused_page = phone.states()
    with pytest.raises(RuntimeUnavailable, match="429"):
        next(refused_page)
    for page in open_pages:
        page.close()
    until(lambda: not fresh.live.present(phone.seat), "the seat to be empty")
