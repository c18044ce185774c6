"""A real run as material for attacks: views of its own messages, and the truth, which only the scorer receives.

Like lab.py, but nothing is dealt: ``Transcript.seen_by`` decides which seat has which message. Each victim of a round has
its own view. Clients that a seat knows only together (a client's seat: the mean less its own part) are one victim.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from hefl_core.attacks.scoring import Truth
from hefl_core.attacks.view import MEAN, Doubles, Held, Message, Public, View
from hefl_core.errors import ParameterError
from hefl_core.federation.client import Observation
from hefl_core.federation.record.transcript import EAVESDROPPER, Transcript
from hefl_core.ids import AUDITOR, COORDINATOR, KMS, client_name
from hefl_core.keys.epochs import EpochAnnouncement
from hefl_core.learning.base import Examples, Parameters, pooled
from hefl_core.learning.models import Model
from hefl_core.schemes.base import PublicKey, SecretShare
from hefl_core.terms import messages as m
from hefl_core.terms.messages import EncryptedSum
from hefl_core.wire.canonical import decode

MOST_COLLUDING = 5
"""Clients in the largest coalition that is offered."""


@dataclass(frozen=True)
class Victim:
    """One victim: the seat's view of it and, for the scorer, its true training data.

    ``examples``: how many records the seat takes the update for, ``steps``: how many steps of SGD.
    """

    name: str
    view: View
    truth: Truth
    examples: int
    steps: int


@dataclass(frozen=True)
class Weighted:
    """Σ n_k/n_max · Δ_k over some clients, and Σ n_k: the plaintext of a message."""

    values: Doubles
    examples: int


@dataclass(frozen=True)
class Capture:
    """A finished run, or its first rounds. ``auxiliary``: the public hold-out set.

    ``parts`` is the truth: client k's examples at k - 1. ``shares``: what clients hold or held, where this process has it;
    ``private``: per round what the clients sealed to the observer. A seat gets only what its own members have.
    ``last``: later rounds are still in progress (None: none is).
    """

    transcript: Transcript
    model: Model
    auxiliary: Examples
    parts: tuple[Examples, ...] = field(repr=False)
    shares: Mapping[str, tuple[SecretShare, ...]] = field(default_factory=dict, repr=False)
    private: Mapping[int, tuple[Observation, ...]] = field(default_factory=dict, repr=False)
    last: int | None = None

    @property
    def scheme(self) -> str:
        """The run's encryption scheme."""
        return self.transcript.manifest.experiment.preset.name

    @property
    def rounds(self) -> tuple[int, ...]:
        """Rounds that were applied."""
        found = {sent.position.round for sent in self.transcript.sent if sent.step == m.RECEIPT}
        return tuple(sorted(number for number in found if self.last is None or number <= self.last))

    @property
    def seats(self) -> tuple[str, ...]:
        """Single parties, then the coordinator with one client and more, as many as the custody asks for."""
        clients = [client_name(k) for k in range(1, len(self.parts) + 1)]
        most = min(self.transcript.manifest.experiment.quorum.threshold, MOST_COLLUDING, len(clients) - 1)
        together = ("+".join([COORDINATOR, *clients[:count]]) for count in range(1, most + 1))
        return (COORDINATOR, AUDITOR, clients[0], *together, KMS, EAVESDROPPER)

    def victims(self, seat: str, round_: int) -> tuple[Victim, ...]:
        """Clients whose update this seat has in this round, alone or mixed with others.

        Raises: ParameterError for a round that is not on record, or a seat that never gets an update.
        """
        if round_ not in self.rounds:
            raise ParameterError(f"round: expected one of {list(self.rounds)}, found {round_}")
        members = seat.split("+")
        view = self._view(seat, members, round_)
        uploads = {one.sender: one for one in view.messages if (one.kind, one.round) == (m.UPDATE, round_)}
        others = {sender: message for sender, message in uploads.items() if sender not in members}
        alone = [self._alone(replace(view, messages=(message,)), sender) for sender, message in others.items()]
        if any(self._inside(view, message) is not None for message in others.values()):
            return tuple(alone)
        rest = self._rest(view, members, round_)
        if rest is not None:
            return (rest,)
        if not alone:
            raise ParameterError(_nothing(seat, self.transcript), "choose the coordinator, the auditor or a client")
        return tuple(alone)

    # -- what a seat has -----------------------------------------------------------------------------------------

    def _view(self, seat: str, members: Sequence[str], round_: int) -> View:
        manifest = self.transcript.manifest
        public = Public(
            self.model,
            self.model.init(manifest.initialisation),
            manifest.experiment.learning_rate,
            manifest.examples_max,
            manifest.experiment.clients,
            manifest.examples_max,
            self.auxiliary,
        )
        keys = [share for name in members for share in self.shares.get(name, ())]
        view = View.of_transcript(self.transcript, seat, public, keys=keys)
        view = replace(view, public_key=_key(view, round_), rotation=manifest.rotation(round_))
        return replace(view, public=replace(public, theta=self._model_before(view, members, round_)))

    def _model_before(self, view: View, members: Sequence[str], round_: int) -> Parameters:
        """θ as this seat can compute it: public θ_0 plus every sum that it can open."""
        theta = view.public.theta
        for earlier in range(1, round_):
            then = replace(view, public_key=_key(view, earlier), rotation=self.transcript.manifest.rotation(earlier))
            total = self._sum(then, members, earlier)
            if total is None:
                break
            theta = (theta.astype(np.float64) + _unweighted(total, view.public)).astype(np.float32)
        return theta

    def _sum(self, view: View, members: Sequence[str], round_: int) -> Weighted | None:
        """The round's sum: opened where the seat can, else its client's decryption as sealed to the observer."""
        opened = next((view.opened(found.total) for found in _sums(view, round_)[-1:]), None)
        if opened is not None:
            return Weighted(*opened)
        seen = self.private.get(round_, ())
        mean = next((one.applied for one in seen if one.applied), None)
        if mean is None or not any(one.client in members for one in seen):
            return None
        examples = sum(one.examples for one in seen)
        return Weighted(np.frombuffer(mean) * (examples / view.public.examples_max), examples)

    def _inside(self, view: View, message: Message) -> Weighted | None:
        """An upload in the clear; None where the seat cannot decrypt it."""
        (vector,) = replace(view, messages=(message,)).ciphertexts()
        opened = view.opened(vector)
        return None if opened is None else Weighted(*opened)

    # -- victims -------------------------------------------------------------------------------------------------

    def _alone(self, view: View, client: str) -> Victim:
        """One client by its own upload."""
        inside = self._inside(view, view.messages[0])
        examples = view.public.examples_max if inside is None else inside.examples
        return self._victim(view, [client], examples, 1)

    def _rest(self, view: View, members: Sequence[str], round_: int) -> Victim | None:
        """All contributors but this seat's clients: the sum less their own updates."""
        total, contributors = self._sum(view, members, round_), _contributors(view, round_)
        mine = [name for name in contributors if name in members]
        own = list(self._own(view, mine, round_))
        if total is None or not mine or len(own) < len(mine):
            return None
        values = total.values - np.sum([one.values for one in own], axis=0)
        rest = Weighted(values, total.examples - sum(one.examples for one in own))
        others = [name for name in contributors if name not in members]
        view = replace(view, messages=(), held=(Held(MEAN, round_, _unweighted(rest, view.public)),))
        return self._victim(view, others, rest.examples, len(others))

    def _own(self, view: View, mine: Sequence[str], round_: int) -> Iterator[Weighted]:
        """Updates of the seat's own clients: their uploads, or their observations."""
        seen = {one.client: one for one in self.private.get(round_, ())}
        sent = {one.sender: one for one in view.messages if (one.kind, one.round) == (m.UPDATE, round_)}
        for name in mine:
            inside = self._inside(view, sent[name]) if name in sent else None
            if inside is None and name in seen:
                weight = seen[name].examples / view.public.examples_max
                inside = Weighted(np.frombuffer(seen[name].update) * weight, seen[name].examples)
            if inside is not None:
                yield inside

    def _victim(self, view: View, clients: Sequence[str], examples: int, count: int) -> Victim:
        """Treat several steps as one step of their total length, with the gradient taken halfway: the midpoint rule."""
        experiment, public = self.transcript.manifest.experiment, view.public
        steps = experiment.local_epochs * math.ceil(examples / count / experiment.batch)
        public = replace(public, learning_rate=public.learning_rate * steps, batch=examples)
        view = replace(view, public=public)
        if steps > 1:
            halfway = (public.theta + view.update() / 2).astype(np.float32)
            view = replace(view, public=replace(public, theta=halfway))
        truth = Truth(pooled([self.parts[int(name.removeprefix("client-")) - 1] for name in clients]), np.zeros(0))
        name = clients[0] if len(clients) == 1 else f"{len(clients)} clients together"
        return Victim(name, view, truth, examples, steps)


