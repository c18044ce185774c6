"""Paillier with numbers that fit on a blackboard: every intermediate is shown. INSECURE: n is factored at a glance.

Like paillier/scheme.py, but without masks made beforehand, packing or checks on the wire: the four lines of the paper.

Source: Paillier 1999, section 4, with g = n + 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from hefl_core.errors import ParameterError

LARGEST_PRIME = 997


@dataclass(frozen=True, slots=True)
class HandLine:
    """One line of the calculation: what it is, the formula with the numbers in LaTeX, and what comes out."""

    what: str
    formula: str
    value: int


@dataclass(frozen=True, slots=True)
class ByHand:
    """Two messages under one small key, their sum, and the way back.

    Raises: ParameterError naming the number that does not fit.

    >>> hand = ByHand(p=11, q=13, m1=7, r1=23, m2=5, r2=31)
    >>> hand.c1, hand.c2, hand.total, hand.decrypted
    (15643, 12917, 4062, 12)
    """

    p: int
    q: int
    m1: int
    r1: int
    m2: int
    r2: int

    def __post_init__(self) -> None:
        for name, prime in (("p", self.p), ("q", self.q)):
            if not 3 <= prime <= LARGEST_PRIME or not _is_prime(prime):
                near = next(n for n in range(min(max(prime, 3), LARGEST_PRIME), 2, -1) if _is_prime(n))
                raise ParameterError(
                    f"{name}: expected a prime from 3 to {LARGEST_PRIME}, found {prime}", f"try {near}"
                )
        if self.p == self.q:
            raise ParameterError(f"p and q: expected two different primes, found {self.p} twice", "change one of them")
        if math.gcd(self.n, (self.p - 1) * (self.q - 1)) != 1:
            raise ParameterError(
                f"p, q: n = {self.n} and (p-1)(q-1) = {(self.p - 1) * (self.q - 1)} share a factor, so decryption would fail",
                "take primes of similar size",
            )
        for name, message in (("m1", self.m1), ("m2", self.m2)):
            if not 0 <= message < self.n:
                raise ParameterError(
                    f"{name}: expected 0..{self.n - 1} (below n), found {message}", "take a smaller one"
                )
        for name, mask in (("r1", self.r1), ("r2", self.r2)):
            if not 0 < mask < self.n or math.gcd(mask, self.n) != 1:
                raise ParameterError(
                    f"{name}: expected 1..{self.n - 1} without a factor in common with n = {self.n}, found {mask}",
                    "take one that neither p nor q divides",
                )

    @property
    def n(self) -> int:
        """The public key."""
        return self.p * self.q

    @property
    def square(self) -> int:
        """Ciphertexts live below it."""
        return self.n**2

    @property
    def lam(self) -> int:
        """λ = lcm(p - 1, q - 1), the secret."""
        return math.lcm(self.p - 1, self.q - 1)

    @property
    def mu(self) -> int:
        """λ⁻¹ mod n."""
        return pow(self.lam, -1, self.n)

    def _encrypt(self, message: int, mask: int) -> int:
        # (1+n)^m = 1 + m·n modulo n²: every further binomial term has the factor n².
        return (1 + message * self.n) * pow(mask, self.n, self.square) % self.square

    @property
    def c1(self) -> int:
        """The first ciphertext."""
        return self._encrypt(self.m1, self.r1)

    @property
    def c2(self) -> int:
        """The second ciphertext."""
        return self._encrypt(self.m2, self.r2)

    @property
    def total(self) -> int:
        """c1 · c2 mod n²: the coordinator's whole work."""
        return self.c1 * self.c2 % self.square

    @property
    def decrypted(self) -> int:
        """m1 + m2 mod n."""
        # r^(n·λ) = 1 modulo n² for every unit r, so the power λ removes both masks and leaves 1 + λ·m·n.
        return (pow(self.total, self.lam, self.square) - 1) // self.n * self.mu % self.n

    @property
    def overflows(self) -> bool:
        """Whether m1 + m2 wrapped around n: what head-room prevents."""
        return self.m1 + self.m2 >= self.n

    def lines(self) -> tuple[HandLine, ...]:
        """The whole calculation."""
        n, square = self.n, self.square
        power = pow(self.total, self.lam, square)
        return (
            HandLine("public key", rf"n = p \cdot q = {self.p} \cdot {self.q} = {n}", n),
            HandLine("secret key", rf"\lambda = \mathrm{{lcm}}({self.p}-1,\; {self.q}-1) = {self.lam}", self.lam),
            HandLine("secret key", rf"\mu = \lambda^{{-1}} \bmod n = {self.mu}", self.mu),
            *self._encryption(1, self.m1, self.r1, self.c1),
            *self._encryption(2, self.m2, self.r2, self.c2),
            HandLine(
                "add: multiply",
                rf"c_1 \cdot c_2 \bmod n^2 = {self.c1} \cdot {self.c2} \bmod {square} = {self.total}",
                self.total,
            ),
            HandLine("decrypt", rf"u = {self.total}^{{{self.lam}}} \bmod {square} = {power}", power),
            HandLine(
                "decrypt",
                rf"m = \frac{{u - 1}}{{n}} \cdot \mu \bmod n = \frac{{{power - 1}}}{{{n}}} \cdot {self.mu} \bmod {n} "
                rf"= {self.decrypted}",
                self.decrypted,
            ),
        )

    def _encryption(self, which: int, message: int, mask: int, ciphertext: int) -> tuple[HandLine, HandLine]:
        n, square = self.n, self.square
        masked = pow(mask, n, square)
        return (
            HandLine(f"mask {which}", rf"r_{which}^n \bmod n^2 = {mask}^{{{n}}} \bmod {square} = {masked}", masked),
            HandLine(
                f"encrypt {which}",
                rf"c_{which} = (1 + {message} \cdot {n}) \cdot {masked} \bmod {square} = {ciphertext}",
                ciphertext,
            ),
        )


def _is_prime(number: int) -> bool:
    return number > 1 and all(number % d for d in range(2, math.isqrt(number) + 1))
