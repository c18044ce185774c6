"""The tag: a linear one-time MAC over the encoded words, so that the tags of a sum add up with the words.

    tag_k = Σ_j r_j·x_kj + PRF(k_mac; experiment, epoch, round, attempt, client k)   mod t
    Σ_k tag_k = Σ_j r_j·(Σ_k x_kj) + Σ_k PRF(k_mac; …, k)                            mod t

The clients hold ``r`` and ``k_mac``, new in each epoch: sealed to them by the KMS with a dealt key; made of a part of each
client's in a ceremony without a dealer, so that the KMS does not know them. The coordinator never holds them: whatever it
adds to, drops from or swaps in a sum leaves the tag right with probability about 1/t for prime t.

*Words modulo t* (a uint64 array, BFV): t is the plaintext modulus, a prime; every word is below it.
*Integer words* (Python ints of any size, Paillier): a shift by a multiple of a public modulus would go unnoticed, so
the tag is taken modulo a secret prime of 50 bits that derives from ``r``'s key, each of them equally likely. There are more
than 2^43.7 (Dusart 1999: x/ln x < π(x) < x/ln x · (1 + 1.2762/ln x)), and at most 41 divide any one shift of a 2048-bit word,
as each is above 2^49: less than 2^-38 of them. 2,000 tags still add up below 2^61.

What it does not do: **one client that colludes with the coordinator makes it useless**, since it knows r and k_mac;
and a client's lie about its own update is tagged correctly. The bound is 2^-43 per attempt for t of 43 bits, larger
where t is smaller; a failed check is never retried on the same ciphertext.

Source: Carter and Wegman 1981 (universal hashing with a one-time pad); Boneh and Freeman 2009 for the linear form.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import count
from typing import Final

import gmpy2
import numpy as np
import numpy.typing as npt
from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext, algorithms, modes

from hefl_core.errors import EncodingError, IntegrityError, ParameterError, WireError
from hefl_core.ids import digest
from hefl_core.keys.secret import Hidden
from hefl_core.schemes.base import Opened, Tag, Words
from hefl_core.wire.canonical import encode
from hefl_core.wire.envelope import Position

KEY_BYTES: Final = 32
MAX_MODULUS_BITS: Final = 61
SECRET_PRIME_BITS: Final = 50
PRIME_ROUNDS: Final = 40
"""Miller and Rabin's test accepts a composite with a probability below 4^-40."""
LIMB_BITS: Final = 21
"""Three limbs hold 63 bits; 2^22 products of two limbs add up below 2^64."""
CHUNK: Final = 1 << 20
_MASK: Final = np.uint64((1 << LIMB_BITS) - 1)

Residues = npt.NDArray[np.uint64]


class _Coefficients:
    """r_1, r_2, …: uniform modulo ``modulus``, from AES-256-CTR by rejection; r_j does not depend on how many are drawn."""

    __slots__ = ("__modulus", "__stream", "__values")

    def __init__(self, key: bytes, modulus: int) -> None:
        self.__modulus = modulus
        # A zero counter block is safe: this key is derived for one (experiment, epoch, modulus) and encrypts only zeros.
        self.__stream: CipherContext = Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor()
        self.__values: Residues = np.empty(0, np.uint64)

    def first(self, count: int) -> Residues:
        mask = np.uint64((1 << self.__modulus.bit_length()) - 1)
        while len(self.__values) < count:
            # A masked word is below the modulus with probability ≥ 1/2: draw twice what is missing, and 64 to spare.
            words = 2 * (count - len(self.__values)) + 64
            fresh = np.frombuffer(self.__stream.update(bytes(8 * words)), dtype="<u8") & mask
            # Reject, do not reduce: words modulo `modulus` would make small r_j likelier. Surplus values are kept.
            self.__values = np.concatenate([self.__values, fresh[fresh < np.uint64(self.__modulus)]])
        return self.__values[:count]


def _limbs(values: Residues) -> tuple[Residues, ...]:
    return tuple((values >> np.uint64(LIMB_BITS * i)) & _MASK for i in range(3))


