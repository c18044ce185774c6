"""Inside SEAL's bytes: residues modulo each prime as NumPy arrays, exact arithmetic on them, and SEAL's NTT.

A polynomial of R_q is an array (L, N) of uint64: its coefficients, or its NTT values, modulo each of L primes. SEAL does
the arithmetic of ciphertexts; t-of-n decryption needs more (a share times c1, flooding, sums), which is here.

NumPy has no product of 64 x 64 bits. A product with a *fixed* operand b modulo p < 2^61 splits the other at 30 bits and
finds the quotient, below 2^32, in floating point; the remainder then comes out of wrapping arithmetic exactly.
"""

from __future__ import annotations

import hashlib
import os
import struct
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from hefl_core.errors import IntegrityError, ParameterError, WireError
from hefl_core.schemes.ring import seal
from hefl_core.schemes.ring.seal import HEADER_BYTES, Ring

Residues = npt.NDArray[np.uint64]
"""Shape (..., L, N), each row below its prime."""
Small = npt.NDArray[np.int64]

LARGEST_PRIME_BITS = 61
_LIMB = 60
_SPLIT = np.uint64(30)
_LOW = np.uint64((1 << 30) - 1)
_CIPHERTEXT = struct.Struct("<32s?QQQdQ")
"""parms_id, NTT form, polynomials, N, L, scale, correction factor."""
_SECRET_KEY = struct.Struct("<32sQd")
"""parms_id, word count, scale: a SEAL secret key is a plaintext polynomial."""


# -- arithmetic modulo one prime ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Fixed:
    """Operands that stay: b, b·2^30 mod p and both quotients by p."""

    low: Residues
    high: Residues
    low_ratio: npt.NDArray[np.float64]
    high_ratio: npt.NDArray[np.float64]

    def __getitem__(self, where: Any) -> Fixed:
        return Fixed(self.low[where], self.high[where], self.low_ratio[where], self.high_ratio[where])

    def reshape(self, *shape: int) -> Fixed:
        """The same numbers in another shape."""
        return Fixed(
            self.low.reshape(shape),
            self.high.reshape(shape),
            self.low_ratio.reshape(shape),
            self.high_ratio.reshape(shape),
        )

    def swapped(self) -> Fixed:
        """The last two axes exchanged, for speed in that order."""
        return Fixed(
            np.ascontiguousarray(self.low.swapaxes(-1, -2)),
            np.ascontiguousarray(self.high.swapaxes(-1, -2)),
            np.ascontiguousarray(self.low_ratio.swapaxes(-1, -2)),
            np.ascontiguousarray(self.high_ratio.swapaxes(-1, -2)),
        )


def fix(b: Residues, p: int) -> Fixed:
    """Prepare b for :func:`multiply`. Shapes: any; every entry below p < 2^61."""
    b = np.asarray(b, dtype=np.uint64)
    high = _shift30(b, p)
    return Fixed(b, high, b.astype(np.float64) / p, high.astype(np.float64) / p)


def _shift30(b: Residues, p: int) -> Residues:
    # The float quotient is off by at most 1: the products wrap modulo 2^64, their difference in -p .. 2p - 1 is exact.
    quotient = (b.astype(np.float64) * (2.0**30 / p)).astype(np.uint64)
    return _settle((b << _SPLIT) - quotient * np.uint64(p), p)


def _settle(r: Residues, p: int) -> Residues:
    """Bring r, off by at most one p and wrapped where negative, into 0..p-1."""
    prime = np.uint64(p)
    # A negative r is wrapped, so nearly 2^64: r + p wraps back to less. Any other r is less than r + p and stays.
    np.minimum(r, r + prime, out=r)
    # Below p, r - p wraps to nearly 2^64 and r stays; from p on, r - p is less.
    np.minimum(r, r - prime, out=r)
    return r


