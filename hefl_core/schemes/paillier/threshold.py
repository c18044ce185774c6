"""Paillier held t of n: each holder raises the ciphertext to its share, any t of these powers give the plaintext.

    d ≡ 0 (mod p'q'), d ≡ 1 (mod n)      shares s_i of n!·d over the integers (Δ = n!)
    c_i = c^(2Δ·s_i)                      the partial decryption of holder i
    Π c_i^(2Δ·λ_i) = c^(4Δ³·d) = 1 + 4Δ³·m·n   (mod n²)

Like decrypting alone, it is deterministic and exact: no flooding, and a request for the same ciphertext may be repeated.
A wrong, missing or foreign power makes the product something else than 1 modulo n.

The dealer knows the factors until it forgets them. Holders are trusted to follow the protocol: there is no proof that
c_i is the right power. A holder that multiplies its own by (1+n)^k shifts the result by k; only the tag, whose key that
holder has too, and comparing partial decryptions could show it.

Source: Fouque, Poupard and Stern 2000; Damgård and Jurik 2001, section 4.1 (without the proofs of correct powers).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gmpy2

from hefl_core.errors import IntegrityError, ParameterError, WireError
from hefl_core.schemes.paillier.keys import Modulus, open_public
from hefl_core.schemes.paillier.masks import in_threads
from hefl_core.schemes.presets import PaillierPreset
from hefl_core.schemes.quorum import Quorum
from hefl_core.schemes.sharing import integer_lagrange, share_integer
from hefl_core.wire.canonical import decode, encode


@dataclass(frozen=True, slots=True)
class HeldShare:
    """A holder's secret, with its public material."""

    public: bytes
    share: bytes


def deal(p: int, q: int, quorum: Quorum) -> tuple[int, ...]:
    """Shares of holders 1..n for the safe primes p and q.

    Leaks: to the dealer everything. Fewer than t shares hide d up to 2^-128.
    """
    # Safe primes p = 2p' + 1: p // 2 is p'. Chinese remainders give d ≡ 0 modulo p'q' and ≡ 1 modulo n, below n².
    n, hidden = p * q, (p // 2) * (q // 2)
    d = hidden * int(gmpy2.invert(hidden, n))
    return share_integer(d, quorum, n * n)


def write_share(public: bytes, share: int) -> bytes:
    """Canonical material of a share."""
    return encode(HeldShare(public, share.to_bytes(-(-share.bit_length() // 8), "big")))


def open_share(preset: PaillierPreset, material: bytes) -> tuple[bytes, int]:
    """(public material, s_i). Raises: IntegrityError when the material is no share."""
    try:
        held = decode(material, HeldShare)
        open_public(preset, held.public)
    except (WireError, ParameterError) as error:
        raise IntegrityError("secret share: its material is no share of this preset; ask the KMS again") from error
    share = int.from_bytes(held.share, "big")
    if not share:
        raise IntegrityError("secret share: expected a positive number, found 0; ask the KMS again")
    return held.public, share


def raise_to_share(modulus: Modulus, quorum: Quorum, share: int, ciphertexts: Sequence[Any]) -> list[bytes]:
    """One holder's c^(2Δ·s_i), in time that does not depend on the exponent's bits.

    Leaks: to a party with t of them, the plaintexts; fewer say nothing about the key (Damgård and Jurik 2001, section 4.1).
    """
    # The 2 makes every base a square: squares have an order that divides n·p'q', so the power p'q' removes the mask.
    exponent = gmpy2.mpz(2 * math.factorial(quorum.holders) * share)
    return in_threads(lambda c: modulus.write(gmpy2.powmod_sec(c, exponent, modulus.square)), ciphertexts)


def combine(modulus: Modulus, quorum: Quorum, powers: Mapping[int, tuple[bytes, ...]]) -> list[int]:
    """Plaintexts from the powers of exactly the active set.

    Raises: IntegrityError when they do not fit together: damaged, of another sum, key or active set.
    """
    try:
        parsed = {holder: modulus.read(blocks) for holder, blocks in powers.items()}
    except WireError as error:
        raise IntegrityError(f"partials: one is no power of the ciphertext ({error})") from error
    if len({len(numbers) for numbers in parsed.values()}) != 1:
        raise IntegrityError("partials: expected the same number of blocks from each holder; ask them again")
    exponents = {holder: 2 * whole for holder, whole in integer_lagrange(parsed, quorum.holders).items()}
    # Invertible modulo n: the primes of n exceed the number of holders by far.
    scale = gmpy2.invert(4 * math.factorial(quorum.holders) ** 3, modulus.n)
    columns = zip(*parsed.values(), strict=True)
    return [_plaintext(modulus, _product(modulus, column, exponents.values()), scale) for column in columns]


def _product(modulus: Modulus, bases: Sequence[Any], exponents: Any) -> Any:
    """Π base^exponent modulo n², with one inversion for all negative exponents together."""
    over, under = gmpy2.mpz(1), gmpy2.mpz(1)
    for base, exponent in zip(bases, exponents, strict=True):
        power = gmpy2.powmod(base, abs(exponent), modulus.square)
        if exponent > 0:
            over = over * power % modulus.square
        else:
            under = under * power % modulus.square
    return over * gmpy2.invert(under, modulus.square) % modulus.square


def _plaintext(modulus: Modulus, product: Any, scale: Any) -> int:
    # 1 + 4Δ³·m·n is 1 modulo n for every m: any other residue is a mask that did not cancel.
    if product % modulus.n != 1:
        raise IntegrityError(
            "partials: expected a product of 1 modulo n, found another; one of them is wrong, doubled, or made for "
            "another ciphertext or key: compare the signed partials to find whose"
        )
    return int((product - 1) // modulus.n * scale % modulus.n)