def dot(a: Residues, b: Residues, modulus: int) -> int:
    """Σ a_j·b_j mod ``modulus``, exact for entries below 2^63.

    Shapes: a and b uint64 (d,).

    >>> dot(np.array([2**60, 3], np.uint64), np.array([2**60, 5], np.uint64), 2**61 - 1) == (2**120 + 15) % (2**61 - 1)
    True
    """
    total = 0
    for start in range(0, len(a), CHUNK):
        left, right = _limbs(a[start : start + CHUNK]), _limbs(b[start : start + CHUNK])
        for i, x in enumerate(left):
            for j, y in enumerate(right):
                # np.dot wraps silently at 2^64; CHUNK products of 21-bit limbs stay below 2^62. Python's int adds the rest.
                total += int(np.dot(x, y)) << (LIMB_BITS * (i + j))
    return total % modulus


class TagKey(Hidden):
    """The clients' common key of one epoch: 32 bytes for the coefficients r, 32 bytes for the pads. Never printed."""

    __slots__ = ("__cache", "__pads", "__words")

    def __init__(self) -> None:
        self.__words = os.urandom(KEY_BYTES)
        self.__pads = os.urandom(KEY_BYTES)
        self.__cache: dict[tuple[str, int, int], tuple[int, _Coefficients]] = {}

    @classmethod
    def from_material(cls, material: bytes) -> TagKey:
        """Read :func:`expose_tag_key` back. Raises: WireError for another length."""
        if len(material) != 2 * KEY_BYTES:
            raise WireError(f"tag key: expected {2 * KEY_BYTES} bytes, found {len(material)}; ask the KMS again")
        key = cls()
        key.__words, key.__pads = material[:KEY_BYTES], material[KEY_BYTES:]
        return key

    def for_message(self, experiment: str, epoch: int, round: int, attempt: int, client: str) -> Tag:
        """The tag function of one client's message: (words, modulus) -> tag below the modulus.

        Shapes: words uint64 (d,) below the modulus, or a sequence of d Python ints ≥ 0 of any size.
        Leaks: nothing while each place (experiment to client) tags one message and tags travel encrypted.
        Raises: (the function) EncodingError for a word that does not fit, ParameterError past 61 bits.
        """
        position = Position(epoch, round, attempt)

        def tag(words: Words, modulus: int) -> int:
            field, value = self._hash(words, modulus, experiment, epoch)
            return (value + self._pad(experiment, position, client, field)) % field

        return tag

    def check(
        self,
        opened: Opened,
        contributors: Sequence[str],
        experiment: str,
        position: Position,
        *,
        carried: Mapping[str, int] | None = None,
    ) -> None:
        """Check a decrypted sum against its tag.

        ``position`` is that of the contributors' messages: epoch, round, attempt. ``carried`` names contributors whose
        ciphertext was taken over from an earlier attempt of the round, and that attempt.
        Leaks: whether the sum was changed, to a party that sees the refusal; so never decrypt the same ciphertext again.
        Raises: IntegrityError when there is no tag, or another sum or other contributors than were tagged.
        """
        if opened.words is None or opened.tag is None:
            raise IntegrityError("tag: expected a tagged sum, found none; refuse it, somebody took the tag off")
        if len(set(contributors)) != len(contributors):
            raise IntegrityError(f"tag: expected different contributors, found {', '.join(contributors)}")
        try:
            field, value = self._hash(opened.words, opened.modulus, experiment, position.epoch)
        except EncodingError as error:
            raise IntegrityError(f"tag: the decrypted words cannot be those that were tagged ({error})") from error
        for client in contributors:
            # A carried-over ciphertext holds the pad of the attempt in which it was made.
            attempt = (carried or {}).get(client, position.attempt)
            value += self._pad(experiment, replace(position, attempt=attempt), client, field)
        # Integer tags are summed without reduction modulo the prime, so only residues can be compared.
        if (value - opened.tag) % field != 0:
            raise IntegrityError(
                f"tag: the sum of round {position.round}, attempt {position.attempt} is not that of its "
                f"{len(contributors)} contributors; expected the tag they made, found another: never decrypt it again"
            )

    def _hash(self, words: Words, modulus: int, experiment: str, epoch: int) -> tuple[int, int]:
        """(field, Σ r_j·x_j mod field): the modulus itself for arrays, the secret prime for Python ints."""
        if not 2 < modulus < 1 << MAX_MODULUS_BITS:
            raise ParameterError(
                f"tag: expected a modulus of 2 to {MAX_MODULUS_BITS} bits, found {modulus}", "use a smaller field"
            )
        whole = not isinstance(words, np.ndarray)
        # Integers need a secret field: modulo a public one, adding a multiple of it to a word would not change the tag.
        field, stream = self._coefficients(experiment, epoch, 0 if whole else modulus)
        if isinstance(words, np.ndarray):
            if words.dtype != np.uint64 or words.ndim != 1 or (len(words) and int(words.max()) >= modulus):
                raise EncodingError(
                    f"tag: expected uint64 words below {modulus}, found {words.dtype} of shape {words.shape}",
                    bound=modulus,
                )
            residues = words
        else:
            # Tags are below the 50-bit prime but summed modulo `modulus`: with room for less than two the sum would wrap.
            if modulus >> (SECRET_PRIME_BITS + 1) == 0:
                raise ParameterError(
                    f"tag: integer words need a modulus past {SECRET_PRIME_BITS + 1} bits, found {modulus}",
                    "use 2^61 - 1, or pass the words as a uint64 array",
                )
            residues = np.fromiter((int(word) % field for word in words), np.uint64, count=len(words))
        return field, dot(residues, stream.first(len(residues)), field)

    def _coefficients(self, experiment: str, epoch: int, modulus: int) -> tuple[int, _Coefficients]:
        """The field and its r_j; ``modulus`` 0 stands for the secret prime."""
        place = (experiment, epoch, modulus)
        if place not in self.__cache:
            seed = hmac.digest(self.__words, encode(("hefl/tag/words", *place)), hashlib.sha256)
            field = modulus or _secret_prime(
                hmac.digest(self.__words, encode(("hefl/tag/prime", *place)), hashlib.sha256)
            )
            self.__cache[place] = (field, _Coefficients(seed, field))
        return self.__cache[place]

    def _pad(self, experiment: str, position: Position, client: str, field: int) -> int:
        """512 bits reduced: the bias is below 2^-450."""
        # ``field`` is in the message: one place tagged under two moduli must not reuse a pad.
        message = encode(("hefl/tag/pad", experiment, position.epoch, position.round, position.attempt, client, field))
        return int.from_bytes(hmac.digest(self.__pads, message, hashlib.sha512), "big") % field


