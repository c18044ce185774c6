"""Between a phone's plain bytes and this project's types: keys and sums out, ciphertexts and partial decryptions in.

A browser has neither SEAL nor zstd. It gets residues as little-endian words of eight bytes, and it sends the same: a fixed
length per preset, in which there is no field to parse. A share and a partial decryption keep the form of ring/shamir.py.
The phone's side is in web/: phone.js encrypts, holder.js decrypts in part, ceremony.js makes a key without a dealer.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

import numpy as np

from hefl_core.errors import IntegrityError, ParameterError, WireError
from hefl_core.ids import KeyId, digest
from hefl_core.schemes.base import CiphertextVector, PartialDecryption, PublicKey, SecretShare, expose_secret
from hefl_core.schemes.presets import BFVPreset, Preset
from hefl_core.schemes.quorum import Quorum
from hefl_core.schemes.ring import rlwe, seal, shamir
from hefl_core.schemes.ring.bfv import BFVScheme
from hefl_core.schemes.ring.blocks import read_all, write
from hefl_core.schemes.ring.rlwe import Residues
from hefl_core.schemes.ring.seal import Ring

WORD_BYTES = 8
SEALED_SECRET_WORDS = 16
"""Coefficients of c0 that carry the 32 bytes under which a share is sealed, 16 bits each (web/ceremony.js)."""
TAG_BYTES = 32


@dataclass(frozen=True, slots=True)
class PhoneKey:
    """A public key for phones. ``parameters``: canonical JSON; ``raw``: coefficients (2, L + 1, N), u64 little-endian.

    ``fingerprint`` is the SHA-256 of ``raw``: a phone can compute it, unlike a key id's, which is over SEAL's bytes.
    """

    parameters: bytes
    raw: bytes
    fingerprint: str


# -- from here to the phones -------------------------------------------------------------------------------------------


def phone_key(key: PublicKey, preset: Preset, *, dealer_free: bool = False, min_cohort: int | None = None) -> PhoneKey:
    """The public key as phones read it.

    Leaks: nothing that the key itself does not say.
    Raises: ParameterError for a preset that phones cannot use; WireError for bytes that are no key of it.
    """
    ring = _ring(preset)
    values = rlwe.read_public_key(ring, key.material)
    raw = _to_words(np.stack([rlwe.inverse_ntt(element, ring.primes) for element in values]))
    fingerprint = hashlib.sha256(raw).hexdigest()
    parameters = _parameters(preset, key.quorum, dealer_free, min_cohort, key.id, fingerprint)
    return PhoneKey(parameters, raw, fingerprint)


def ring_parameters(preset: Preset, quorum: Quorum, *, min_cohort: int | None = None) -> bytes:
    """The same JSON before a dealer-free key exists. Raises: ParameterError."""
    return _parameters(preset, quorum, True, min_cohort, None, None)


def _parameters(
    preset: Preset,
    quorum: Quorum,
    dealer_free: bool,
    min_cohort: int | None,
    key_id: KeyId | None,
    fingerprint: str | None,
) -> bytes:
    bfv, ring = _preset(preset), _ring(preset)
    said = {
        "preset": bfv.name,
        "degree": ring.degree,
        "primes": [str(p) for p in ring.primes],  # text: a JSON number in JavaScript is exact below 2^53 only
        "special": bfv.special_prime,
        "plain_modulus": str(ring.plain_modulus),
        "fields": bfv.fields,
        "field_bits": bfv.field_bits,
        "flood": bfv.flood_bits,
        "key_id": str(key_id) if key_id else None,
        "fingerprint": fingerprint,
        "min_cohort": max(3, quorum.threshold + 1) if min_cohort is None else min_cohort,
        "custody": {"holders": quorum.holders, "threshold": quorum.threshold, "dealt": not dealer_free},
    }
    return json.dumps(said, sort_keys=True, separators=(",", ":")).encode()


def sum_for_holders(vector: CiphertextVector, preset: Preset) -> bytes:
    """The c1 of a one-block ciphertext or sum, all that a holder's phone needs. Raises: WireError."""
    bfv = _preset(preset)
    (words,) = read_all(bfv, _ring(bfv), _one_block(vector))
    return _to_words(words[1])


def phone_share(share: SecretShare) -> bytes:
    """A dealt share for its holder's phone: Shamir's point as NTT values, then the row of pair seeds.

    Leaks: the share, to whoever reads the connection to that phone. Give it to that phone alone, once, and drop it.
    Raises: ParameterError for a share that is the whole key: a phone opens sums together with others only.
    """
    if not share.quorum.collective:
        raise ParameterError(
            f"phones: expected a share of a key held together, found one held {share.quorum}", "choose t of n, t > 1"
        )
    return expose_secret(share)


