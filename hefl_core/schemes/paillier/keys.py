"""Paillier's numbers: primes, the public modulus, decryption with the factors.

Two kinds of primes. *Blum*: p ≡ 3 (mod 4), p - 1 and q - 1 share only the factor 2 and have no other one below 2^16, so
a random square generates all squares modulo n except with a chance of about 2^-13 (individual custody).
*Safe*: (p-1)/2 is itself prime, as collective custody needs.

Source: Paillier 1999 (encryption, decryption by Chinese remainders, section 7); Damgård, Jurik and Nielsen 2010 (h);
FIPS 186-5, A.1 for the distance of p and q.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import gmpy2
import numpy as np

from hefl_core.errors import IntegrityError, ParameterError, WireError
from hefl_core.schemes.paillier.masks import MaskPool, ShortMasks
from hefl_core.schemes.presets import PaillierPreset
from hefl_core.wire.canonical import decode, encode

PRIME_TESTS: Final = 40
SIEVE_WINDOW: Final = 1 << 16
ROUGH: Final = 1 << 16
"""(p-1)/2 of a Blum prime has no prime factor below this, and neither has n."""


@dataclass(frozen=True, slots=True)
class PublicMaterial:
    """A public key: n, and h, the base of short masks (empty: masks are r^n)."""

    modulus: bytes
    base: bytes


@dataclass(frozen=True, slots=True)
class WholeKey:
    """The secret of individual custody, with its public material."""

    public: bytes
    p: bytes
    q: bytes


class Modulus:
    """The public numbers of one key; they encrypt, check and add. ``base`` is h, or 0 where masks are r^n."""

    def __init__(self, n: int, base: int = 0, mask_bits: int = 0) -> None:
        self.n = gmpy2.mpz(n)
        self.square = self.n * self.n
        self.base = gmpy2.mpz(base)
        self.nbytes = -(-2 * int(n).bit_length() // 8)
        self.masks = MaskPool(ShortMasks(self.base, self.square, mask_bits).draw if base else self.full_mask)

    def write(self, ciphertext: Any) -> bytes:
        """Fixed length, most significant byte first: one number has one form."""
        return int(ciphertext).to_bytes(self.nbytes, "big")

    def encrypt(self, plaintext: int) -> Any:
        """(1+n)^m · mask mod n² with a mask that is used only once."""
        # (1+n)^m = 1 + m·n modulo n², as every further binomial term has n²: no exponentiation.
        return (1 + plaintext * self.n) * self.masks.take() % self.square

    def full_mask(self) -> Any:
        """r^n mod n² for a fresh random r: Paillier's own."""
        return gmpy2.powmod(_random_unit(self.n), self.n, self.square)

    def read(self, blocks: tuple[bytes, ...]) -> list[Any]:
        """Numbers of ciphertext blocks, each a masked unit modulo n².

        Raises: WireError for another length, numbers out of range, without inverse, or without a mask.
        """
        for number, block in enumerate(blocks, 1):
            if not isinstance(block, bytes) or len(block) != self.nbytes:
                raise WireError(
                    f"block {number}: expected {self.nbytes} bytes, found {len(block)}; ask the sender again"
                )
        numbers = [gmpy2.mpz(int.from_bytes(block, "big")) for block in blocks]
        product = gmpy2.mpz(1)
        for number, value in enumerate(numbers, 1):
            # Modulo n, (1+n)^m is 1 and only the mask is left: a residue of 1 has none, and m can be read off.
            residue = value % self.n
            if value >= self.square or residue < 2:
                what = "one modulo n: no mask hides it" if residue == 1 else "no ciphertext under this key"
                raise WireError(f"block {number}: expected a masked unit modulo n², found {what}; encrypt again")
            product = product * residue % self.n
        # One gcd for all blocks: their product shares a factor with n if and only if one of them does.
        if gmpy2.gcd(product, self.n) != 1:
            raise WireError("blocks: expected units modulo n², found a divisor of n; refuse the sender")
        return numbers


