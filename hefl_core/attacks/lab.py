"""The laboratory: deals a trial's data, trains the victims, encrypts, and returns the view and the truth apart.

The attacks never import this file; trials.py connects the two. The key is generated for one lab and discarded.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np

from hefl_core.attacks.methods.record_leak import imprint_model, imprint_parameters
from hefl_core.attacks.scoring import Truth
from hefl_core.attacks.view import MEAN, MODEL, OWN, Doubles, Held, Message, Public, View
from hefl_core.errors import ParameterError
from hefl_core.ids import client_name, digest
from hefl_core.learning.base import Examples, LocalTraining, Parameters
from hefl_core.learning.datasets import load_dataset
from hefl_core.learning.models import Activation, Model, dense_model, model_for_dataset
from hefl_core.learning.numpy_trainer import NumpyTrainer
from hefl_core.schemes.base import PublicKey, SecretShare
from hefl_core.schemes.quorum import Quorum
from hefl_core.schemes.registry import load_preset, open_scheme
from hefl_core.terms import messages as m
from hefl_core.vectors import clip_norm

PLAIN, COORDINATOR, CLIENT, COALITION, USER = "plain FL", "coordinator", "client", "coordinator+client", "model user"
SEATS = (PLAIN, COORDINATOR, CLIENT, COALITION, USER)
THREATS = {
    PLAIN: "coordinator of plain federated learning, honest but curious: reads each update",
    COORDINATOR: "coordinator under encryption, honest but curious: holds the ciphertexts and the public key",
    CLIENT: "one curious client: knows its own update and the decrypted mean, nothing else",
    COALITION: "coordinator and one client together: the ciphertexts and one share of the key",
    USER: "anybody who has the finished model",
}


@dataclass(frozen=True)
class Setting:
    """One laboratory. ``batch``: records per client (one step on all of them, unless ``local_epochs`` or ``minibatch``).

    ``clip`` and ``noise``: the update is clipped to this norm, and each client adds noise of ``noise · clip`` per entry to
    it in total (divided among the clients where the mean is what is seen). ``network``: one hidden dense layer, or the model
    ``cnn`` or ``attention``. ``trained``: passes over half of the hold-out records before the round begins; 0: a fresh model.
    """

    dataset: str = "digits"
    hidden: int = 64
    activation: Activation = "relu"
    scheme: str = "plaintext"
    seat: str = PLAIN
    batch: int = 1
    local_epochs: int = 1
    minibatch: int | None = None
    clients: int = 5
    threshold: int = 1
    learning_rate: float = 0.1
    imprint_bins: int = 0
    clip: float | None = None
    noise: float = 0.0
    network: Literal["dense", "cnn", "attention"] = "dense"
    trained: int = 0
    seed: int = 7

    def but(self, **changes: object) -> Setting:
        """A copy with some fields changed."""
        return replace(self, **changes)  # type: ignore[arg-type]


class Lab:
    """Deals trials of one setting. The seed reaches the learning only."""

    def __init__(self, setting: Setting) -> None:
        if setting.seat not in SEATS:
            raise ParameterError(f"seat: expected one of {', '.join(SEATS)}, found {setting.seat!r}", "try 'plain FL'")
        encrypts = load_preset(setting.scheme).family != "plaintext"
        if setting.seat in (COORDINATOR, COALITION) and not encrypts:
            raise ParameterError(
                f"{setting.seat}: expected an encrypting scheme, found {setting.scheme}", "try bfv-lean"
            )
        self.setting = setting
        self.data = load_dataset(setting.dataset)
        if setting.batch > len(self.data.train):
            raise ParameterError(
                f"batch: expected at most the {len(self.data.train)} records of {setting.dataset}, found {setting.batch}"
            )
        self.model: Model = self._architecture()
        self.theta: Parameters = (
            imprint_parameters(self.model, self.data.test.features, setting.seed)
            if setting.imprint_bins
            else self._first_parameters()
        )
        self.scheme = open_scheme("plaintext" if setting.seat == PLAIN else setting.scheme)

    def _architecture(self) -> Model:
        s, features, classes = self.setting, len(self.data.feature_names), len(self.data.classes)
        if s.imprint_bins:
            return imprint_model(features, classes, s.imprint_bins)
        if s.network != "dense":
            return model_for_dataset(s.network, self.data, activation=s.activation)
        return dense_model("lab", (features, s.hidden, classes), s.activation)

    def _first_parameters(self) -> Parameters:
        """Fresh, or trained on every second hold-out record: the clients' own records have no part in it."""
        s = self.setting
        theta = self.model.init(digest(b"hefl/attack-lab", str(s.seed).encode()))
        if not s.trained:
            return theta
        public = self.data.test.take(np.arange(0, len(self.data.test), 2))
        return NumpyTrainer(self.model).train(theta, public, LocalTraining(s.trained, 16, 0.1, s.seed))

    @cached_property
    def _keys(self) -> tuple[PublicKey, tuple[SecretShare, ...]]:
        return self.scheme.keygen(Quorum(self.setting.threshold, self.setting.clients))

    @property
    def public(self) -> Public:
        """Public knowledge in this laboratory."""
        s = self.setting
        largest = 1 << max(0, (s.batch - 1).bit_length())
        return Public(self.model, self.theta, s.learning_rate, largest, s.clients, s.batch, self.data.test)

    def trial(self, number: int, *, examples: Examples | None = None) -> tuple[View, Truth]:
        """One victim (client 1), trained on its own records: the seat's view, and the truth."""
        rng = np.random.default_rng([self.setting.seed, number])
        victim = examples if examples is not None else self._draw(rng)
        update = self.update(victim, number)
        if self.setting.seat == CLIENT:
            return self._clients_view(victim, update, rng, number)
        vector_of = self._noisy(update, rng, 1)
        return self._view(vector_of), Truth(victim, update)

    def _draw(self, rng: np.random.Generator) -> Examples:
        return self.data.train.take(rng.choice(len(self.data.train), self.setting.batch, replace=False))

    def update(self, examples: Examples, number: int = 0) -> Doubles:
        """Δ of one client's local training."""
        s = self.setting
        how = LocalTraining(s.local_epochs, s.minibatch or len(examples), s.learning_rate, number)
        trained = NumpyTrainer(self.model).train(self.theta, examples, how)
        found = trained.astype(np.float64) - self.theta.astype(np.float64)
        return found if s.clip is None else np.asarray(clip_norm(found, s.clip), np.float64)

    def _noisy(self, update: Doubles, rng: np.random.Generator, clients: int) -> Doubles:
        s = self.setting
        if not s.noise:
            return update
        return update + rng.normal(scale=s.noise * (s.clip or 1.0) / clients, size=len(update))

    def _view(self, update: Doubles) -> View:
        s, public = self.setting, self.public
        key, shares = self._keys
        weight = s.batch / public.examples_max
        bound = max(self.scheme.preset.default_bound, float(np.max(np.abs(update))))
        vector = self.scheme.encrypt(
            shares[0] if self.scheme.preset.symmetric else key,
            update * weight,
            bound=bound,
            max_terms=s.clients,
            integers=(s.batch, 1),
            tag=(lambda words, modulus: 0) if self.scheme.preset.tagged else None,
        )
        message = Message(m.UPDATE, client_name(1), 1, vector.to_bytes())
        held = shares[1 : s.threshold] if s.threshold > 1 else shares[1:2]
        keys = held[:1] if s.seat == COALITION else ()
        return View(s.seat, public, (message,), keys=keys, public_key=key)

    def _clients_view(
        self, victim: Examples, update: Doubles, rng: np.random.Generator, number: int
    ) -> tuple[View, Truth]:
        """Client 2 sees the mean of K updates, its own among them; all clients have equally many records."""
        s = self.setting
        others = [self._draw(rng) for _ in range(s.clients - 1)]
        updates = [update, *(self.update(other, number) for other in others)]
        mean = self._noisy(np.mean(updates, axis=0), rng, s.clients)
        held = [Held(MEAN, 1, mean)] + ([Held(OWN, 1, updates[1])] if s.clients > 1 else [])
        return View(s.seat, self.public, held=tuple(held)), Truth(victim, update)

    def two_rounds(self, number: int) -> tuple[View, Truth]:
        """A client's two decrypted means: before and after client 1 left and the first mean was applied."""
        s = self.setting
        rng = np.random.default_rng([s.seed, number])
        everybody = [self._draw(rng) for _ in range(s.clients)]
        before = [self.update(one, number) for one in everybody]
        moved = np.mean(before, axis=0)
        later = Lab(s)
        later.theta = (self.theta + moved).astype(np.float32)
        after = [later.update(one, number + 1) for one in everybody[1:]]
        held = (Held(MEAN, 1, moved), Held(MEAN, 2, np.mean(after, axis=0)))
        return View(CLIENT, self.public, held=held), Truth(everybody[0], before[0])


def finished_model(
    dataset: str = "digits", *, members: int = 150, epochs: int = 200, hidden: int = 64, seed: int = 7
) -> tuple[View, Examples, Doubles, LocalTraining]:
    """A model trained on half of the candidates. The view, the candidates, their membership (truth), the training."""
    lab = Lab(Setting(dataset=dataset, hidden=hidden, seed=seed))
    rng = np.random.default_rng(seed)
    members = min(members, len(lab.data.train) // 2)
    candidates = lab.data.train.take(rng.choice(len(lab.data.train), 2 * members, replace=False))
    inside = rng.permutation(2 * members) < members
    how = LocalTraining(epochs, 32, 0.1, seed)
    theta = NumpyTrainer(lab.model).train(lab.theta, candidates.take(np.flatnonzero(inside)), how)
    view = View(USER, lab.public, held=(Held(MODEL, 0, theta.astype(np.float64)),))
    return view, candidates, inside.astype(np.float64), how
