"""SEAL, through TenSEAL's low-level interface: rings, bytes in and out, and the checks that SEAL leaves to its callers.

SEAL reads and writes files only. An anonymous file in memory keeps secrets off the disk.
"""

from __future__ import annotations

import os
import struct
import tempfile
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import tenseal.sealapi as sealapi

from hefl_core.errors import IntegrityError, KeyMismatch, KeyUseError, ParameterError, WireError
from hefl_core.ids import KeyId, digest
from hefl_core.schemes.base import PublicKey, SecretShare, expose_secret
from hefl_core.schemes.presets import BFVPreset, CKKSPreset, Preset, RingPreset
from hefl_core.schemes.quorum import Quorum
from hefl_core.wire.canonical import encode

MAGIC = b"\x5e\xa1\x10\x04"
HEADER_BYTES = 16
ZSTD, UNCOMPRESSED = 2, 0
PLAINTEXT_PREFIX = 32 + 8 + 8 + HEADER_BYTES + 8
"""parms_id, coefficient count, scale, inner header, word count: the bytes before a plaintext's words."""
_SEAL_ERRORS = (RuntimeError, ValueError, IndexError, MemoryError, OverflowError)


@dataclass(frozen=True)
class Ring:
    """One parameter set, opened. ``primes``: coefficient primes, the special one last; ``plain_modulus`` 0 for CKKS."""

    context: Any
    degree: int
    primes: tuple[int, ...]
    plain_modulus: int
    scale: float

    @property
    def most_bytes(self) -> int:
        """Room for an uncompressed ciphertext of size 2; longer blocks are refused unread."""
        return 2 * self.degree * len(self.primes) * 8 + 4096


@lru_cache(maxsize=32)
def open_ring(preset: RingPreset) -> Ring:
    """Build and cache the SEAL context of a preset. Raises: ParameterError when SEAL refuses the numbers."""
    ckks = isinstance(preset, CKKSPreset)
    parameters = sealapi.EncryptionParameters(sealapi.SCHEME_TYPE.CKKS if ckks else sealapi.SCHEME_TYPE.BFV)
    try:
        parameters.set_poly_modulus_degree(preset.degree)
        moduli = sealapi.CoeffModulus.Create(preset.degree, list(preset.prime_bits))
        parameters.set_coeff_modulus(moduli)
        primes = tuple(modulus.value() for modulus in moduli)
        plain = plain_modulus(preset.plain_bits, primes) if isinstance(preset, BFVPreset) else 0
        if plain:
            parameters.set_plain_modulus(plain)
        level = sealapi.SEC_LEVEL_TYPE.NONE if preset.insecure else sealapi.SEC_LEVEL_TYPE.TC128
        context = sealapi.SEALContext(parameters, True, level)
        refusal = "" if context.parameters_set() else context.parameters_error_message()
    except _SEAL_ERRORS as error:
        refusal = str(error)
    if refusal:
        raise ParameterError(f"{preset.name}: SEAL refuses the parameters: {refusal}", "take a shipped preset")
    scale = 2.0**preset.scale_bits if isinstance(preset, CKKSPreset) else 1.0
    return Ring(context, preset.degree, primes, plain, scale)


@lru_cache(maxsize=16)
def plain_modulus(bits: int, primes: tuple[int, ...]) -> int:
    """The largest prime below 2^bits that is none of the coefficient primes.

    A prime, because the tag lives in Z_t and needs a field; additions alone need no batching.
    """
    import gmpy2

    # Begins odd and steps by 2; t must be invertible modulo q, so it is none of q's primes.
    candidate = (1 << bits) - 1
    while candidate in primes or not gmpy2.is_prime(candidate, 40):
        candidate -= 2
    return candidate


# -- bytes -----------------------------------------------------------------------------------------------------


def to_bytes(thing: Any) -> bytes:
    """The bytes that SEAL writes to a file."""
    if not hasattr(os, "memfd_create"):
        return _to_bytes_by_file(thing)
    handle = os.memfd_create("seal")
    try:
        thing.save(f"/proc/self/fd/{handle}")
        return os.pread(handle, os.lseek(handle, 0, os.SEEK_END), 0)
    finally:
        os.close(handle)


def _to_bytes_by_file(thing: Any) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "seal")
        thing.save(path)
        with open(path, "rb") as file:
            return file.read()


