"""A deviating client adds a number δ to c1 of its own upload, and the next opened sum reveals the key.

    c1 = (honest c1) + δ                 its own, fresh, committed to in time; no other ciphertext is used
    c0 + Σ d_i = plaintext + noise + flooding + δ·s

A constant δ larger than all the flooding reveals δ·s, coefficient by coefficient: -δ, 0 or δ. Honest holders multiply any
c1 by their shares and see what is in it only when the sum is open. Then it is too late:

- *loud*: any client can do it. Under BFV the noise exceeds its limit, so honest clients reject the sum, *after* the key is out.
- *silent*: the client is in the active set and the coordinator hands it the other answers first. It reads the key from
  them and its own, and subtracts δ·s from its answer: no check in any round notices.

Together with the coordinator, the auditor or a record's bodies it opens every upload under that key. No check before the
answer sees δ: c1 is uniform either way. The remedy is a proof that an upload is well formed, or an encryption in which the
client does not choose c1; neither is here (docs/threat_model.md).

Source: decryption is linear in s, so a chosen c1 asks for s (Chenal and Tang, LATINCRYPT 2014, for Brakerski's scheme of
2012, which BFV is built on); Asharov et al. 2012 (eprint 2011/613) flood for semi-honest parties and add proofs for others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import tenseal.sealapi as sealapi

from hefl_core.attacks.methods.ckks_key_recovery import FoundKey
from hefl_core.attacks.methods.related_ciphertexts import PARAMETERS
from hefl_core.attacks.view import Doubles, Message, Public, View
from hefl_core.errors import HeflError, ParameterError
from hefl_core.ids import client_name, digest
from hefl_core.learning.models import dense_model
from hefl_core.schemes.base import CiphertextVector, Opened, PartialDecryption, PublicKey
from hefl_core.schemes.presets import RingPreset
from hefl_core.schemes.quorum import Quorum
from hefl_core.schemes.registry import open_scheme
from hefl_core.schemes.ring import blocks, rlwe, seal, shamir, threshold
from hefl_core.schemes.ring.bfv import BFVScheme
from hefl_core.schemes.ring.ckks import CKKSScheme
from hefl_core.schemes.ring.rlwe import Residues
from hefl_core.schemes.ring.seal import Ring
from hefl_core.terms import messages as m

NONE, LOUD, SILENT = "none", "loud", "silent"
DEVIATIONS = (NONE, LOUD, SILENT)
"""What the client does; ``none`` is the control: it follows the protocol and looks the same."""
DEVIATES = 2
"""The number of the deviating client."""
BOUND = 1.0


# -- what the client does -----------------------------------------------------------------------------------------------


def shift(own: CiphertextVector, delta: int) -> CiphertextVector:
    """The upload ``own`` with δ added to c1 of its first block: as uniform as before, of the same shape."""
    scheme = _scheme(own.key_id.preset)
    primes = rlwe.data_primes(scheme.ring)
    first, *rest = own.blocks
    words = blocks.read(scheme.preset, scheme.ring, first, "own upload", fresh=True).copy()
    words[1] = shamir.add(words[1], _constant(scheme.ring, delta), primes)
    return replace(own, blocks=(blocks.write(scheme.preset, scheme.ring, words), *rest))


def delta_for(preset: RingPreset, holders: int) -> int:
    """A δ above the flooding of all these holders together, and too small to change BFV's plaintext.

    Raises: ParameterError where the flooding leaves no room for it; that is the lab's limit, no remedy.
    """
    ring = seal.open_ring(preset)
    whole, drowned = threshold.modulus(ring), holders << preset.flood_bits
    if not ring.plain_modulus:
        return whole >> 3  # far above plaintext and flooding, below q/2
    delta = 4 * drowned  # δ/2 is twice the flooding: rounding by δ is right, with room for the noise
    # Past q/2t the nearest multiple of q/t would no longer be the plaintext's.
    if delta + 2 * drowned > whole // (2 * ring.plain_modulus):
        raise ParameterError(f"delta: no room for it beside the flooding of {holders} holders", "lower t")
    return delta


def read_key(view: View) -> FoundKey:
    """The key, from the opened sum in the view. Raises: IntegrityError for answers that cannot be read."""
    return key_in(_total(view), _partials(view))


def key_in(total: CiphertextVector, partials: Sequence[PartialDecryption]) -> FoundKey:
    """c0 + Σ d_i without the plaintext, in units of δ: the coefficients of s, if c1 contained δ."""
    scheme = _scheme(total.key_id.preset)
    ring, primes = scheme.ring, rlwe.data_primes(scheme.ring)
    opened = blocks.read(scheme.preset, ring, total.blocks[0], "sum", fresh=False)[0]
    for part in partials:
        opened = shamir.add(opened, shamir.from_bytes(part.blocks[0], primes, ring.degree, "partial"), primes)
    delta = delta_for(scheme.preset, len(partials))
    # Rounds rest/δ in Python's integers: numbers near q do not fit into 64 bits.
    found = np.array([(2 * rest + delta) // (2 * delta) for rest in _without_plaintext(ring, opened)], dtype=object)
    small = np.where(np.abs(found) <= 1, found, 2).astype(np.int64)  # 2 marks what no key has
    return FoundKey(scheme.preset.name, small, float(np.mean(small <= 1)))


def cover_up(mine: PartialDecryption, key: FoundKey, delta: int) -> PartialDecryption:
    """The client's answer less δ·s: the opened sum is then the same as without δ."""
    ring = _scheme(key.preset).ring
    primes = rlwe.data_primes(ring)
    trace = shamir.scale(_secret(ring, key), [-delta % p for p in primes], primes)
    # Answers have the form of the ring's ciphertexts: NTT values for CKKS, coefficients for BFV.
    trace = trace if ring.plain_modulus == 0 else rlwe.inverse_ntt(trace, primes)
    first, *rest = mine.blocks
    changed = shamir.add(shamir.from_bytes(first, primes, ring.degree, "own answer"), trace, primes)
    return replace(mine, blocks=(shamir.to_bytes(changed, primes), *rest))


