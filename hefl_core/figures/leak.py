"""What leaves the hospital: one real record, its update, and what a coordinator reads from it, plain or encrypted.

For one record the first layer's gradient reveals the record: ∂L/∂W[:, i] = x · ∂L/∂b[i], so x is one division.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hefl_core.errors import DataError
from hefl_core.ids import digest
from hefl_core.learning.datasets import load_dataset
from hefl_core.learning.models import model_for_dataset
from hefl_core.learning.numpy_trainer import loss_and_gradient
from hefl_core.schemes.base import PublicKey, SecretShare, Vector
from hefl_core.schemes.quorum import Quorum
from hefl_core.schemes.registry import load_preset, open_scheme
from hefl_core.terms.experiment import Experiment
from hefl_core.vectors import flatten, unflatten

COHORT = 5
"""Clients' updates that the ciphertext has head-room for."""
_SAME = 0.99
CHANCE = 1.96
"""Two unrelated lists of n numbers correlate by less than this over √n in 95 % of cases."""
SAME_VALUE = 0.01
"""A computed value agrees with the record's when they differ by less than this, in standard deviations."""
ROWS_SHOWN = 7
PATIENT_ROWS = {
    "mean radius": ("Radius of the cell nuclei", "pixels"),
    "mean area": ("Area of the cell nuclei", "pixels²"),
    "mean perimeter": ("Perimeter of the cell nuclei", "pixels"),
    "mean texture": ("Spread of the grey tones", "grey levels"),
    "mean concavity": ("Depth of the dents", "no unit"),
    "mean symmetry": ("Asymmetry", "no unit"),
    "worst radius": ("Radius of the largest nuclei", "pixels"),
}
"""Measurements of ``breast_cancer`` in plain words, with units. Source: Street et al. 1993: an area is a count of pixels."""
SAID = (*dict.fromkeys(text for row in PATIENT_ROWS.values() for text in row), "malignant", "benign")
"""Words of this file that stand on a screen, for the translators."""


@dataclass(frozen=True)
class CardRow:
    """One measurement of the record: what it is, and its value as the hospital has it and as each division gives it."""

    name: str
    unit: str
    here: str
    from_plain: str
    from_cipher: str


@dataclass(frozen=True)
class Leak:
    """One record, plain and encrypted. Vectors float64 (features,), standardised; ``raw_*`` in the table's own units.

    ``from_plain`` and ``from_cipher``: one division applied to the plain update and to the ciphertext's bytes.
    ``others_agree``: values in which another record of the table agrees with this one, on average: what luck reaches.
    """

    dataset: str
    label: str
    names: tuple[str, ...]
    side: int | None
    record: Vector
    raw: Vector
    raw_from_plain: Vector
    raw_from_cipher: Vector
    from_plain: Vector
    from_cipher: Vector
    update: Vector
    ciphertext: bytes
    ciphertext_nbytes: int
    plain_nbytes: int
    scheme: str
    key_id: str
    others_agree: float

    @property
    def error(self) -> float:
        """Largest |entry| of reconstruction minus record, standardised."""
        return float(np.max(np.abs(self.from_plain - self.record)))

    @property
    def likeness(self) -> tuple[float, float]:
        """|correlation| with the record: of the plain reconstruction and of that from the ciphertext."""
        return _likeness(self.from_plain, self.record), _likeness(self.from_cipher, self.record)

    @property
    def recovered(self) -> tuple[int, int]:
        """Values of the record that agree: in the plain reconstruction, and in that from the ciphertext."""
        return _agreeing(self.from_plain, self.record), _agreeing(self.from_cipher, self.record)

    @property
    def card(self) -> tuple[CardRow, ...]:
        """The measurements that a screen has room for; none of a picture."""
        if self.side is not None:
            return ()
        known = [self.names.index(name) for name in PATIENT_ROWS if name in self.names]
        return tuple(self._row(at) for at in (known or range(len(self.names)))[:ROWS_SHOWN])

    def _row(self, at: int) -> CardRow:
        name, unit = PATIENT_ROWS.get(self.names[at], (self.names[at], ""))
        here, plain, cipher = (_short(one[at]) for one in (self.raw, self.raw_from_plain, self.raw_from_cipher))
        return CardRow(name, unit, here, plain, cipher)

    @property
    def survives(self) -> bool:
        """Whether the record stays hidden from this division on the ciphertext."""
        return self.likeness[1] < _SAME

    @property
    def chance(self) -> float:
        """Below this |correlation| the two count as unrelated: chance stays below it in 95 % of cases."""
        return CHANCE / float(np.sqrt(len(self.record)))