def uncompressed(data: bytes) -> bytes:
    """The same SEAL object without compression, which saves nothing on words of 60 bits; this form is unique."""
    body = data[HEADER_BYTES:]
    if data[5] == ZSTD:
        body = pa.CompressedInputStream(pa.BufferReader(body), "zstd").read()
    return header(HEADER_BYTES + len(body)) + body


def body_of(data: bytes, size: int) -> memoryview:
    """Body of what this process had SEAL write, without header and compression; its known size spares a slower stream."""
    body = memoryview(data)[HEADER_BYTES:]
    return memoryview(pa.decompress(body, decompressed_size=size, codec="zstd")) if data[5] == ZSTD else body


def from_bytes(thing: Any, ring: Ring, data: bytes, what: str) -> Any:
    """Fill a SEAL object from bytes; SEAL checks that it is valid for the ring. Raises: WireError."""
    check_frame(data, what, ring.most_bytes * 2)
    try:
        if hasattr(os, "memfd_create"):
            handle = os.memfd_create("seal")
            try:
                os.write(handle, data)
                thing.load(ring.context, f"/proc/self/fd/{handle}")
            finally:
                os.close(handle)
        else:
            with tempfile.TemporaryDirectory() as folder:
                path = os.path.join(folder, "seal")
                with open(path, "wb") as file:
                    file.write(data)
                thing.load(ring.context, path)
    except _SEAL_ERRORS as error:
        raise WireError(f"{what}: SEAL refuses the bytes ({error}); ask the sender again") from None
    return thing


def check_frame(data: bytes, what: str, limit: int) -> None:
    """Compare SEAL's header with the length: empty, truncated or spliced blocks are rejected unread. Raises: WireError."""
    # Before SEAL parses: its native code is to see no bytes whose length and declared size disagree.
    if not HEADER_BYTES <= len(data) <= limit:
        raise WireError(f"{what}: expected {HEADER_BYTES}..{limit} bytes, found {len(data)}; ask the sender again")
    if data[:4] != MAGIC or data[5] not in (ZSTD, UNCOMPRESSED):
        raise WireError(f"{what}: expected SEAL's header, found {data[:6].hex()}; ask the sender again")
    (size,) = struct.unpack_from("<Q", data, 8)
    if size != len(data):
        raise WireError(f"{what}: its header says {size} bytes, found {len(data)}; cut off, or two of them spliced")


def write_plaintext(ring: Ring, words: npt.NDArray[np.uint64]) -> Any:
    """A SEAL plaintext polynomial from its coefficients, without a Python list. Shapes: uint64 (≤ N,), each < t."""
    raw = np.ascontiguousarray(words, dtype="<u8").tobytes()
    inner = header(HEADER_BYTES + 8 + len(raw)) + struct.pack("<Q", len(words)) + raw
    body = bytes(32) + struct.pack("<Qd", len(words), 1.0) + inner
    return from_bytes(sealapi.Plaintext(), ring, header(HEADER_BYTES + len(body)) + body, "plaintext")


def read_plaintext(ring: Ring, plaintext: Any) -> npt.NDArray[np.uint64]:
    """All N coefficients of a plaintext polynomial. Shapes: uint64 (N,)."""
    count = plaintext.coeff_count()
    body = body_of(to_bytes(plaintext), PLAINTEXT_PREFIX + 8 * count)
    words = np.zeros(ring.degree, dtype=np.uint64)
    words[:count] = np.frombuffer(body, dtype="<u8", count=count, offset=PLAINTEXT_PREFIX)
    return words


def join(blocks: tuple[bytes, ...], count: int, degree: int, kind: str = "<u8") -> npt.NDArray[Any]:
    """Decrypted blocks as one array. Shapes: (count · degree,). Raises: IntegrityError for other blocks."""
    if len(blocks) != count or any(len(block) != 8 * degree for block in blocks):
        raise IntegrityError(f"partial: expected {count} blocks of {8 * degree} bytes, found others; ask again")
    return np.frombuffer(b"".join(blocks), dtype=kind)


def header(size: int) -> bytes:
    """SEAL's header of an uncompressed object of so many bytes, the header included."""
    return MAGIC + b"\x03\x00\x00\x00" + struct.pack("<Q", size)


