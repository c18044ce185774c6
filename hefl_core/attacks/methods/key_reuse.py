"""A one-time key used twice: the difference of two bodies is the difference of two updates, and needs no key.

    b - b' = (a·s + e + Δ·m) - (a·s + e' + Δ·m') = Δ·(m - m') + (e - e')

The coordinator rounds away the errors and has m - m', word for word. A client comes to send two bodies when it makes its
update again in a retry: trained without a seed, noised once more, or encoded for another plan. The shipped client keeps the
body of a round and refuses to hide anything else under its key (schemes/onetime/scheme.py).

Source: any one-time pad used twice; for keys of RLWE, Bell et al. 2025 (Willow, eprint 2024/936), section 3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, cast

import numpy as np
import numpy.typing as npt

from hefl_core.attacks.view import Doubles, Message, Public, View
from hefl_core.errors import HeflError, ParameterError
from hefl_core.ids import COORDINATOR, client_name, digest
from hefl_core.learning.models import dense_model
from hefl_core.schemes.base import CiphertextVector, PublicKey, RoundContext
from hefl_core.schemes.onetime.body import Words64
from hefl_core.schemes.onetime.gaussian import Small
from hefl_core.schemes.onetime.scheme import ONE_TIME, Made, OneTimeScheme
from hefl_core.schemes.presets import OneTimePreset, load_preset
from hefl_core.schemes.quorum import Quorum
from hefl_core.terms import messages as m

PARAMETERS: Final = 600
Signed = npt.NDArray[np.int64]


class _Careless(OneTimeScheme):
    """Without the rule: the round's key hides whatever it is given."""

    def _hidden(self, words: Words64, label: CiphertextVector) -> tuple[Small, tuple[bytes, ...]]:
        if self._keep is None:
            raise ParameterError("key reuse: expected a client that keeps its key, found none")
        made = Made.of(self._keep(ONE_TIME, lambda: self.kept_form(words, label)))
        return made.secret, self.body.hide(words, made.secret, self.public)


@dataclass(frozen=True)
class ReuseTruth:
    """m - m' of the two updates, word by word."""

    difference: Signed


def stage(
    scheme_name: str = "onetime", clients: int = 5, *, reused: bool = True, seed: int = 7
) -> tuple[View, ReuseTruth]:
    """One client sends two updates in a round: under one key, or, as the control, each under its own.

    Raises: ParameterError for a scheme without one-time keys.
    """
    scheme, key = _scheme(scheme_name, clients)
    rng = np.random.default_rng(seed)
    first, second = (np.clip(rng.normal(scale=0.05, size=PARAMETERS), -0.5, 0.5) for _ in range(2))
    kept: dict[str, bytes] = {}
    sent = []
    for update in (first, second):
        if not reused:
            kept.clear()
        careless = _Careless(scheme.preset, _ROUND, lambda name, make: kept.setdefault(name, kept.get(name) or make()))
        sent.append(_encrypted(careless, key, update, clients))
    model = dense_model("reuse", (1, PARAMETERS))
    public = Public(model, model.init(digest(b"reuse")), 0.1, 1, clients)
    messages = tuple(Message(m.UPDATE, client_name(1), 1, vector.to_bytes()) for vector in sent)
    view = View(COORDINATOR, public, messages, (), public_key=key)
    words = [_words(scheme, update, clients) for update in (first, second)]
    return view, ReuseTruth(words[0] - words[1])


_ROUND: Final = RoundContext("key reuse", b"record", 1)


def _scheme(name: str, clients: int) -> tuple[OneTimeScheme, PublicKey]:
    preset = load_preset(name)
    if not isinstance(preset, OneTimePreset):
        raise ParameterError(f"key reuse: expected a preset with one-time keys, found {name}", "try onetime")
    scheme = OneTimeScheme(preset, _ROUND)
    return scheme, scheme.keygen(Quorum(1, clients))[0]


def _encrypted(scheme: OneTimeScheme, key: PublicKey, update: Doubles, clients: int) -> CiphertextVector:
    return scheme.encrypt(key, update, bound=1.0, max_terms=clients, integers=(100, 1))


def _words(scheme: OneTimeScheme, update: Doubles, clients: int) -> Signed:
    """The words of an update, opened under a throw-away key."""
    key, shares = scheme.keygen(Quorum(1, 1))
    vector = _encrypted(scheme, key, update, clients)
    opened = scheme.open(key, vector, [scheme.partial_decrypt(shares[0], vector, (1,))])
    return cast(Words64, opened.words).astype(np.int64)


def read_difference(view: View) -> Signed:
    """M - m' of the two bodies in the view, from these bytes and the public key alone. Shapes: int64 (words,)."""
    one, other = view.ciphertexts()
    if view.public_key is None:
        raise ParameterError("key reuse: the view has no public key", "give the coordinator's")
    scheme = OneTimeScheme(cast(OneTimePreset, load_preset(one.key_id.preset)))
    rows, others = (np.concatenate(scheme.read(view.public_key, vector)[1]).astype(np.int64) for vector in (one, other))
    prime, half = scheme.body.prime, scheme.body.prime // 2
    # Differences modulo q, then around zero: Δ·(m - m') has either sign.
    apart = (rows - others + half) % prime - half
    return (apart + (1 << (scheme.preset.scale_bits - 1))) >> scheme.preset.scale_bits


def recovered(found: Signed, truth: ReuseTruth) -> float:
    """Share of the words of m - m' read rightly."""
    return float(np.mean(found == truth.difference))


def refusal(scheme_name: str = "onetime", clients: int = 5, seed: int = 7) -> str:
    """What the shipped client says to a second update in one round; empty where it sends it."""
    scheme, key = _scheme(scheme_name, clients)
    rng, kept = np.random.default_rng(seed), dict[str, bytes]()
    client = scheme.in_round(_ROUND, lambda name, make: kept.setdefault(name, kept.get(name) or make()))
    first, second = rng.normal(scale=0.05, size=(2, PARAMETERS))
    _encrypted(client, key, first, clients)
    try:
        _encrypted(client, key, second, clients)
    except HeflError as error:
        return f"{type(error).__name__}: {error}"
    return ""
