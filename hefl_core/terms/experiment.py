"""One experiment: everything that decides what happens, and nothing else.

The same object is a JSON file, a URL query and the sidebar of the application.
"""

from __future__ import annotations

import math
import secrets
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any, Literal
from urllib.parse import parse_qsl, urlencode

import msgspec
from msgspec import UNSET, UnsetType

from hefl_core.errors import ParameterError
from hefl_core.ids import digest
from hefl_core.keys.custody import Custody
from hefl_core.schemes.base import check_quorum
from hefl_core.schemes.fixed_point import FixedPoint
from hefl_core.schemes.flooding import Flooding, flooding, wanted_answers
from hefl_core.schemes.presets import PRESETS, FewBits, FieldPreset, Preset, few_bits, packs
from hefl_core.schemes.quorum import Quorum
from hefl_core.schemes.registry import load_preset, opened_count
from hefl_core.schemes.rotated import Rotation, largest_root
from hefl_core.tables.doors import is_path
from hefl_core.terms.adaptive_bound import BoundRange, start_of
from hefl_core.terms.dp import Mechanism, grid
from hefl_core.wire.canonical import encode

NARROW_FIELD_BITS = 12
"""Fields up to this width need a bound close to the updates: adaptive unless the experiment gives one."""
FEW_BITS = 10
"""Values of at most so many bits need such a bound too."""
FEWEST_NOISED_BITS = 9
"""On a coarser grid truncation towards zero eats the update before it is noised, and other rounding lengthens it."""
PARTITIONS = ("iid", "hospital", "shards", "dirichlet-by-class", "dirichlet-by-client")
"""How examples are dealt to clients (learning/partition.py)."""
SMALLEST_COHORT = 3
"""Below three contributors one of them can subtract itself and read the other."""