# -- from the phones to here -------------------------------------------------------------------------------------------


def upload_nbytes(preset: Preset) -> int:
    """Bytes of one ciphertext as a phone sends it: known before the first byte is read."""
    ring = _ring(preset)
    return 2 * len(rlwe.data_primes(ring)) * ring.degree * WORD_BYTES


def upload(
    raw: bytes,
    key: PublicKey,
    preset: Preset,
    *,
    length: int,
    integers: int,
    tagged: bool,
    bound: float,
    max_terms: int,
) -> CiphertextVector:
    """A phone's ciphertext under the label that the *question* fixes, never the phone, checked as every other one.

    Leaks: nothing; the label is public.
    Raises: WireError for another length, a residue not below its prime, c1 = 0, or words that one block does not hold;
        KeyMismatch.
    """
    bfv, ring = _preset(preset), _ring(preset)
    primes = rlwe.data_primes(ring)
    words = _from_words(raw, (2, len(primes), ring.degree), primes, "upload")
    block = write(bfv, ring, words)
    vector = CiphertextVector(key.id, length, integers, tagged, float(bound), max_terms, 1, (block,))
    BFVScheme(bfv).check(key, vector)
    return vector


def partial_nbytes(preset: Preset) -> int:
    """Bytes of one partial decryption."""
    return BFVScheme(_preset(preset)).partial_nbytes


def partial(
    raw: bytes, preset: Preset, total: CiphertextVector, index: int, members: tuple[int, ...]
) -> PartialDecryption:
    """A phone's answer as ``open`` takes it. What it says is checked there, by the noise of the opened sum.

    Raises: WireError for another length or a residue not below its prime.
    """
    ring = _ring(preset)
    try:
        shamir.from_bytes(raw, rlwe.data_primes(ring), ring.degree, f"partial of holder {index}")
    except IntegrityError as error:
        raise WireError(str(error)) from None
    return PartialDecryption(_one_block(total).key_id, index, members, digest(total.to_bytes()), (raw,))


def contribution_nbytes(preset: Preset) -> int:
    """Bytes of one b_i as a phone sends it."""
    ring = _ring(preset)
    return len(ring.primes) * ring.degree * WORD_BYTES


def contribution(raw: bytes, preset: Preset) -> bytes:
    """A phone's b_i, sent as coefficients, in the form that ``joint_public_key`` takes. Raises: WireError."""
    ring = _ring(preset)
    words = _from_words(raw, (len(ring.primes), ring.degree), ring.primes, "contribution")
    return shamir.to_bytes(rlwe.ntt(words, ring.primes), ring.primes)


def sealed_nbytes(preset: Preset) -> int:
    """Bytes of one share as a phone seals it to another: c1, the used words of c0, the hidden share, and the tag."""
    ring = _ring(preset)
    rows = len(rlwe.data_primes(ring))
    return WORD_BYTES * rows * (ring.degree + SEALED_SECRET_WORDS) + partial_nbytes(preset) + 32 + TAG_BYTES


# -- words ---------------------------------------------------------------------------------------------------------------


def _preset(preset: Preset) -> BFVPreset:
    # Phones write no compressed and no seeded form, and the noise that the preset states needs the special prime.
    if not isinstance(preset, BFVPreset) or preset.compressed or preset.symmetric or not preset.special_prime:
        raise ParameterError(
            f"{preset.name}: expected BFV with a public key and a special prime, found another preset",
            "take bfv-lean, bfv-threshold-classroom or bfv-threshold",
        )
    return preset


def _ring(preset: Preset) -> Ring:
    return seal.open_ring(_preset(preset))


def _one_block(vector: CiphertextVector) -> CiphertextVector:
    if len(vector.blocks) != 1:
        raise WireError(f"phones: expected a vector of one block, found {len(vector.blocks)}; ask for fewer words")
    return vector


def _to_words(words: Residues) -> bytes:
    return np.ascontiguousarray(words, dtype="<u8").tobytes()


def _from_words(raw: bytes, shape: tuple[int, ...], primes: tuple[int, ...], what: str) -> Residues:
    expected = WORD_BYTES * int(np.prod(shape))
    if len(raw) != expected:
        raise WireError(f"{what}: expected {expected} bytes, found {len(raw)}; ask the phone again")
    words = np.frombuffer(raw, dtype="<u8").reshape(shape)
    rlwe.check_residues(words, primes, what)
    return words