# -- keys ------------------------------------------------------------------------------------------------------


def make_keys(ring: Ring) -> tuple[bytes, bytes]:
    """A fresh key pair: (public, secret) in SEAL's bytes."""
    generator = sealapi.KeyGenerator(ring.context)
    public = sealapi.PublicKey()
    generator.create_public_key(public)
    return to_bytes(public), to_bytes(generator.secret_key())


def decryptor(ring: Ring, secret: bytes) -> Any:
    """A decryptor for SEAL's secret key bytes. Raises: IntegrityError when they are not a key of this ring."""
    try:
        return sealapi.Decryptor(ring.context, from_bytes(sealapi.SecretKey(), ring, secret, "secret key"))
    except WireError as error:
        raise IntegrityError("secret share: its material is not a key of this ring; ask the KMS again") from error


def symmetric_encryptor(ring: Ring, secret: bytes) -> Any:
    """An encryptor for a secret key; not kept. Raises: IntegrityError when the bytes are not a key of this ring."""
    try:
        key = from_bytes(sealapi.SecretKey(), ring, secret, "secret key")
    except WireError as error:
        raise IntegrityError("secret share: its material is not a key of this ring; ask the KMS again") from error
    return sealapi.Encryptor(ring.context, key)


def encryptor_for(preset: RingPreset, ring: Ring, key: PublicKey | SecretShare) -> Any:
    """An encryptor for the kind of key that the preset encrypts with.

    Raises: KeyUseError for the other kind; KeyMismatch for a key of another preset, or whose label is not its own.
    """
    if isinstance(key, PublicKey):
        if not preset.symmetric:
            check_public_key(preset, key)
            return encryptor(ring, key.id, key.material)
    elif preset.symmetric and not key.quorum.collective:
        if key.id.preset != preset.name:
            raise KeyMismatch(f"expected a key of {preset.name}, found {key.id.short}; open its own scheme")
        return symmetric_encryptor(ring, expose_secret(key))
    wanted = "a secret share (1 of n)" if preset.symmetric else "the public key"
    raise KeyUseError(f"{preset.name}: expected {wanted} to encrypt with, found a {type(key).__name__}")


def fingerprint(preset: Preset, quorum: Quorum, material: bytes) -> str:
    """Fingerprint in a key id: preset, quorum and public material."""
    return digest(preset.digest, encode(quorum), material).hex()


@lru_cache(maxsize=16)
def check_public_key(preset: Preset, key: PublicKey) -> None:
    """Reject a key of another preset, or one whose id does not fit its material. Raises: KeyMismatch."""
    if key.id.preset != preset.name:
        raise KeyMismatch(f"expected a key of {preset.name}, found {key.id.short}; open its own scheme")
    if key.id.fingerprint != fingerprint(preset, key.quorum, key.material):
        raise KeyMismatch(f"{key.id.short}: the key's material has another fingerprint; ask the KMS for the key")


def encrypt(preset: RingPreset, encryptor: Any, plaintext: Any) -> bytes:
    """Encrypt one plaintext polynomial into a block, in the preset's form."""
    if preset.seeded:
        return uncompressed(to_bytes(encryptor.encrypt_symmetric(plaintext)))
    ciphertext = sealapi.Ciphertext()
    (encryptor.encrypt_symmetric if preset.symmetric else encryptor.encrypt)(plaintext, ciphertext)
    block = to_bytes(ciphertext)
    return block if preset.compressed else uncompressed(block)


def encrypt_zero(preset: RingPreset, encryptor: Any) -> bytes:
    """A fresh encryption of zeros, seeded where the preset is, as SEAL writes it."""
    if preset.seeded:
        return to_bytes(encryptor.encrypt_zero_symmetric())
    ciphertext = sealapi.Ciphertext()
    (encryptor.encrypt_zero_symmetric if preset.symmetric else encryptor.encrypt_zero)(ciphertext)
    return to_bytes(ciphertext)


@lru_cache(maxsize=8)
def encryptor(ring: Ring, key_id: KeyId, material: bytes) -> Any:
    """An encryptor for a public key, opened once."""
    public = from_bytes(sealapi.PublicKey(), ring, material, f"public key {key_id.short}")
    return sealapi.Encryptor(ring.context, public)
