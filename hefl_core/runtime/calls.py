"""What the coordinator may ask of each role, and how call and report are encoded: canonical bytes of typed values.

The party applies this list, not the coordinator: a call that is not on it is rejected on arrival. No call on it gives out
a secret, an update, a model or a number of examples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from hefl_core import errors
from hefl_core.errors import HeflError, RoundError, WireError
from hefl_core.federation.letter import Letter
from hefl_core.federation.outside import cut, public_text
from hefl_core.federation.record.transcript import End
from hefl_core.ids import AUDITOR, KMS
from hefl_core.keys.ceremony_result import CeremonyResult
from hefl_core.keys.kms.records import KeyEpoch
from hefl_core.keys.prekeys import Prekey
from hefl_core.keys.roster import CLIENT
from hefl_core.schemes.base import PublicKey
from hefl_core.wire.canonical import decode, encode
from hefl_core.wire.envelope import Envelope, Position, SignedHeader
from hefl_core.wire.limits import MAX_HEADER_BYTES

LEAVE: Final = "leave"
"""The experiment is over: the party exits."""


@dataclass(frozen=True, slots=True)
class Hello:
    """The first word on a connection. ``life``: random, one per process."""

    party: str
    life: bytes
    experiment: str


@dataclass(frozen=True, slots=True)
class Call:
    """What a party is asked to do. ``arguments``: canonical bytes of the step's types."""

    number: int
    step: str
    arguments: bytes


@dataclass(frozen=True, slots=True)
class Said:
    """A party's letter: its envelope alone. What making it cost stays with the party."""

    envelope: Envelope


@dataclass(frozen=True, slots=True)
class Refusal:
    """A HeflError as data: its class name and its text. ``have`` and ``need`` belong to a QuorumError."""

    kind: str
    text: str
    have: int = 0
    need: int = 0


@dataclass(frozen=True, slots=True)
class Report:
    """The answer to a call: a refusal, or the canonical bytes of the step's result."""

    life: bytes
    number: int
    refusal: Refusal | None
    result: bytes


@dataclass(frozen=True, slots=True)
class Step:
    """Types of a step's arguments (a tuple) and of its result."""

    arguments: Any
    result: Any


_RECEIVE: Final = {"receive": Step(tuple[Envelope], None), LEAVE: Step(tuple[()], None)}
_SAY: Final = Step(tuple[Position], Said | None)
_UNRECORDED: Final = Step(tuple[int], tuple[SignedHeader, ...])
STEPS: Final[dict[str, dict[str, Step]]] = {
    CLIENT: {
        **_RECEIVE,
        **dict.fromkeys(("commit", "upload", "ready", "partial_decryption", "apply"), _SAY),
        "sealing_keys": Step(tuple[int], tuple[Prekey, ...]),
        "ceremony": Step(tuple[str], tuple[Said, ...]),
        "ceremony_key": Step(tuple[()], PublicKey),
        "ceremony_result": Step(tuple[()], CeremonyResult),
        "destroy_epoch": Step(tuple[int], None),
        "sign_closing": Step(tuple[End], bytes),
        "unrecorded": _UNRECORDED,
        "refusals": Step(tuple[()], dict[str, int]),
    },
    AUDITOR: {
        **_RECEIVE,
        "acknowledge": _SAY,
        "objection": _SAY,
        "confirm": _SAY,
        "evidence": Step(tuple[Position, str], bytes),
        "unrecorded": _UNRECORDED,
        "close": Step(tuple[Position], None),
        "refusals": Step(tuple[()], dict[str, int]),
    },
    KMS: {
        **_RECEIVE,
        "clients_to_ask": Step(tuple[()], tuple[str, ...]),
        "deposit": Step(tuple[tuple[Prekey, ...]], None),
        "open_epoch": Step(tuple[int, int], None),
        "rotate": Step(tuple[int, int], None),
        "begin_ceremony": Step(tuple[int, int], Envelope),
        "register": Step(tuple[PublicKey, CeremonyResult, tuple[SignedHeader, ...]], None),
        "destroy": Step(tuple[int], None),
        "end": Step(tuple[int], None),
        "epochs": Step(tuple[()], tuple[KeyEpoch, ...]),
        "roster_envelope": Step(tuple[()], Envelope),
        "epoch_envelope": Step(tuple[()], Envelope),
        "share_envelope": Step(tuple[str, int], Envelope),
        "unrecorded": _UNRECORDED,
    },
}
"""By role: the steps that a party answers."""


def step_of(role: str, step: str) -> Step:
    """Look up a step in the role's list. Raises: RoundError when it is not in it."""
    known = STEPS[role]
    if step not in known:
        raise RoundError(f"{step[:40]!r}: expected one of {', '.join(known)}; a {role} answers nothing else")
    return known[step]


def pack_result(result: object) -> bytes:
    """A result as bytes. A letter travels as its envelope; the receiver measures its size itself."""
    return encode(_said(result))


def _said(result: object) -> object:
    if isinstance(result, Letter):
        return Said(result.envelope)
    return tuple(_said(item) for item in result) if isinstance(result, tuple) else result


def unpack_result(step: Step, data: bytes) -> Any:
    """Read :func:`pack_result` back; every type is checked. Raises: WireError."""
    return _letters(decode(data, step.result))


def _letters(result: Any) -> Any:
    if isinstance(result, Said):
        return Letter.of(result.envelope)
    if isinstance(result, tuple) and result and isinstance(result[0], Said):
        return tuple(Letter.of(said.envelope) for said in result)
    return result


def unpack_arguments(step: Step, data: bytes) -> Sequence[Any]:
    """A call's arguments; every type is checked. Raises: WireError."""
    arguments: Sequence[Any] = decode(data, step.arguments)
    return arguments


def refusal_of(error: HeflError, *, private: bool) -> Refusal:
    """An error as a report may carry it. ``private``: a client's error, of which only the kind and the rule may leave."""
    text = public_text(error) if private else str(error)
    have, need = getattr(error, "have", 0), getattr(error, "need", 0)
    return Refusal(type(error).__name__, cut(text), have, need)


def error_of(refusal: Refusal) -> HeflError:
    """Turn a refusal back into its error, the text cut; an unknown kind becomes a WireError.

    >>> error_of(Refusal("RoundError", "too late"))
    RoundError('too late')
    """
    # the peer chooses this name: without the subclass test it could pick any attribute of the module to be called
    kind = getattr(errors, refusal.kind, None)
    if not (isinstance(kind, type) and issubclass(kind, HeflError)):
        return WireError(f"answer: expected a kind of error that is known, found {refusal.kind[:40]!r}")
    if kind is errors.QuorumError:
        return errors.QuorumError(cut(refusal.text), have=refusal.have, need=refusal.need)
    return kind(cut(refusal.text))


def read_hello(data: bytes) -> Hello:
    """Raises: WireError."""
    return decode(data, Hello, limit=MAX_HEADER_BYTES)