def multiply(a: Residues, b: Fixed, p: int) -> Residues:
    """Product a · b mod p, exactly, shapes broadcast.

    >>> p = (1 << 60) - 93
    >>> int(multiply(np.array([p - 1], dtype=np.uint64), fix(np.array([p - 2], dtype=np.uint64), p), p)[0])
    2
    """
    # high < 2^31 and low < 2^30, both exact in float64; signed views hold the same numbers.
    high, low = a >> _SPLIT, a & _LOW
    # a·b ≡ high·(b·2^30 mod p) + low·b < 2^32·p: in float64 so small a quotient is off by at most 1.
    quotient = high.view(np.int64) * b.high_ratio
    quotient += low.view(np.int64) * b.low_ratio
    whole = quotient.astype(np.int64).view(np.uint64)
    whole *= np.uint64(p)
    # These wrap modulo 2^64; their true difference is in -p .. 2p - 1, which _settle brings into 0 .. p - 1.
    high *= b.high
    low *= b.low
    high += low
    high -= whole
    return _settle(high, p)


def plus(a: Residues, b: Residues, p: int) -> Residues:
    """Sum a + b mod p."""
    # a + b < 2^62 cannot wrap; below p, total - p does, to nearly 2^64, and the minimum keeps total.
    total = a + b
    np.minimum(total, total - np.uint64(p), out=total)
    return total


def minus(a: Residues, b: Residues, p: int) -> Residues:
    """Difference a - b mod p."""
    # Where a < b the difference wraps to nearly 2^64, and adding p wraps it back to the residue, which is less.
    difference = a - b
    np.minimum(difference, difference + np.uint64(p), out=difference)
    return difference


def residues_of(small: Small, primes: tuple[int, ...]) -> Residues:
    """Signed numbers, each smaller than every prime, modulo the primes. Shapes: int64 (N,) to uint64 (L, N)."""
    return np.stack([np.where(small < 0, small + p, small).astype(np.uint64) for p in primes])


# -- randomness --------------------------------------------------------------------------------------------------


def uniform(primes: tuple[int, ...], degree: int) -> Residues:
    """Fresh uniform residues from the operating system. Shapes: uint64 (L, N)."""
    return np.stack([_reject(os.urandom, p, degree) for p in primes])


def expand(seed: bytes, primes: tuple[int, ...], degree: int) -> Residues:
    """Uniform residues that all parties derive from one seed, by SHAKE-256 and rejection. Shapes: uint64 (L, N)."""
    rows = []
    for p in primes:
        state = hashlib.shake_256(b"hefl/uniform" + p.to_bytes(8, "big") + degree.to_bytes(8, "big") + seed)
        rows.append(_reject(state.digest, p, degree))
    return np.stack(rows)


def _reject(source: Any, p: int, count: int) -> Residues:
    # Reducing modulo p would favour small residues. Masked to p's bits, a word is kept with probability over 1/2.
    mask = np.uint64((1 << p.bit_length()) - 1)
    tries = count + 64
    while True:
        words = np.frombuffer(source(8 * tries), dtype="<u8") & mask
        kept = words[words < np.uint64(p)]
        if len(kept) >= count:
            return kept[:count]
        # A longer SHAKE output begins with the shorter one, so that the result does not depend on the tries.
        tries *= 2


def ternary(degree: int) -> Small:
    """Fresh coefficients of -1, 0, 1, equally likely: a secret key."""
    while True:
        raw = np.frombuffer(os.urandom(2 * degree), dtype=np.uint8)
        # 255 = 3·85: below it each remainder modulo 3 is equally likely.
        kept = raw[raw < 255][:degree]
        if len(kept) == degree:
            return (kept % 3).astype(np.int64) - 1


def centred_binomial(degree: int) -> Small:
    """Fresh errors, the difference of two 21-bit counts: standard deviation 3.24, as SEAL's own."""
    words = np.frombuffer(os.urandom(16 * degree), dtype="<u8").reshape(2, degree) & np.uint64((1 << 21) - 1)
    ones = np.bitwise_count(words).astype(np.int64)
    return np.asarray(ones[0] - ones[1])


