"""The checks behind the claims: each reads a run and returns a sentence with numbers as evidence."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import chain, combinations
from typing import Final, TypeAlias, cast

import numpy as np

from hefl_core.checks.claims.claim import demand
from hefl_core.checks.claims.reading import (
    Noise,
    bodies_of,
    need_of,
    noise_step_of,
    public_keys,
    secrets_sent,
    vectors_of,
)
from hefl_core.errors import HeflError, NotChecked
from hefl_core.federation.client import SHORTER, Observation
from hefl_core.federation.record.transcript import Sent, Transcript
from hefl_core.federation.record.verify import CutOff, verify
from hefl_core.ids import AUDITOR, COORDINATOR, KMS, KeyId
from hefl_core.keys.identity import Identity
from hefl_core.keys.roster import CLIENT, Roster
from hefl_core.keys.sealing import readers_of
from hefl_core.measure import seals
from hefl_core.measure.floods import ALPHA, ROUNDED, OpenedBlock, check_floods
from hefl_core.measure.masks import bodies_of_one_key, masks_of, opens_without_key
from hefl_core.measure.noise import NoiseShare, check_apart, check_noise, check_strength
from hefl_core.probes.findings import PLANTED, Blindness
from hefl_core.probes.inputs import MEANINGS, READABLE, awaits_uploads, examine, examine_record, unused_spares
from hefl_core.probes.memory import Search
from hefl_core.probes.private_forms import AGGREGATE, FLOATS, RECORD, TRIES, UPDATE, observed_forms, stages_of
from hefl_core.probes.uniformity import compare, rows_of
from hefl_core.runtime.calls import STEPS
from hefl_core.runtime.observer import fedavg_error, fedavg_length, plain_mean
from hefl_core.runtime.result import RoundResult, RunResult
from hefl_core.schemes.base import CiphertextVector, PublicKey, Vector
from hefl_core.schemes.flooding import flooded
from hefl_core.schemes.imprint import active_sets, of_one_secret, share_a_factor, whole_imprint
from hefl_core.schemes.onetime.scheme import OneTimeScheme
from hefl_core.schemes.presets import OneTimePreset, PaillierPreset, RingPreset, key_preset
from hefl_core.schemes.private_forms import KEY
from hefl_core.schemes.quorum import Quorum
from hefl_core.schemes.registry import open_scheme
from hefl_core.schemes.ring import seal
from hefl_core.shown import counted
from hefl_core.terms import messages as m
from hefl_core.terms.adaptive_bound import FieldScheme
from hefl_core.terms.admission import check_place
from hefl_core.terms.experiment import Manifest
from hefl_core.terms.messages import Confirmation, DecryptionRequest, EncryptedSum, Receipt, RoundPlan
from hefl_core.wire.canonical import decode, encode
from hefl_core.wire.envelope import Header, Position, SignedHeader
from hefl_core.wire.fingerprint import ANCHOR_BYTES, SMALLEST_BITS, Form, Salt


def _observed(result: RunResult) -> list[Observation]:
    """The clients' observations. Raises: NotChecked for a run that was not observed."""
    found = [seen for round_ in sorted(result.observations) for seen in result.observations[round_]]
    need_of(bool(found), "the run was not observed: nobody saw the clients' private side; run it with observation on")
    return found


def _rosters(transcript: Transcript) -> dict[int, Roster]:
    rosters = [decode(s.inline, Roster) for s in transcript.sent if s.inline is not None]
    return {roster.epoch: roster for roster in rosters}


def _encrypts(result: RunResult) -> None:
    family = result.experiment.preset.family
    demand(family != "plaintext", "the scheme is plaintext: there is no ciphertext, whoever carries an update reads it")


@dataclass(frozen=True)
class _Summed:
    """A sum on record, and the messages of its attempt in order."""

    sent: Sent
    message: EncryptedSum
    attempt: tuple[Sent, ...]

    @property
    def before(self) -> tuple[Sent, ...]:
        """The messages before the sum."""
        return self.attempt[: self.attempt.index(self.sent)]

    @property
    def where(self) -> str:
        """The round, for messages."""
        return f"round {self.sent.position.round}"


@dataclass(frozen=True)
class _Applied(_Summed):
    """The sum that a round's result is about."""

    line: RoundResult


def _summed(transcript: Transcript, sent: Sent) -> _Summed:
    attempt = tuple(s for s in transcript.of_round(sent.position.round) if s.position == sent.position)
    return _Summed(sent, decode(transcript.body(sent), EncryptedSum), attempt)


def _rounds_told(result: RunResult) -> None:
    """Check that the result covers every round that a client applied, and no other.

    Raises: NotChecked before the first; AssertionError. In a run that broke off, the last round may be missing.
    """
    transcript = result.transcript
    need_of(bool(result.rounds), "no round came to its end: there is no applied sum to look at")
    told = [line.round for line in result.rounds]
    applied = {sent.position.round for sent in transcript.sent if sent.step == m.RECEIPT}
    under_way = set() if transcript.closed else {max(applied | set(told))}
    missing = sorted(applied - set(told) - under_way)
    demand(not missing, f"the record has sums of rounds {missing} applied, of which the result does not speak")
    demand(set(told) <= applied and len(set(told)) == len(told), f"the result speaks of rounds {told}, not as recorded")


def _applied_sums(result: RunResult) -> Iterator[_Applied]:
    transcript = bodies_of(result)
    _rounds_told(result)
    for line in result.rounds:
        here = transcript.of_round(line.round)
        sums = [s for s in here if s.step == m.SUM and s.position.attempt == line.attempts]
        demand(len(sums) == 1, f"round {line.round}: {len(sums)} sums on record for attempt {line.attempts}")
        found = _summed(transcript, sums[0])
        yield _Applied(found.sent, found.message, found.attempt, line)