def leak(experiment: Experiment, row: int = 0) -> Leak:
    """Train one step on one record, plain and encrypted. The key pair is generated for this picture and discarded.

    Raises: DataError for a record that is not there, or models without a dense first layer; ParameterError.
    Source: Phong et al. 2018, section 3; Zhu et al. 2019.
    """
    data = load_dataset(experiment.dataset)
    if not 0 <= row < len(data.train):
        raise DataError(f"record: expected 0..{len(data.train) - 1}, found {row}; choose another")
    model = model_for_dataset(experiment.model, data)
    features, labels = data.train.features[row : row + 1], data.train.labels[row : row + 1]
    theta = model.init(digest(experiment.dataset.encode(), experiment.seed.to_bytes(8, "big")))
    arrays = unflatten(theta, model.shapes)
    if arrays[0].shape[0] != len(data.feature_names):
        raise DataError(f"model {experiment.model}: expected a dense first layer, found another; choose mlp")
    _, slopes = loss_and_gradient(model, arrays, features, labels)
    update = -np.float32(experiment.learning_rate) * flatten(slopes).astype(np.float32)
    scheme, key_id, body, nbytes = _encrypted(experiment, update.astype(np.float64))
    record = features[0].astype(np.float64)
    plain = _divide(update.astype(np.float64), model.shapes)
    read = np.resize(np.frombuffer(body, np.int8), update.shape).astype(np.float64)
    cipher = plain if load_preset(scheme).family == "plaintext" else _divide(read, model.shapes)
    restore = data.scaling.restore if data.scaling else lambda values: np.asarray(values, np.float64)
    return Leak(
        dataset=data.name,
        label=data.classes[int(labels[0])],
        names=data.feature_names,
        side=data.image_side,
        record=record,
        raw=restore(features[0]),
        raw_from_plain=restore(plain.astype(np.float32)),
        raw_from_cipher=restore(cipher.astype(np.float32)),
        from_plain=plain,
        from_cipher=cipher,
        update=update.astype(np.float64),
        ciphertext=body,
        ciphertext_nbytes=nbytes,
        plain_nbytes=update.nbytes,
        scheme=scheme,
        key_id=key_id,
        others_agree=_others(data.train.features, row),
    )


def _encrypted(experiment: Experiment, update: Vector) -> tuple[str, str, bytes, int]:
    scheme = open_scheme(experiment.scheme)
    public, shares = scheme.keygen(Quorum(1, experiment.clients))
    key: PublicKey | SecretShare = shares[0] if scheme.preset.symmetric else public
    bound = scheme.preset.default_bound
    vector = scheme.encrypt(key, np.clip(update, -bound, bound), max_terms=COHORT)
    block = vector.blocks[0]
    start = min(256, len(block) // 4)  # a block begins with a header of its format
    return scheme.preset.name, public.id.short, block[start:], vector.nbytes


def _divide(update: Vector, shapes: tuple[tuple[int, ...], ...]) -> Vector:
    """X = ΔW[:, i] / Δb[i] for the unit i whose bias moved most. Shapes: (d,) to (features,)."""
    weights, bias = unflatten(update, shapes)[:2]
    unit = int(np.argmax(np.abs(bias)))
    return np.asarray(weights[:, unit] / (bias[unit] or 1.0), dtype=np.float64)


def _likeness(a: Vector, b: Vector) -> float:
    found = float(np.corrcoef(a, b)[0, 1])
    return abs(found) if np.isfinite(found) else 0.0


def _agreeing(found: Vector, record: Vector) -> int:
    return int(np.count_nonzero(np.abs(found - record) < SAME_VALUE))


def _others(features: npt.NDArray[np.float32], row: int) -> float:
    """Mean number of agreeing values over all other records. Shapes: (n, features)."""
    others = np.delete(features, row, axis=0)
    return float(np.mean(np.sum(np.abs(others - features[row]) < SAME_VALUE, axis=1)))


def _short(value: float) -> str:
    return f"{value:,.1f}" if abs(value) >= 100 else f"{value:.4g}"


def as_shown(values: Vector) -> list[float]:
    """Values for a picture: divided by the largest and cut to -1..1."""
    most = float(np.max(np.abs(values), initial=0.0))
    return [float(v) for v in np.clip(values / (most or 1.0), -1, 1)]


def as_grey(values: Vector) -> list[float]:
    """Pixels of a picture, from 0 (no ink) to 1."""
    return [float(v) for v in np.clip(values, 0, 1)]


def as_static(ciphertext: bytes) -> list[float]:
    """A ciphertext's bytes for a picture, from -1 to 1."""
    return [float(v) for v in np.frombuffer(ciphertext, np.uint8) / 127.5 - 1]