def open_uploads(view: View, key: FoundKey) -> tuple[Opened | None, ...]:
    """Every upload in the view, as that key opens it."""
    return tuple(open_with(vector, key) for vector in view.ciphertexts(m.UPDATE))


def open_with(vector: CiphertextVector, key: FoundKey, bound: float = BOUND) -> Opened | None:
    """One upload: c0 + c1·s, decoded; None where the key does not open it."""
    scheme = _scheme(vector.key_id.preset)
    ring, primes = scheme.ring, rlwe.data_primes(scheme.ring)
    secret, nothing = threshold.prepare(ring, _secret(ring, key)), np.zeros((len(primes), ring.degree), np.uint64)
    parts = []
    for c0, c1 in blocks.read_all(scheme.preset, ring, vector):
        # With c1 = 0 any key decrypts: the opener only decodes.
        words = np.stack([shamir.add(c0, threshold.answer(ring, secret, c1, nothing), primes), nothing])
        bare = seal.from_bytes(sealapi.Ciphertext(), ring, rlwe.write_ciphertext(ring, words), "upload")
        parts.append(scheme.decrypt_block(threshold.opener(ring), bare))
    try:
        return scheme.decode(seal.join(tuple(parts), len(parts), scheme.per_block, scheme.block_type), vector, bound)
    except HeflError:
        return None  # encrypted under another key


def _secret(ring: Ring, key: FoundKey) -> Residues:
    primes = rlwe.data_primes(ring)
    return rlwe.ntt(rlwe.residues_of(key.coefficients, primes), primes)


def _constant(ring: Ring, number: int) -> Residues:
    """A constant polynomial in the ring's form: one coefficient, or the same NTT value everywhere."""
    primes = rlwe.data_primes(ring)
    made = np.zeros((len(primes), ring.degree), dtype=np.uint64)
    for row, p in zip(made, primes, strict=True):
        row[: None if ring.plain_modulus == 0 else 1] = number % p
    return made