def _confirmed(transcript: Transcript, applied: _Summed, until: Sent | None = None) -> Sent:
    """The auditor's confirmation of this sum, between the sum and ``until``. AssertionError when it is missing or wrong."""
    where, attempt = applied.where, applied.attempt
    stretch = attempt[attempt.index(applied.sent) : None if until is None else attempt.index(until)]
    found = [s for s in stretch if s.step == m.CONFIRMATION and s.sender == AUDITOR]
    when = "" if until is None else f" before the {until.step}"
    demand(len(found) == 1, f"{where}: {len(found)} confirmations of the auditor{when} on record, expected one")
    auditor = _rosters(transcript)[applied.sent.position.epoch].member(AUDITOR)
    found[0].head.verify(auditor.signing)
    said = decode(transcript.body(found[0]), Confirmation)
    mine = Confirmation(
        plan=applied.sent.head.header.plan,
        updates=tuple(item.header.digest for item in applied.message.updates),
        blocks=tuple(hashlib.sha256(block).digest() for block in applied.message.total.blocks),
    )
    demand(said == mine, f"{where}: the auditor confirmed another sum than the one that was applied")
    return found[0]


# -- the coordinator learns nothing ----------------------------------------------------------------------------

CLAIM_ALPHA = 1e-9
"""Every run is checked: at one in a thousand, one honest run in a thousand would fail."""
NEEDLE_ENTRIES = 8
"""Consecutive entries of a vector that make one search pattern: 32 bytes as float32, 64 as float64."""
_LEAST_ENTRIES = 3
"""Different entries of a piece from a smaller model; as float64 they have far more than SMALLEST_BITS."""
NEEDLES_PER_FORM = 2
"""Pieces of each vector in each form: floats of both widths and orders, quantised, packed into words."""
MOST_IN_EVERY_FORM = 12
"""Updates searched for in every form, in rounds spread over the run; all others as floats around their largest entry."""


