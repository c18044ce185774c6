"""Checks of an answer on arrival, before it is used: its type, its author, its place.

A wrong answer is the party's own failure: the party is left out with a named error, and the others continue.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeVar

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from hefl_core import errors
from hefl_core.errors import HeflError, IntegrityError, RoundError, WireError
from hefl_core.federation.party import DUPLICATE
from hefl_core.federation.record.protocol_table import row_of
from hefl_core.keys.ceremony_result import PREFIX
from hefl_core.keys.prekeys import Prekey
from hefl_core.terms import messages as m
from hefl_core.terms.letter import Letter
from hefl_core.wire.envelope import Position

T = TypeVar("T")
SAYS: Final = {
    "commit": m.COMMITMENT,
    "upload": m.UPDATE,
    "ready": m.READY,
    "partial_decryption": m.PARTIAL,
    "apply": m.RECEIPT,
}
"""The kind of letter that answers a client's step."""
UNANSWERED: Final = ("ready",)
"""Steps that a client may have no part in; in every other a client that is asked owes a letter."""
MOST_COUNTED: Final = (1 << 53) - 1
"""Larger counts are no longer exact in JSON readers."""


def wrong_answer(party: str, step: str, argument: object, answer: object, clients: tuple[str, ...]) -> HeflError | None:
    """The error of a wrong answer to this step; None for a right one. ``clients``: of the roster, in its order."""
    try:
        if step == "sealing_keys":
            _check_each(answer, Prekey, f"{step} of {party}")
        elif step == "ceremony":
            for letter in _check_each(answer, Letter, f"{step} of {party}"):
                _check_letter(party, PREFIX + str(argument), letter, clients)
        elif step in SAYS and (answer is not None or step not in UNANSWERED):
            for letter in _check_each((answer,), Letter, f"{step} of {party}"):
                _check_letter(party, SAYS[step], letter, clients, argument)
    except HeflError as error:
        return error
    return None


def _check_each(answer: object, kind: type[T], what: str) -> tuple[T, ...]:
    if not isinstance(answer, tuple):
        raise WireError(f"{what}: expected {kind.__name__}s, found {_found(answer)}; refuse the answer")
    for one in answer:
        if not isinstance(one, kind):
            raise WireError(f"{what}: expected a {kind.__name__}, found {_found(one)}; refuse the answer")
    return answer


def _found(answer: object) -> str:
    """No name of a type: the sender may have made it up."""
    return "nothing" if answer is None else "something else"


def _check_letter(party: str, kind: str, letter: Letter, clients: tuple[str, ...], position: object = None) -> None:
    """Raises: RoundError for another author, kind, place or other receivers than the protocol has here.

    The refusal goes on record, so it repeats nothing that the sender wrote: no kind, name or number of its choice.
    """
    header = letter.envelope.header
    if (header.sender, header.kind) != (party, kind):
        raise RoundError(
            f"expected the {kind} of {party}, found a message of another kind or sender; refuse the answer"
        )
    if isinstance(position, Position) and header.position != position:
        raise RoundError(
            f"{kind} of {party}: expected it for round {position.round}, attempt {position.attempt}, found it for another "
            "place; refuse the answer"
        )
    if not row_of(kind).addressed(party, clients, header.recipients):
        raise RoundError(
            f"{kind} of {party}: expected its receivers as the protocol has them, found others; refuse the answer"
        )


def check_refusals(party: str, found: object) -> dict[str, int]:
    """A party's own counts of refusals, by kind of error. Raises: WireError for anything else."""
    if not isinstance(found, Mapping):
        raise WireError(f"refusals of {party}: expected counts by kind of error, found {type(found).__name__}")
    for kind, count in found.items():
        if not (isinstance(kind, str) and _is_kind(kind)):
            raise WireError(f"refusals of {party}: expected kinds of error that are known, found another")
        # Not isinstance: True is an int too.
        if type(count) is not int or not 0 <= count <= MOST_COUNTED:
            raise WireError(f"refusals of {party}: expected a count of {kind}, found another value")
    return dict(found)


def _is_kind(name: str) -> bool:
    kind = getattr(errors, name, None)
    return name == DUPLICATE or (isinstance(kind, type) and issubclass(kind, HeflError))


def check_closing(party: str, signing_key: bytes, statement: bytes, signature: object) -> bytes:
    """A client's signature under the end, as the verifier will check it. Raises: IntegrityError when it is none."""
    try:
        if isinstance(signature, bytes):
            Ed25519PublicKey.from_public_bytes(signing_key).verify(signature, statement)
            return signature
    except (InvalidSignature, ValueError):
        pass
    raise IntegrityError(f"closing: the signature is not {party}'s; expected one under this record's end")