def joint_tag_key(parts: Sequence[bytes]) -> TagKey:
    """The tag key made of one random part of each party: a party that lacks one part knows nothing of the key.

    Shapes: parts of 32 bytes each, in an order that all have agreed on.
    Raises: WireError for a part of another length.
    """
    if not parts or any(len(part) != KEY_BYTES for part in parts):
        raise WireError(f"tag key: expected parts of {KEY_BYTES} bytes, found {[len(part) for part in parts]}")
    return TagKey.from_material(digest(b"hefl/tag/joint words", *parts) + digest(b"hefl/tag/joint pads", *parts))


def tag_key_digest(key: TagKey) -> bytes:
    """SHA-256 of a tag key: its makers compare it. Leaks: nothing of its 64 random bytes."""
    return digest(b"hefl/tag/key", expose_tag_key(key))


def _secret_prime(seed: bytes, bits: int = SECRET_PRIME_BITS) -> int:
    """The first prime among odd numbers of so many bits that derive from the seed: every such prime is equally likely.

    The prime after a random number would not do: one after a long gap is as much likelier as the gap is long.
    """
    top = 1 << (bits - 1)
    drawn = (hmac.digest(seed, number.to_bytes(8, "big"), hashlib.sha256) for number in count())
    candidates = (top | int.from_bytes(one, "big") % top | 1 for one in drawn)
    return next(one for one in candidates if gmpy2.is_prime(one, PRIME_ROUNDS))


def expose_tag_key(key: TagKey) -> bytes:
    """The key's 64 bytes. Caller: keys/sealing.py, hardly anybody else (a test counts them)."""
    words: bytes = key._TagKey__words  # type: ignore[attr-defined]
    pads: bytes = key._TagKey__pads  # type: ignore[attr-defined]
    return words + pads
