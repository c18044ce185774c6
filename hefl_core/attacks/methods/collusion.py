"""The coordinator colludes with j clients: can they open a victim's update? Custody decides, one share at a time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hefl_core.attacks.view import Doubles, Message, Public, View
from hefl_core.errors import HeflError, ParameterError
from hefl_core.ids import client_name, digest
from hefl_core.learning.models import dense_model
from hefl_core.schemes.base import SecretShare
from hefl_core.schemes.quorum import Quorum
from hefl_core.schemes.registry import open_scheme
from hefl_core.terms import messages as m


@dataclass(frozen=True)
class Opening:
    """Result of j colluders: the victim's weighted update, or None and the reason."""

    colluders: int
    update: Doubles | None
    refusal: str


@dataclass(frozen=True)
class Coalition:
    """Views of the coordinator with 0, 1, …, n - 1 clients on one victim's ciphertext; the truth apart."""

    views: tuple[View, ...]
    threshold: int
    truth: Doubles


def gather(scheme_name: str = "bfv-lean", threshold: int = 1, clients: int = 5, seed: int = 7) -> Coalition:
    """Deal a key t of n; client 1 is the victim, clients 2, 3, … collude. Raises: ParameterError for the quorum."""
    scheme = open_scheme(scheme_name)
    key, shares = scheme.keygen(Quorum(threshold, clients))
    truth = np.clip(np.random.default_rng(seed).normal(scale=0.05, size=100), -0.5, 0.5)
    tag = (lambda words, modulus: 0) if scheme.preset.tagged else None  # no tag is checked here
    by = shares[0] if scheme.preset.symmetric else key
    vector = scheme.encrypt(by, truth, bound=1.0, max_terms=clients, integers=(1, 1), tag=tag)
    message = Message(m.UPDATE, client_name(1), 1, vector.to_bytes())
    model = dense_model("coalition", (1, len(truth)))
    public = Public(model, model.init(digest(b"coalition")), 0.1, 1, clients)
    views = tuple(
        View(
            "+".join(["coordinator", *(client_name(k) for k in range(2, 2 + j))]),
            public,
            (message,),
            keys=shares[1 : 1 + j],
            public_key=key,
        )
        for j in range(clients)
    )
    return Coalition(views, threshold, truth)


def open_together(view: View) -> Opening:
    """Decrypt the victim's ciphertext with all shares of the coalition, by the scheme's own functions.

    With t shares this is an ordinary decryption: no rule of the protocol stops t colluders. Fewer pretend to be t.
    Source: Shamir 1979 for t - 1 shares; docs/threat_model.md for what custody promises.
    """
    (vector,) = view.ciphertexts()
    key, shares = view.public_key, view.keys
    if key is None:
        raise ParameterError("collusion: the view has no public key", "give the coordinator's")
    if not shares:
        return Opening(0, None, "no share of the key")
    scheme = open_scheme(vector.key_id.preset)
    active = shares[: key.quorum.threshold]  # the scheme refuses more than t answers
    members = _members(active, key.quorum)
    try:
        parts = [scheme.partial_decrypt(share, vector, members) for share in active]
        opened = scheme.open(key, vector, parts, bound=1.0)
    except HeflError as error:
        return Opening(len(shares), None, str(error))
    return Opening(len(shares), opened.values, "")


def _members(active: tuple[SecretShare, ...], quorum: Quorum) -> tuple[int, ...]:
    """The colluders, filled up to t with holders that do not answer."""
    present = [share.index for share in active]
    others = [index for index in range(1, quorum.holders + 1) if index not in present]
    return tuple(sorted([*present, *others[: quorum.threshold - len(present)]]))