def _unweighted(part: Weighted, public: Public) -> Doubles:
    return np.asarray(part.values * (public.examples_max / max(1, part.examples)))


def _sums(view: View, round_: int) -> list[EncryptedSum]:
    """The round's sums that the seat received; after a repeated attempt the last one counts."""
    found = (one.content for one in view.messages if (one.kind, one.round) == (m.SUM, round_))
    return [decode(content, EncryptedSum) for content in found]


def _contributors(view: View, round_: int) -> list[str]:
    return [item.header.sender for total in _sums(view, round_)[-1:] for item in total.updates]


def _key(view: View, round_: int) -> PublicKey | None:
    """The public key of the round's epoch, from the announcements that the seat received."""
    wanted = [total.total.key_id for total in _sums(view, round_)[-1:]]
    known = (decode(one.content, EpochAnnouncement).public_key for one in view.messages if one.kind == "epoch")
    return next((key for key in known if key.id in wanted), None)


def _nothing(seat: str, transcript: Transcript) -> str:
    if not transcript.blobs:
        return (
            f"{seat}: expected a transcript with its messages, found digests only; keep the folder of blobs beside it"
        )
    if "client-" in seat:
        return f"{seat}: a record holds no key and nothing that a client decrypted; this seat needs the live run"
    return f"{seat}: has received no update that it could unseal, so there is nothing to attack"
