"""Related ciphertexts: a client mixes another's old upload into its own, and the next opened sum reveals the old update.

Homomorphic encryption is malleable by design. A client with a ciphertext can multiply it by X^s, which moves its words s
places on, and add it to its own. Commitment, signature, shape and residues of the mixture are correct. The coordinator, the
auditor and a record's bodies have old uploads. The mixture opens under the key that encrypted them, and under no other.

Source: the malleability of BFV (Fan and Vercauteren 2012); the same step breaks ballot secrecy where ballots can be copied
(Cortier and Smyth 2011, "Attacking and fixing Helios").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np

from hefl_core.attacks.view import OWN, Doubles, Held, Message, Public, View
from hefl_core.errors import HeflError, ParameterError
from hefl_core.ids import client_name, digest
from hefl_core.learning.models import dense_model
from hefl_core.schemes.base import CiphertextVector, PartialDecryption, PublicKey
from hefl_core.schemes.presets import BFVPreset, load_preset
from hefl_core.schemes.quorum import Quorum
from hefl_core.schemes.registry import open_scheme
from hefl_core.schemes.ring import blocks, rlwe
from hefl_core.schemes.ring.bfv import BFVScheme, Words64
from hefl_core.terms import messages as m
from hefl_core.wire.canonical import decode

PARAMETERS = 600


def mix(own: CiphertextVector, old: CiphertextVector, places: int) -> CiphertextVector:
    """``own`` ⊞ X^places · ``old`` under the label of ``own``: the words of ``old`` go where ``own`` has none.

    Raises: ParameterError for anything but BFV ciphertexts of one block.
    """
    scheme = _scheme(own)
    if len(own.blocks) != 1 or own.key_id.preset != old.key_id.preset or len(old.blocks) != 1:
        raise ParameterError("related: expected two ciphertexts of one block and one preset", "take fewer parameters")
    primes = np.array(rlwe.data_primes(scheme.ring), dtype=np.uint64)[:, None]
    mine, moved = (blocks.read_all(scheme.preset, scheme.ring, vector)[0] for vector in (own, old))
    moved = np.roll(moved, places, axis=-1)  # BFV keeps coefficients: times X^s rotates them
    moved[..., :places] = (primes - moved[..., :places]) % primes  # X^N = -1: what wraps around changes sign
    # Two residues below 2^61 add up below 2^62: uint64 does not wrap before the remainder.
    return replace(own, blocks=(blocks.write(scheme.preset, scheme.ring, (mine + moved) % primes),))


def read(words: Words64, like: CiphertextVector, places: int) -> Words64:
    """The old update's words, from where :func:`mix` put them. Shapes: uint64 (words of an update,)."""
    return words[places : places + word_count(like)]


def word_count(vector: CiphertextVector) -> int:
    """Words of an update: its integers, its tag, its packed fields."""
    return vector.integers + vector.tagged + -(-vector.length // _scheme(vector).preset.fields)


def _scheme(vector: CiphertextVector) -> BFVScheme:
    if not isinstance(load_preset(vector.key_id.preset), BFVPreset):
        raise ParameterError(f"related: expected a BFV ciphertext, found {vector.key_id.preset}", "try bfv-threshold")
    return cast(BFVScheme, open_scheme(vector.key_id.preset))


@dataclass(frozen=True)
class RelatedTruth:
    """Words of the victim's old update as encrypted; ``guessed``: share of them that the attacker's own update has."""

    words: Words64
    guessed: float


@dataclass(frozen=True)
class Reading:
    """Words that the deviating client read, or why it read none."""

    words: Words64
    refusal: str


def stage(
    scheme_name: str = "bfv-threshold", threshold: int = 3, clients: int = 5, *, one_key: bool = True, seed: int = 7
) -> tuple[View, RelatedTruth]:
    """Two rounds under collective custody; in the second, client 2 sends a mixture. Returns its view and the truth.

    ``one_key``: both rounds under one key; otherwise each has its own, the remedy.
    Raises: ParameterError for a scheme that is not BFV held together.
    """
    preset = load_preset(scheme_name)
    if not isinstance(preset, BFVPreset) or not preset.collective:
        raise ParameterError(f"related: expected a BFV preset that is held together, found {scheme_name}")
    scheme, quorum = cast(BFVScheme, open_scheme(scheme_name)), Quorum(threshold, clients)
    rng = np.random.default_rng(seed)
    first = scheme.keygen(quorum)
    key, shares = first if one_key else scheme.keygen(quorum, epoch=2)
    victims, own, *others = (np.clip(rng.normal(scale=0.05, size=PARAMETERS), -0.5, 0.5) for _ in range(clients))
    old = _encrypted(scheme, first[0], victims, clients)
    places = word_count(old)
    if 2 * places > preset.degree:
        raise ParameterError(f"related: {places} words twice do not fit into N = {preset.degree}")
    mixture = mix(_encrypted(scheme, key, own, clients), old, places)
    running = scheme.accumulator(key)
    for vector in (mixture, *(_encrypted(scheme, key, update, clients) for update in (victims * 0.5, *others))):
        scheme.check(key, vector)
        running.add(vector)
    total, active = running.total(), tuple(range(1, threshold + 1))
    partials = [scheme.partial_decrypt(share, total, active) for share in shares[:threshold]]
    messages = (
        Message(m.UPDATE, client_name(1), 1, old.to_bytes()),
        Message("total", "coordinator", 2, total.to_bytes()),
        *(Message(m.PARTIAL, client_name(part.index), 2, part.to_bytes()) for part in partials),
    )
    model = dense_model("related", (1, PARAMETERS))
    public = Public(model, model.init(digest(b"related")), 0.1, 1, clients)
    view = View("coordinator+client", public, messages, (Held(OWN, 2, own),), public_key=key)
    words = _words(scheme, victims, clients)
    return view, RelatedTruth(words, float(np.mean(words == _words(scheme, own, clients))))


def _encrypted(scheme: BFVScheme, key: PublicKey, update: Doubles, clients: int) -> CiphertextVector:
    return scheme.encrypt(key, update, bound=1.0, max_terms=clients, integers=(100, 1), tag=lambda words, modulus: 17)


def _words(scheme: BFVScheme, update: Doubles, clients: int) -> Words64:
    """Words of an encryption of this update, decrypted under a throw-away key."""
    key, shares = scheme.keygen(Quorum(2, 2))
    vector = _encrypted(scheme, key, update, clients)
    partials = [scheme.partial_decrypt(share, vector, (1, 2)) for share in shares]
    return scheme.words(key, vector, partials)[: word_count(vector)]


def open_mixture(view: View) -> Reading:
    """The victim's old words, from the partial decryptions that every client receives and the old upload's label."""
    (old,) = view.ciphertexts()
    total = decode(_content(view, "total")[0], CiphertextVector)
    partials = [PartialDecryption.from_bytes(content) for content in _content(view, m.PARTIAL)]
    if view.public_key is None:
        raise ParameterError("related: the view has no public key", "give the coordinator's")
    try:
        words = _scheme(total).words(view.public_key, total, partials)
    except HeflError as error:
        return Reading(np.zeros(0, np.uint64), f"{type(error).__name__}: {error}")
    return Reading(read(words, old, word_count(old)), "")


def _content(view: View, kind: str) -> Sequence[bytes]:
    return [message.content for message in view.messages if message.kind == kind]


def recovered(reading: Reading, truth: RelatedTruth) -> float:
    """Share of the words read correctly."""
    return float(np.mean(reading.words == truth.words)) if len(reading.words) else 0.0