def _search_of(result: RunResult) -> Search:
    """A search for everything that was observed and that the coordinator must not have."""
    salt = Salt(os.urandom(16))
    search = Search(salt)
    examples_max = result.transcript.manifest.examples_max
    rounds = [round_ for round_, found in result.observations.items() if found]
    many = max((len(result.observations[round_]) for round_ in rounds), default=1)
    chosen = rounds[:: max(1, -(-len(rounds) * many // MOST_IN_EVERY_FORM))]
    for round_, found in result.observations.items():
        forms = _largest_entries(found, examples_max)
        if round_ in chosen:
            some = found[:MOST_IN_EVERY_FORM]
            forms = chain(forms, observed_forms(result.transcript.manifest, some, NEEDLES_PER_FORM, 7))
        search.add(map(salt.fingerprint, forms))
    return search


def _largest_entries(observations: Sequence[Observation], examples_max: int) -> Iterator[Form]:
    """Updates, also before clip and noise, weighted updates and means as floats, around their largest entry."""
    for seen in observations:
        vectors: dict[str, Vector] = {}
        for what, update in (("as encrypted", np.frombuffer(seen.update, dtype=np.float64)), *stages_of(seen)):
            vectors |= {f"update {what}": update, f"weighted update {what}": update * (seen.examples / examples_max)}
        if seen.applied:
            vectors["mean"] = np.frombuffer(seen.applied, dtype=np.float64)
        for what, vector in vectors.items():
            found = _telling_piece(vector)
            if found is None:
                continue
            start, piece = found
            for order in FLOATS:
                name = f"{seen.client}, round {seen.position.round}, {what}, {order} at {start}"
                data = piece.astype(order).tobytes()
                if len(data) >= ANCHOR_BYTES:  # a model of six parameters has them as float64 only
                    yield Form("plaintext", name, data, SMALLEST_BITS)


def _telling_piece(vector: Vector) -> tuple[int, Vector] | None:
    """Where a piece begins that cannot occur by chance, and the piece: around the largest entry that has different ones
    beside it. None where every such piece has too few of them. Shapes: vector (d,) to (up to NEEDLE_ENTRIES,).
    """
    size = min(NEEDLE_ENTRIES, len(vector))
    for largest in np.argsort(-np.abs(vector), kind="stable")[:TRIES]:
        start = max(0, min(int(largest) - size // 2, len(vector) - size))
        piece = vector[start : start + size]
        if len(np.unique(piece[piece != 0])) >= max(size - 1, _LEAST_ENTRIES):
            return start, piece
    return None


def coordinator_blind(result: RunResult) -> str:
    """Evidence for ``coordinator-blind``. Raises: AssertionError or HeflError where it does not hold."""
    _encrypts(result)
    transcript, search = bodies_of(result), _search_of(result)
    scheme, keys = open_scheme(result.experiment.preset.name), public_keys(transcript)
    messages = nbytes = 0
    for seen in transcript.seen_by(COORDINATOR):
        header = seen.sent.head.header
        where = f"{header.kind} of {header.sender}"
        demand(header.kind in READABLE, f"the coordinator got a {where}")
        for data in {id(data): data for data in (seen.body, seen.content) if data is not None}.values():
            hits = search.in_bytes(data)
            demand(not hits, f"{where} contains a {hits[0].kind if hits else ''}: {hits[0].name if hits else ''}")
            nbytes += len(data)
        if seen.content is not None:
            content: object = decode(seen.content, READABLE[header.kind])
            if isinstance(content, CiphertextVector):
                scheme.check(keys[header.key_id], content)
                demand(not opens_without_key(keys[header.key_id], content), f"{where} opens without a key")
            if isinstance(content, EncryptedSum):
                demand(not opens_without_key(keys[header.key_id], content.total), f"{where} opens without a key")
        messages += 1
    _bodies_differ(transcript)
    _observed(result)
    need_of(bool(search.fingerprints), "every piece of an update, sum or model is too plain to be told from chance")
    return (
        f"{messages} messages ({nbytes} bytes) decoded against an allow-list of {len(READABLE)} kinds, every ciphertext well "
        f"formed and closed without a key, and searched for {len(search.fingerprints)} pieces of updates, sums and models: none "
        "found"
    )


def inputs_allowed(result: RunResult) -> str:
    """Evidence for ``inputs-allowed``. Raises: AssertionError or HeflError where it does not hold."""
    transcript = bodies_of(result)
    messages = nbytes = fields = 0
    open_ended: list[str] = []
    for seat in (COORDINATOR, AUDITOR):
        found = examine(transcript, seat)
        open_ended += filter(awaits_uploads, found.findings)
        wrong = [what for what in found.findings if what not in open_ended]
        demand(not wrong, f"{seat}: {'; '.join(wrong[:3])}")
        messages, nbytes = messages + found.messages, nbytes + found.nbytes
        fields += sum(count for _, count in found.meanings)
    beside = examine_record(transcript, STEPS)
    demand(not beside, f"on record: {'; '.join(beside[:3])}")
    handed = result.blindness.handed if result.blindness else None
    demand(handed is None or not handed.findings, f"handed to the process: {handed.findings[:3] if handed else ''}")
    need_of(
        not open_ended,
        f"an upload is not on record to compare with: the run broke off, or the auditor could not open it ({open_ended[:1]})",
    )
    more = f"; {handed.messages} objects that Ray handed to the process likewise" if handed else ""
    return (
        f"{messages} messages ({nbytes} bytes), {fields} fields, each with a meaning on the list; none of the "
        f"{len(set(MEANINGS))} meanings is an example count; no cost report of a client on {len(transcript.lines)} lines and no "
        f"number in digits in a client's refusal{more}; {unused_spares(transcript)} digests of spares that were never sent look "
        "like digests, and nobody can compare them"
    )


def memory_clean(result: RunResult) -> str:
    """Evidence for ``coordinator-memory``. Raises: AssertionError or HeflError where it does not hold."""
    found = result.blindness
    if found is None:
        raise NotChecked("no process was looked into; run it on Ray and look (blindness)")
    blind = [control.planted for control in found.controls if not control.found]
    demand(not blind, f"the test is blind itself, it did not find {'; '.join(blind)}")
    planted = {control.name for control in found.controls}
    demand(set(PLANTED) <= planted, f"the test was not tried: nothing was planted for {sorted(set(PLANTED) - planted)}")
    looked_into = {one.party for one in found.looked if one.looks and one.nbytes}
    demand({COORDINATOR, AUDITOR} <= looked_into, f"looked into {sorted(looked_into)} only")
    demand(found.needle_count > 0, "there was nothing to look for")
    demand(not found.findings, "; ".join(found.findings[:3]))
    demand(found.experiment == result.experiment, "the look was into the processes of another run")
    _looked_enough(result, found)
    looked = ", ".join(f"{one.party} ({one.nbytes / 2**20:.0f} MiB, {one.looks} looks)" for one in found.looked)
    return (
        f"{found.needle_count} needles over {counted(found.rounds, 'round')} searched in the memory of {looked}, the shared object "
        f"store included: 0 hits; {len(found.controls)} of {len(found.controls)} planted things were found"
    )


NEEDLED: Final = (KEY, UPDATE, AGGREGATE, RECORD)
"""Kinds of needles without which the search does not count."""
LEAST_BYTES: Final = 1 << 20
"""Least memory read of a process: a Python interpreter alone has more."""


def _looked_enough(result: RunResult, found: Blindness) -> None:
    """Check the search's extent. Raises: NotChecked when a kind, a round or a process was hardly searched."""
    needles = dict(found.needles)
    missing = [kind for kind in NEEDLED if not needles.get(kind)]
    need_of(not missing, f"nothing of these was looked for: {', '.join(missing)}")
    need_of(found.least_bits >= SMALLEST_BITS, f"a needle of {found.least_bits:.0f} bits may be anywhere by chance")
    told = len(result.rounds)
    need_of(found.rounds == told, f"the look was over {found.rounds} of {told} rounds")
    few = [one.party for one in found.looked if one.nbytes < LEAST_BYTES]
    need_of(not few, f"hardly anything of {few} was read")
    need_of(len({one.pid for one in found.looked}) == len(found.looked), "one process was looked into for two parties")


# -- ciphertexts -----------------------------------------------------------------------------------------------


def fresh(result: RunResult) -> str:
    """Evidence for ``fresh-ciphertexts``. Raises: AssertionError or HeflError where it does not hold."""
    _encrypts(result)
    transcript = bodies_of(result)
    found = list(vectors_of(transcript))
    need_of(bool(found), "no upload is on record")
    blocks = _blocks_made(found, repeats=isinstance(result.experiment.preset, OneTimePreset))
    demand(len(set(blocks)) == len(blocks), f"{len(blocks) - len(set(blocks))} of {len(blocks)} blocks appear twice")
    _masks_differ(transcript)
    return (
        f"{len(blocks)} ciphertext blocks of {len(found)} uploads: all different, no mask is another's, its negative, "
        "or what a turn (or the inverse) makes of it, and no one-time key hides two bodies"
    )


def _blocks_made(found: Sequence[tuple[Sent, CiphertextVector]], *, repeats: bool) -> list[bytes]:
    """Digests of the blocks that clients made. ``repeats``: under a one-time key a retry repeats its body, byte for byte."""
    made = [
        (sent.sender, sent.position.round, number > 0 and repeats, hashlib.sha256(block).digest())
        for sent, vector in found
        for number, block in enumerate(vector.blocks)
    ]
    bodies = {one for one in made if one[2]}
    return [one[3] for one in made if not one[2]] + [one[3] for one in bodies]


def _masks_differ(transcript: Transcript) -> None:
    """Check that no mask hides two plaintexts, nor do two of one family: their sum or difference would be in the open."""
    keys = public_keys(transcript)
    masks = [
        mask for sent, vector in vectors_of(transcript) for mask in masks_of(keys[sent.head.header.key_id], vector)
    ]
    demand(len(set(masks)) == len(masks), f"{len(masks) - len(set(masks))} of {len(masks)} masks are another's")
    _bodies_differ(transcript)


def _bodies_differ(transcript: Transcript) -> None:
    """Check that no one-time key hides two bodies, in any round of an epoch. A retry repeats its body, as it must."""
    made = {(sent.sender, sent.position.round, *v.blocks[1:]): (sent, v) for sent, v in vectors_of(transcript)}
    for name, key in public_keys(transcript).items():
        under = [(s, v) for s, v in made.values() if s.head.header.key_id == name]
        twice = bodies_of_one_key(key, [vector for _, vector in under])
        told = [f"{under[a][0].sender}'s and {under[b][0].sender}'s" for a, b in twice]
        demand(not twice, f"one one-time key hides two bodies: {', '.join(told[:3])}")


def uniform_of(result: RunResult) -> str:
    """Evidence for ``ciphertexts-uniform``. Raises: AssertionError or HeflError where it does not hold."""
    _encrypts(result)
    transcript = bodies_of(result)
    epochs = sorted({sent.position.epoch for sent, _ in vectors_of(transcript)})
    need_of(bool(epochs), "no upload is on record")
    _masks_differ(transcript)
    tests = numbers = uploads = 0
    worst = 1.0
    for epoch in epochs:
        found = compare(*rows_of(transcript, epoch=epoch), CLAIM_ALPHA / len(epochs))
        demand(found.holds, f"epoch {epoch}: p {found.p_text} in {len(found.tests)} tests of {found.uploads} uploads")
        tests, numbers, uploads = tests + len(found.tests), numbers + found.numbers, uploads + found.uploads
        worst = min(worst, found.smallest_p)
    return (
        f"{tests} χ² tests of {numbers} numbers in {counted(uploads, 'upload')} under {counted(len(epochs), 'key')}, alone and "
        f"between uploads: the smallest p = {worst:.2g}"
    )


def equals_fedavg(result: RunResult) -> str:
    """Evidence for ``equals-fedavg``. Raises: AssertionError or HeflError where it does not hold."""
    observed, transcript = _observed(result), bodies_of(result)
    _keeps_clip(result, observed)
    worst, compared = 0.0, 0
    left: list[str] = []
    follow = _BoundFollower(transcript.manifest)
    for applied in _applied_sums(result):
        contributors = tuple(item.header.sender for item in applied.message.updates)
        plan = next(s for s in applied.before if s.step == m.PLAN)
        terms = decode(transcript.body(plan), RoundPlan)
        seen = result.observations.get(applied.line.round, ())
        own = [one for one in seen if one.client in contributors]
        followed = follow.check(applied.line.round, terms, own, len(contributors))
        found = fedavg_error(transcript.manifest, seen, contributors, terms) if followed else None
        if not _moved(result, applied.line.round) or found is None:
            left.append(applied.where)
        if found is None:
            continue
        error, bound = found
        for name, off, (length, most) in _errors(transcript.manifest, seen, contributors, terms, bound):
            demand(off <= bound, f"{applied.where}: error {off:.3e} at {name} exceeds the bound {bound:.3e}")
            demand(
                length <= most,
                f"{applied.where}: an error of length {length:.3e} at {name} exceeds the bound {most:.3e}",
            )
        told = (applied.line.max_abs_error or 0.0, applied.line.error_bound or 0.0)
        demand(
            np.allclose(told, found, rtol=1e-6, atol=0), f"round {applied.line.round}: reported {told}, found {found}"
        )
        worst, compared = max(worst, error / bound), compared + 1
    need_of(compared > 0, f"{_listed(left)}: a contributor was not observed, so that there is no mean to compare with")
    return (
        f"{counted(compared, 'round')} computed anew from the clients' updates; the largest error is {worst:.0%} of its bound; the "
        f"model moved by just that mean in each that was seen{_left_out(left, _PARTLY_SEEN)}"
    )


_PARTLY_SEEN: Final = "a contributor, a model, or what decides its bound was not observed"


class _BoundFollower:
    """The adaptive bound, followed from the terms through every decrypted mean: what a client says of it proves nothing."""

    def __init__(self, manifest: Manifest) -> None:
        self._manifest = manifest
        self._round, self._bound = 1, manifest.bounds.start

    def check(self, round_: int, plan: RoundPlan, seen: Sequence[Observation], contributors: int) -> bool:
        """Demand that this round's contributors used the bound that the rounds before it leave.

        Returns whether it is known: not after a round that was not seen whole.
        """
        if plan.bound is not None:
            return True
        if round_ != self._round:
            return False
        for one in seen:
            said = f"round {round_}: {one.client} fitted its update to the bound {one.bound}"
            demand(one.bound == self._bound, f"{said}; the rounds before it leave {self._bound:g}")
        mean = next((one.applied for one in seen if one.applied), b"")
        if not mean or len(seen) < contributors:
            return True
        share = sum(one.examples for one in seen) / plan.examples_max
        total, rotation = np.frombuffer(mean, dtype=np.float64) * share, self._manifest.rotation(round_)
        if rotation is not None:
            total = rotation.apply(total)
        experiment = self._manifest.experiment
        fields = cast(FieldScheme, open_scheme(experiment.preset.name)).fields(plan.max_terms)
        following = self._manifest.bounds.follow(self._bound, total, contributors, fields, rotated=experiment.rotated)
        self._round, self._bound = round_ + 1, following
        return True


def _errors(
    manifest: Manifest, seen: Sequence[Observation], contributors: Sequence[str], plan: RoundPlan, bound: float
) -> Iterator[tuple[str, float, tuple[float, float]]]:
    """Each client that showed the mean that it applied, in the sum or not; that mean's error, its length and the length's bound."""
    for shown in (one for one in seen if one.applied):
        alike = [replace(one, applied=shown.applied) for one in seen]
        found = fedavg_error(manifest, alike, contributors, plan)
        if found is not None:
            yield shown.client, found[0], fedavg_length(manifest, alike, contributors, bound)


MOST_LISTED: Final = 5


def _listed(what: Sequence[str]) -> str:
    return ", ".join(what[:MOST_LISTED]) + (f" and {len(what) - MOST_LISTED} more" if len(what) > MOST_LISTED else "")


def _left_out(what: Sequence[str], why: str) -> str:
    """The end of an evidence: what of the run was not looked at."""
    return f"; left out: {_listed(what)} ({why})" if what else ""


def _moved(result: RunResult, round_: int) -> bool:
    """Whether θ before and after the round were seen. Check that each that was moved by the mean that its client applied."""
    found = [one for one in result.observations.get(round_, ()) if one.applied and one.theta]
    before = _theta_before(result, round_)
    if not found or before is None:
        return False
    for after in found:
        mean = np.frombuffer(after.applied, dtype=np.float64)
        expected = (np.frombuffer(before, dtype=np.float32).astype(np.float64) + mean).astype(np.float32)
        moved = f"round {round_}: {after.client}'s model moved by another step than the mean"
        demand(expected.tobytes() == after.theta, moved)
    return True


def _theta_before(result: RunResult, round_: int) -> bytes | None:
    """The model that the round began with: θ_0 of the first plan, or the model observed after the round before."""
    if round_ > 1:
        return next((one.theta for one in result.observations.get(round_ - 1, ()) if one.theta), None)
    plan = next(s for s in result.transcript.sent if s.step == m.PLAN)
    return decode(result.transcript.body(plan), RoundPlan).theta_0


def _unseen(result: RunResult) -> list[str]:
    """Contributors that were not observed in their round, in words."""
    seen = {(round_, one.client) for round_, found in result.observations.items() for one in found}
    return [
        f"{name} in round {line.round}"
        for line in result.rounds
        for name in line.contributors
        if (line.round, name) not in seen
    ]


def _keeps_clip(result: RunResult, observed: Sequence[Observation]) -> None:
    """Check that every clipped update is within the clip, before noise was added if any was."""
    limit = result.experiment.clip_norm
    if limit is None:
        return
    # Under a clip nothing is carried from round to round; a rotation there and back rounds to float32.
    most = limit * (1 + (1e-5 if result.experiment.rotated else 1e-9))
    for seen in observed:
        norm = float(np.linalg.norm(np.frombuffer(seen.before_noise or seen.update, dtype=np.float64)))
        demand(norm <= most, f"{seen.client}: an update of norm {norm:.6g}, clipped to {limit:g}")


def one_model(result: RunResult) -> str:
    """Evidence for ``one-model``. Raises: AssertionError or HeflError where it does not hold."""
    transcript = result.transcript
    _rounds_told(result)
    clients, left = [], []
    for item in result.rounds:
        observed = result.observations.get(item.round, ())
        seen = {_model_of(one) for one in observed} | set(item.models) | ({item.model} if item.model else set())
        demand(len(seen) <= 1, f"round {item.round}: {len(seen)} different models at the clients")
        receipts = [s for s in transcript.of_round(item.round) if s.step == m.RECEIPT]
        said = {decode(body, Receipt) for s in receipts if (body := transcript.content(s)) is not None}
        demand(len({receipt.state for receipt in said}) <= 1, f"round {item.round}: receipts of different histories")
        if len(observed) > 1 or (seen and not observed):
            clients.append(len(observed))
        else:  # one model equals itself
            left.append(f"round {item.round}")
    need_of(bool(clients), "nobody saw two clients' models; run it with observation on")
    left += _unseen(result) if any(clients) else []
    seen_by = (
        f"clients that were observed: {min(clients)}" + (f" to {max(clients)}" if min(clients) < max(clients) else "")
        if any(clients)
        else "those in the clients' own folders"
    )
    return (
        f"rounds after which all models were bit-equal: {len(clients)} ({seen_by})"
        f"{_left_out(left, 'not observed: its model was not seen')}"
    )


def _model_of(seen: Observation) -> str:
    """The digest of the model that was seen; as the client told it, where only that was."""
    return (hashlib.sha256(seen.theta).digest() if seen.theta else seen.theta_digest).hex()


def is_private(result: RunResult) -> bool:
    """Whether the run promises differential privacy."""
    return result.experiment.mechanism is not None


def _on_noise_grid(result: RunResult, seen: Observation, step: float) -> tuple[Noise, Noise]:
    """(noised, before): as they were when the noise was added, rotated where the experiment says so."""
    noised, before = (np.frombuffer(raw, dtype=np.float64) for raw in (seen.update, seen.before_noise))
    rotation = result.transcript.manifest.rotation(seen.position.round)
    if rotation is None:
        return noised, before
    # Rotated there and back, whole steps are whole up to float64's rounding.
    steps = rotation.apply(noised) / step
    demand(
        bool(np.max(np.abs(steps - np.rint(steps))) < 1e-6), f"{seen.client}: the noised update is off the noise's grid"
    )
    return np.rint(steps) * step, rotation.apply(before) * SHORTER


def noise_added(result: RunResult) -> str:
    """Evidence for ``noise-added``. Raises: AssertionError or HeflError where it does not hold."""
    mechanism, privacy = result.experiment.mechanism, result.privacy
    observed = _observed(result)
    _rounds_told(result)
    assert mechanism is not None and privacy is not None
    _keeps_clip(result, observed)
    for seen in observed:
        demand(seen.examples == 1, f"{seen.client}: weighs {seen.examples}, which would scale its noise")
    steps = {
        round_: noise_step_of(result, mechanism.bound, round_) for round_ in {seen.position.round for seen in observed}
    }
    shares = []
    for seen in observed:
        step = steps[seen.position.round]
        on_grid = _on_noise_grid(result, seen, step)
        shares.append(NoiseShare.of(seen.client, seen.position.round, *on_grid, step, mechanism.share_std(step)))
    least, most = check_noise(shares)
    unseen = _unseen(result)
    need_of(not unseen, f"{', '.join(unseen[:3])} contributed and was not observed: its noise was not seen")
    return (
        f"the noise on {len(shares)} updates, taken off again, is whole steps with {least:.2f} to {most:.2f} of the stated "
        f"variance, in the discrete Gaussian's shape, at 0 and near it not too often, along no update and no other share in "
        f"order or in reverse; clipped before it, at weight 1; "
        f"ε = {privacy.epsilon:.3g} at δ = {privacy.delta:g}"
    )


# -- integrity -------------------------------------------------------------------------------------------------


def sums_confirmed(result: RunResult) -> str:
    """Evidence for ``sums-confirmed``. Raises: AssertionError or HeflError where it does not hold."""
    transcript = bodies_of(result)
    verdict = str(verify(transcript)) if transcript.closed else ""
    for applied in _applied_sums(result):
        _confirmed(transcript, applied)
        contributors = tuple(item.header.sender for item in applied.message.updates)
        told = applied.line.contributors
        demand(contributors == told, f"round {applied.line.round}: a sum of {contributors}, the result says {told}")
    if not verdict:
        _verified_until(transcript, result.rounds[-1].round)
        raise NotChecked(f"the run broke off after round {result.rounds[-1].round}: its record has no end to verify")
    return f"the auditor confirmed every applied sum ({len(result.rounds)}); {verdict}"


def _verified_until(transcript: Transcript, round_: int) -> None:
    """Verify a record without an end, up to this round's last message. Raises: IntegrityError naming the first break."""
    entries = [line.entry for line in transcript.lines]
    last = max(n for n, one in enumerate(entries) if isinstance(one, Sent) and one.position.round == round_)
    lines = b"".join(line.to_json() + b"\n" for line in transcript.lines[: last + 1])
    with suppress(CutOff):
        verify(Transcript.from_bytes(lines, dict(transcript.blobs)))


_WRONG_LABELS: tuple[tuple[str, Callable[[Header], Header]], ...] = (
    ("key", lambda h: replace(h, key_id=h.key_id[:-1] + ("0" if h.key_id[-1] != "0" else "1"))),
    ("epoch", lambda h: replace(h, position=replace(h.position, epoch=h.position.epoch + 1))),
    ("round", lambda h: replace(h, position=replace(h.position, round=h.position.round + 1))),
    ("attempt", lambda h: replace(h, position=replace(h.position, attempt=h.position.attempt + 1))),
    ("state", lambda h: replace(h, state=hashlib.sha256(h.state).digest())),
    ("plan", lambda h: replace(h, plan=hashlib.sha256(h.plan).digest())),
)
_LABELLED = (m.COMMITMENT, m.UPDATE, m.READY, m.PARTIAL, m.RECEIPT)
"""Everything that a client sends in a round."""


def wrong_labels(result: RunResult) -> str:
    """Evidence for ``labels-checked``. Raises: AssertionError or HeflError where it does not hold."""
    tried = labelled = 0
    rosters, family = _rosters(result.transcript), result.experiment.preset.family
    plans = {s.position: s.head.header for s in result.transcript.sent if s.step == m.PLAN and s.sender == COORDINATOR}
    trial = Identity("trial", CLIENT)
    for sent in (s for s in result.transcript.sent if s.step in _LABELLED):
        header, roster = sent.head.header, rosters[sent.position.epoch]
        plan = plans.get(header.position)
        demand(plan is not None, f"{header.kind} of {header.sender}: on record without a plan for its place")
        assert plan is not None
        expected = (plan.position, KeyId.parse(plan.key_id, family), plan.state, plan.digest)
        _admitted(sent.head, expected, roster.member(header.sender).signing)
        labelled += 1
        if sent.step == m.UPDATE:
            tried += _mislabelled(sent.head, expected, roster, trial)
    need_of(tried > 0, "no upload is on record: nothing was tried")
    return (
        f"{labelled} messages of clients bear the labels of the plan in force and their sender's signature; {tried} wrongly "
        "labelled copies of uploads were refused by the header: those of another place with a true signature (a trial key's), "
        "those of another client by its key"
    )


_Place: TypeAlias = tuple[Position, KeyId, bytes, bytes]
"""Position, key, state and plan that a message of a round must name."""


def _mislabelled(head: SignedHeader, expected: _Place, roster: Roster, trial: Identity) -> int:
    """Count the wrong labels refused. A trial key signs them, so that only the place can be the reason."""
    _admitted(_signed(head.header, trial), expected, trial.member.signing)  # control: the true label is accepted
    for what, change in _WRONG_LABELS:
        _refused(_signed(change(head.header), trial), expected, trial.member.signing, what)
    other = next(name for name in roster.clients if name != head.header.sender)
    _refused(replace(head, header=replace(head.header, sender=other)), expected, roster.member(other).signing, "client")
    return len(_WRONG_LABELS) + 1


def _signed(header: Header, trial: Identity) -> SignedHeader:
    return SignedHeader(header, trial.sign(encode(header)))


def _refused(head: SignedHeader, expected: _Place, signing: bytes, what: str) -> None:
    try:
        _admitted(head, expected, signing)
    except HeflError:
        return
    raise AssertionError(f"an update labelled with another {what} was accepted")


def _admitted(head: SignedHeader, expected: _Place, signing: bytes) -> None:
    """The receiver's checks, before anything is parsed. Raises: the refusal."""
    position, key_id, state, plan = expected
    check_place(head.header, position=position, key_id=key_id, state=state, plan=plan)
    head.verify(signing)


def no_share_leaves(result: RunResult) -> str:
    """Evidence for ``shares-sealed``. Raises: AssertionError or HeflError where it does not hold."""
    transcript, rosters = result.transcript, _rosters(result.transcript)
    found = secrets_sent(transcript)
    need_of(bool(found), "no share was dealt on record")
    taken: set[tuple[str, int, str, str]] = set()
    for sent in found:
        what, roster = f"a {sent.step} of epoch {sent.position.epoch}", rosters[sent.position.epoch]
        demand(sent.body not in transcript.blobs, f"{what} for {', '.join(sent.receivers)} stands on record, sealed")
        demand(sent.head.header.sealed, f"{what} for {', '.join(sent.receivers)} travelled unsealed")
        addressed = {*sent.receivers, *sent.head.header.recipients}
        demand(
            len(addressed) == 1 and addressed <= set(roster.clients), f"{what} was addressed to {', '.join(addressed)}"
        )
        demand(transcript.content(sent) is None, f"the content of {what} is on record")
        dealers = {KMS} if sent.step == "share" else set(roster.clients) - addressed
        demand(sent.sender in dealers, f"{what} came from {sent.sender}")
        place = (sent.step, sent.position.epoch, sent.sender, sent.receivers[0])
        demand(place not in taken, f"{what}: {sent.receivers[0]} got two of {sent.sender}")
        taken.add(place)
        size = seals.sealed_nbytes(sent.head)
        demand(sent.nbytes == size, f"{what} has {sent.nbytes} bytes, sealed to one client it has {size}")
    whole = sum(sent.step == "share" for sent in found)
    told = [f"{whole} shares"] * bool(whole) + [f"{len(found) - whole} parts of shares"] * (whole < len(found))
    return (
        f"{' and '.join(told)}, each called sealed, to one client, and of the size that sealing to one gives; coordinator and "
        "auditor received none (no record keeps these bodies, so that nobody tried to open them)"
    )


# -- custody ---------------------------------------------------------------------------------------------------


def is_collective(result: RunResult) -> bool:
    """Whether sums are decrypted by several holders together."""
    return result.experiment.quorum.collective


def was_looked_into(result: RunResult) -> bool:
    """Whether a blindness test was made of the run's processes."""
    return result.blindness is not None


def has_epochs(result: RunResult) -> bool:
    """Whether the key was changed during the run."""
    return len({sent.position.epoch for sent in result.transcript.sent if sent.step == m.SUM}) > 1


def quorum_kept(result: RunResult) -> str:
    """Evidence for ``quorum-kept``. Raises: AssertionError or HeflError where it does not hold."""
    transcript, need = bodies_of(result), result.experiment.quorum.threshold
    applied = {one.sent.position: one for one in _applied_sums(result)}
    answered = 0
    for sent in (s for s in transcript.sent if s.step == m.SUM):
        summed = _summed(transcript, sent)
        asked = [s for s in summed.attempt if s.step == m.REQUEST and s.sender == COORDINATOR]
        expected = 1 if sent.position in applied else len(asked[:1])  # an attempt may have ended before
        demand(len(asked) == expected, f"{summed.where}: {len(asked)} requests to decrypt the sum, expected one")
        if asked:
            active = _asked(transcript, summed, asked[0], need)
            answered += _answers(summed, asked[0], active, complete=sent.position in applied)
    _no_stray_answers(transcript)
    return (
        f"{answered} partial decryptions, of attempts that came to nothing too, each by one of the {need} holders named first, "
        "after the auditor's word on that very sum, signed, and addressed to the clients; each sealed to those and to no "
        "other; none opened by a key that stands in a wrap as it is or backwards"
    )


def _asked(transcript: Transcript, summed: _Summed, asked: Sent, need: int) -> tuple[str, ...]:
    """The holders that a request names: ``need`` contributors, for the sum that the auditor confirmed before it."""
    confirmation = _confirmed(transcript, summed, until=asked)
    request = decode(transcript.body(asked), DecryptionRequest)
    demand(
        (request.sum, request.confirmation) == (summed.sent.head.header.digest, confirmation.head.header.digest),
        f"{summed.where}: the request names another sum or confirmation",
    )
    members = [item.header.sender for item in summed.message.updates]
    demand(
        len(set(request.active)) == len(request.active) == need and set(request.active) <= set(members),
        f"{summed.where}: the active set {request.active} is not {need} contributors",
    )
    return request.active


def _answers(summed: _Summed, asked: Sent, active: Sequence[str], *, complete: bool) -> int:
    """Count this sum's partials: after the request, one of each active holder, or of some if the attempt failed."""
    attempt = summed.attempt
    partials = [s for s in attempt if s.step == m.PARTIAL]
    senders = sorted(s.sender for s in partials)
    right = senders == sorted(active) if complete else len(set(senders)) == len(senders) and set(senders) <= set(active)
    demand(right, f"{summed.where}: answers of {senders}")
    early = any(attempt.index(s) < attempt.index(asked) for s in partials)
    demand(not early, f"{summed.where}: an answer before the request")
    return len(partials)


def _no_stray_answers(transcript: Transcript) -> None:
    """Check every partial on record, also of failed attempts: signed, sealed to clients, asked for."""
    rosters = _rosters(transcript)
    requests = {s.position: s for s in transcript.sent if s.step == m.REQUEST and s.sender == COORDINATOR}
    for sent in (s for s in transcript.sent if s.step == m.PARTIAL):
        where, roster = f"round {sent.position.round}: the partial of {sent.sender}", rosters[sent.position.epoch]
        demand(sent.position in requests, f"{where} was not asked for")
        active = decode(transcript.body(requests[sent.position]), DecryptionRequest).active
        demand(sent.sender in active, f"{where} came from outside of the active set")
        readers = {*sent.receivers, *sent.head.header.recipients}
        demand(sent.head.header.sealed and readers <= set(roster.clients), f"{where} was readable by others")
        demand(transcript.content(sent) is None, f"{where} is on record in the open")
        body = transcript.body(sent)
        demand(readers_of(body) == sent.head.header.recipients, f"{where} is sealed to others than its header names")
        demand(not seals.opens_without_key(sent.head, body), f"{where} opens without a key")
        sent.head.verify(roster.member(sent.sender).signing)


def flooded_of(result: RunResult) -> str:
    """Evidence for ``flooded``. Raises: AssertionError or HeflError where it does not hold."""
    preset, transcript = flooded(result.experiment.preset, result.experiment.quorum), bodies_of(result)
    if preset is None:
        raise NotChecked(
            f"{result.experiment.preset.name}: its answers are not flooded, they say nothing but the sum (Paillier)"
        )
    _observed(result)
    opened, left, most = [], [], 1.0
    for applied in _applied_sums(result):
        spread = preset.aggregate_noise_std(len(applied.message.updates), result.experiment.clients)
        # the sum's own noise comes on top; relative to one flooding's variance, which is 2^(2f) / 3
        most = max(most, 1 + 3 * (spread / 2.0**preset.flood_bits) ** 2)
        if (noise := _opened_noise(result, preset, applied)) is None:
            left.append(applied.where)
        else:
            opened.append((applied.where, noise))
    need_of(bool(opened), f"{_listed(left)}: the noise of no opened sum was observed")
    quorum = public_keys(transcript)[applied.sent.head.header.key_id].quorum
    found = _flooded_blocks(opened, quorum, opened_length(result), most) if preset.family == "bfv" else None
    told = found or _flooded_slots(opened, most)
    return (
        f"{sum(len(noise) for _, noise in opened)} numbers of noise in {len(opened)} opened sums, as every holder sees them: "
        f"{told.format(floodings=f'{quorum.threshold} floodings of 2^{preset.flood_bits}')}"
        f"{_left_out(left, 'a contributor was not observed' if found is None else 'its noise was not observed')}"
    )


def opened_length(result: RunResult) -> int:
    """Coefficients of one opened ciphertext: all of the ring's, or those that carry one-time keys."""
    scheme, quorum = open_scheme(result.experiment.preset.name), result.experiment.quorum
    if isinstance(scheme, OneTimeScheme):
        return scheme.transport(quorum).used
    return cast(RingPreset, scheme.preset).degree


def _flooded_blocks(opened: Sequence[tuple[str, Noise]], quorum: Quorum, degree: int, most: float) -> str:
    """BFV: each ciphertext that was looked at, by size and shape and beside the others. Raises: IntegrityError."""
    for where, noise in opened:
        demand(len(noise) % degree == 0, f"{where}: {len(noise)} numbers of noise, in ciphertexts of {degree}")
    blocks = [OpenedBlock(where, row) for where, noise in opened for row in noise.reshape(-1, degree)]
    found = check_floods(blocks, quorum.threshold, most)
    return (
        f"{found.least:.2f} to {found.most:.2f} of the variance of {{floodings}} in each of {len(blocks)} ciphertexts, in their "
        f"shape, and in {found.compared} of them none that follows another's in any turn or sign"
    )


def _flooded_slots(opened: Sequence[tuple[str, Noise]], most: float) -> str:
    """CKKS: a slot's noise is a sum over all coefficients, so only size and repetition show. Raises: IntegrityError."""
    shortest = min(len(noise) for _, noise in opened)
    found = _check_flooding([where for where, _ in opened], np.stack([noise[:shortest] for _, noise in opened]), most)
    return (
        f"{min(found):.2f} to {max(found):.2f} of the variance of {{floodings}}, and no sum's follows another's in order or in "
        "reverse (slots of CKKS show no more)"
    )


def _check_flooding(names: Sequence[str], noise: Noise, most: float) -> list[float]:
    """The strength of each sum's noise. Shapes: (sums, numbers). Raises: IntegrityError for too little, too much or repeated."""
    sums, count = noise.shape
    budget = math.log(2 * (sums + 1 + 2 * sums**2) / ALPHA)
    found = [float(np.mean(row**2)) for row in noise]
    for name, strength in zip(names, found, strict=True):
        check_strength(f"{name}: the opened sum", strength, count, budget, ROUNDED, most / ROUNDED)
    check_strength("all opened sums together", float(np.mean(found)), sums * count, budget, ROUNDED, most / ROUNDED)
    check_apart([f"{name}: the opened sum" for name in names], noise, most, budget)
    return found


def _opened_noise(result: RunResult, preset: RingPreset, applied: _Applied) -> Noise | None:
    """A sum's noise as its holders see it; None when it was not observed.

    BFV's is separate from the plaintext: coefficients in units of 2^f. CKKS's is the applied mean minus the mean of the
    updates, over its stated standard deviation: each slot sums N coefficients.
    """
    seen = result.observations.get(applied.line.round, ())
    first = next((one for one in seen if one.applied), None)
    if first is None:
        return None
    if preset.family == "bfv":
        found = np.frombuffer(first.opened_noise, dtype="<f4").astype(np.float64)
        return found if len(found) else None
    contributors = [one for one in seen if one.client in applied.line.contributors]
    if len(contributors) != len(applied.line.contributors):
        return None
    ring, quorum = seal.open_ring(preset), public_keys(result.transcript)[applied.sent.head.header.key_id].quorum
    share = sum(one.examples for one in contributors) / result.transcript.manifest.examples_max
    # a slot is the real part of Σ c_j ζ^j over N coefficients, |ζ| = 1: it has N/2 of their variance
    slot = math.sqrt(quorum.threshold / 3) * 2.0**preset.flood_bits * math.sqrt(ring.degree / 2) / ring.scale
    return (np.frombuffer(first.applied, dtype=np.float64) - plain_mean(contributors)) * (share / slot)


def epochs_apart(result: RunResult) -> str:
    """Evidence for ``epochs-apart``. Raises: AssertionError or HeflError where it does not hold."""
    transcript = bodies_of(result)
    keys: dict[int, set[str]] = {}
    for sent in transcript.sent:
        if sent.step in (m.UPDATE, m.SUM):
            keys.setdefault(sent.position.epoch, set()).add(sent.head.header.key_id)
    demand(all(len(found) == 1 for found in keys.values()), "one epoch used two keys")
    distinct = {key for found in keys.values() for key in found}
    demand(len(distinct) == len(keys), "two epochs used one key")
    announced = public_keys(transcript)
    demand(distinct <= set(announced), "a key was used that was never announced")
    chosen = {epoch: announced[min(found)] for epoch, found in keys.items()}
    pairs, left = _secrets_apart(result, chosen)
    need_of(
        pairs > 0,
        f"epochs {_listed(left)}: no quorum of holders was observed in both, so that their secrets were not compared",
    )
    return (
        f"{len(keys)} epochs, {len(distinct)} different keys over different secrets ({counted(pairs, 'pair')} compared, up to "
        f"sign and turn; a secret derived from another in any other way is not recognised)"
        f"{_left_out(left, 'no quorum of holders was observed in both')}"
    )


def _secrets_apart(result: RunResult, keys: Mapping[int, PublicKey]) -> tuple[int, list[str]]:
    """Compare every two epochs' secrets. Returns the number of pairs, and the pairs that left nothing to compare."""
    preset = key_preset(result.experiment.preset, result.experiment.quorum)
    pairs = list(combinations(sorted(keys), 2))
    if isinstance(preset, PaillierPreset):
        for a, b in pairs:
            demand(not share_a_factor(keys[a], keys[b]), f"epochs {a} and {b} have one secret: a common factor")
        return len(pairs), []
    _encrypts(result)
    assert isinstance(preset, RingPreset)
    found = {epoch: _imprints_of(result, epoch, key.quorum, preset) for epoch, key in keys.items()}
    left = []
    for a, b in pairs:
        both = sorted(set(found[a]) & set(found[b]))
        if not both:
            left.append(f"{a} and {b}")
            continue
        quorum = max(keys[a].quorum, keys[b].quorum, key=lambda one: one.threshold)
        one_secret = of_one_secret(preset, quorum, found[a][both[0]], found[b][both[0]])
        demand(not one_secret, f"epochs {a} and {b} have one secret")
    return len(pairs) - len(left), left


def _imprints_of(result: RunResult, epoch: int, quorum: Quorum, preset: RingPreset) -> dict[int, bytes]:
    """An epoch's imprints, by the number of the active set: of those whose holders were all observed in it."""
    parts = {seen.client: seen.imprint for seen in _observed(result) if seen.position.epoch == epoch and seen.imprint}
    if not quorum.collective:
        return {0: whole_imprint(preset, quorum, [one[0] for one in parts.values()])} if parts else {}
    clients = _rosters(result.transcript)[epoch].clients
    found = {}
    for number, chosen in enumerate(active_sets(quorum)):
        holders = [clients[index - 1] for index in chosen]
        there = [parts[name][number] for name in holders if name in parts and number < len(parts[name])]
        if len(there) == len(holders) and all(there):
            found[number] = whole_imprint(preset, quorum, there)
    return found
