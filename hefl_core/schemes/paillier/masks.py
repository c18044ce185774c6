"""Masks: the random n-th residues that hide Paillier's plaintexts, and nearly all the cost of encrypting.

*Full* masks are r^n for a random r, Paillier's own. *Short* ones are h^r for a public h = (-y²)^n mod n² and a random r
of half the length of n: their base is fixed, so its powers are tabled once per key and a mask costs one multiplication
per window of r. Masks do not depend on what they hide: a :class:`MaskPool` makes them beforehand.

Short masks assume more than Paillier's decisional composite residuosity: that powers of h with half-length exponents
cannot be told from powers with full ones. Goldreich and Rosen derive this from factoring for generators of the squares
modulo a product of two primes ≡ 3 (mod 4). The dealer could have chosen h differently, but knows the factors anyway.
Table look-ups by secret digits are not constant-time.

Source: Damgård, Jurik and Nielsen 2010 (Int. J. Inf. Secur. 9), encryption with h; Goldreich and Rosen 2003 (J. Cryptology
16); Brickell, Gordon, McCurley and Wilson 1992 for fixed bases.
"""

from __future__ import annotations

import os
import secrets
import threading
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, Final, NoReturn, TypeVar

import gmpy2

from hefl_core.errors import SecretKeyEscape

T = TypeVar("T")
R = TypeVar("R")

WINDOW_BITS: Final = 7
"""Measured at 2048 bits: 5, 6, 7, 8 bits make a mask in 0.97, 0.82, 0.72, 0.65 ms from tables of 3, 6, 10, 17 MB, built
in 0.03, 0.05, 0.09, 0.16 s."""
POOL_LIMIT: Final = 1 << 16


class ShortMasks:
    """Masks h^r with exponents of ``exponent_bits``, from a table of h's powers that is built with the first mask."""

    def __init__(self, base: Any, square: Any, exponent_bits: int) -> None:
        self._base, self._square, self._exponent_bits = base, square, exponent_bits
        self._rows: list[list[Any]] = []

    def draw(self) -> Any:
        """A fresh mask."""
        return self.power(secrets.randbits(self._exponent_bits))

    def power(self, exponent: int) -> Any:
        """The base to this exponent, digit by digit. Shapes: 0 ≤ exponent < 2^exponent_bits."""
        result, square = gmpy2.mpz(1), self._square
        # h^r = Π h^(digit_j·2^(w·j)): every factor is in the table. Not strict: leading zero digits are left out.
        digits = gmpy2.unpack(gmpy2.mpz(exponent), WINDOW_BITS)
        for row, digit in zip(self._table(), digits, strict=False):
            result = result * row[digit] % square
        return result

    def _table(self) -> list[list[Any]]:
        """Row j holds h^(digit·2^(w·j)) for each digit of w bits. Two threads that both build it get the same table."""
        if not self._rows:
            rows, base = [], self._base
            for _ in range(-(-self._exponent_bits // WINDOW_BITS)):
                row = [gmpy2.mpz(1), base]
                for _ in range((1 << WINDOW_BITS) - 2):
                    row.append(row[-1] * base % self._square)
                rows.append(row)
                # The last entry is base^(2^w - 1): once more gives base^(2^w), the next row's base.
                base = row[-1] * base % self._square
            self._rows = rows
        return self._rows


class MaskPool:
    """Masks made before they are needed; each is handed out once, to one encryption in this process.

    A mask opens the ciphertext that it hides: the pool is as secret as the plaintexts to come. It cannot be pickled,
    and a forked child starts with an empty one, since parent and child must not use the same masks.
    """

    def __init__(self, draw: Callable[[], Any]) -> None:
        self._draw = draw
        self._start_empty()

    def _start_empty(self) -> None:
        """Set the owner last: a thread that already sees this process as owner must not find the parent's masks."""
        self._lock = threading.Lock()
        self._ready: deque[Any] = deque()
        self._filler: threading.Thread | None = None
        self._goal = 0
        self._owner = os.getpid()

    def __repr__(self) -> str:
        return f"MaskPool({len(self)} masks, hidden)"

    def __reduce_ex__(self, _protocol: object) -> NoReturn:
        raise SecretKeyEscape("masks open the ciphertexts they hide; make new ones where they are needed instead")

    __copy__ = __deepcopy__ = __getstate__ = __reduce_ex__  # type: ignore[assignment]

    def __len__(self) -> int:
        self._disown_parent()
        return len(self._ready)

    def _disown_parent(self) -> None:
        if self._owner != os.getpid():
            self._start_empty()

    def take(self) -> Any:
        """A mask used by no other encryption: a ready one, or one made now."""
        self._disown_parent()
        # popleft is atomic, so two threads never get one mask; asking for the length first would leave a gap.
        try:
            return self._ready.popleft()
        except IndexError:
            return self._draw()

    def fill(self, count: int) -> None:
        """Make masks until ``count`` are ready (at most 65,536), before returning."""
        self._disown_parent()
        while len(self._ready) < min(count, POOL_LIMIT):
            self._ready.append(self._draw())

    def fill_in_background(self, count: int) -> None:
        """The same in a thread of its own, which ends when ``count`` are ready. Calls while it runs raise its goal."""
        self._disown_parent()
        with self._lock:
            self._goal = max(self._goal, min(count, POOL_LIMIT))
            if self._filler is None:
                self._filler = threading.Thread(target=self._run, name="hefl-masks", daemon=True)
                self._filler.start()

    def wait(self) -> None:
        """Until the background thread is done."""
        filler = self._filler
        if filler is not None:
            filler.join()

    def _run(self) -> None:
        try:
            while True:
                # Goal check and resignation share one lock: a goal raised later starts a new thread, none is lost.
                with self._lock:
                    if len(self._ready) >= self._goal:
                        self._filler, self._goal = None, 0
                        return
                self._ready.append(self._draw())
        except BaseException:
            with self._lock:
                self._filler, self._goal = None, 0
            raise


def in_threads(work: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """Map long exponentiations over all cores: gmpy2 releases the interpreter's lock while it computes."""
    todo = list(items)
    if min(len(todo), os.cpu_count() or 1) < 2:
        return [work(item) for item in todo]
    return list(_threads().map(work, todo))


@cache
def _threads() -> ThreadPoolExecutor:
    """One pool for the process: gmpy2 keeps a quarter of a kilobyte for each thread that ever used it."""
    return ThreadPoolExecutor(os.cpu_count() or 1, "hefl-powers", initializer=_release_lock)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_threads.cache_clear)  # the parent's threads are not in the child


def _release_lock() -> None:
    gmpy2.get_context().allow_release_gil = True
