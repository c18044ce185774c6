"""The server's process and all that it received, searched for answers, updates and the key that phones made.

The phones are this process; the server is `hefl class` in another one. Two controls must be found: an update that a phone
sends in the clear inside a well-formed upload, and a share that a holder relays without a seal.
"""

import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest

from hefl_core.classroom import bridge
from hefl_core.classroom import training as t
from hefl_core.classroom.phone_client import PhoneClient
from hefl_core.learning.models import model_for
from hefl_core.probes.memory import Search
from hefl_core.probes.private_forms import Numbers, update_forms
from hefl_core.schemes.base import SecretShare
from hefl_core.schemes.fixed_point import pack
from hefl_core.schemes.private_forms import share_forms
from hefl_core.schemes.ring import joint, pairwise, rlwe, shamir
from hefl_core.wire.fingerprint import Form, Salt, pieces
from tests.classroom.playing import until

ROOT = Path(__file__).parents[2]
PHONES, HOLDERS = 7, 5
QUESTIONS = "\n".join(f"Question {n}? | a | b | c | d | e" for n in range(20))
MOST_MIB = 400
PLAIN = f"phone {PHONES}, weighted update, packed words"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="reads /proc/PID/mem"),
]


class Found:
    """One look after the other into the server's process."""

    def __init__(self, pid):
        self.pid, self.salt = pid, Salt(os.urandom(16))
        self.search = Search(self.salt)

    def look(self, forms):
        """Names of these needles that are in the process now."""
        self.search.add(self.salt.fingerprint(form) for form in forms)
        return {hit.needle for hit in self.search.look_into(self.pid).hits}


def mask(secret, size):
    return np.frombuffer(hashlib.shake_256(secret).digest(size), np.uint8)


def make_key(phones, pages, quorum, seed_of):
    """The ceremony, shares sealed between phones by secrets that only this process has; but holder 1 sends 2 its share bare."""
    scheme = phones[0].scheme()
    ring, size = scheme.ring, bridge.sealed_nbytes(scheme.preset)
    seed = bytes.fromhex(seed_of(next_state(pages[0], lambda state: state["ceremony"])))
    parts = [scheme.joint_contribution(seed) for _ in phones]
    raws = [
        rlwe.inverse_ntt(shamir.from_bytes(b, ring.primes, ring.degree, "b"), ring.primes).astype("<u8").tobytes()
        for _, b in parts
    ]
    for phone, raw in zip(phones, raws, strict=True):
        phone.request("POST", "/commitment", hashlib.sha256(raw).digest())
    for phone, raw in zip(phones, raws, strict=True):
        phone.request("POST", "/contribution", raw)
    dealt = [joint.deal(ring, secret, quorum, index) for index, (secret, _) in enumerate(parts, 1)]
    seals = {(i, j): os.urandom(32) for i in range(1, HOLDERS + 1) for j in range(1, HOLDERS + 1)}
    for i, phone in enumerate(phones, 1):
        bodies = []
        for j in range(1, HOLDERS + 1):
            if i != j:
                plain = np.frombuffer(dealt[i - 1][j - 1].ljust(size, b"\0"), np.uint8)
                bare = (i, j) == (1, 2)
                bodies.append(plain.tobytes() if bare else (plain ^ mask(seals[i, j], size)).tobytes())
        phone.request("POST", "/dealing", b"".join(bodies))
    shares = []
    for j, phone in enumerate(phones, 1):
        got = [dealt[i - 1][j - 1] for i in range(1, HOLDERS + 1)]
        material = joint.share(ring, got, j)
        shares.append(SecretShare(phone.key_id(), quorum, j, material))
        phone.holder = j
        phone.hold(shares[-1])
    return parts, dealt, shares


def next_state(page, wanted):
    """The first public state of which this is true."""
    return next(state for state in page if wanted(state))


def key_forms(parts, dealt, shares, scheme):
    """Every holder's secret, its share, and every sealed piece but the bare one."""
    for index, (secret, _) in enumerate(parts, 1):
        yield from pieces("key", f"secret of {index}", secret, 1.5, 3)
    for share in shares:
        yield from share_forms(share, 2)
    primes, degree = rlwe.data_primes(scheme.ring), scheme.ring.degree
    for i, row in enumerate(dealt, 1):
        for j, piece in enumerate(row, 1):
            point, _ = pairwise.split(piece, primes, degree)
            name = "bare share" if (i, j) == (1, 2) else f"piece {i} to {j}"
            yield from pieces("key", name, point, 6.0, 2)


