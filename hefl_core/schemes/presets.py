"""Named parameter sets: every number with its source, and the rules that make one safe. What breaks a rule does not load."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, TypeAlias, TypeVar

from hefl_core.errors import ParameterError
from hefl_core.ids import digest
from hefl_core.schemes.lattice_estimates import SMOOTHING_BITS, core_svp, failure_bits, hinted_std, smoothing_std
from hefl_core.schemes.quorum import Quorum
from hefl_core.schemes.radix import Radix, base_of, digits_below
from hefl_core.wire.canonical import encode

Family = Literal["plaintext", "paillier", "bfv", "ckks", "onetime"]

LIMIT_2018 = {1024: 27, 2048: 54, 4096: 109, 8192: 218, 16384: 438}
"""Most bits of all coefficient primes together at 128-bit security: HomomorphicEncryption.org standard, 2018."""
LIMIT_2024 = {1024: 26, 2048: 53, 4096: 106, 8192: 214, 16384: 430}
"""The stricter table of the 2024 guidelines (eprint 2024/463). Presets stay under this one unless they say otherwise."""
SMALLEST_GAP_BITS = 32
"""Least flooding over the largest noise (30 clients, no dealer, as many terms as fit) that a preset may call collective."""
FULL_FLOODING_BITS = 40
"""A preset whose answers may differ from keyless ones by more than 2^-40 has *demonstration flooding*, and is called so."""
USUAL = Quorum(3, 10)
"""Setting of a preset's own figure: ten clients, three decrypt, a dealt key."""
SMALLEST_PRECISION_BITS = 30
"""A CKKS sum keeps this many bits below 1 free of flooding."""
FRESH_NOISE_STD = {True: 15.1, False: 172.0}
"""Fresh noise of a BFV ciphertext by whether a special prime cleans it; measured at N = 4096 and N = 2048."""
TERNARY_STD, TABLE_ERROR_STD = math.sqrt(2 / 3), 8 / math.sqrt(2 * math.pi)
"""Widths of secret and error for which both tables are stated."""
LEAST_TAIL_BITS = 120
"""A Gaussian's table leaves out at most 2^-120."""
SMALLEST_FAILURE_BITS = 128
"""A coefficient of a one-time sum is wrong with at most 2^-128."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """Fields of all presets. ``default_bound``: largest |entry| unless one is given."""

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
        """Whether the name says that it protects nothing."""
        return self.name.startswith("INSECURE_")

    @property
    def digest(self) -> bytes:
        """SHA-256 of every number: parties compare it before they trust a key."""
        return digest(b"hefl/preset", encode(self))

    def require_safe(self) -> None:
        """Raises: ParameterError when a rule is broken."""
        if not (0 < self.default_bound < math.inf):
            raise ParameterError(f"{self.name}: expected a positive default bound, found {self.default_bound}")
        if self.insecure != (self.security_bits == 0) and self.family != "plaintext":
            raise ParameterError(
                f"{self.name}: {self.security_bits} bits of security do not fit the name",
                "presets that protect nobody are called INSECURE_…, and no others",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaintextPreset(Preset):
    """No encryption: float32 entries, as plain federated averaging sends them."""

    max_terms: int = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class PaillierPreset(Preset):
    """``modulus_bits``: of n. ``field_bits``: width of the packed values (0: one value per ciphertext).

    ``mask_bits``: exponent of short masks h^r, at least half of the modulus (0: Paillier's full masks r^n).
    """

    modulus_bits: int
    field_bits: int
    max_terms: int
    mask_bits: int = 0

    def require_safe(self) -> None:
        """At least 2048 bits unless the name says INSECURE; short masks of at least half the modulus."""
        Preset.require_safe(self)
        if self.mask_bits and self.mask_bits < self.modulus_bits // 2:
            raise ParameterError(
                f"{self.name}: expected mask exponents of at least {self.modulus_bits // 2} bits, found {self.mask_bits}",
                "take half of the modulus, or 0 for full masks",
            )
        if self.modulus_bits < 2048 and not self.insecure:
            raise ParameterError(
                f"{self.name}: expected a modulus of at least 2048 bits, found {self.modulus_bits}",
                "call it INSECURE_… or take paillier-packed",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class RingPreset(Preset):
    """What BFV and CKKS share. ``prime_bits``: of each coefficient prime, the special one last.

    ``seeded``: a fresh ciphertext carries the seed of its second polynomial instead of the polynomial, half the size; it
    needs the secret key to encrypt (``symmetric``). ``compressed``: blocks travel as SEAL compresses them, otherwise in
    the one uncompressed form (primes of 60 bits leave a compressor nothing).

    Where ``collective``: ``flood_bits`` is f of the flooding, uniform on -2^f .. 2^f - 1, that up to ``largest_threshold``
    holders add; ``max_decryptions`` is how many *ciphertexts* a key may open, all holders together: a sum of d parameters is
    as many as it has blocks. flooding.py has the statement about that, and what each holder may answer.
    """

    degree: int
    prime_bits: tuple[int, ...]
    seeded: bool = False
    compressed: bool = False
    max_terms: int = 128
    flood_bits: int = 0
    largest_threshold: int = 1
    max_decryptions: int = 0

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
        sampled error, 3.24 (SEAL's centred binomial of 21 bits); without a special prime public-key encryption has 172
        at N = 2048.
        """
        if self.symmetric:
            return math.sqrt(10.5)
        if not self.special_prime:
            return FRESH_NOISE_STD[False] * math.sqrt(self.degree / 2048)
        return math.sqrt((2 * self.degree / 3 + 1) / 12)

    def aggregate_noise_std(self, terms: int, makers: int = 1) -> float:
        """Noise of a sum of fresh ciphertexts; a key made by ``makers`` clients without a dealer is √makers longer."""
        return self.noise_std * math.sqrt(terms * makers)

    def gap_bits(self, quorum: Quorum, terms: int, *, dealer_free: bool = False) -> float:
        """log2(flooding of one holder / largest noise of the sum, at 8 standard deviations).

        A ratio, not a proof; :meth:`distance_bits` turns it into a statement about what is given away.

        >>> preset = PRESETS["bfv-threshold"]
        >>> round(preset.gap_bits(Quorum(3, 5), 10), 1), round(preset.gap_bits(Quorum(3, 5), 10, dealer_free=True), 1)
        (61.9, 60.8)
        """
        makers = quorum.holders if dealer_free else 1
        return self.flood_bits - math.log2(8 * self.aggregate_noise_std(terms, makers))

    def distance_bits(self, quorum: Quorum, terms: int, ciphertexts: int, *, dealer_free: bool = False) -> float:
        """log2 of the statistical distance between answers and what can be computed without the share.

        At most N · E|v| / 2^(f+1) per ciphertext, times all ciphertexts ever opened under the key (flooding.py).

        >>> preset = PRESETS["bfv-threshold"]
        >>> [round(preset.distance_bits(Quorum(3, 10), 10, n), 1) for n in (1, 7000)]
        [-53.2, -40.5]
        """
        mean = self.mean_noise(terms, quorum.holders if dealer_free else 1)
        return math.log2(self.degree * mean * ciphertexts) - self.flood_bits - 1

    def mean_noise(self, terms: int, makers: int = 1) -> float:
        """E|v| of one coefficient: what a sum of ``terms`` has beside its plaintext and only the key's holders could know.

        The noise is a sum of thousands of independent roundings, so nearly normal. BFV's plaintexts are rounded when they are
        scaled up to q, by half at most each, and so is their sum: a shift of (K + 1)/2 at worst.
        """
        std = self.aggregate_noise_std(terms, makers)
        shift = (terms + 1) / 2 if self.family == "bfv" else 0.0
        # Mean of |x| for x normal around shift: the folded normal distribution.
        away = shift / (std * math.sqrt(2))
        return std * math.sqrt(2 / math.pi) * math.exp(-away * away) + shift * math.erf(away)

    @property
    def demonstration(self) -> bool:
        """Whether a key that opened all it may leaks more than 2^-40: for demonstration, not to be relied on."""
        distance = self.distance_bits(USUAL, USUAL.holders, max(1, self.max_decryptions))
        return self.collective and distance > -FULL_FLOODING_BITS

    def noise_limit(self, quorum: Quorum, terms: int) -> float:
        """Largest |noise| of an honestly combined sum: t floodings, 16 standard deviations, and the encoding's rounding."""
        flooding = float(quorum.threshold) * 2.0**self.flood_bits
        # 16 deviations: honest noise exceeds them with about 2^-189 per coefficient. Each term is rounded once more.
        return flooding + 16 * self.aggregate_noise_std(terms, quorum.holders) + terms

    def require_room(self, quorum: Quorum) -> None:
        """Reject a quorum whose floodings together do not fit. Raises: ParameterError."""
        if quorum.collective and quorum.threshold > self.largest_threshold:
            raise ParameterError(
                f"{self.name}: has room for the flooding of {self.largest_threshold} holders, found {quorum}",
                "choose a smaller threshold or bfv-threshold-small (up to 32)",
            )

    def _require_flooding(self, room_bits: float) -> None:
        """largest_threshold · 2^f ≤ 2^room_bits, and flooding far above the noise of the largest sum. Raises: ParameterError."""
        if not self.collective:
            return
        used = self.flood_bits + math.log2(self.largest_threshold)
        if used > room_bits or self.largest_threshold < 2 or self.max_decryptions < 1:
            raise ParameterError(
                f"{self.name}: {self.largest_threshold} floodings of 2^{self.flood_bits} exceed the room of 2^{room_bits:.0f}",
                "take a smaller plaintext modulus or scale, fewer holders, or less flooding",
            )
        gap = self.gap_bits(Quorum(2, 30), self.max_terms, dealer_free=True)
        if gap < SMALLEST_GAP_BITS and not self.insecure:
            raise ParameterError(
                f"{self.name}: expected flooding 2^{SMALLEST_GAP_BITS} above the noise, found 2^{gap:.1f}; answers would leak "
                "the share",
                "take a larger coefficient modulus",
            )

    def require_safe(self) -> None:
        """The ring is large enough for its primes, by both tables."""
        Preset.require_safe(self)
        if self.seeded and not self.symmetric:
            raise ParameterError(
                f"{self.name}: a seeded upload is made with the secret key", "make it symmetric as well"
            )
        if self.collective and self.symmetric:
            raise ParameterError(f"{self.name}: nobody holds the whole key to encrypt with", "take a public-key preset")
        if self.insecure:
            return
        used, limit = sum(self.prime_bits), LIMIT_2024.get(self.degree, 0)
        if used > LIMIT_2018.get(self.degree, 0):
            raise ParameterError(
                f"{self.name}: N = {self.degree} carries at most {LIMIT_2018.get(self.degree, 0)} bits of primes at "
                f"128-bit security (2018 standard), found {used}",
                "take smaller primes or twice the degree",
            )
        if used > limit and self.security_standard != _TABLE_2018:
            raise ParameterError(
                f"{self.name}: {used} bits exceed the 2024 guidelines' {limit} at N = {self.degree}",
                "take smaller primes, or name the 2018 standard alone",
            )


Ring = TypeVar("Ring", bound=RingPreset)


@dataclass(frozen=True, slots=True, kw_only=True)
class BFVPreset(RingPreset):
    """``plain_bits``: the plaintext modulus t is the largest prime below 2^plain_bits that is none of q's primes.

    ``fields`` quantised values of ``field_bits`` each share one coefficient. ``default_bound`` 1.0: an update of the
    shipped jobs stays below it in every round; a smaller bound of the experiment's own buys precision in proportion.
    """

    plain_bits: int
    fields: int
    field_bits: int

    def require_safe(self) -> None:
        """Noise rule: decryption failures are a key-recovery oracle, so they must not happen.

        q/(2tσ√K) ≥ 15 for sums of K fresh ciphertexts, and q/(2tKσ) ≥ 8 for sums that no client confirmed.
        """
        RingPreset.require_safe(self)
        # Independent noise grows with √K; one ciphertext K times, where nothing proves independence, with K.
        room = 2.0 ** (self.data_bits - self.plain_bits - 1) / self.noise_std
        if room / math.sqrt(self.max_terms) < 15 or room / self.max_terms < 8:
            raise ParameterError(
                f"{self.name}: expected q/(2tσ√K) ≥ 15 and q/(2tKσ) ≥ 8 at K = {self.max_terms}, found "
                f"{room / math.sqrt(self.max_terms):.1f} and {room / self.max_terms:.1f}",
                "take a smaller plaintext modulus or fewer terms",
            )
        # Floodings may fill q/4t, half of what decryption tolerates; noise and rounding have the other half.
        self._require_flooding(self.data_bits - self.plain_bits - 2)
        if self.fields * self.field_bits > self.plain_bits:
            raise ParameterError(
                f"{self.name}: {self.fields} fields of {self.field_bits} bits do not fit below 2^{self.plain_bits}",
                "take fewer or narrower fields",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class FewBitsBFV(BFVPreset):
    """The same ring with values of ``value_bits`` packed in mixed radix, for sums of at most ``max_terms``."""

    value_bits: int

    @property
    def radix(self) -> Radix:
        """How fields share a word."""
        return Radix(base_of(self.value_bits, self.max_terms), self.fields)


@dataclass(frozen=True, slots=True, kw_only=True)
class FewBitsPaillier(PaillierPreset):
    """The same key with values of ``value_bits`` packed in mixed radix, for sums of at most ``max_terms``.

    Words below 2^63 are packed first; such a word is what ``field_bits`` is the width of.
    """

    value_bits: int

    @property
    def radix(self) -> Radix:
        """How fields share a word."""
        base = base_of(self.value_bits, self.max_terms)
        return Radix(base, digits_below(base, 1 << 63))


@dataclass(frozen=True, slots=True, kw_only=True)
class CKKSPreset(RingPreset):
    """``scale_bits``: values are held as multiples of 2^-scale_bits."""

    scale_bits: int

    def require_safe(self) -> None:
        """A sum of the largest values must stay below q/2."""
        RingPreset.require_safe(self)
        # 16 is the largest slot of an exact integer (ckks.py: 2^20 · 2^-16).
        largest = max(self.default_bound, 16.0) * self.max_terms
        if math.log2(largest) + self.scale_bits + 1 >= self.data_bits:
            raise ParameterError(
                f"{self.name}: sums of {self.max_terms} values up to {largest / self.max_terms} overflow q = 2^{self.data_bits}",
                "take a smaller scale or fewer terms",
            )
        # A value of 1 is 2^scale_bits: flooding 30 bits below it is invisible at that precision.
        self._require_flooding(self.scale_bits - SMALLEST_PRECISION_BITS)


@dataclass(frozen=True, slots=True, kw_only=True)
class OneTimePreset(Preset):
    """A long vector under a key that its client uses once; only that key is encrypted under the epoch's key.

    ``modulus_bits``: of q, one prime. ``scale_bits``: words stand above 2^scale_bits, errors below. ``secret_std``,
    ``error_std``: widths of the discrete Gaussians, cut off at ``secret_limit`` and ``error_limit``. ``fields`` values of
    ``field_bits`` share a word. ``alone``, ``together``: preset of the epoch's key, in which one-time keys travel, by custody.
    """

    degree: int
    modulus_bits: int
    alone: str
    together: str
    fields: int = 4
    field_bits: int = 12
    scale_bits: int = 10
    secret_std: float = 4.5
    error_std: float = 4.5 * math.sqrt(2)
    secret_limit: int = 60
    error_limit: int = 85
    max_terms: int = 16

    @property
    def digest(self) -> bytes:
        """SHA-256 of every number, those of the epoch's key among them."""
        keys = (PRESETS[name].digest for name in (self.alone, self.together) if name in PRESETS)
        return digest(b"hefl/preset", encode(self), *keys)

    @property
    def payload_bits(self) -> int:
        """Bits of a word of a sum."""
        return self.modulus_bits - self.scale_bits

    @property
    def estimate(self) -> tuple[int, int]:
        """Core-SVP bits (classical, quantum) at the widths that hints leave."""
        return core_svp(self.degree, self.modulus_bits, hinted_std(self.secret_std), hinted_std(self.error_std))

    def require_safe(self) -> None:
        """Table, smoothing, hints, tails and failures. Raises: ParameterError."""
        Preset.require_safe(self)
        self._require_widths()
        self._require_exact()
        self._require_keys()
        if self.insecure:
            return
        limit = min(LIMIT_2018.get(self.degree, 0), LIMIT_2024.get(self.degree, 0))
        if self.modulus_bits > limit:
            raise ParameterError(
                f"{self.name}: N = {self.degree} carries at most {limit} bits at 128-bit security (2018 standard and 2024 "
                f"guidelines), found {self.modulus_bits}",
                "take a smaller prime or twice the degree",
            )
        # The estimate counts hints, the tables do not: no weaker than the table's own row by the same formula.
        row = core_svp(self.degree, limit, TERNARY_STD, TABLE_ERROR_STD)
        if self.estimate[0] < row[0]:
            raise ParameterError(
                f"{self.name}: expected a core-SVP estimate of at least {row[0]} bits, the table's own row, found "
                f"{self.estimate[0]} with hints",
                "take wider Gaussians or a smaller prime",
            )

    def _require_widths(self) -> None:
        """What hints leave must smooth the integers, and a table must hold all but 2^-120 of each Gaussian."""
        needed = smoothing_std(self.degree)
        for what, std, limit in (
            ("secret", self.secret_std, self.secret_limit),
            ("error", self.error_std, self.error_limit),
        ):
            if hinted_std(std) < needed:
                raise ParameterError(
                    f"{self.name}: expected a {what} width of at least {2 * needed:.3f}, found {std:.3f}; half of it does not "
                    f"smooth the integers at 2^-{SMOOTHING_BITS}, and hints could be told from fresh keys",
                    "take 4.5 or more",
                )
            if failure_bits(std, 1, limit) > -LEAST_TAIL_BITS:
                raise ParameterError(
                    f"{self.name}: a {what} beyond {limit} has probability 2^{failure_bits(std, 1, limit):.0f}, expected at most "
                    f"2^-{LEAST_TAIL_BITS}",
                    "take a longer table",
                )

    def _require_keys(self) -> None:
        """One-time keys travel in public-key BFV with room for as many terms, held together where the custody is."""
        for name, collective in ((self.alone, False), (self.together, True)):
            key = PRESETS.get(name)
            if (
                not isinstance(key, BFVPreset)
                or key.symmetric
                or key.max_terms < self.max_terms
                or (collective and not key.collective)
                or (key.insecure and not self.insecure)
            ):
                raise ParameterError(
                    f"{self.name}: expected a {'collective ' * collective}public-key bfv preset with {self.max_terms} terms for "
                    f"its keys, found {name}",
                    "take bfv-compact-2048 and bfv-threshold",
                )

    def _require_exact(self) -> None:
        """An error that reaches half of Δ is a wrong word; fields must leave a bit of the payload free."""
        found = failure_bits(self.error_std, self.max_terms, 2.0 ** (self.scale_bits - 1))
        if found > -SMALLEST_FAILURE_BITS:
            raise ParameterError(
                f"{self.name}: sums of {self.max_terms} are wrong with probability 2^{found:.0f} per coefficient, expected at "
                f"most 2^-{SMALLEST_FAILURE_BITS}",
                "take fewer terms or a larger scale",
            )
        # Sums of two tag words, 16 · 2^31, and of full fields must stay below (q - Δ)/Δ.
        used = max(self.fields * self.field_bits, 31 + (self.max_terms - 1).bit_length())
        if used >= self.payload_bits:
            raise ParameterError(
                f"{self.name}: {used} bits of fields or tag do not fit into sums below 2^{self.payload_bits}",
                "take fewer or narrower fields",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class FewBitsOneTime(OneTimePreset):
    """The same one-time keys with values of ``value_bits`` packed in mixed radix, for sums of at most ``max_terms``."""

    value_bits: int

    @property
    def radix(self) -> Radix:
        """How fields share a word."""
        return Radix(base_of(self.value_bits, self.max_terms), self.fields)


FewBits: TypeAlias = FewBitsBFV | FewBitsPaillier | FewBitsOneTime
FieldPreset: TypeAlias = BFVPreset | PaillierPreset | OneTimePreset
"""Presets whose values are fixed-point fields (0 bits wide: one value per ciphertext)."""

_TABLE_2018 = "HomomorphicEncryption.org 2018"
_FLOODED = "Asharov et al. 2012 (eprint 2011/613); room and gap measured, docs/performance.md"

_PLAINTEXT = PlaintextPreset(
    name="plaintext",
    family="plaintext",
    default_bound=1e6,
    security_bits=0,
    security_standard="none: updates travel in the clear",
    source="McMahan et al. 2017 (FedAvg)",
)
_PAILLIER_NAIVE = PaillierPreset(
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
)
_PAILLIER_PACKED = replace(
    _PAILLIER_NAIVE,
    name="paillier-packed",
    security_standard="NIST SP 800-57 (factoring 2048 bits); half-length mask exponents (Goldreich, Rosen 2003)",
    source="Paillier 1999; Zhang et al. 2020 (BatchCrypt) for packing; Damgård, Jurik, Nielsen 2010 for masks",
    collective=True,
    mask_bits=1024,
    field_bits=20,
    max_terms=64,
)
_CKKS_TUTORIAL = CKKSPreset(
    name="ckks-tutorial",
    family="ckks",
    default_bound=16.0,
    security_bits=128,
    security_standard=f"{_TABLE_2018} and eprint 2024/463",
    source="TenSEAL's tutorials: N = 8192 [60, 40, 40, 60], scale 2^40",
    degree=8192,
    prime_bits=(60, 40, 40, 60),
    compressed=True,
    scale_bits=40,
)
_CKKS_LEAN = replace(_CKKS_TUTORIAL, name="ckks-lean", source="docs/performance.md", degree=4096, prime_bits=(54, 20))
_CKKS_THRESHOLD = replace(
    _CKKS_TUTORIAL,
    name="ckks-threshold",
    source=_FLOODED,
    collective=True,
    prime_bits=(60, 60, 22),
    compressed=False,
    scale_bits=110,
    max_terms=31,
    flood_bits=73,
    largest_threshold=32,
    max_decryptions=25_000,
)
_BFV_LEAN = BFVPreset(
    name="bfv-lean",
    family="bfv",
    default_bound=1.0,
    security_bits=128,
    security_standard=_CKKS_TUTORIAL.security_standard,
    source=_CKKS_LEAN.source,
    tagged=True,
    degree=4096,
    prime_bits=(60, 20),
    plain_bits=43,
    fields=2,
    field_bits=21,
)
_BFV_COMPACT = replace(_BFV_LEAN, name="bfv-compact", plain_bits=48, fields=4, field_bits=12, max_terms=16)
_BFV_COMPACT_2048 = replace(
    _BFV_COMPACT, name="bfv-compact-2048", degree=2048, prime_bits=(53,), plain_bits=37, fields=3
)
_BFV_THRESHOLD = replace(
    _BFV_LEAN,
    name="bfv-threshold",
    source=_FLOODED,
    collective=True,
    degree=8192,
    prime_bits=(60, 60, 22),
    flood_bits=71,
    largest_threshold=16,
    max_decryptions=7_000,
)
_BFV_THRESHOLD_SMALL = replace(
    _BFV_THRESHOLD,
    name="bfv-threshold-small",
    plain_bits=60,
    fields=3,
    field_bits=20,
    flood_bits=53,
    largest_threshold=32,
    max_decryptions=500,
)


def _seeded(preset: BFVPreset) -> BFVPreset:
    """The same ring with uploads of half the size, which only a holder of the key can make."""
    return replace(preset, name=f"{preset.name}-seeded", symmetric=True, seeded=True)


def _insecure(preset: Ring, name: str) -> Ring:
    """The same numbers in a ring of 1024, which protects nothing and is fast."""
    return replace(
        preset,
        name=f"INSECURE_{name}-1024",
        security_bits=0,
        security_standard="none: ring too small for its primes",
        source=f"like {preset.name}, small enough for tests",
        degree=1024,
    )


_ONETIME = OneTimePreset(
    name="onetime",
    family="onetime",
    default_bound=1.0,
    security_bits=128,
    security_standard=(
        f"{_TABLE_2018} and eprint 2024/463 for N and q; core-SVP (eprint 2015/1092) at the widths that hints leave: 225 "
        "classical, 204 quantum"
    ),
    source="Willow (eprint 2024/936); widths by Hint-MLWE (eprint 2023/623); docs/threat_model.md",
    collective=True,
    tagged=True,
    degree=4096,
    modulus_bits=60,
    alone="bfv-compact-2048",
    together="bfv-threshold",
)

PRESETS: dict[str, Preset] = {
    preset.name: preset
    for preset in (
        _PLAINTEXT,
        _PAILLIER_NAIVE,
        _PAILLIER_PACKED,
        replace(
            _PAILLIER_PACKED,
            name="paillier-packed-3072",
            security_bits=128,
            security_standard=_PAILLIER_PACKED.security_standard.replace("2048", "3072"),
            modulus_bits=3072,
            mask_bits=1536,
        ),
        replace(
            _PAILLIER_PACKED,
            name="INSECURE_paillier-512",
            security_bits=0,
            security_standard="none: factored within hours",
            source="like paillier-packed, small enough for tests",
            modulus_bits=512,
            mask_bits=256,
        ),
        _CKKS_TUTORIAL,
        replace(
            _CKKS_TUTORIAL,
            name="ckks-nvflare",
            source="NVFlare's HE defaults: N = 8192 [60, 40, 40], scale 2^40, symmetric",
            symmetric=True,
            prime_bits=(60, 40, 40),
        ),
        _CKKS_LEAN,
        _BFV_LEAN,
        _BFV_COMPACT,
        _BFV_COMPACT_2048,
        _seeded(_BFV_COMPACT_2048),
        _seeded(_BFV_LEAN),
        _seeded(_BFV_COMPACT),
        _insecure(_CKKS_LEAN, "ckks"),
        _BFV_THRESHOLD,
        replace(
            _BFV_THRESHOLD,
            name="bfv-threshold-classroom",
            degree=4096,
            prime_bits=(48, 42, 16),
            plain_bits=37,
            field_bits=18,
            flood_bits=47,
            max_decryptions=1_300,
        ),
        _BFV_THRESHOLD_SMALL,
        replace(
            _BFV_THRESHOLD_SMALL,
            name="bfv-threshold-strict",
            prime_bits=(50, 50, 50, 22),
            flood_bits=84,
            largest_threshold=16,
            max_decryptions=50_000,
        ),
        _CKKS_THRESHOLD,
        _insecure(_BFV_THRESHOLD, "bfv-threshold"),
        _insecure(_CKKS_THRESHOLD, "ckks-threshold"),
        _insecure(_BFV_LEAN, "bfv"),
        _ONETIME,
        replace(
            _ONETIME,
            name="onetime-2048",
            security_standard=(
                f"{_TABLE_2018} and eprint 2024/463 for N and q; core-SVP (eprint 2015/1092) at the widths that hints leave: 105 "
                "classical, 95 quantum (the table's own row: 101, 91)"
            ),
            degree=2048,
            modulus_bits=53,
            fields=3,
        ),
        replace(
            _ONETIME,
            name="INSECURE_onetime-1024",
            security_bits=0,
            security_standard="none: ring too small for its primes",
            source="like onetime, small enough for tests",
            degree=1024,
            alone="INSECURE_bfv-1024",
            together="INSECURE_bfv-threshold-1024",
        ),
    )
}


def key_preset(preset: Preset, quorum: Quorum) -> Preset:
    """The preset of the epoch's key: the scheme's own, or the one in which one-time keys travel under this custody."""
    if isinstance(preset, OneTimePreset):
        return PRESETS[preset.together if quorum.collective else preset.alone]
    return preset


def load_preset(name: str) -> Preset:
    """The preset of this name, checked. Raises: ParameterError for an unknown name or a broken rule."""
    preset = PRESETS.get(name) or _few_bits(name)
    if preset is None:
        raise ParameterError(f"scheme: expected one of {', '.join(PRESETS)}, found {name!r}", "`schemes` lists them")
    preset.require_safe()
    return preset


FEWEST_BITS, MOST_BITS = 2, 16
"""Value bits that an experiment may ask for."""
_PRIME_GAP = 1 << 16
"""The plaintext prime is less than this below 2^plain_bits, the largest sum of words under one-time keys less than this below
2^payload_bits (a test looks at both)."""
_FEW_BITS = re.compile(r"(?P<base>.+)\.(?P<bits>[1-9][0-9]?)bit\.k(?P<terms>[1-9][0-9]{0,3})")


def few_bits(name: str, bits: int, terms: int) -> str:
    """The name of a packed preset at so many value bits for sums of so many terms; :func:`load_preset` knows it.

    The name stands in the key's id, so that parties with another packing have another key.

    >>> few_bits("bfv-compact", 3, 5), load_preset("bfv-compact.3bit.k5").fields
    ('bfv-compact.3bit.k5', 9)
    """
    return f"{name}.{bits}bit.k{terms}"


def packs(preset: Preset) -> bool:
    """Whether values become whole numbers, several to a word: only then there are bits to choose, and something to rotate for."""
    return isinstance(preset, FieldPreset) and preset.field_bits > 0


def _few_bits(name: str) -> Preset | None:
    """The preset of a name that :func:`few_bits` made, None for any other. Raises: ParameterError where it does not pack."""
    found = _FEW_BITS.fullmatch(name)
    preset = PRESETS.get(found["base"]) if found else None
    if found is None or preset is None:
        return None
    bits, terms = int(found["bits"]), int(found["terms"])
    if not FEWEST_BITS <= bits <= MOST_BITS:
        raise ParameterError(
            f"bits: expected {FEWEST_BITS}..{MOST_BITS}, found {bits}", "leave it out for the preset's own"
        )
    most = getattr(preset, "max_terms", 0)
    if not isinstance(preset, FieldPreset) or not packs(preset):
        raise ParameterError(
            f"bits: expected a scheme that packs whole numbers, found {preset.name}",
            "take a bfv or onetime preset, or paillier-packed",
        )
    if not 2 <= terms <= most:
        raise ParameterError(f"{preset.name}: expected sums of 2 to {most} terms, found {terms}", "take another preset")
    base = base_of(bits, terms)
    own = {
        "name": name,
        "max_terms": terms,
        "value_bits": bits,
        "source": f"{preset.source}; mixed radix of base {base}",
    }
    if isinstance(preset, PaillierPreset):
        width = (base ** digits_below(base, 1 << 63) - 1).bit_length()
        return FewBitsPaillier(**{**_numbers(preset), **own, "field_bits": width})
    room = preset.payload_bits if isinstance(preset, OneTimePreset) else preset.plain_bits
    digits = digits_below(base, (1 << room) - _PRIME_GAP)
    if isinstance(preset, OneTimePreset):
        own |= {"fields": digits, "field_bits": (room - 1) // max(digits, 1)}
        return FewBitsOneTime(**{**_numbers(preset), **own})
    return FewBitsBFV(
        **{**_numbers(preset), **own, "fields": digits, "field_bits": preset.plain_bits // max(digits, 1)}
    )


def _numbers(preset: Preset) -> dict[str, Any]:
    return {field.name: getattr(preset, field.name) for field in fields(preset)}