@dataclass(frozen=True, slots=True)
class Experiment:
    """A federated training under encryption.

    ``model``: "sums" is none; round zero (runtime/round_zero.py) adds up numbers instead of training.
    ``partition``: how examples are dealt (learning/partition.py). ``alpha``: Dirichlet's concentration; with ``iid`` it means
    ``dirichlet-by-class``. ``bound``: largest |entry| of a weighted
    update; 'adaptive': the clients derive it from the last decrypted sum and clip to it, the coordinator does not learn
    it; None: the preset's, or adaptive where the preset's fields are narrow.
    ``bits``: of one value, 2 to 16, in mixed radix for sums of exactly ``clients`` updates; None: the preset's own fields.
    ``rotate``: whether a public rotation spreads large entries before they are cut to fields; None: where ``bits`` is given.
    ``dp_noise``: standard deviation of the noise on the sum over ``clip_norm``, when only ``min_cohort`` clients contribute; every
    update then has the same weight, and the bound follows from the noise (None: no differential privacy).
    ``min_cohort``: fewer contributors are refused (None: max(3, t + 1)).
    ``epoch_rounds``: rounds per key epoch, then the KMS rotates (None: one where clients hold a dealt key together, else all).
    ``observed``: whether the audience may see the clients' private side, sealed to the observer.

    Raises: ParameterError naming the field, what was expected and what was found.
    """

    dataset: str = "digits"
    model: str = "mlp"
    trainer: str = "numpy"
    scheme: str = "bfv-lean"
    custody: str = "individual"
    clients: int = 5
    rounds: int = 3
    local_epochs: int = 1
    batch: int = 32
    learning_rate: float = 0.1
    partition: str = "iid"
    alpha: float | None = None
    min_cohort: int | None = None
    seed: int = 7
    clip_norm: float | None = None
    dp_noise: float | None = None
    bound: float | Literal["adaptive"] | None = None
    bits: int | UnsetType | None = UNSET
    rotate: bool | UnsetType | None = UNSET
    epoch_rounds: int | None = None
    observed: bool = True

    def __post_init__(self) -> None:
        # An unset field is left out of the canonical form: a record made before it existed keeps its bytes and its name.
        for name in ("bits", "rotate"):
            if getattr(self, name) is None:
                object.__setattr__(self, name, UNSET)
        _between("clients", self.clients, 2, 1000)
        _between("rounds", self.rounds, 1, 10_000)
        _between("local_epochs", self.local_epochs, 1, 1000)
        _between("batch", self.batch, 1, 100_000)
        if self.epoch_rounds is not None:
            _between("epoch_rounds", self.epoch_rounds, 1, 10_000)
        _between("seed", self.seed, 0, 2**63 - 1)
        _positive("learning_rate", self.learning_rate)
        for name in ("alpha", "clip_norm", "dp_noise", "bound"):
            value = getattr(self, name)
            if isinstance(value, str) and (name, value) != ("bound", "adaptive"):
                raise ParameterError(f"{name}: expected a number{' or adaptive' * (name == 'bound')}, found {value!r}")
            if value is not None and not isinstance(value, str):
                _positive(name, value)
        _one_of("model", self.model, ("logistic", "mlp", "mlp-large", "cnn", "attention", "sums"))
        _one_of("trainer", self.trainer, ("numpy", "keras"))
        _one_of("partition", self.partition, PARTITIONS)
        if self.scheme not in PRESETS and load_preset(self.scheme):
            raise ParameterError(
                f"scheme: expected a preset, found one with its bits ({self.scheme})", "give bits apart"
            )
        preset = self.preset
        if self.rotated and not packs(preset):
            raise ParameterError(
                f"rotate: expected a scheme that packs whole numbers, found {self.scheme}",
                "take a bfv preset or paillier-packed, or leave it out",
            )
        quorum = self.quorum
        floor = self.cohort_floor
        if not 2 <= floor <= self.clients:
            raise ParameterError(
                f"min_cohort: expected 2..{self.clients} (the number of clients), found {floor}",
                f"use at least {max(SMALLEST_COHORT, quorum.threshold + 1)} clients, "
                "or lower min_cohort for a lab experiment",
            )
        check_quorum(preset, quorum)
        self._check_bound()
        self._check_privacy()

    def _check_bound(self) -> None:
        """Refuse an adaptive bound where there are no fields to fit. Raises: ParameterError."""
        family = self.preset.family
        if self.bound == "adaptive" and self.dp_noise is None and not self.adaptive:
            raise ParameterError(
                f"bound: expected a number or none under {self.scheme} ({family} has no fields to fit), found adaptive",
                "leave it out, or take a bfv, onetime or paillier preset",
            )

    def _check_privacy(self) -> None:
        """Refuse schemes and bounds that cannot carry the noise. Raises: ParameterError."""
        mechanism = self.mechanism
        if mechanism is None:
            return
        if self.bound is not None:
            raise ParameterError(
                f"bound: expected none under dp_noise, found {self.bound}", "the noise decides the bound"
            )
        preset = self.preset
        step = grid(mechanism.bound)
        if isinstance(preset, FewBits):
            if preset.value_bits < FEWEST_NOISED_BITS:
                raise ParameterError(
                    f"bits: expected {FEWEST_NOISED_BITS} or more under dp_noise, found {preset.value_bits}",
                    "on a coarse grid truncation eats the update; take more bits",
                )
            step = FixedPoint.of(preset.value_bits, self.clients).step(mechanism.bound)
        elif isinstance(preset, FieldPreset) and preset.field_bits:
            if preset.field_bits <= NARROW_FIELD_BITS:
                raise ParameterError(
                    f"dp_noise: expected fields wider than {NARROW_FIELD_BITS} bits, found {preset.field_bits} "
                    f"({self.scheme})",
                    "take bfv-lean or paillier-packed: the noise's tail needs the room",
                )
            step = FixedPoint(preset.field_bits, max(2, self.clients)).step(mechanism.bound)
        mechanism.share_std(step)

    @property
    def preset(self) -> Preset:
        """The scheme's numbers, with the packing that ``bits`` asks for. Its name is in the key's id.

        Raises: ParameterError for an unknown scheme, or one that cannot pack so.
        """
        return load_preset(few_bits(self.scheme, self.bits, self.clients) if self.bits else self.scheme)

    @property
    def rotated(self) -> bool:
        """Whether updates are rotated before they become fields."""
        return self.rotate if isinstance(self.rotate, bool) else bool(self.bits)

    def require_fine(self, parameters: int) -> None:
        """Refuse few bits under noise whose step is more than half a typical entry of an update of length C.

        Truncation would take more than a fifth of it. Raises: ParameterError.
        """
        preset, mechanism = self.preset, self.mechanism
        if mechanism is None or not isinstance(preset, FewBits):
            return
        step = FixedPoint.of(preset.value_bits, self.clients).step(mechanism.bound)
        typical = mechanism.clip_norm / math.sqrt(parameters)
        if step > typical / 2:
            raise ParameterError(
                f"bits: expected steps of at most {typical / 2:.3g} under dp_noise (half of C/√d), found {step:.3g} at "
                f"{preset.value_bits} bits",
                f"take {math.ceil(math.log2(2 * step / typical))} bits more, or the preset's own fields",
            )

    @property
    def mechanism(self) -> Mechanism | None:
        """What makes the sum differentially private; None without ``dp_noise``. Raises: ParameterError."""
        if self.dp_noise is None:
            return None
        if self.clip_norm is None:
            raise ParameterError(
                "dp_noise: expected clip_norm with it, found none", "noise hides what is clipped; add it"
            )
        return Mechanism(self.clip_norm, self.dp_noise, self.cohort_floor)

    @property
    def quorum(self) -> Quorum:
        """How many holders must come together to decrypt."""
        return Custody.parse(self.custody, self.clients).quorum

    @property
    def dealer_free(self) -> bool:
        """Whether the clients make the key without a dealer."""
        return Custody.parse(self.custody, self.clients).dealer_free

    @property
    def rounds_per_epoch(self) -> int:
        """How many rounds one key serves at most.

        Under one key a client that deviates can mix an old upload into its own and read it from the next sum
        (attacks/methods/related_ciphertexts.py), or read the key itself (`attack delta`). A dealt key that is held
        together is therefore changed with every round; one made without a dealer costs every client a ceremony, so the
        user chooses.
        """
        if self.epoch_rounds is not None:
            return min(self.epoch_rounds, self.rounds)
        return 1 if self.quorum.collective and not self.dealer_free else self.rounds

    def last_round_of(self, first_round: int) -> int:
        """The last round of the key that is made for this one: a rotation in between does not move the others."""
        # The end of the block of `every` rounds that contains first_round, counted from round 1.
        every = self.rounds_per_epoch
        return min(self.rounds, ((first_round - 1) // every + 1) * every)

    def flooding(self, parameters: int) -> Flooding | None:
        """What one key reveals at most with a model of d parameters; None where nothing is flooded.

        Raises: ParameterError where one sum is more than a key may open.
        """
        preset, free = self.preset, self.dealer_free
        blocks = opened_count(preset, parameters)
        wanted = wanted_answers(blocks, self.rounds_per_epoch, dealer_free=free)
        return flooding(preset, self.quorum, self.clients, wanted, blocks=blocks, dealer_free=free)

    @property
    def adaptive(self) -> bool:
        """Whether the clients derive the bound. Schemes without fields (CKKS, plaintext) have nothing to adapt."""
        preset = self.preset
        if self.dp_noise is not None or not isinstance(preset, FieldPreset):
            return False
        if isinstance(preset, FewBits):
            return self.bound == "adaptive" or (self.bound is None and preset.value_bits <= FEW_BITS)
        narrow = 0 < preset.field_bits <= NARROW_FIELD_BITS
        return self.bound == "adaptive" or (self.bound is None and narrow)

    @property
    def declared_bound(self) -> float | None:
        """The bound in every plan; None when it is adaptive, the clients' secret."""
        if self.adaptive:
            return None
        if self.mechanism is not None:
            return self.mechanism.bound
        return float(self.bound) if isinstance(self.bound, float | int) else self.preset.default_bound

    @property
    def cohort_floor(self) -> int:
        """``min_cohort``, or the smallest safe one."""
        if self.min_cohort is not None:
            return self.min_cohort
        return max(SMALLEST_COHORT, self.quorum.threshold + 1)

    @property
    def insecure(self) -> tuple[str, ...]:
        """Why this run protects nobody; empty when it should. Shown wherever the run is shown."""
        reasons = []
        preset = self.preset
        if preset.family == "plaintext":
            reasons.append("plaintext: updates travel unencrypted")
        if preset.insecure:
            reasons.append(f"{self.scheme}: parameters too small to protect anything")
        safe = max(SMALLEST_COHORT, self.quorum.threshold + 1)
        if self.cohort_floor < safe:
            reasons.append(f"INSECURE min_cohort {self.cohort_floor}: fewer than {safe} contributors")
        return tuple(reasons)

    def to_json(self) -> str:
        """Every field, as JSON."""
        return msgspec.json.encode(self).decode()

    @classmethod
    def from_json(cls, text: str | bytes) -> Experiment:
        """Read :meth:`to_json` back. Raises: ParameterError for unknown or mistyped fields."""
        try:
            return cls._from_fields(msgspec.json.decode(text, type=dict[str, Any]), strict=True)
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
            raise ParameterError(f"experiment: expected JSON with the fields of Experiment, {error}") from error

    def to_query(self) -> str:
        """The fields that differ from the defaults, as a URL query."""
        default = Experiment()
        return urlencode(
            {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) != getattr(default, f.name)}
        )

    @classmethod
    def from_query(cls, query: str) -> Experiment:
        """Read :meth:`to_query` back. Raises: ParameterError for unknown or mistyped fields."""
        return cls._from_fields(dict(parse_qsl(query, keep_blank_values=True)), strict=False)

    @classmethod
    def _from_fields(cls, values: dict[str, Any], *, strict: bool) -> Experiment:
        unknown = sorted(set(values) - {f.name for f in fields(cls)})
        if unknown:
            raise ParameterError(f"experiment: unknown field {', '.join(unknown)}", "see `run --help` for the fields")
        try:
            return msgspec.convert(values, cls, strict=strict)
        except msgspec.ValidationError as error:
            if isinstance(error.__cause__, ParameterError):
                raise error.__cause__ from error
            raise ParameterError(f"experiment: {error}") from error

    def but(self, **changes: Any) -> Experiment:
        """A copy with some fields changed."""
        return replace(self, **changes)

    def under(self, scheme: str, **changes: Any) -> Experiment:
        """A copy under another scheme; what only schemes with fields know is left out where this one has none."""
        if not packs(load_preset(scheme)):
            adaptive = {"bound": None} if self.bound == "adaptive" else {}
            changes = {"bits": None, "rotate": None, **adaptive, **changes}
        return self.but(scheme=scheme, **changes)


@dataclass(frozen=True, slots=True)
class Schema:
    """The common form of the clients' tables: feature columns and classes, in order. The model's shape follows from it.

    ``offset`` and ``scale``: how columns are scaled, (raw - offset) / scale, where that is agreed (both empty: it is not).
    Leaks: it is public, and holds no statistic of anybody's data unless the organiser puts one in.
    """

    columns: tuple[str, ...]
    classes: tuple[str, ...]
    offset: tuple[float, ...] = ()
    scale: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        for name, values, least in (("columns", self.columns, 1), ("classes", self.classes, 2)):
            if len(values) < least or len(set(values)) != len(values):
                raise ParameterError(f"schema: expected {least} or more different {name}, found {len(values)}")
        if not len(self.offset) == len(self.scale) in (0, len(self.columns)):
            raise ParameterError(
                f"schema: expected an offset and a scale for each of {len(self.columns)} columns, or none, found "
                f"{len(self.offset)} and {len(self.scale)}"
            )
        if any(not 0 < value < float("inf") for value in self.scale):
            raise ParameterError(
                "schema: expected positive finite scales, found another", "use 1 to leave a column as it is"
            )


@dataclass(frozen=True)
class Manifest:
    """The public terms of one run, agreed before it starts: the experiment and what was derived from it.

    ``examples_max``: the smallest power of two ≥ the largest client's example count; nothing else is told about counts.
    ``parameters``: d. ``nonce`` makes two runs of one experiment different runs. ``bounds``: where an adaptive bound starts
    and its limits; unused when the bound is fixed. ``schema``: of the clients' tables.
    """

    experiment: Experiment
    parameters: int
    examples_max: int
    nonce: bytes
    bounds: BoundRange = field(default_factory=BoundRange)
    schema: Schema | None = None

    @classmethod
    def draw(
        cls, experiment: Experiment, parameters: int, largest_client: int, schema: Schema | None = None
    ) -> Manifest:
        """Terms for a fresh run. Under differential privacy every update counts once, so that no count gives one away.

        Raises: ParameterError for a data set that is a path: terms are public, and a path says nothing about the content;
            for bits too few for the noise on a model of this size.
        """
        if is_path(experiment.dataset):
            raise ParameterError(
                "dataset: expected a table's name (table:…) or another from the content, found a path",
                "put the data on the shelf first (learning/shelf.py resolve)",
            )
        if experiment.mechanism is not None:
            largest_client = 1
        experiment.require_fine(parameters)
        largest = 1 << (largest_client - 1).bit_length()
        bounds = BoundRange(start=start_of(parameters)) if experiment.rotated else BoundRange()
        return cls(experiment, parameters, largest, secrets.token_bytes(16), bounds, schema)

    @cached_property
    def id(self) -> str:
        """The experiment's name in every header: SHA-256 of the manifest, 64 hex digits."""
        return digest(encode(self)).hex()

    @property
    def error_factor(self) -> int:
        """How much larger than a field's error the error of an entry can be: √h under a rotation of blocks of h, else 1.

        In L2 a rotation adds nothing: it keeps lengths.
        """
        return largest_root(self.parameters) if self.experiment.rotated else 1

    def rotation(self, round_: int) -> Rotation | None:
        """The round's public rotation, the same in every attempt; None where the experiment has none."""
        if not self.experiment.rotated:
            return None
        return Rotation(self.parameters, digest(b"hefl/rotation", self.id.encode(), round_.to_bytes(8, "big")))

    @property
    def initialisation(self) -> bytes:
        """Seed of θ_0. Independent of scheme and custody, so that runs under different schemes start alike."""
        e = self.experiment
        return digest(encode((e.dataset, e.model, e.seed, self.parameters)))


def read_bound(text: str | None) -> float | Literal["adaptive"] | None:
    """A bound as it is typed. Raises: ParameterError."""
    if text is None or text == "adaptive":
        return None if text is None else "adaptive"
    try:
        return float(text)
    except ValueError:
        raise ParameterError(f"bound: expected a number or adaptive, found {text!r}") from None


def _between(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise ParameterError(f"{name}: expected {low}..{high}, found {value}")


def _positive(name: str, value: float) -> None:
    if not 0 < value < float("inf"):
        raise ParameterError(f"{name}: expected a positive finite number, found {value}")


def _one_of(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ParameterError(f"{name}: expected one of {', '.join(known)}, found {value!r}")
