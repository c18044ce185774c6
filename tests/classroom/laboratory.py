"""A class whose phones are this process and whose server is another one: what the claims of a live class are checked on."""

import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil

from hefl_core.classroom import bridge
from hefl_core.classroom import training as t
from hefl_core.classroom.claims import ANSWER, UPLOAD, ClassSeen
from hefl_core.classroom.phone_client import PhoneClient
from hefl_core.errors import DecryptionRefused
from hefl_core.learning.models import model_for
from hefl_core.measure.masks import without_key
from hefl_core.probes.memory import Search
from hefl_core.probes.private_forms import Numbers, update_forms
from hefl_core.schemes.base import SecretShare
from hefl_core.schemes.fixed_point import pack
from hefl_core.schemes.private_forms import KEY, share_forms
from hefl_core.schemes.ring import blocks, joint, pairwise, rlwe, shamir
from hefl_core.wire.fingerprint import Form, Salt, pieces
from tests.classroom.playing import until

ROOT = Path(__file__).parents[2]
PHONES, HOLDERS, THRESHOLD = 7, 5, 3
QUESTIONS = "\n".join(f"Question {n}? | a | b | c | d | e" for n in range(20))
BARE, PLAIN, KEYLESS, LAX = "relays a piece bare", "sends its update plain", "adds no key", "answers for anything"
"""Faults of a phone, or of its page; the last one is every holder's."""


class Phone(PhoneClient):
    """Keeps what it sends. ``lax``: a holder without rules."""

    def __init__(self, port, sent, lax):
        super().__init__("127.0.0.1", port)
        self.sent, self.lax = sent, lax

    def request(self, verb, path, body=b"", headers=None):
        if verb == "POST":
            self.sent.append((path, body))
        return super().request(verb, path, body, headers)

    def check_opening(self, opening, c1, mine):
        if not self.lax:
            super().check_opening(opening, c1, mine)


