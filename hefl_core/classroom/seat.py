"""Seats of a class: one for each phone, found again by its token."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from hefl_core.classroom.guards import Refusal, Tries
from hefl_core.shown import visible

LETTERS: Final = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"
"""Without the letters and digits that are mistaken for each other on a wall."""
CODE_LENGTH: Final = 6
LONGEST_NAME: Final = 24
TOKEN_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class Seat:
    """A phone in the class. ``holder``: its number among the key's holders, 1..n. ``bot``: a client of this computer."""

    number: int
    name: str
    bot: bool = False
    holder: int | None = None
    removed: bool = False


def new_code() -> str:
    """A join code: 31^6 of them, against which a class allows a few hundred wrong tries."""
    return "".join(secrets.choice(LETTERS) for _ in range(CODE_LENGTH))


class Seats:
    """The roster. Tokens are kept as SHA-256 only."""

    def __init__(self, code: str, most: int) -> None:
        self.code = code
        self.most = most
        self.tries = Tries()
        self._seats: dict[int, Seat] = {}
        self._tokens: dict[bytes, int] = {}

    def join(self, code: str, name: str, address: str) -> tuple[Seat, str]:
        """A seat for a phone that knows the code, and its token. Raises: Refusal (401, 429)."""
        self.tries.check(address)
        if not hmac.compare_digest(code.strip().upper().encode(), self.code.encode()):
            self.tries.failed(address)
            raise Refusal(401, "code: expected the one on the wall, found another; scan the QR code again")
        return self.add(name)

    def add(self, name: str, *, bot: bool = False) -> tuple[Seat, str]:
        """A seat and its token, without a code: for bots, which this process starts. Raises: Refusal (429) when full."""
        if len(self._seats) >= self.most:
            raise Refusal(429, f"class: expected at most {self.most} seats, found all taken; ask the teacher")
        token = secrets.token_urlsafe(TOKEN_BYTES)
        number = len(self._seats) + 1
        seat = Seat(number, self._free_name(name, number), bot)
        self._seats[number] = seat
        self._tokens[_digest(token)] = number
        return seat, token

    def _free_name(self, name: str, number: int) -> str:
        shown = visible(name.strip()[:LONGEST_NAME]).strip() or f"phone {number}"
        taken = {seat.name.casefold() for seat in self}
        return f"{shown} ({number})" if shown.casefold() in taken else shown

    def find(self, token: str) -> Seat:
        """The seat of a token. Raises: Refusal (401)."""
        number = self._tokens.get(_digest(token))
        if number is None or self._seats[number].removed:
            raise Refusal(401, "token: expected one of this class, found another; join again")
        return self._seats[number]

    def name(self, number: int, name: str) -> None:
        """Give a seat another name."""
        self._seats[number] = replace(self._seats[number], name=name)

    def make_holder(self, number: int, index: int) -> None:
        """Make a seat holder ``index``."""
        self._seats[number] = replace(self._seats[number], holder=index)

    def remove(self, number: int) -> None:
        """End a seat: its token opens nothing any more."""
        self._seats[number] = replace(self._seats[number], removed=True)

    def __iter__(self) -> Iterator[Seat]:
        return iter(tuple(self._seats.values()))

    def __len__(self) -> int:
        return len(self._seats)

    def __getitem__(self, number: int) -> Seat:
        return self._seats[number]


def _digest(token: str) -> bytes:
    # Looked up by its digest: how long a look-up takes then tells nothing about a token.
    return hashlib.sha256(token.encode()).digest()