class Factors:
    """The secret primes. Never kept in a cache, never printed."""

    def __init__(self, p: int, q: int) -> None:
        self.__p, self.__q = sorted((gmpy2.mpz(p), gmpy2.mpz(q)))
        n = self.__p * self.__q
        # Per prime: p, p² and 1/L(g^(p-1) mod p²) mod p for g = n + 1 (Paillier 1999, section 7).
        self.__halves = tuple(
            (prime, prime * prime, gmpy2.invert(_ell(gmpy2.powmod(n + 1, prime - 1, prime * prime), prime), prime))
            for prime in (self.__p, self.__q)
        )
        self.__p_inverse = gmpy2.invert(self.__p, self.__q)

    def decrypt(self, ciphertext: Any) -> int:
        """The plaintext below n, by p and q separately. ``powmod_sec`` takes equal time for exponents of equal length."""
        low, high = (
            _ell(gmpy2.powmod_sec(ciphertext, prime - 1, square), prime) * scale % prime
            for prime, square, scale in self.__halves
        )
        # Garner's step of the Chinese remainder theorem: the one number below n that is low mod p and high mod q.
        return int(low + (high - low) * self.__p_inverse % self.__q * self.__p)


def _ell(x: Any, n: Any) -> Any:
    """Paillier's L(x) = (x - 1)/n."""
    return (x - 1) // n


# -- material --------------------------------------------------------------------------------------------------