def _without_plaintext(ring: Ring, opened: Residues) -> list[int]:
    """Coefficients around zero; for BFV less the nearest multiple of q/t."""
    primes, q, t = rlwe.data_primes(ring), threshold.modulus(ring), ring.plain_modulus
    rows = opened if t else rlwe.inverse_ntt(opened, primes)
    # Chinese remainders: each weight is 1 modulo its own prime and 0 modulo the others.
    weights = [q // p * pow(q // p, -1, p) for p in primes]
    values = [sum(int(v) * w for v, w in zip(column, weights, strict=True)) % q for column in rows.T]
    if t:
        # Twice rounded: to the nearest plaintext m, then m·q/t to an integer, since t does not divide q.
        return [v - ((v * t + q // 2) // q * q + t // 2) // t for v in values]
    return [v - q if v > q // 2 else v for v in values]


def _scheme(name: str) -> BFVScheme | CKKSScheme:
    scheme = open_scheme(name)
    if not isinstance(scheme, BFVScheme | CKKSScheme) or not scheme.preset.collective:
        raise ParameterError(f"delta: expected a BFV or CKKS preset that is held together, found {name}")
    return scheme


def _total(view: View) -> CiphertextVector:
    (total,) = view.ciphertexts("total")
    return total


def _partials(view: View) -> list[PartialDecryption]:
    return [PartialDecryption.from_bytes(one.content) for one in view.messages if one.kind == m.PARTIAL]


# -- the laboratory ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class DeltaTruth:
    """What the honest clients encrypted, in the order of the view's uploads: update and example count."""

    updates: tuple[Doubles, ...]
    examples: tuple[int, ...]


def stage(
    scheme_name: str = "bfv-threshold",
    quorum_size: int = 3,
    clients: int = 5,
    *,
    deviates: bool = True,
    one_key: bool = True,
    seed: int = 7,
) -> tuple[View, DeltaTruth]:
    """Two rounds; client 2 deviates in the first. Returns its view, with the coordinator's bytes of both rounds, and the truth.

    ``one_key``: both rounds under one key, otherwise each has its own. The answers are the honest ones, its own included.
    Raises: ParameterError for a scheme that is not BFV or CKKS held together, or a quorum without room for δ.
    """
    scheme, quorum = _scheme(scheme_name), Quorum(quorum_size, clients)
    key, shares = scheme.keygen(quorum)
    later = key if one_key else scheme.keygen(quorum, epoch=2)[0]
    rng, running, messages = np.random.default_rng(seed), scheme.accumulator(key), []
    delta, updates, examples = delta_for(scheme.preset, quorum_size), [], []
    for round_, used in ((1, key), (2, later)):
        for number in range(1, clients + 1):
            update, count = np.clip(rng.normal(scale=0.05, size=PARAMETERS), -0.5, 0.5), int(rng.integers(50, 500))
            vector = _encrypted(scheme, used, update, count, clients)
            if number == DEVIATES and deviates and round_ == 1:
                vector = shift(vector, delta)
            scheme.check(used, vector)
            if round_ == 1:  # only this sum is opened; round 2 shows what its key opens besides
                running.add(vector)
            if number != DEVIATES:
                messages.append(Message(m.UPDATE, client_name(number), round_, vector.to_bytes()))
                updates.append(update)
                examples.append(count)
    total, active = running.total(), tuple(range(1, quorum_size + 1))
    messages.append(Message("total", "coordinator", 1, total.to_bytes()))
    for share in shares[:quorum_size]:
        part = scheme.partial_decrypt(share, total, active)
        messages.append(Message(m.PARTIAL, client_name(part.index), 1, part.to_bytes()))
    model = dense_model("delta", (1, PARAMETERS))
    public = Public(model, model.init(digest(b"delta")), 0.1, 1, clients)
    view = View("coordinator+client", public, tuple(messages), public_key=key)
    return view, DeltaTruth(tuple(updates), tuple(examples))


def _encrypted(
    scheme: BFVScheme | CKKSScheme, key: PublicKey, update: Doubles, examples: int, clients: int
) -> CiphertextVector:
    tag = (lambda words, modulus: 17) if scheme.preset.tagged else None
    return scheme.encrypt(key, update, bound=BOUND, max_terms=clients, integers=(examples, 1), tag=tag)


def honest_verdict(view: View, key: FoundKey, deviation: str) -> str:
    """Why an honest client rejects the opened sum; empty where it notices nothing.

    Under ``silent`` the deviating client has sent :func:`cover_up` instead of its answer.
    """
    total, partials = _total(view), _partials(view)
    scheme = _scheme(total.key_id.preset)
    if view.public_key is None:
        raise ParameterError("delta: the view has no public key", "give the coordinator's")
    if deviation == SILENT:
        delta = delta_for(scheme.preset, len(partials))
        partials = [cover_up(part, key, delta) if part.index == DEVIATES else part for part in partials]
    try:
        scheme.open(view.public_key, total, partials, bound=BOUND)
    except HeflError as error:
        return f"{type(error).__name__}: {error}"
    return ""


def opened_rightly(view: View, opened: Sequence[Opened | None], truth: DeltaTruth) -> tuple[bool, ...]:
    """Per upload: is the example count exact, and the update within the rounding of one encryption?"""
    vectors = view.ciphertexts(m.UPDATE)
    errors = [_scheme(v.key_id.preset).sum_error(BOUND, 1, v.max_terms) for v in vectors]
    return tuple(
        one is not None and one.integers[0] == count and float(np.max(np.abs(one.values - update))) <= error
        for one, count, update, error in zip(opened, truth.examples, truth.updates, errors, strict=True)
    )