def test_the_server_has_no_answer_no_update_and_no_key(tmp_path):
    record = tmp_path / "record"
    (tmp_path / "questions").write_text(QUESTIONS)
    command = [
        sys.executable, "-m", "hefl_core", "class", "--questions", str(tmp_path / "questions"), "--custody",
        "dealer-free:3-of-5", "--address", "127.0.0.1", "--port", "0", "--phones", str(PHONES), "--rounds", "1",
        "--transcript", str(record),
    ]  # fmt: skip
    server = subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        found = _played(server, Found(server.pid))
        assert psutil.Process(server.pid).memory_info().rss < MOST_MIB * 2**20
        server.send_signal(signal.SIGTERM)
        server.wait(60)
    finally:
        server.kill()
        server.stdout.close()
        server.wait(60)
    assert record.stat().st_mode & 0o077 == 0
    in_record = {one.name for one in found.search.in_bytes(record.read_bytes())}
    assert {name.startswith(PLAIN) for name in in_record} == {True}


def _played(server, found):
    url = server.stdout.readline().strip()
    address, _, code = url.removeprefix("http://").partition("/#")
    phones = [PhoneClient("127.0.0.1", int(address.partition(":")[2])) for _ in range(PHONES)]
    pages = []
    for number, phone in enumerate(phones, 1):
        phone.join(code, f"phone {number}")
        pages.append(phone.states())
        next(pages[-1])
    quorum = phones[0].quorum()
    parts, dealt, shares = make_key(phones[:HOLDERS], pages, quorum, lambda state: state["ceremony"]["seed"])
    scheme = phones[0].scheme()
    hits = found.look(key_forms(parts, dealt, shares, scheme))
    assert hits and all(name.startswith("bare share") for name in hits), hits
    _poll(phones, pages, found, hits)
    _round(phones, pages, found, hits)
    for page in pages:
        page.close()
    return found


def _poll(phones, pages, found, before):
    """All answer; the last one after a look."""
    question = next_state(pages[0], lambda state: state["phase"] == "question")["question"]
    rng = np.random.default_rng()
    picks = [rng.integers(0, 5, 20) for _ in phones]
    words = [np.eye(5, dtype=np.uint64)[pick].ravel() for pick in picks]
    forms = [Form("answer", f"answer of phone {n}", one.tobytes(), 46.0) for n, one in enumerate(words, 1)]
    forms += [
        Form("answer", f"picks of phone {n}", json.dumps(pick.tolist()).encode(), 46.0)
        for n, pick in enumerate(picks, 1)
    ]
    for phone, one in zip(phones[:-1], words, strict=False):
        phone.answer(question, [int(word) for word in one])
    assert found.look(forms) == before
    phones[-1].answer(question, [int(word) for word in words[-1]])
    opening = next_state(pages[0], lambda state: state["opening"])["opening"]
    for phone in phones[:3]:
        phone.consent(opening, True)
    opening = next_state(pages[0], lambda state: state["opening"] and state["opening"]["active"])["opening"]
    for phone in phones[:3]:
        phone.partial(opening)
    until(lambda: next(pages[0])["result"], "the result")


def _round(phones, pages, found, before):
    """All send an update; the last one's is in the clear where c1 should be, and that one must be found."""
    now = next_state(pages[0], lambda state: state["round"])["round"]
    numbers, updates = Numbers(phones[0].scheme().preset.name, now["max_terms"]), []
    for phone in phones:
        rows, classes = phone.patients()
        updates.append(t.train(model_for("logistic", rows.features.shape[1], classes), np.array(now["model"]), rows))
    forms = [
        form
        for n, one in enumerate(updates, 1)
        for form in update_forms(f"phone {n}", one, one, now["bound"], numbers, 2, 7)
    ]
    for phone, delta in zip(phones[:-1], updates, strict=False):
        phone.request("POST", "/update/1", phone.encrypt(delta, (1,), now["bound"], now["max_terms"]))
    assert found.look(forms) == before
    plain = in_the_clear(phones[-1].scheme(), updates[-1], numbers, now["bound"])
    phones[-1].request("POST", "/update/1", plain)
    after = found.look([]) - before
    assert after and all(name.startswith(PLAIN) for name in after), after


def in_the_clear(scheme, update, numbers, bound):
    """What a page without encryption would send: the packed words, as residues that pass every check."""
    packed = pack(numbers.fields.quantise(update, bound), scheme.preset.fields, scheme.preset.field_bits)
    words = rlwe.uniform(rlwe.data_primes(scheme.ring), scheme.ring.degree)
    c1 = words.copy()
    c1[0, 1 : 1 + len(packed)] = packed
    return np.stack([words, c1]).astype("<u8").tobytes()