class Laboratory:
    """Plays a whole class: a key, a poll of twenty questions, a round. ``refused``: why honest holders left a sum closed."""

    def __init__(self, folder, *, server="none", custody="dealer-free:3-of-5", phone=""):
        self.server, self.fault, self.dealer_free = server, phone, custody.startswith("dealer-free")
        self.salt = Salt(os.urandom(16))
        self.search, self.scans, self.forms, self.sent = Search(self.salt), [], [], []
        self.refused, self.rss = "", 0
        self._record = folder / "record"
        (folder / "questions").write_text(QUESTIONS)
        self._command = [
            sys.executable, "-m", "tests.classroom.faulty_servers", server, "class", "--questions",
            str(folder / "questions"), "--custody", custody, "--address", "127.0.0.1", "--port", "0", "--phones",
            str(PHONES), "--rounds", "1", "--transcript", str(self._record),
        ]  # fmt: skip

    def play(self):
        """The class from its opening to its record, as it was seen."""
        server = subprocess.Popen(
            self._command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )  # fmt: skip
        self._pid = server.pid
        try:
            self._join(server.stdout.readline().strip())
            self._make_key()
            self._poll()
            if not self.refused:
                self._round()
            self.rss = psutil.Process(server.pid).memory_info().rss
            for page in self._pages:
                page.close()
            server.send_signal(signal.SIGTERM)
            server.wait(60)
        finally:
            server.kill()
            server.stdout.close()
            server.wait(60)
        assert self._record.stat().st_mode & 0o077 == 0
        return ClassSeen(self._record.read_bytes(), tuple(self.sent), tuple(self.forms), tuple(self.scans))

    def _join(self, url):
        address, _, code = url.removeprefix("http://").partition("/#")
        port = int(address.partition(":")[2])
        self.phones = [Phone(port, self.sent, self.fault == LAX) for _ in range(PHONES)]
        self._pages = []
        for number, phone in enumerate(self.phones, 1):
            phone.join(code, f"phone {number}")
            self._pages.append(phone.states())
            next(self._pages[-1])
        self._sent_before = len(self.sent)

    def _state(self, wanted):
        """The first public state of which this is true."""
        return next(state for state in self._pages[0] if wanted(state))

    def _look(self, forms):
        """One look into the server's process, for these needles too, and for pieces of all uploads so far."""
        self.forms += forms
        for path, body in self.sent[self._sent_before :]:
            if path.startswith(("/answer", "/update")):
                self.forms.append(Form(UPLOAD, f"{UPLOAD} {len(self.forms)}", body[-4096:][:64], 400.0))
        self._sent_before = len(self.sent)
        self.search.add(self.salt.fingerprint(form) for form in self.forms)
        self.scans.append(self.search.look_into(self._pid))

    # -- the key ------------------------------------------------------------------------------------------------------

    def _make_key(self):
        holders = self.phones[:HOLDERS]
        if self.dealer_free:
            shares = self._ceremony(holders)
        else:
            self._state(lambda state: any(seat["holder"] for seat in state["seats"]))
            for index, phone in enumerate(holders, 1):
                phone.holder = index
                phone.take_share()
            shares = [phone._share for phone in holders]
        self._look([form for share in shares for form in share_forms(share, 2)])

    def _ceremony(self, phones):
        """Shares are sealed between phones by secrets that only this process has."""
        scheme, quorum = phones[0].scheme(), phones[0].quorum()
        ring, size = scheme.ring, bridge.sealed_nbytes(scheme.preset)
        seed = bytes.fromhex(self._state(lambda state: state["ceremony"])["ceremony"]["seed"])
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
        for i, phone in enumerate(phones, 1):
            phone.request(
                "POST", "/dealing", b"".join(self._sealed(dealt, i, j, size) for j in range(1, HOLDERS + 1) if i != j)
            )
        self.forms += _key_forms(parts, dealt, scheme)
        shares = []
        for j, phone in enumerate(phones, 1):
            material = joint.share(ring, [row[j - 1] for row in dealt], j)
            shares.append(SecretShare(phone.key_id(), quorum, j, material))
            phone.holder = j
            phone.hold(shares[-1])
        return shares

    def _sealed(self, dealt, i, j, size):
        plain = np.frombuffer(dealt[i - 1][j - 1].ljust(size, b"\0"), np.uint8)
        if self.fault == BARE and (i, j) == (1, 2):
            return plain.tobytes()
        return (plain ^ np.frombuffer(os.urandom(size), np.uint8)).tobytes()

    # -- answers and updates ------------------------------------------------------------------------------------------

    def _poll(self):
        """All answer; the last one after a look."""
        question = self._state(lambda state: state["phase"] == "question")["question"]
        rng = np.random.default_rng()
        picks = [rng.integers(0, 5, 20) for _ in self.phones]
        words = [np.eye(5, dtype=np.uint64)[pick].ravel() for pick in picks]
        forms = [Form(ANSWER, f"answer of phone {n}", one.tobytes(), 46.0) for n, one in enumerate(words, 1)]
        forms += [
            Form(ANSWER, f"picks of phone {n}", json.dumps(pick.tolist()).encode(), 46.0)
            for n, pick in enumerate(picks, 1)
        ]
        for phone, one in zip(self.phones[:-1], words, strict=False):
            phone.answer(question, [int(word) for word in one])
        self._look(forms)
        self.phones[-1].answer(question, [int(word) for word in words[-1]])
        self._open()

    def _open(self):
        opening = self._state(lambda state: state["opening"])["opening"]
        for phone in self.phones[:THRESHOLD]:
            phone.consent(opening, True)
        opening = self._state(lambda state: state["opening"] and state["opening"]["active"])["opening"]
        try:
            for phone in self.phones[:THRESHOLD]:
                phone.partial(opening)
        except DecryptionRefused as refusal:
            self.refused = str(refusal)
            return
        until(lambda: next(self._pages[0])["result"], "the result")

    def _round(self):
        """All send an update; the last one by a page that may be another."""
        now = self._state(lambda state: state["round"])["round"]
        numbers, updates = Numbers(self.phones[0].scheme().preset.name, now["max_terms"]), []
        for phone in self.phones:
            rows, classes = phone.patients()
            model = model_for("logistic", rows.features.shape[1], classes)
            updates.append(t.train(model, np.array(now["model"]), rows))
        forms = [
            form
            for n, one in enumerate(updates, 1)
            for form in update_forms(f"phone {n}", one, one, now["bound"], numbers, 2, 7)
        ]
        bodies = [
            phone.encrypt(delta, (1,), now["bound"], now["max_terms"])
            for phone, delta in zip(self.phones, updates, strict=True)
        ]
        scheme = self.phones[0].scheme()
        if self.fault == PLAIN:
            bodies[-1] = in_the_clear(scheme, updates[-1], numbers, now["bound"])
        if self.fault == KEYLESS:
            bodies[-1] = keyless(self.phones[-1], updates[-1], now)
        for phone, body in zip(self.phones, bodies, strict=True):
            phone.request("POST", f"/update/{now['number']}", body)
        self._look(forms)


def _key_forms(parts, dealt, scheme):
    """Every holder's secret, and every piece of it that another one gets."""
    for index, (secret, _) in enumerate(parts, 1):
        yield from pieces(KEY, f"secret of {index}", secret, 1.5, 3)
    primes, degree = rlwe.data_primes(scheme.ring), scheme.ring.degree
    for i, row in enumerate(dealt, 1):
        for j, piece in enumerate(row, 1):
            point, _ = pairwise.split(piece, primes, degree)
            yield from pieces(KEY, f"piece {i} to {j}", point, 6.0, 2)


def in_the_clear(scheme, update, numbers, bound):
    """What a page without encryption would send: the packed words, as residues that pass every check."""
    packed = pack(numbers.fields.quantise(update, bound), scheme.preset.fields, scheme.preset.field_bits)
    words = rlwe.uniform(rlwe.data_primes(scheme.ring), scheme.ring.degree)
    c1 = words.copy()
    c1[0, 1 : 1 + len(packed)] = packed
    return np.stack([words, c1]).astype("<u8").tobytes()


def keyless(phone, update, now):
    """A ciphertext without the key: c0 is the plaintext, scaled up, and c1 is noise."""
    scheme = phone.scheme()
    vector = scheme.encrypt(phone.key(), update, bound=now["bound"], max_terms=now["max_terms"], integers=(1,))
    (block,) = without_key(phone.key(), vector)
    return blocks.read(scheme.preset, scheme.ring, block, "keyless", fresh=True).astype("<u8").tobytes()
