"""Named parameter sets: every number with its source, and the rules that make one safe. What breaks a rule does not load."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from hefl_core.errors import ParameterError
from hefl_core.ids import digest
from hefl_core.wire.canonical import encode

Family = Literal["plaintext", "paillier", "bfv", "ckks"]

LIMIT_2018 = {1024: 27, 2048: 54, 4096: 109, 8192: 218, 16384: 438}
"""Most bits of all coefficient primes together at 128-bit security: HomomorphicEncryption.org standard, 2018."""
LIMIT_2024 = {1024: 26, 2048: 53, 4096: 106, 8192: 214, 16384: 430}
"""The stricter table of the 2024 guidelines (eprint 2024/463). Presets stay under this one unless they say otherwise."""
FRESH_NOISE_STD = {True: 15.1, False: 172.0}
"""Fresh noise of a BFV ciphertext by whether a special prime cleans it; measured at N = 4096 and N = 2048."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """What all presets have. ``default_bound``: largest |entry| unless one is given."""

    name: str
    family: Family
    default_bound: float
    security_bits: int
    security_standard: str
    source: str
    collective: bool = False
    tagged: bool = False
    symmetric: bool = False

    @property
    def insecure(self) -> bool:
        """Whether the name says that it protects nobody."""
        return self.name.startswith("INSECURE_")

    @property
    def digest(self) -> bytes:
        """SHA-256 of every number: two parties compare it before they trust a key."""
        return digest(b"hefl/preset", encode(self))

    def require_safe(self) -> None:
        """Raises: ParameterError when a rule is broken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaintextPreset(Preset):
    """No encryption: float32 entries, as plain federated averaging sends them."""

    max_terms: int = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class PaillierPreset(Preset):
    """``modulus_bits``: of n. ``fields``: values per ciphertext, each ``field_bits`` wide (0: one value per ciphertext)."""

    modulus_bits: int
    field_bits: int
    max_terms: int

    def require_safe(self) -> None:
        """At least 2048 bits unless the name says INSECURE."""
        if self.modulus_bits < 2048 and not self.insecure:
            raise ParameterError(
                f"{self.name}: expected a modulus of at least 2048 bits, found {self.modulus_bits}",
                "call it INSECURE_… or take paillier-packed",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class RingPreset(Preset):
    """What BFV and CKKS share. ``prime_bits``: of each coefficient prime, the special one last."""

    degree: int
    prime_bits: tuple[int, ...]
    seeded: bool = False
    max_terms: int = 128

    @property
    def special_prime(self) -> bool:
        """Whether the last prime only cleans fresh noise and is not part of a ciphertext."""
        return len(self.prime_bits) > 1

    @property
    def data_bits(self) -> int:
        """Bits of q, the modulus of a ciphertext."""
        return sum(self.prime_bits[:-1]) if self.special_prime else sum(self.prime_bits)

    @property
    def noise_std(self) -> float:
        """Standard deviation of a fresh ciphertext's noise, in units of one coefficient.

        With a special prime it is the rounding of switching down, sqrt((2N/3 + 1)/12); symmetric encryption has only the
        sampled error, 3.2; without a special prime public-key encryption has about 172 at N = 2048.
        """
        if self.symmetric:
            return 3.2
        if not self.special_prime:
            return FRESH_NOISE_STD[False] * math.sqrt(self.degree / 2048)
        return math.sqrt((2 * self.degree / 3 + 1) / 12)

    def require_safe(self) -> None:
        """The ring is large enough for its primes, by both tables."""
        if self.insecure:
            return
        used, limit = sum(self.prime_bits), LIMIT_2024.get(self.degree, 0)
        if used > LIMIT_2018.get(self.degree, 0):
            raise ParameterError(
                f"{self.name}: N = {self.degree} carries at most {LIMIT_2018.get(self.degree, 0)} bits of primes at "
                f"128-bit security (2018 standard), found {used}",
                "take smaller primes or twice the degree",
            )
        if used > limit and "2018" not in self.security_standard:
            raise ParameterError(
                f"{self.name}: {used} bits exceed the 2024 guidelines' {limit} at N = {self.degree}",
                "take smaller primes, or say that the 2018 standard is meant",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class BFVPreset(RingPreset):
    """``plain_bits``: the plaintext modulus t is the largest prime below 2^plain_bits that is none of q's primes.

    ``fields`` quantised values of ``field_bits`` each share one coefficient.
    """

    plain_bits: int
    fields: int
    field_bits: int

    def require_safe(self) -> None:
        """Noise rule: decryption failures are a key-recovery oracle, so they must not happen.

        q/(2tσ√K) ≥ 15 for sums of K fresh ciphertexts, and q/(2tKσ) ≥ 8 for sums that nobody confirmed.
        """
        RingPreset.require_safe(self)
        room = 2.0 ** (self.data_bits - self.plain_bits - 1) / self.noise_std
        if room / math.sqrt(self.max_terms) < 15 or room / self.max_terms < 8:
            raise ParameterError(
                f"{self.name}: expected q/(2tσ√K) ≥ 15 and q/(2tKσ) ≥ 8 at K = {self.max_terms}, found "
                f"{room / math.sqrt(self.max_terms):.1f} and {room / self.max_terms:.1f}",
                "take a smaller plaintext modulus or fewer terms",
            )
        if self.fields * self.field_bits > self.plain_bits:
            raise ParameterError(
                f"{self.name}: {self.fields} fields of {self.field_bits} bits do not fit below 2^{self.plain_bits}",
                "take fewer or narrower fields",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class CKKSPreset(RingPreset):
    """``scale_bits``: values are held as multiples of 2^-scale_bits."""

    scale_bits: int

    def require_safe(self) -> None:
        """A sum of the largest values must stay below q/2."""
        RingPreset.require_safe(self)
        largest = max(self.default_bound, 16.0) * self.max_terms
        if math.log2(largest) + self.scale_bits + 1 >= self.data_bits:
            raise ParameterError(
                f"{self.name}: sums of {self.max_terms} values up to {largest / self.max_terms} overflow q = 2^{self.data_bits}",
                "take a smaller scale or fewer terms",
            )


_TABLES = "HomomorphicEncryption.org 2018 and eprint 2024/463"
_MEASURED = "docs/performance.md"

PRESETS: dict[str, Preset] = {
    preset.name: preset
    for preset in (
        PlaintextPreset(
            name="plaintext",
            family="plaintext",
            default_bound=1e6,
            security_bits=0,
            security_standard="none: updates travel in the clear",
            source="McMahan et al. 2017 (FedAvg)",
        ),
        PaillierPreset(
            name="paillier-naive",
            family="paillier",
            default_bound=1.0,
            security_bits=112,
            security_standard="NIST SP 800-57 (factoring 2048 bits)",
            source="Paillier 1999; one value per ciphertext as phe's examples have it, but integers",
            tagged=True,
            modulus_bits=2048,
            field_bits=0,
            max_terms=1000,
        ),
        PaillierPreset(
            name="paillier-packed",
            family="paillier",
            default_bound=1.0,
            security_bits=112,
            security_standard="NIST SP 800-57 (factoring 2048 bits)",
            source="Paillier 1999; BatchCrypt (Zhang et al. 2020) for packing fields",
            collective=True,
            tagged=True,
            modulus_bits=2048,
            field_bits=20,
            max_terms=64,
        ),
        PaillierPreset(
            name="paillier-packed-3072",
            family="paillier",
            default_bound=1.0,
            security_bits=128,
            security_standard="NIST SP 800-57 (factoring 3072 bits)",
            source="Paillier 1999; BatchCrypt (Zhang et al. 2020) for packing fields",
            collective=True,
            tagged=True,
            modulus_bits=3072,
            field_bits=20,
            max_terms=64,
        ),
        PaillierPreset(
            name="INSECURE_paillier-512",
            family="paillier",
            default_bound=1.0,
            security_bits=0,
            security_standard="none: factored within hours",
            source="like paillier-packed, small enough for tests",
            collective=True,
            tagged=True,
            modulus_bits=512,
            field_bits=20,
            max_terms=64,
        ),
        CKKSPreset(
            name="ckks-tutorial",
            family="ckks",
            default_bound=16.0,
            security_bits=128,
            security_standard=_TABLES,
            source="TenSEAL's tutorials: N = 8192 [60, 40, 40, 60], scale 2^40",
            degree=8192,
            prime_bits=(60, 40, 40, 60),
            scale_bits=40,
        ),
        CKKSPreset(
            name="ckks-nvflare",
            family="ckks",
            default_bound=16.0,
            security_bits=128,
            security_standard=_TABLES,
            source="NVFlare's HE defaults: N = 8192 [60, 40, 40], scale 2^40, symmetric",
            symmetric=True,
            degree=8192,
            prime_bits=(60, 40, 40),
            scale_bits=40,
        ),
        CKKSPreset(
            name="ckks-lean",
            family="ckks",
            default_bound=16.0,
            security_bits=128,
            security_standard=_TABLES,
            source=_MEASURED,
            degree=4096,
            prime_bits=(54, 20),
            scale_bits=40,
        ),
        BFVPreset(
            name="bfv-lean",
            family="bfv",
            default_bound=1.0,
            security_bits=128,
            security_standard=_TABLES,
            source=_MEASURED,
            tagged=True,
            degree=4096,
            prime_bits=(60, 20),
            plain_bits=43,
            fields=2,
            field_bits=21,
        ),
        BFVPreset(
            name="bfv-compact",
            family="bfv",
            default_bound=1.0,
            security_bits=128,
            security_standard=_TABLES,
            source=_MEASURED,
            tagged=True,
            degree=4096,
            prime_bits=(60, 20),
            plain_bits=48,
            fields=4,
            field_bits=12,
            max_terms=16,
        ),
        BFVPreset(
            name="INSECURE_bfv-1024",
            family="bfv",
            default_bound=1.0,
            security_bits=0,
            security_standard="none: ring too small for its primes",
            source="like bfv-lean, small enough for tests",
            tagged=True,
            degree=1024,
            prime_bits=(60, 20),
            plain_bits=43,
            fields=2,
            field_bits=21,
        ),
    )
}


def load_preset(name: str) -> Preset:
    """The preset of this name, checked. Raises: ParameterError for an unknown name or a broken rule."""
    preset = PRESETS.get(name)
    if preset is None:
        raise ParameterError(f"scheme: expected one of {', '.join(PRESETS)}, found {name!r}", "`schemes` lists them")
    preset.require_safe()
    return preset
