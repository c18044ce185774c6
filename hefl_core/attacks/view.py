"""What one seat, or a coalition, holds: bytes it saw, arrays and keys it has, and public knowledge. Nothing else.

An attack is a function of a :class:`View`. scoring.py compares its guess with the truth, which no attack receives.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hefl_core.errors import HeflError, ParameterError
from hefl_core.federation.record.transcript import Transcript
from hefl_core.learning.base import Examples, Parameters
from hefl_core.learning.models import Model
from hefl_core.schemes.base import CiphertextVector, PublicKey, SecretShare
from hefl_core.schemes.registry import open_scheme
from hefl_core.schemes.rotated import Rotation
from hefl_core.terms import messages as m
from hefl_core.terms.messages import EncryptedSum
from hefl_core.vectors import Array, unflatten
from hefl_core.wire.canonical import decode

Doubles = npt.NDArray[np.float64]
HEADER = 256
"""Bytes of a block that may be its format's header; attacks skip them."""
MEAN, OWN, RETURNED, MODEL = "mean of updates", "own update", "returned decryption", "final model"


@dataclass(frozen=True)
class Public:
    """Public knowledge. ``theta``: the model that the round started from (in round 1 every party can compute it).

    ``auxiliary``: rows of the same kind from elsewhere (a hold-out set, a public data set); not the clients' own.
    """

    model: Model
    theta: Parameters
    learning_rate: float
    examples_max: int
    clients: int = 1
    batch: int = 1
    auxiliary: Examples | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """One message's content as this seat has it."""

    kind: str
    sender: str
    round: int
    content: bytes


@dataclass(frozen=True)
class Held:
    """An array that this seat has besides messages: its own update, a decrypted mean, the model."""

    name: str
    round: int
    values: Doubles


@dataclass(frozen=True)
class View:
    """Everything that an attack may use. ``keys``: secret shares of the seat's members (none for a coordinator).

    ``rotation``: the round's, which is public: it hides nothing from a seat that decrypts.
    """

    seat: str
    public: Public
    messages: tuple[Message, ...] = ()
    held: tuple[Held, ...] = ()
    keys: tuple[SecretShare, ...] = ()
    public_key: PublicKey | None = None
    rotation: Rotation | None = None

    @classmethod
    def of_transcript(
        cls,
        transcript: Transcript,
        seat: str,
        public: Public,
        *,
        held: Iterable[Held] = (),
        keys: Iterable[SecretShare] = (),
        public_key: PublicKey | None = None,
    ) -> View:
        """The view of a seat such as ``coordinator``, or of a coalition such as ``coordinator+client-2``, on a real run.

        Leaks: exactly what ``Transcript.seen_by`` gives to each member; keys and arrays are what the caller says they hold.
        """
        found: dict[tuple[str, str, int, bytes], Message] = {}
        for member in seat.split("+"):
            for seen in transcript.seen_by(member):
                if seen.content is not None:
                    one = Message(seen.sent.step, seen.sent.sender, seen.sent.position.round, seen.content)
                    found[one.kind, one.sender, one.round, one.content] = one
        return cls(seat, public, tuple(found.values()), tuple(held), tuple(keys), public_key)

    def array(self, name: str) -> Doubles | None:
        """The array of this name that the seat holds, the latest; None when it has none."""
        found = [item.values for item in self.held if item.name == name]
        return found[-1] if found else None

    def ciphertexts(self, kind: str = m.UPDATE) -> tuple[CiphertextVector, ...]:
        """Every labelled vector among the messages of this kind, in order."""
        read = (message.content for message in self.messages if message.kind == kind)
        if kind == m.SUM:
            return tuple(decode(content, EncryptedSum).total for content in read)
        return tuple(decode(content, CiphertextVector) for content in read)

    def updates(self) -> tuple[Doubles, ...]:
        """The seat's estimates of clients' updates Δ_k: decrypted where it can, else made of ciphertext bytes.

        A seat that holds a decrypted mean (a client) uses that, less its own update where it knows it.
        """
        mean = self.array(MEAN)
        if mean is not None:
            own, clients = self.array(OWN), self.public.clients
            return (mean,) if own is None or clients < 2 else ((clients * mean - own) / (clients - 1),)
        return tuple(self._read(vector) for vector in self.ciphertexts())

    def update(self) -> Doubles:
        """The first of :meth:`updates`. Raises: ParameterError when the seat has nothing that looks like one."""
        found = self.updates()
        if not found:
            raise ParameterError(f"{self.seat}: has seen no update", "choose a seat that receives one")
        return found[0]

    def _read(self, vector: CiphertextVector) -> Doubles:
        opened = self.opened(vector)
        if opened is None:
            return from_bytes(vector, self.public)
        values, examples = opened
        # Uploads hold n_k/n_max · Δ_k; max(1, …) because a client may claim no examples.
        return values * (self.public.examples_max / max(1, examples))

    def opened(self, vector: CiphertextVector) -> tuple[Doubles, int] | None:
        """Weighted update (or sum) and example count where it lies open or the seat's keys reach the quorum; else None."""
        if vector.key_id.scheme == "plaintext":
            numbers = np.frombuffer(vector.blocks[1], dtype="<f4" if vector.terms == 1 else "<f8").astype(np.float64)
            return numbers, int(np.frombuffer(vector.blocks[0], dtype="<i8")[0])
        shares = [share for share in self.keys if share.id == vector.key_id]
        if self.public_key is None or len(shares) < self.public_key.quorum.threshold:
            return None
        active = shares[: self.public_key.quorum.threshold]
        members = tuple(sorted(share.index for share in active))
        scheme = open_scheme(vector.key_id.preset)
        try:
            parts = [scheme.partial_decrypt(share, vector, members) for share in active]
            opened = scheme.open(self.public_key, vector, parts, bound=vector.bound or scheme.preset.default_bound)
        except HeflError:
            return None
        values = opened.values if self.rotation is None else self.rotation.undo(opened.values)
        return values, opened.integers[0]


def from_bytes(vector: CiphertextVector, public: Public) -> Doubles:
    """An update guessed from ciphertext: its words, centred and scaled like an update, as many as it has parameters.

    Ring blocks are read as 64-bit words (one residue, one number), others as 4-byte integers; short ones are repeated. The
    scale is irrelevant to the attacks here, which use signs and ratios.
    """
    width = "<i8" if vector.key_id.scheme in ("bfv", "ckks") else "<i4"
    bodies = (block[min(HEADER, len(block) // 4) :] for block in vector.blocks)
    raw = b"".join(body[len(body) % 8 :] for body in bodies)  # words are aligned to the end: headers come first
    words = np.frombuffer(raw, dtype=width).astype(np.float64)
    words = np.resize(words, public.model.parameters)
    words -= words.mean()
    return np.asarray(public.learning_rate * words / (words.std() or 1.0))


def gradient(view: View, update: Doubles | None = None) -> list[Array]:
    """Mean gradient that explains an update of one step, Δ = -rate · g: one array per entry of the model's shapes."""
    delta = view.update() if update is None else update
    return unflatten(-delta / view.public.learning_rate, view.public.model.shapes)