@lru_cache(maxsize=32)
def open_public(preset: PaillierPreset, material: bytes) -> Modulus:
    """The modulus in a public key's material, checked as far as that goes without its factors.

    Raises: WireError for another form; ParameterError for a modulus that protects nothing.
    """
    public = decode(material, PublicMaterial, limit=4096)
    n = gmpy2.mpz(int.from_bytes(public.modulus, "big"))
    if n.bit_length() != preset.modulus_bits or len(public.modulus) != -(-preset.modulus_bits // 8):
        raise ParameterError(
            f"{preset.name}: expected a modulus of {preset.modulus_bits} bits, found {n.bit_length()}",
            "ask the KMS for its public key",
        )
    # All that shows without the factors: n with a small factor, a power or a prime protects nothing.
    if gmpy2.gcd(n, _primorial(ROUGH)) != 1 or gmpy2.is_power(n) or gmpy2.is_prime(n):
        raise ParameterError(f"{preset.name}: the modulus is no product of two large primes", "make a new key")
    modulus = Modulus(int(n), int.from_bytes(public.base, "big"), preset.mask_bits)
    _check_base(preset, modulus, public.base)
    return modulus


def _check_base(preset: PaillierPreset, modulus: Modulus, base: bytes) -> None:
    """Check h without the factors: there when needed, a unit, Jacobi symbol 1 like minus a square, not ±1 modulo n."""
    h, n = modulus.base, modulus.n
    if not preset.mask_bits and not base:
        return
    # p ≡ q ≡ 3 (mod 4) gives n ≡ 1 (mod 4) and Jacobi symbol 1 to minus any square; h² ≡ 1 would leave two masks.
    fits = preset.mask_bits > 0 and len(base) == modulus.nbytes and h < modulus.square and gmpy2.gcd(h, n) == 1
    if not fits or n % 4 != 1 or gmpy2.jacobi(h, n) != 1 or h * h % n == 1:
        raise ParameterError(
            f"{preset.name}: expected a base for masks of {preset.mask_bits} bits, found one that hides nothing",
            "ask the KMS for its public key",
        )


def make_base(n: int) -> int:
    """H = (-y²)^n mod n² for a random y, modulo primes ≡ 3 (mod 4)."""
    # -1 is no square modulo p or q, so the powers of -y² go beyond the squares, to all of Jacobi symbol 1.
    y = _random_unit(gmpy2.mpz(n))
    return int(gmpy2.powmod(-y * y % n, n, n * n))


def _random_unit(n: Any) -> Any:
    while True:
        r = gmpy2.mpz(secrets.randbelow(int(n)))
        if gmpy2.gcd(r, n) == 1:
            return r


def write_public(modulus: Modulus) -> bytes:
    """Canonical material of a public key."""
    base = modulus.write(modulus.base) if modulus.base else b""
    return encode(PublicMaterial(_bytes(modulus.n), base))


def write_whole(public: bytes, p: int, q: int) -> bytes:
    """Canonical material of the whole secret key."""
    return encode(WholeKey(public, _bytes(p), _bytes(q)))


def open_whole(preset: PaillierPreset, material: bytes) -> tuple[bytes, int, int]:
    """(public material, p, q) of a whole secret key. Raises: IntegrityError when the parts do not belong together."""
    try:
        whole = decode(material, WholeKey)
        n = open_public(preset, whole.public).n
    except (WireError, ParameterError) as error:
        raise IntegrityError("secret share: its material is no key of this preset; ask the KMS again") from error
    p, q = (int.from_bytes(prime, "big") for prime in (whole.p, whole.q))
    if p * q != n or not 1 < p < n:
        raise IntegrityError("secret share: its primes do not make the public modulus; ask the KMS again")
    return whole.public, p, q


def _bytes(number: Any) -> bytes:
    return int(number).to_bytes(-(-int(number).bit_length() // 8), "big")


# -- primes ----------------------------------------------------------------------------------------------------


def make_primes(modulus_bits: int, *, safe: bool) -> tuple[int, int]:
    """Two secret primes, p ≡ q ≡ 3 (mod 4), whose product has exactly ``modulus_bits``.

    Units: bits. Blum primes take about 0.05 s at 2048 and 0.15 s at 3072 bits, safe ones 1-3 s and 3-20 s.
    """
    half = modulus_bits // 2
    while True:
        p, q = _prime(half, safe), _prime(half, safe)
        # Far apart against Fermat's factoring (FIPS 186-5); gcd 2 makes the squares modulo n a cyclic group.
        if gmpy2.mpz(abs(p - q)).bit_length() > half - 100 and gmpy2.gcd(p - 1, q - 1) == 2:
            return p, q


def _prime(bits: int, safe: bool) -> int:
    """A random prime p = 2·p' + 1, its two top bits set, p' odd and without a small factor, or prime if ``safe``."""
    while True:
        # Two top bits set: the product of two such primes has exactly twice their bits. Lowest bit set: p ≡ 3 (mod 4).
        start = gmpy2.mpz(secrets.randbits(bits - 1) | 3 << (bits - 3) | 1)
        for step in _survivors(start):
            half = start + 2 * int(step)
            p = 2 * half + 1
            if p.bit_length() > bits:
                break
            if _is_prime(p) and (not safe or _is_prime(half)):
                return int(p)


def _is_prime(number: Any) -> bool:
    # Fermat's test to base 2 rejects nearly every composite before the 40 costlier rounds.
    return gmpy2.powmod(2, number - 1, number) == 1 and bool(gmpy2.is_prime(number, PRIME_TESTS))


def _survivors(start: Any) -> Any:
    """Steps k for which neither start + 2k nor 2(start + 2k) + 1 has a small factor. Shapes: int64 (m,)."""
    alive = np.ones(SIEVE_WINDOW, dtype=bool)
    for prime in _odd_primes(ROUGH):
        # 1/2 is (prime + 1)/2 here: start + 2k ≡ 0 at k = -start/2, 2(start + 2k) + 1 ≡ 0 at k = (-1/2 - start)/2.
        residue, inverse = int(start % prime), (prime + 1) // 2
        alive[(-residue * inverse) % prime :: prime] = False
        alive[((prime - 1) * inverse - residue) * inverse % prime :: prime] = False
    return np.flatnonzero(alive)


@lru_cache(maxsize=4)
def _odd_primes(below: int) -> tuple[int, ...]:
    sieve = np.ones(below, dtype=bool)
    for i in range(3, int(below**0.5) + 1, 2):
        sieve[i * i :: 2 * i] = False
    return tuple(int(i) for i in np.flatnonzero(sieve) if i > 2 and i % 2)


@lru_cache(maxsize=4)
def _primorial(below: int) -> Any:
    return gmpy2.primorial(below)
