"""A phone as a Python client: the same messages as the page's JavaScript, by this project's own schemes.

Bots are such clients. Tests have forty of them, in a process of their own.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import socket
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, Final

import numpy as np

from hefl_core.classroom import training as t
from hefl_core.errors import DecryptionRefused, IntegrityError, RuntimeUnavailable, WireError
from hefl_core.ids import KeyId
from hefl_core.learning.base import Examples
from hefl_core.learning.models import model_for
from hefl_core.schemes.base import CiphertextVector, PublicKey, SecretShare
from hefl_core.schemes.quorum import Quorum
from hefl_core.schemes.registry import open_scheme
from hefl_core.schemes.ring import blocks, rlwe, seal
from hefl_core.schemes.ring.bfv import BFVScheme

TIMEOUT_SECONDS: Final = 60


class PhoneClient:
    """One seat. Raises: RuntimeUnavailable with the server's refusal for every answer but 200."""

    def __init__(self, address: str, port: int, token: str = "", seat: int = 0) -> None:
        self.address, self.port, self.token, self.seat = address, port, token, seat
        self.holder: int | None = None
        self._key: PublicKey | None = None
        self._share: SecretShare | None = None
        self._events: http.client.HTTPConnection | None = None
        self._rows: tuple[Examples, int] | None = None
        self._parameters: dict[str, Any] | None = None
        self._answered: set[bytes] = set()

    # -- messages -------------------------------------------------------------------------------------------------

    def request(self, verb: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> bytes:
        """One request and its answer."""
        connection = http.client.HTTPConnection(self.address, self.port, timeout=TIMEOUT_SECONDS)
        sent = {"X-Hefl-Token": self.token, **({"X-Hefl": "1"} if verb == "POST" else {}), **(headers or {})}
        try:
            connection.request(verb, path, body=body if verb == "POST" else None, headers=sent)
            answer = connection.getresponse()
            content = answer.read()
        except OSError as error:
            raise RuntimeUnavailable(f"class: expected an answer to {path}, found {error}") from error
        finally:
            connection.close()
        if answer.status != 200:
            raise RuntimeUnavailable(f"{verb} {path}: {answer.status} {content.decode(errors='replace')[:300]}")
        return content

    def post(self, path: str, **fields: object) -> dict[str, Any]:
        """A JSON message."""
        found: dict[str, Any] = json.loads(self.request("POST", path, json.dumps(fields).encode()))
        return found

    def join(self, code: str, name: str) -> None:
        """Take a seat."""
        found = self.post("/join", code=code, name=name, lang="en")
        self.token, self.seat = found["token"], found["seat"]

    def states(self) -> Iterator[dict[str, Any]]:
        """The public state after each change, until the class ends or the iterator is closed."""
        connection = http.client.HTTPConnection(self.address, self.port, timeout=TIMEOUT_SECONDS)
        self._events = connection
        try:
            connection.request("GET", f"/events?token={self.token}")
            stream = connection.getresponse()
            if stream.status != 200:
                raise RuntimeUnavailable(f"events: {stream.status} {stream.read()[:300].decode(errors='replace')}")
            while line := stream.readline():
                if line.startswith(b"data: "):
                    yield self._noted(json.loads(line[6:]))
        finally:
            connection.close()

    def hang_up(self) -> None:
        """End the connection of :meth:`states`, from another thread."""
        if self._events is not None and self._events.sock is not None:
            # The class may have closed it between these two lines: then there is nothing left to end.
            with suppress(OSError):
                self._events.sock.shutdown(socket.SHUT_RDWR)

    def _noted(self, state: dict[str, Any]) -> dict[str, Any]:
        self.holder = next((one["holder"] for one in state["seats"] if one["seat"] == self.seat), None)
        return state

    # -- the key --------------------------------------------------------------------------------------------------

    def parameters(self) -> dict[str, Any]:
        """The class's public numbers."""
        if self._parameters is None or self._parameters["key_id"] is None:
            self._parameters = json.loads(self.request("GET", "/parameters"))
        return self._parameters

    def scheme(self) -> BFVScheme:
        """The scheme that the class's preset names. Raises: WireError for another family."""
        found = open_scheme(self.parameters()["preset"])
        if not isinstance(found, BFVScheme):
            raise WireError(f"class: expected a preset of BFV, found {found.preset.name}")
        return found

    def key(self) -> PublicKey:
        """The public key, from the same raw coefficients as in a browser. Raises: IntegrityError for another fingerprint."""
        if self._key is None:
            said, raw, scheme = self.parameters(), self.request("GET", "/key"), self.scheme()
            if hashlib.sha256(raw).hexdigest() != said["fingerprint"]:
                raise IntegrityError("key: expected the fingerprint of the parameters, found another; tell the teacher")
            ring = scheme.ring
            words = np.frombuffer(raw, "<u8").reshape(2, len(ring.primes), ring.degree)
            values = np.stack([rlwe.ntt(element, ring.primes) for element in words])
            material = rlwe.write_public_key(ring, values)
            quorum = self.quorum()
            # An id of its own: the class's is over SEAL's compressed bytes, which a phone does not have.
            own = KeyId(scheme.preset.family, scheme.preset.name, 1, seal.fingerprint(scheme.preset, quorum, material))
            self._key = PublicKey(own, quorum, material)
        return self._key

    def quorum(self) -> Quorum:
        """How the key is held."""
        custody = self.parameters()["custody"]
        return Quorum(custody["threshold"], custody["holders"])

    def encrypt(self, values: np.ndarray, integers: Sequence[int], bound: float, max_terms: int) -> bytes:
        """A fresh ciphertext as a phone sends it."""
        scheme = self.scheme()
        vector = scheme.encrypt(self.key(), values, bound=bound, max_terms=max_terms, integers=integers)
        (words,) = blocks.read_all(scheme.preset, scheme.ring, vector)
        return words.astype("<u8").tobytes()

    # -- answers --------------------------------------------------------------------------------------------------

    def answer(self, question: dict[str, Any], integers: Sequence[int]) -> str:
        """Encrypt and send the integers of an answer; the digest that the server gave. Raises: IntegrityError for another."""
        body = self.encrypt(np.zeros(1), integers, question["bound"], question["max_terms"])
        return self._send(f"/answer/{question['id']}", body)

    def update(self, now: dict[str, Any]) -> str:
        """Train on the own patients, encrypt the update, send it."""
        rows, classes = self.patients()
        model = model_for("logistic", rows.features.shape[1], classes)
        delta = t.train(model, np.array(now["model"]), rows)
        body = self.encrypt(delta, (1,), now["bound"], now["max_terms"])
        return self._send(f"/update/{now['number']}", body)

    def plain(self, asked: dict[str, Any]) -> None:
        """As the volunteer: send the update of the first patient in the clear."""
        rows, classes = self.patients()
        model = model_for("logistic", rows.features.shape[1], classes)
        delta = t.train(model, np.zeros(asked["length"]), rows.take(np.arange(1)), asked["learning_rate"])
        self.request("POST", "/plain", delta.astype("<f8").tobytes())

    def _send(self, path: str, body: bytes) -> str:
        found = json.loads(self.request("POST", path, body))["digest"]
        if found != hashlib.sha256(body).hexdigest():
            raise IntegrityError("upload: expected the server to have my ciphertext, its digest is another")
        return str(found)

    def patients(self) -> tuple[Examples, int]:
        """The patients dealt to this seat, and the number of classes."""
        if self._rows is None:
            found = json.loads(self.request("GET", "/patients"))
            rows = Examples(np.array(found["features"], np.float32), np.array(found["labels"], np.int64))
            self._rows = rows, len(found["classes"])
        return self._rows

    # -- a holder -------------------------------------------------------------------------------------------------

    def take_share(self) -> None:
        """Fetch the dealt share, once."""
        material = self.request("GET", "/share")
        self.hold(SecretShare(self.key_id(), self.quorum(), self.holder or 0, material))

    def key_id(self) -> KeyId:
        """The class's key id, which labels partial decryptions."""
        return KeyId.parse(self.parameters()["key_id"], self.scheme().preset.family)

    def hold(self, share: SecretShare) -> None:
        """Keep a share."""
        self._share = share

    def consent(self, opening: dict[str, Any], yes: bool) -> None:
        """Say whether this holder is for opening."""
        self.post(f"/consent/{opening['id']}", yes=yes)

    def check_opening(self, opening: dict[str, Any], c1: bytes, mine: str | None) -> None:
        """The holder's rules. Raises: DecryptionRefused naming the one that forbids to answer."""
        least = self.parameters()["min_cohort"]
        if opening["terms"] < least:
            raise DecryptionRefused(f"rule 'cohort': expected {least} answers, found {opening['terms']}")
        listed = [one["digest"] for one in opening["members"] if one["seat"] == self.seat]
        if mine is not None and listed != [mine]:
            raise DecryptionRefused("rule 'own ciphertext': expected mine in the sum, found it missing; do not open")
        if hashlib.sha256(c1).digest() in self._answered:
            raise DecryptionRefused("rule 'one set': expected a sum that I did not answer, found one that I did")
        if self._added(opening) != c1:
            raise DecryptionRefused("rule 'own ciphertext': the sum is not that of the listed ciphertexts; do not open")

    def _added(self, opening: dict[str, Any]) -> bytes:
        ring = self.scheme().ring
        primes = rlwe.data_primes(ring)
        raw = np.frombuffer(self.request("GET", opening["addends"]), "<u8").reshape(-1, len(primes), ring.degree)
        total = raw[0].copy()
        for addend in raw[1:]:
            total = np.stack([rlwe.plus(a, b, p) for a, b, p in zip(total, addend, primes, strict=True)])
        raw_total: bytes = total.astype("<u8").tobytes()
        return raw_total

    def partial(self, opening: dict[str, Any], mine: str | None = None) -> None:
        """Answer an opening for the set that was fixed. Raises: DecryptionRefused."""
        if self._share is None:
            raise DecryptionRefused("share: expected one on this phone, found none; t others can open")
        c1 = self.request("GET", opening["c1"])
        self.check_opening(opening, c1, mine)
        scheme, share = self.scheme(), self._share
        ring = scheme.ring
        words = np.zeros((2, len(rlwe.data_primes(ring)), ring.degree), np.uint64)
        words[1] = np.frombuffer(c1, "<u8").reshape(words.shape[1:])
        # A part depends on c1 alone: the rest of the label is filled in with anything that fits.
        total = CiphertextVector(share.id, 1, 0, False, 1.0, 1, 1, (blocks.write(scheme.preset, ring, words),))
        part = scheme.partial_decrypt(share, total, opening["active"])
        self._answered.add(hashlib.sha256(c1).digest())
        self.request("POST", f"/partial/{opening['id']}", part.blocks[0])