def flooding(stream: bytes, bits: int, primes: tuple[int, ...]) -> Residues:
    """Coefficients uniform on -2^bits .. 2^bits - 1 from uniform bytes, modulo the primes.

    Shapes: :func:`flooding_bytes` bytes to uint64 (L, N).
    """
    width = bits + 1
    parts = np.frombuffer(stream, dtype="<u8").reshape(-(-width // _LIMB), -1)
    limbs = [part & np.uint64((1 << min(_LIMB, width - _LIMB * place)) - 1) for place, part in enumerate(parts)]
    # Limbs are digits of one number below 2^width, centred by -2^bits. A limb may exceed p: multiply needs a < 2^61.
    rows = []
    for p in primes:
        value = np.full_like(limbs[0], -(1 << bits) % p)
        for place, limb in enumerate(limbs):
            unit = fix(np.array([pow(2, _LIMB * place, p)], dtype=np.uint64), p)
            value = plus(value, multiply(limb, unit, p), p)
        rows.append(value)
    return np.stack(rows)


def flooding_bytes(degree: int, bits: int) -> int:
    """Uniform bytes that :func:`flooding` takes: 60 bits of each eight bytes."""
    return 8 * degree * -(-(bits + 1) // _LIMB)


# -- the number-theoretic transform, in SEAL's order ---------------------------------------------------------------


@dataclass(frozen=True)
class Transform:
    """NTT of one prime: powers of the smallest primitive 2N-th root of unity, in bit-reversed order, as SEAL has them.

    Polynomials are handled as matrices of ``rows`` x N/rows so that the innermost loops stay long.
    """

    prime: int
    degree: int
    rows: int
    forward: tuple[Fixed, ...]
    backward: tuple[Fixed, ...]
    inverse_degree: Fixed

    def ntt(self, x: Residues) -> Residues:
        """Coefficients to NTT values. Shapes: uint64 (N,) to (N,)."""
        p, columns = self.prime, self.degree // self.rows
        x = x.copy()
        for stage, roots in enumerate(self.forward):
            blocks = 1 << stage
            # From here on a block lies within one row: transposed, the innermost loop still runs over all rows.
            if blocks == self.rows:
                x = np.ascontiguousarray(x.reshape(self.rows, columns).T)
            pair = self._pairs(x, blocks)
            upper, lower = pair[:, 0], multiply(pair[:, 1], roots, p)
            pair[:, 1], pair[:, 0] = minus(upper, lower, p), plus(upper, lower, p)
        return np.ascontiguousarray(x.T).reshape(-1)

    def inverse(self, x: Residues) -> Residues:
        """NTT values to coefficients. Shapes: uint64 (N,) to (N,)."""
        p, columns = self.prime, self.degree // self.rows
        x = np.ascontiguousarray(x.reshape(self.rows, columns).T)
        for stage in reversed(range(len(self.backward))):
            blocks = 1 << stage
            pair = self._pairs(x, blocks)
            # Copied: the next line overwrites the view before the line after it reads it.
            upper, lower = pair[:, 0].copy(), pair[:, 1]
            pair[:, 0] = plus(upper, lower, p)
            pair[:, 1] = multiply(minus(upper, lower, p), self.backward[stage], p)
            if blocks == self.rows:
                x = np.ascontiguousarray(x.T)
        return multiply(x.reshape(-1), self.inverse_degree, p)

    def _pairs(self, x: Residues, blocks: int) -> Residues:
        """The two halves of each of ``blocks`` blocks, along axis 1; once transposed, rows are the innermost axis."""
        if blocks < self.rows:
            return x.reshape(blocks, 2, -1)
        return x.reshape(blocks // self.rows, 2, -1, self.rows)


@lru_cache(maxsize=64)
def transform(prime: int, degree: int) -> Transform:
    """The tables for one prime. Raises: ParameterError when the prime has no 2N-th root of unity."""
    if prime.bit_length() > LARGEST_PRIME_BITS or prime % (2 * degree) != 1:
        raise ParameterError(f"NTT: expected a prime below 2^61 that is 1 modulo {2 * degree}, found {prime}")
    root = _smallest_root(prime, degree)
    bits = degree.bit_length() - 1
    rows = 1 << (bits // 2)
    order = [int(f"{i:0{bits}b}"[::-1], 2) for i in range(degree)]

    def stages(base: int) -> tuple[Fixed, ...]:
        powers = [1]
        for _ in range(degree - 1):
            powers.append(powers[-1] * base % prime)
        table = fix(np.array([powers[i] for i in order], dtype=np.uint64), prime)
        return tuple(arranged(table[1 << stage : 2 << stage], 1 << stage) for stage in range(bits))

    def arranged(roots: Fixed, blocks: int) -> Fixed:
        if blocks < rows:
            return roots.reshape(blocks, 1)
        return roots.reshape(rows, blocks // rows).swapped().reshape(blocks // rows, 1, rows)

    shrink = fix(np.array([pow(degree, -1, prime)], dtype=np.uint64), prime)
    return Transform(prime, degree, rows, stages(root), stages(pow(root, -1, prime)), shrink)


def _smallest_root(prime: int, degree: int) -> int:
    # r is a primitive 2N-th root of unity if and only if r^N = -1, as N is a power of two.
    exponent = (prime - 1) // (2 * degree)
    root = next(r for r in (pow(g, exponent, prime) for g in range(2, 1000)) if pow(r, degree, prime) == prime - 1)
    # The odd powers of one are all of them. SEAL takes the smallest, so only this one gives SEAL's NTT values.
    square, best = root * root % prime, root
    for _ in range(degree - 1):
        root = root * square % prime
        best = min(best, root)
    return best


def ntt(x: Residues, primes: tuple[int, ...]) -> Residues:
    """NTT modulo each prime. Shapes: uint64 (L, N) to (L, N)."""
    return np.stack([transform(p, x.shape[-1]).ntt(row) for p, row in zip(primes, x, strict=True)])


def inverse_ntt(x: Residues, primes: tuple[int, ...]) -> Residues:
    """The inverse of :func:`ntt`."""
    return np.stack([transform(p, x.shape[-1]).inverse(row) for p, row in zip(primes, x, strict=True)])


def phase(ring: Ring, words: Residues, secret: Residues) -> Residues:
    """The BFV polynomial c0 + c1·s: the plaintext scaled up, and the noise.

    Shapes: words uint64 (2, L, N) in coefficients, secret (≥ L, N) in NTT values, to (L, N) in coefficients.
    """
    rows = []
    # Not strict: a key has a row for the special prime, a ciphertext has none.
    for c0, c1, s, p in zip(words[0], words[1], secret, data_primes(ring), strict=False):
        one = transform(p, ring.degree)
        rows.append(plus(c0, one.inverse(multiply(one.ntt(c1), fix(s, p), p)), p))
    return np.stack(rows)


# -- SEAL's bytes --------------------------------------------------------------------------------------------------


def data_primes(ring: Ring) -> tuple[int, ...]:
    """The primes of a ciphertext: all but the special one."""
    return ring.primes[:-1] if len(ring.primes) > 1 else ring.primes


def read_ciphertext(ring: Ring, block: bytes, what: str) -> Residues:
    """Both polynomials of a ciphertext, strictly checked. Shapes: uint64 (2, L, N).

    Coefficients for BFV, NTT values for CKKS, as SEAL keeps them. Raises: WireError for anything but two polynomials at
    the first level with c1 ≠ 0 and residues below their primes, written exactly once.
    """
    primes = data_primes(ring)
    shape = (2, len(primes), ring.degree)
    body = _unpack(block, _CIPHERTEXT.size + _array_bytes(shape), ring.most_bytes, what)
    parms, in_ntt, size, degree, count, scale, factor = _CIPHERTEXT.unpack_from(body)
    found = (parms, in_ntt, (size, count, degree), factor)
    if found != (_first_level(ring), ring.plain_modulus == 0, shape, 1):
        raise WireError(
            f"{what}: expected two polynomials at the first level, found another kind; ask the sender again"
        )
    if ring.plain_modulus == 0 and scale != ring.scale:
        raise WireError(f"{what}: expected scale {ring.scale}, found {scale}; ask the sender again")
    words = _read_array(body[_CIPHERTEXT.size :], shape, what)
    check_residues(words, primes, what)
    if not words[1].any():
        raise WireError(f"{what}: c1 is zero, so that nothing is encrypted; ask the sender again")
    return words


def write_ciphertext(ring: Ring, words: Residues) -> bytes:
    """SEAL's bytes of a ciphertext at the first level, uncompressed. Shapes: uint64 (2, L, N)."""
    return _ciphertext_bytes(words, _first_level(ring), ring.plain_modulus == 0, ring.scale)


def read_public_key(ring: Ring, data: bytes) -> Residues:
    """Both polynomials of a public key as NTT values, over all primes. Shapes: uint64 (2, L + 1, N). Raises: WireError."""
    shape = (2, len(ring.primes), ring.degree)
    body = _unpack(data, _CIPHERTEXT.size + _array_bytes(shape), 2 * ring.most_bytes, "public key")
    parms, in_ntt, size, degree, count, _, _ = _CIPHERTEXT.unpack_from(body)
    if (parms, in_ntt, (size, count, degree)) != (_key_level(ring), True, shape):
        raise WireError("public key: expected two polynomials at the key level, found another kind; ask the KMS again")
    words = _read_array(body[_CIPHERTEXT.size :], shape, "public key")
    check_residues(words, ring.primes, "public key")
    return words


def write_public_key(ring: Ring, words: Residues) -> bytes:
    """SEAL's bytes of a public key (b, a) given as NTT values over all primes."""
    return _ciphertext_bytes(words, _key_level(ring), True, 1.0)


def read_secret_key(ring: Ring, data: bytes) -> Residues:
    """NTT values of a SEAL secret key over all primes. Shapes: uint64 (L + 1, N). Raises: IntegrityError."""
    shape = (len(ring.primes), ring.degree)
    try:
        body = _unpack(data, _SECRET_KEY.size + _array_bytes(shape), 2 * ring.most_bytes, "secret key")
        parms, _, _ = _SECRET_KEY.unpack_from(body)
        words = _read_array(body[_SECRET_KEY.size :], shape, "secret key")
        check_residues(words, ring.primes, "secret key")
    except WireError as error:
        raise IntegrityError("secret key: the bytes are not a key of this ring; ask the KMS again") from error
    if parms != _key_level(ring):
        raise IntegrityError("secret key: the bytes are a key of another ring; ask the KMS again")
    return words


def check_residues(words: Residues, primes: tuple[int, ...], what: str) -> None:
    """Raises: WireError when a residue is not below its prime."""
    limits = np.array(primes, dtype=np.uint64)[:, None]
    if np.any(words >= limits):
        raise WireError(f"{what}: expected residues below their primes, found a larger one; ask the sender again")


def _first_level(ring: Ring) -> bytes:
    return struct.pack("<4Q", *ring.context.first_parms_id())


def _key_level(ring: Ring) -> bytes:
    return struct.pack("<4Q", *ring.context.key_parms_id())


def _ciphertext_bytes(words: Residues, level: bytes, in_ntt: bool, scale: float) -> bytes:
    size, count, degree = words.shape
    raw = np.ascontiguousarray(words, dtype="<u8").tobytes()
    prefix = _CIPHERTEXT.pack(level, in_ntt, size, degree, count, scale, 1)
    inner = seal.header(HEADER_BYTES + 8 + len(raw)) + struct.pack("<Q", words.size)
    return seal.header(HEADER_BYTES + len(prefix) + len(inner) + len(raw)) + prefix + inner + raw


def _array_bytes(shape: tuple[int, ...]) -> int:
    return HEADER_BYTES + 8 + 8 * int(np.prod(shape))


def _unpack(data: bytes, size: int, limit: int, what: str) -> bytes:
    """The body after SEAL's header: exactly ``size`` bytes, never more, whatever a compressed stream would hold."""
    seal.check_frame(data, what, limit)
    body = data[HEADER_BYTES:]
    if data[5] == seal.ZSTD:
        try:
            # One byte past the size settles it: a stream that would unpack to gigabytes is never unpacked.
            body = pa.CompressedInputStream(pa.BufferReader(body), "zstd").read(size + 1)
        except (OSError, ValueError) as error:
            raise WireError(f"{what}: the compressed body is damaged ({error}); ask the sender again") from None
    if len(body) != size:
        raise WireError(f"{what}: expected a body of {size} bytes, found another length; ask the sender again")
    return bytes(body)


def _read_array(data: bytes, shape: tuple[int, ...], what: str) -> Residues:
    if data[:4] != seal.MAGIC or struct.unpack_from("<Q", data, HEADER_BYTES)[0] != np.prod(shape):
        raise WireError(f"{what}: expected an array of {shape}, found another; ask the sender again")
    return np.frombuffer(data, dtype="<u8", offset=HEADER_BYTES + 8).reshape(shape)
