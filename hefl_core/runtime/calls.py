"""What each party may be asked, the proxy that asks a party elsewhere, and how call and report are encoded.

The party applies this list, not the caller: a call that is not on it is rejected on arrival, in this process, on Ray and
between organisations. No call on it gives out a secret, an update, a model or a number of examples.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from hefl_core import errors
from hefl_core.errors import HeflError, RoundError, RuntimeUnavailable, WireError, as_value
from hefl_core.federation.outside import cut, public_text
from hefl_core.federation.record.transcript import End
from hefl_core.ids import AUDITOR, COORDINATOR, KMS, is_client
from hefl_core.keys.ceremony_result import CeremonyResult
from hefl_core.keys.kms.records import KeyEpoch
from hefl_core.keys.prekeys import Prekey
from hefl_core.keys.roster import CLIENT, Member
from hefl_core.ops.logs import place_of
from hefl_core.schemes.base import PublicKey
from hefl_core.terms.letter import Letter
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
    """Types of a step's arguments (a tuple) and of its result.

    ``read``: an attribute of the party, not a method. ``owner``: True where it is answered only to an owner of all parties,
    in this process or on Ray (between organisations the KMS's owner alone enrols and revokes, and nobody observes); False
    where only between organisations.
    """

    arguments: Any
    result: Any
    read: bool = False
    owner: bool | None = None


_SAY: Final = Step(tuple[Position], Said | None)
_CLOSE: Final = Step(tuple[Position], None)
_ALL: Final = {"receive": Step(tuple[Envelope], None), LEAVE: Step(tuple[()], None, owner=False)}
_MEMBERS: Final = {
    **_ALL,
    "unrecorded": Step(tuple[int], tuple[SignedHeader, ...]),
    "refusals": Step(tuple[()], dict[str, int], read=True),
    "rounds_done": Step(tuple[()], int, read=True, owner=True),
}
STEPS: Final[dict[str, dict[str, Step]]] = {
    COORDINATOR: {
        **_MEMBERS,
        **dict.fromkeys(("plan", "commitments", "aggregate", "request_decryption"), _SAY),
        "position": Step(tuple[()], Position | None, read=True),
        "public_key": Step(tuple[()], PublicKey, read=True),
        "without": Step(tuple[Position], tuple[str, ...]),
        "close": _CLOSE,
    },
    CLIENT: {
        **_MEMBERS,
        **dict.fromkeys(("commit", "upload", "ready", "partial_decryption", "apply"), _SAY),
        "sealing_keys": Step(tuple[int], tuple[Prekey, ...]),
        "ceremony": Step(tuple[str], tuple[Said, ...]),
        "ceremony_key": Step(tuple[()], PublicKey),
        "ceremony_result": Step(tuple[()], CeremonyResult),
        "destroy_epoch": Step(tuple[int], None),
        "sign_closing": Step(tuple[End], bytes),
        "observe": Step(tuple[Position], bytes, owner=True),
        "observe_sum": Step(tuple[Position], bytes, owner=True),
    },
    AUDITOR: {
        **_MEMBERS,
        "acknowledge": _SAY,
        "objection": _SAY,
        "confirm": _SAY,
        "evidence": Step(tuple[Position, str], bytes),
        "close": _CLOSE,
    },
    KMS: {
        **_ALL,
        "unrecorded": _MEMBERS["unrecorded"],
        "enrol": Step(tuple[Member], None, owner=True),
        "revoke": Step(tuple[str], None, owner=True),
        "clients_to_ask": Step(tuple[()], tuple[str, ...]),
        "deposit": Step(tuple[tuple[Prekey, ...]], None),
        "open_epoch": Step(tuple[int, int], None),
        "rotate": Step(tuple[int, int], None),
        "begin_ceremony": Step(tuple[int, int], Envelope),
        "register": Step(tuple[PublicKey, CeremonyResult, tuple[SignedHeader, ...]], None),
        "destroy": Step(tuple[int], None),
        "end": Step(tuple[int], None),
        "epochs": Step(tuple[()], tuple[KeyEpoch, ...], read=True),
        "roster_envelope": Step(tuple[()], Envelope),
        "epoch_envelope": Step(tuple[()], Envelope),
        "share_envelope": Step(tuple[str, int], Envelope),
    },
}
"""By role: the steps that a party answers."""


def role_of(party: str) -> str:
    """The role behind a party's name, as :data:`STEPS` has it."""
    return CLIENT if is_client(party) else party


def step_of(role: str, step: str, *, owner: bool) -> Step:
    """Look up a step in the role's list. ``owner``: whether the caller owns all parties.

    Raises: RoundError when it is not in it.
    """
    known = {name: one for name, one in STEPS[role].items() if one.owner in (None, owner)}
    if step not in known:
        raise RoundError(f"{step[:40]!r}: expected one of {', '.join(known)}; a {role} answers nothing else")
    return known[step]


def answer(party: Any, role: str, step: str, arguments: Sequence[Any], *, owner: bool) -> Any:
    """Answer a call in the party's own process, if it is on the role's list. Raises: RoundError; the party's error."""
    known = step_of(role, step, owner=owner)
    return getattr(party, step) if known.read else getattr(party, step)(*arguments)


def guarded(work: Callable[[], Any]) -> Any:
    """The answer or the error in its place; of an error that is not ours only the kind and the place."""
    try:
        return as_value(work)
    except Exception as error:  # its text could hold anything
        return RuntimeUnavailable(f"unexpected {type(error).__name__} in {place_of(error)}")


class Proxy:
    """Stands for a party that lives elsewhere: the same methods and attributes, those on its role's list and no others."""

    def __init__(self, name: str) -> None:
        self.name = name

    def ask(self, step: str, *arguments: Any) -> Any:
        """Ask the party and wait. Raises: the party's error; RuntimeUnavailable without an answer."""
        raise NotImplementedError

    def __getattr__(self, step: str) -> Any:
        steps = STEPS.get(role_of(vars(self).get("name", "")), {})  # a copy under construction has no name yet
        known = steps.get(step)
        if known is None:
            raise AttributeError(f"{step}: expected one of {', '.join(steps)}; a party elsewhere is asked nothing else")
        return self.ask(step) if known.read else lambda *arguments: self.ask(step, *arguments)


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
