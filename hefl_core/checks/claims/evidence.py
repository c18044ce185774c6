"""The ledger of claims: every sentence that a screen, a report or a page of the docs promises, and the check behind it.

An *executed* claim has a check that runs on a result, and controls: results with a planted fault on which the check
must fail. An *argued* claim has a source instead. A claim with neither does not load. A check that lacks what it needs says
"not checked": that is neither green nor red.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import chain, combinations
from typing import Final, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from hefl_core.errors import HeflError, NotChecked, ParameterError
from hefl_core.federation import messages as m
from hefl_core.federation.admission import check_place
from hefl_core.federation.client import Observation
from hefl_core.federation.messages import Commitment, Confirmation, DecryptionRequest, EncryptedSum, Receipt, RoundPlan
from hefl_core.federation.party import Work
from hefl_core.federation.precision import noise_step
from hefl_core.federation.protocol_table import UNKEPT_KINDS
from hefl_core.federation.transcript import LeftOut, Line, Sent, Transcript
from hefl_core.federation.verify import CutOff, verify
from hefl_core.ids import AUDITOR, COORDINATOR, KMS, KeyId
from hefl_core.keys.epochs import EpochAnnouncement
from hefl_core.keys.identity import Identity
from hefl_core.keys.roster import CLIENT, Roster
from hefl_core.measure import seals
from hefl_core.measure.inputs import MEANINGS, READABLE, awaits_uploads, examine, examine_record, unused_spares
from hefl_core.measure.masks import (
    masks_of,
    opens_without_key,
    under_mask_of,
    under_related_mask_of,
    without_key,
    without_mask,
)
from hefl_core.measure.memory import Hit, Search
from hefl_core.measure.noise import NoiseShare, check_apart, check_noise, check_strength
from hefl_core.measure.traces import AGGREGATE, FLOATS, RECORD, UPDATE
from hefl_core.measure.uniformity import compare, rows_of
from hefl_core.runtime.blindness import PLANTED, Blindness, observed_forms
from hefl_core.runtime.observer import fedavg_error, plain_mean
from hefl_core.runtime.result import Finding, RoundResult, RunResult, Verdict
from hefl_core.schemes import seal
from hefl_core.schemes.base import CiphertextVector, PublicKey
from hefl_core.schemes.flooding import floods
from hefl_core.schemes.imprint import of_one_secret, share_a_factor, whole_imprint
from hefl_core.schemes.presets import PaillierPreset, RingPreset
from hefl_core.schemes.quorum import Quorum
from hefl_core.schemes.registry import load_preset, open_scheme
from hefl_core.schemes.traces import KEY
from hefl_core.wire.canonical import decode, encode
from hefl_core.wire.envelope import Header, Position, SignedHeader
from hefl_core.wire.fingerprint import SMALLEST_BITS, Form, Salt

Check: TypeAlias = Callable[[RunResult], str]
"""Returns the evidence as a sentence; raises AssertionError or a HeflError when the claim does not hold, NotChecked
where it lacks what it needs."""
Control: TypeAlias = Callable[[RunResult], RunResult]
"""Returns the result with a planted fault; its docstring says which."""
MIN_CONTROLS = 2


@dataclass(frozen=True)
class Claim:
    """One promised sentence. ``applies`` says of which runs it speaks (collective custody, several epochs, …).

    ``controls``: faults of different kinds. The second is chosen to slip past a check that only knows the first.
    Raises: ParameterError without a check that can fail, or without a source.
    """

    id: str
    sentence: str
    seat: str
    kind: Literal["executed", "argued"]
    source: str
    check: Check | None = None
    controls: tuple[Control, ...] = ()
    applies: Callable[[RunResult], bool] = lambda result: True

    def __post_init__(self) -> None:
        if not self.source:
            raise ParameterError(f"claim {self.id}: expected a source, found none", "name the page or paper")
        if self.kind == "executed" and (self.check is None or len(self.controls) < MIN_CONTROLS):
            raise ParameterError(
                f"claim {self.id}: expected a check and {MIN_CONTROLS} controls on which it fails, found "
                f"{'a' if self.check else 'no'} check and {len(self.controls)} controls",
                "write all of them, or call the claim argued",
            )

    def examine(self, result: RunResult) -> Finding:
        """Run the check on a result."""
        if self.check is None:
            raise ParameterError(f"claim {self.id} is argued, not executed", f"read {self.source}")
        try:
            return Finding(self.id, Verdict.HOLDS, self.check(result))
        except NotChecked as missing:
            return Finding(self.id, Verdict.NOT_CHECKED, str(missing))
        except (AssertionError, HeflError) as error:
            return Finding(self.id, Verdict.FAILS, str(error))


def check_claims(result: RunResult) -> RunResult:
    """The result with a finding for every executed claim that speaks of such a run."""
    speaking = (claim for claim in LEDGER if claim.check is not None and claim.applies(result))
    return replace(result, claims=tuple(claim.examine(result) for claim in speaking))


def _demand(condition: bool, message: str) -> None:
    if not condition:
        raise AssertionError(message)


def _need(condition: bool, message: str) -> None:
    """Stop without a verdict where the check lacks something."""
    if not condition:
        raise NotChecked(message)


# -- what several checks read --------------------------------------------------------------------------------


def _bodies(result: RunResult) -> Transcript:
    """The record with its bodies. Raises: NotChecked for one that came without."""
    _need(bool(result.transcript.blobs), "the record came without its bodies; keep them to have this checked")
    return result.transcript


def _observed(result: RunResult) -> list[Observation]:
    """What the clients showed the observer. Raises: NotChecked for a run that was not observed."""
    found = [seen for round_ in sorted(result.observations) for seen in result.observations[round_]]
    _need(bool(found), "the run was not observed: nobody saw the clients' private side; run it with observation on")
    return found


def _rosters(transcript: Transcript) -> dict[int, Roster]:
    rosters = [decode(s.inline, Roster) for s in transcript.sent if s.inline is not None]
    return {roster.epoch: roster for roster in rosters}


def _public_keys(transcript: Transcript) -> dict[str, PublicKey]:
    """The announced keys, by name."""
    announced = [decode(transcript.body(s), EpochAnnouncement) for s in transcript.sent if s.step == "epoch"]
    return {str(one.public_key.id): one.public_key for one in announced}


def _vectors(transcript: Transcript) -> Iterator[tuple[Sent, CiphertextVector]]:
    """Every upload that is on record in the open."""
    for sent in transcript.sent:
        if sent.step == m.UPDATE and (content := transcript.content(sent)) is not None:
            yield sent, decode(content, CiphertextVector)


def _encrypts(result: RunResult) -> None:
    family = load_preset(result.experiment.scheme).family
    _demand(
        family != "plaintext", "the scheme is plaintext: there is no ciphertext, whoever carries an update reads it"
    )


@dataclass(frozen=True)
class _Summed:
    """A sum on record, and the messages of its attempt in order."""

    sent: Sent
    message: EncryptedSum
    attempt: tuple[Sent, ...]

    @property
    def before(self) -> tuple[Sent, ...]:
        """What was sent before the sum."""
        return self.attempt[: self.attempt.index(self.sent)]

    @property
    def where(self) -> str:
        """For messages."""
        return f"round {self.sent.position.round}"


@dataclass(frozen=True)
class _Applied(_Summed):
    """The sum that a round's result speaks of."""

    line: RoundResult


def _summed(transcript: Transcript, sent: Sent) -> _Summed:
    attempt = tuple(s for s in transcript.of_round(sent.position.round) if s.position == sent.position)
    return _Summed(sent, decode(transcript.body(sent), EncryptedSum), attempt)


def _rounds_told(result: RunResult) -> None:
    """The result speaks of every round that a client applied, and of no other.

    Raises: NotChecked before the first; AssertionError. Of a run that broke off the last round may be missing.
    """
    transcript = result.transcript
    _need(bool(result.rounds), "no round came to its end: there is no applied sum to look at")
    told = [line.round for line in result.rounds]
    applied = {sent.position.round for sent in transcript.sent if sent.step == m.RECEIPT}
    under_way = set() if transcript.closed else {max(applied | set(told))}
    missing = sorted(applied - set(told) - under_way)
    _demand(not missing, f"the record has sums of rounds {missing} applied, of which the result does not speak")
    _demand(
        set(told) <= applied and len(set(told)) == len(told), f"the result speaks of rounds {told}, not as recorded"
    )


def _applied_sums(result: RunResult) -> Iterator[_Applied]:
    transcript = _bodies(result)
    _rounds_told(result)
    for line in result.rounds:
        here = transcript.of_round(line.round)
        sums = [s for s in here if s.step == m.SUM and s.position.attempt == line.attempts]
        _demand(len(sums) == 1, f"round {line.round}: {len(sums)} sums on record for attempt {line.attempts}")
        found = _summed(transcript, sums[0])
        yield _Applied(found.sent, found.message, found.attempt, line)


def _confirmed(transcript: Transcript, applied: _Summed, until: Sent | None = None) -> Sent:
    """The auditor's word on this very sum, after the sum and before ``until``. AssertionError when it is missing or wrong."""
    where, attempt = applied.where, applied.attempt
    stretch = attempt[attempt.index(applied.sent) : None if until is None else attempt.index(until)]
    found = [s for s in stretch if s.step == m.CONFIRMATION and s.sender == AUDITOR]
    when = "" if until is None else f" before the {until.step}"
    _demand(len(found) == 1, f"{where}: {len(found)} confirmations of the auditor{when} on record, expected one")
    auditor = _rosters(transcript)[applied.sent.position.epoch].member(AUDITOR)
    found[0].head.verify(auditor.signing)
    said = decode(transcript.body(found[0]), Confirmation)
    mine = Confirmation(
        plan=applied.sent.head.header.plan,
        updates=tuple(item.header.digest for item in applied.message.updates),
        blocks=tuple(hashlib.sha256(block).digest() for block in applied.message.total.blocks),
    )
    _demand(said == mine, f"{where}: the auditor confirmed another sum than the one that was applied")
    return found[0]


# -- the coordinator learns nothing ----------------------------------------------------------------------------

FLOODING_ALPHA: Final = 1e-9
ROUNDED: Final = 0.999
"""What float32, and a plaintext's own rounding, may take of a variance."""
Noise: TypeAlias = npt.NDArray[np.float64]
CLAIM_ALPHA = 1e-9
"""Every run is examined: at one in a thousand, one honest run in a thousand would be accused."""
NEEDLE_ENTRIES = 8
"""Consecutive entries of a vector that make one search pattern: 32 bytes as float32, 64 as float64."""
NEEDLES_PER_FORM = 2
"""Pieces of each vector in each form: floats of both widths and orders, quantised, packed into words."""
MOST_IN_EVERY_FORM = 12
"""Updates that are looked for in every form, in rounds spread over the run; all others as floats around their largest entry."""


def _search_of(result: RunResult) -> Search:
    """A search for everything that the audience saw and the coordinator must not have."""
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
            forms = chain(forms, observed_forms(result.experiment, examples_max, some, NEEDLES_PER_FORM, 7))
        search.add(map(salt.fingerprint, forms))
    return search


def _largest_entries(observations: Sequence[Observation], examples_max: int) -> Iterator[Form]:
    """Updates, weighted updates and means as floats, around their largest entry."""
    for seen in observations:
        update = np.frombuffer(seen.update, dtype=np.float64)
        vectors = {"update": update, "weighted update": update * (seen.examples / examples_max)}
        if seen.applied:
            vectors["mean"] = np.frombuffer(seen.applied, dtype=np.float64)
        for what, vector in vectors.items():
            start = max(0, min(int(np.argmax(np.abs(vector))) - NEEDLE_ENTRIES // 2, len(vector) - NEEDLE_ENTRIES))
            piece = vector[start : start + NEEDLE_ENTRIES]
            if len(np.unique(piece[piece != 0])) < NEEDLE_ENTRIES - 1:
                continue  # few entries say little, and could stand anywhere
            for order in FLOATS:
                name = f"{seen.client}, round {seen.position.round}, {what}, {order} at {start}"
                yield Form("plaintext", name, piece.astype(order).tobytes(), SMALLEST_BITS)


def _coordinator_blind(result: RunResult) -> str:
    _encrypts(result)
    transcript, search = _bodies(result), _search_of(result)
    scheme, keys = open_scheme(result.experiment.scheme), _public_keys(transcript)
    messages = nbytes = 0
    for seen in transcript.seen_by(COORDINATOR):
        header = seen.sent.head.header
        where = f"{header.kind} of {header.sender}"
        _demand(header.kind in READABLE, f"the coordinator got a {where}")
        for data in {id(data): data for data in (seen.body, seen.content) if data is not None}.values():
            hits = search.in_bytes(data)
            _demand(not hits, f"{where} contains a {hits[0].kind if hits else ''}: {hits[0].name if hits else ''}")
            nbytes += len(data)
        if seen.content is not None:
            content: object = decode(seen.content, READABLE[header.kind])
            if isinstance(content, CiphertextVector):
                scheme.check(keys[header.key_id], content)
                _demand(not opens_without_key(keys[header.key_id], content), f"{where} opens without a key")
        messages += 1
    _observed(result)
    return (
        f"{messages} messages ({nbytes} bytes) decoded against an allow-list of {len(READABLE)} kinds, every ciphertext well "
        f"formed and closed without a key, and searched for {len(search.fingerprints)} pieces of updates, sums and models: none "
        "found"
    )


def _plant_plaintext(result: RunResult) -> RunResult:
    """An update's float64 bytes lie in a body that the coordinator received."""
    first = next(iter(result.observations.values()))[0]
    target = next(s for s in result.transcript.sent if s.step == m.UPDATE)
    return _with_blob(result, target.head.header.content_digest, lambda old: old + first.update)


def _plant_quantised(result: RunResult) -> RunResult:
    """An update stands in a ciphertext's place as whole numbers of steps: no float of it is anywhere, and it decodes."""
    first = next(iter(result.observations.values()))[0]
    update = np.frombuffer(first.update, dtype=np.float64)
    sent, vector = next(_vectors(result.transcript))
    whole = np.rint(update * 2**15).astype(">i4").tobytes()
    content = replace(vector, blocks=(whole, *vector.blocks[1:])).to_bytes()
    return _with_blob(result, sent.head.header.content_digest, lambda _: content)


def _leave_open(result: RunResult) -> RunResult:
    """One upload is well formed, its c1 is noise, and its c0 is the plaintext scaled up: everybody reads it."""
    sent, vector = next(_vectors(result.transcript))
    key = _public_keys(result.transcript)[sent.head.header.key_id]
    content = replace(vector, blocks=without_key(key, vector)).to_bytes()
    return _with_blob(result, sent.head.header.content_digest, lambda _: content)


def _inputs_allowed(result: RunResult) -> str:
    transcript = _bodies(result)
    messages = nbytes = fields = 0
    open_ended: list[str] = []
    for seat in (COORDINATOR, AUDITOR):
        found = examine(transcript, seat)
        open_ended += () if transcript.closed else filter(awaits_uploads, found.findings)
        wrong = [what for what in found.findings if what not in open_ended]
        _demand(not wrong, f"{seat}: {'; '.join(wrong[:3])}")
        messages, nbytes = messages + found.messages, nbytes + found.nbytes
        fields += sum(count for _, count in found.meanings)
    beside = examine_record(transcript)
    _demand(not beside, f"on record: {'; '.join(beside[:3])}")
    handed = result.blindness.handed if result.blindness else None
    _demand(handed is None or not handed.findings, f"handed to the process: {handed.findings[:3] if handed else ''}")
    _need(not open_ended, f"the run broke off: its last uploads are not on record to compare with ({open_ended[:1]})")
    more = f"; {handed.messages} objects that Ray handed to the process likewise" if handed else ""
    return (
        f"{messages} messages ({nbytes} bytes), {fields} fields, each with a meaning on the list; none of the "
        f"{len(set(MEANINGS))} meanings is an example count; no cost report of a client on {len(transcript.lines)} lines and no "
        f"number in digits in a client's refusal{more}; {unused_spares(transcript)} digests of spares that were never sent look "
        "like digests, and nobody can compare them"
    )


def _smuggle_count(result: RunResult) -> RunResult:
    """A receipt carries one number more, how many examples the client has."""
    target = next(s for s in result.transcript.sent if s.step == m.RECEIPT)
    receipt = decode(result.transcript.content(target) or b"", Receipt)
    content = encode({"sum": receipt.sum, "state": receipt.state, "examples": 113})
    return _with_blob(result, target.head.header.content_digest, lambda _: content)


def _report_cost(result: RunResult) -> RunResult:
    """A commitment stands on record with what training cost the client, in no field of any message."""
    cost = (Work("train", 0.113, 0.113),)
    return _with_sent(result, m.COMMITMENT, lambda s: _entry(s, work=cost))


def _tell_entry(result: RunResult) -> RunResult:
    """A client's refusal names the largest entry of its update."""
    copy = _copy(result.transcript)
    place = copy.sent[-1].position
    copy.note(LeftOut("client-1", "commit", place, "EncodingError: |entry| 1.3 exceeds the bound 1.0"))
    return replace(result, transcript=copy)


def _tell_epoch(result: RunResult) -> RunResult:
    """A client's refusal names the number of its examples as a key epoch that the run does not have."""
    copy = _copy(result.transcript)
    copy.note(LeftOut("client-1", "commit", copy.sent[-1].position, "KeyNotActive: epoch 113"))
    return replace(result, transcript=copy)


def _spare_count(result: RunResult) -> RunResult:
    """A commitment holds one spare more, for an attempt that is never made: 32 bytes with the number of examples in them."""
    target = next(s for s in result.transcript.sent if s.step == m.COMMITMENT)
    told = decode(result.transcript.content(target) or b"", Commitment)
    content = encode(replace(told, spares=(*told.spares[:-1], (113).to_bytes(32, "big"))))
    return _with_blob(result, target.head.header.content_digest, lambda _: content)


def _weigh_count(result: RunResult) -> RunResult:
    """The record says a size of a message that it does not have: the number of examples."""
    return _with_sent(result, m.COMMITMENT, lambda s: replace_nbytes(s, 113))


def _hide_count(result: RunResult) -> RunResult:
    """A receipt's digest of the state is no digest of anything: it is 32 bytes with the number of examples in them."""
    target = next(s for s in result.transcript.sent if s.step == m.RECEIPT)
    receipt = decode(result.transcript.content(target) or b"", Receipt)
    content = encode(replace(receipt, state=(113).to_bytes(32, "big")))
    return _with_blob(result, target.head.header.content_digest, lambda _: content)


def _memory_clean(result: RunResult) -> str:
    found = result.blindness
    if found is None:
        raise NotChecked("no process was looked into; run it on Ray and look (blindness)")
    blind = [control.planted for control in found.controls if not control.found]
    _demand(not blind, f"the test is blind itself, it did not find {'; '.join(blind)}")
    planted = {control.name for control in found.controls}
    _demand(
        set(PLANTED) <= planted, f"the test was not tried: nothing was planted for {sorted(set(PLANTED) - planted)}"
    )
    looked_into = {one.party for one in found.looked if one.looks and one.nbytes}
    _demand({COORDINATOR, AUDITOR} <= looked_into, f"looked into {sorted(looked_into)} only")
    _demand(found.needle_count > 0, "there was nothing to look for")
    _demand(not found.findings, "; ".join(found.findings[:3]))
    _looked_enough(result, found)
    looked = ", ".join(f"{one.party} ({one.nbytes / 2**20:.0f} MiB, {one.looks} looks)" for one in found.looked)
    return (
        f"{found.needle_count} needles over {found.rounds} rounds searched in the memory of {looked}, the shared object "
        f"store included: 0 hits; {len(found.controls)} of {len(found.controls)} planted things were found"
    )


NEEDLED: Final = (KEY, UPDATE, AGGREGATE, RECORD)
"""Kinds of needles without which nothing was looked for."""
LEAST_BYTES: Final = 1 << 20
"""Of a process: a Python interpreter alone has more."""


def _looked_enough(result: RunResult, found: Blindness) -> None:
    """Raises: NotChecked where a kind, a round or a process was hardly looked for or into."""
    needles = dict(found.needles)
    missing = [kind for kind in NEEDLED if not needles.get(kind)]
    _need(not missing, f"nothing of these was looked for: {', '.join(missing)}")
    _need(found.least_bits >= SMALLEST_BITS, f"a needle of {found.least_bits:.0f} bits may be anywhere by chance")
    told = len(result.rounds)
    _need(found.rounds == told, f"the look was over {found.rounds} of {told} rounds")
    few = [one.party for one in found.looked if one.nbytes < LEAST_BYTES]
    _need(not few, f"hardly anything of {few} was read")
    _need(len({one.pid for one in found.looked}) == len(found.looked), "one process was looked into for two parties")


def _plant_hit(result: RunResult) -> RunResult:
    """The search found a piece of an update in the coordinator's heap."""
    found = result.blindness
    if found is None:
        return result
    return replace(result, blindness=replace(found, hits=(Hit(0, "plaintext update", "planted", "[heap]"),)))


def _plant_nothing(result: RunResult) -> RunResult:
    """The search was never tried on anything that it must find, so its "nothing found" means nothing."""
    found = result.blindness
    return result if found is None else replace(result, blindness=replace(found, controls=()))


# -- ciphertexts -----------------------------------------------------------------------------------------------


def _fresh(result: RunResult) -> str:
    _encrypts(result)
    transcript = _bodies(result)
    found = list(_vectors(transcript))
    _need(bool(found), "no upload is on record")
    blocks = [hashlib.sha256(block).digest() for _, vector in found for block in vector.blocks]
    _demand(len(set(blocks)) == len(blocks), f"{len(blocks) - len(set(blocks))} of {len(blocks)} blocks appear twice")
    _masks_differ(transcript)
    return (
        f"{len(blocks)} ciphertext blocks of {len(found)} uploads: all different, and no mask is another's, its negative, "
        "or what a turn (or the inverse) makes of it"
    )


def _masks_differ(transcript: Transcript) -> None:
    """No mask hides two plaintexts, nor do two of one family: a sum or a difference would be in the open."""
    keys = _public_keys(transcript)
    masks = [mask for sent, vector in _vectors(transcript) for mask in masks_of(keys[sent.head.header.key_id], vector)]
    _demand(len(set(masks)) == len(masks), f"{len(masks) - len(set(masks))} of {len(masks)} masks are another's")


def _repeat_upload(result: RunResult) -> RunResult:
    """One client's ciphertext stands for another's."""
    uploads = [s for s in result.transcript.sent if s.step == m.UPDATE]
    first = result.transcript.content(uploads[0]) or b""
    return _with_blob(result, uploads[1].head.header.content_digest, lambda _: first)


def _share_mask(result: RunResult) -> RunResult:
    """Two clients that are no neighbours use one mask for different updates: no two ciphertexts are equal."""
    return _with_masks(result, under_mask_of)


def _turn_mask(result: RunResult) -> RunResult:
    """A client's mask is -X times another's (Paillier: its inverse), so that no two ciphertexts have the same one."""
    return _with_masks(result, under_related_mask_of)


def _with_masks(
    result: RunResult, under: Callable[[PublicKey, CiphertextVector, CiphertextVector], tuple[bytes, ...]]
) -> RunResult:
    (first, one), *_, (last, other) = [
        found
        for found in _vectors(result.transcript)
        if found[0].position == next(_vectors(result.transcript))[0].position
    ]
    key = _public_keys(result.transcript)[first.head.header.key_id]
    content = replace(other, blocks=under(key, one, other)).to_bytes()
    return _with_blob(result, last.head.header.content_digest, lambda _: content)


def _uniform(result: RunResult) -> str:
    _encrypts(result)
    transcript = _bodies(result)
    epochs = sorted({sent.position.epoch for sent, _ in _vectors(transcript)})
    _need(bool(epochs), "no upload is on record")
    _masks_differ(transcript)
    tests = numbers = uploads = 0
    worst = 1.0
    for epoch in epochs:
        found = compare(*rows_of(transcript, epoch=epoch), CLAIM_ALPHA / len(epochs))
        _demand(found.holds, f"epoch {epoch}: p {found.p_text} in {len(found.tests)} tests of {found.uploads} uploads")
        tests, numbers, uploads = tests + len(found.tests), numbers + found.numbers, uploads + found.uploads
        worst = min(worst, found.smallest_p)
    return (
        f"{tests} χ² tests of {numbers} numbers in {uploads} uploads under {len(epochs)} keys, alone and between uploads: "
        f"the smallest p = {worst:.2g}"
    )


def _unmask_early(result: RunResult) -> RunResult:
    """One upload of the first key is sent without its noise: c0 holds small numbers. Later keys are clean."""
    sent, vector = next(_vectors(result.transcript))
    key = _public_keys(result.transcript)[sent.head.header.key_id]
    content = replace(vector, blocks=without_mask(key, vector)).to_bytes()
    return _with_blob(result, sent.head.header.content_digest, lambda _: content)


def _equals_fedavg(result: RunResult) -> str:
    observed, transcript = _observed(result), _bodies(result)
    _keeps_clip(result, observed)
    worst, compared = 0.0, 0
    gone: list[int] = []
    for applied in _applied_sums(result):
        contributors = tuple(item.header.sender for item in applied.message.updates)
        plan = next(s for s in applied.before if s.step == m.PLAN)
        terms = decode(transcript.body(plan), RoundPlan)
        seen = result.observations.get(applied.line.round, ())
        found = fedavg_error(transcript.manifest, seen, contributors, terms)
        if found is None:
            gone.append(applied.line.round)
            continue
        error, bound = found
        _demand(error <= bound, f"round {applied.line.round}: error {error:.3e} exceeds the bound {bound:.3e}")
        told = (applied.line.max_abs_error or 0.0, applied.line.error_bound or 0.0)
        _demand(
            np.allclose(told, found, rtol=1e-6, atol=0), f"round {applied.line.round}: reported {told}, found {found}"
        )
        _moved(result, applied.line.round)
        worst, compared = max(worst, error / bound), compared + 1
    _need(not gone, f"rounds {gone}: a contributor was not observed, so that there is no mean to compare with")
    return (
        f"{compared} rounds computed anew from the clients' updates; the largest error is {worst:.0%} of its bound; the model "
        "moved by just that mean in each"
    )


def _moved(result: RunResult, round_: int) -> None:
    """θ after the round is θ before it and the mean that was applied, bit for bit. Raises: NotChecked where one was not seen."""
    after = next((one for one in result.observations.get(round_, ()) if one.applied and one.theta), None)
    before = _theta_before(result, round_)
    _need(after is not None and before is not None, f"round {round_}: the model before or after it was not observed")
    assert after is not None and before is not None
    mean = np.frombuffer(after.applied, dtype=np.float64)
    expected = (np.frombuffer(before, dtype=np.float32).astype(np.float64) + mean).astype(np.float32)
    _demand(
        expected.tobytes() == after.theta, f"round {round_}: {after.client}'s model moved by another step than the mean"
    )


def _theta_before(result: RunResult, round_: int) -> bytes | None:
    """The model that the round began with: θ_0 of the first plan, or what was observed after the round before."""
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
    """Every clipped update is within the clip; one that noise was added to, before it was."""
    limit = result.experiment.clip_norm
    if limit is None or result.experiment.adaptive:  # an adaptive bound carries what was left out along
        return
    for seen in observed:
        norm = float(np.linalg.norm(np.frombuffer(seen.before_noise or seen.update, dtype=np.float64)))
        _demand(norm <= limit * (1 + 1e-9), f"{seen.client}: an update of norm {norm:.6g}, clipped to {limit:g}")


def _enlarge_error(result: RunResult) -> RunResult:
    """One round's error is twice its bound."""
    first, *others = result.rounds
    return replace(result, rounds=(replace(first, max_abs_error=2 * (first.error_bound or 1.0)), *others))


def _move_mean(result: RunResult) -> RunResult:
    """The clients applied a mean that is off in one entry; what the result says of its error stays as it was."""

    def moved(seen: Observation) -> Observation:
        mean = np.frombuffer(seen.applied, dtype=np.float64).copy()
        mean[len(mean) // 2] += 0.01
        return replace(seen, applied=mean.tobytes())

    return _with_observations(result, min(result.observations), lambda seen: moved(seen) if seen.applied else seen)


def _double_step(result: RunResult) -> RunResult:
    """The clients saw the right mean and moved their model by twice that; all did the same."""
    last = max(result.observations)

    def moved(seen: Observation) -> Observation:
        step = np.frombuffer(seen.applied, dtype=np.float64)
        theta = (np.frombuffer(seen.theta, dtype=np.float32).astype(np.float64) + step).astype(np.float32)
        return replace(seen, theta=theta.tobytes())

    return _with_observations(result, last, lambda seen: moved(seen) if seen.theta else seen)


def _forget_round(result: RunResult) -> RunResult:
    """The result does not speak of the last round, which was applied and is on record."""
    return replace(result, rounds=result.rounds[:-1])


def _one_model(result: RunResult) -> str:
    transcript = result.transcript
    _rounds_told(result)
    clients = []
    for item in result.rounds:
        seen = {one.theta_digest.hex() for one in result.observations.get(item.round, ())} | set(item.models)
        _need(bool(seen), f"round {item.round}: nobody saw the clients' models; run it with observation on")
        _demand(len(seen) == 1, f"round {item.round}: {len(seen)} different models at the clients")
        receipts = [s for s in transcript.of_round(item.round) if s.step == m.RECEIPT]
        said = {decode(body, Receipt) for s in receipts if (body := transcript.content(s)) is not None}
        _demand(len({receipt.state for receipt in said}) <= 1, f"round {item.round}: receipts of different histories")
        clients.append(len(result.observations.get(item.round, ())))
    unseen = _unseen(result) if any(clients) else []
    _need(not unseen, f"{', '.join(unseen[:3])} contributed and was not observed: its model was not seen")
    seen_by = (
        f"{min(clients)} to {max(clients)} clients that were observed, all contributors among them"
        if any(clients)
        else "those in the clients' own folders"
    )
    return f"after each of {len(result.rounds)} rounds all models were bit-equal ({seen_by})"


def _split_model(result: RunResult) -> RunResult:
    """In one round two different models were seen."""
    first, *others = result.rounds
    return replace(result, rounds=(replace(first, model=None, models=("00" * 32, "11" * 32)), *others))


def _drift(result: RunResult) -> RunResult:
    """One client's model is another one; the result says that all are equal."""
    last = max(result.observations)
    chosen = result.observations[last][-1].client
    other = hashlib.sha256(b"another model").digest()
    return _with_observations(
        result, last, lambda seen: replace(seen, theta_digest=other) if seen.client == chosen else seen
    )


def is_private(result: RunResult) -> bool:
    """Whether the run promises differential privacy."""
    return result.experiment.mechanism is not None


def _noise_added(result: RunResult) -> str:
    mechanism, privacy = result.experiment.mechanism, result.privacy
    observed = _observed(result)
    _rounds_told(result)
    assert mechanism is not None and privacy is not None
    _keeps_clip(result, observed)
    for seen in observed:
        _demand(seen.examples == 1, f"{seen.client}: weighs {seen.examples}, which would scale its noise")
    step = _noise_step(result, mechanism.bound)
    shares = [
        NoiseShare.of(
            seen.client,
            seen.position.round,
            np.frombuffer(seen.update, dtype=np.float64),
            np.frombuffer(seen.before_noise, dtype=np.float64),
            step,
        )
        for seen in observed
    ]
    std = mechanism.share_std(step)
    least, most = check_noise(shares, std)
    unseen = _unseen(result)
    _need(not unseen, f"{', '.join(unseen[:3])} contributed and was not observed: its noise was not seen")
    return (
        f"the noise on {len(shares)} updates, taken off again, is whole steps with {least:.2f} to {most:.2f} of the stated "
        f"variance, in the discrete Gaussian's shape, along no update and no other share in order or in reverse; clipped "
        f"before it, at weight 1; "
        f"ε = {privacy.epsilon:.3g} at δ = {privacy.delta:g}"
    )


def _noise_step(result: RunResult, bound: float) -> float:
    """The grid of the noise, from the first plan on record."""
    transcript = _bodies(result)
    plan = next(s for s in transcript.sent if s.step == m.PLAN)
    terms = decode(transcript.body(plan), RoundPlan).max_terms
    return noise_step(open_scheme(result.experiment.scheme), bound, terms)


def _no_noise(result: RunResult) -> RunResult:
    """Nobody adds noise: the updates go out as they were clipped, which have entries of the noise's size."""
    bare = {
        round_: tuple(replace(seen, update=_on_grid(result, seen)) for seen in found)
        for round_, found in result.observations.items()
    }
    return replace(result, observations=bare)


def _on_grid(result: RunResult, seen: Observation) -> bytes:
    mechanism = result.experiment.mechanism
    step = _noise_step(result, mechanism.bound) if mechanism else 1.0
    under = np.frombuffer(seen.before_noise, dtype=np.float64)
    return np.asarray(np.trunc(under / step) * step, dtype=np.float64).tobytes()


def _late_noise(result: RunResult) -> RunResult:
    """A client adds in the last round what another one added in the first."""
    last = max(result.observations)
    first, (own, *others) = result.observations[1][1], result.observations[last]
    taken = np.frombuffer(first.update, dtype=np.float64) - np.frombuffer(_on_grid(result, first), dtype=np.float64)
    under = np.frombuffer(_on_grid(result, own), dtype=np.float64)
    changed = replace(own, update=(under + taken).tobytes())
    return replace(result, observations={**result.observations, last: (changed, *others)})


def _turned_noise(result: RunResult) -> RunResult:
    """One client adds the noise of another in the reverse order."""
    first, second, *others = result.observations[1]
    one, two = (np.frombuffer(_on_grid(result, seen), dtype=np.float64) for seen in (first, second))
    noise = (np.frombuffer(first.update, dtype=np.float64) - one)[::-1]
    changed = replace(second, update=(two + noise).tobytes())
    return replace(result, observations={**result.observations, 1: (first, changed, *others)})


def _thin_noise(result: RunResult) -> RunResult:
    """One client adds half of its noise."""
    first, *others = result.observations[1]
    before = np.frombuffer(_on_grid(result, first), dtype=np.float64)
    step = _noise_step(result, result.experiment.mechanism.bound if result.experiment.mechanism else 1.0)
    noise = np.frombuffer(first.update, dtype=np.float64) - before
    half = (before + np.rint(noise / step / 2) * step).tobytes()
    return replace(result, observations={**result.observations, 1: (replace(first, update=half), *others)})


def _shared_noise(result: RunResult) -> RunResult:
    """One client adds the noise of another: as much as it should, in the right shape, and the other can take it off."""
    first, second, *others = result.observations[1]
    one, two = (np.frombuffer(_on_grid(result, seen), dtype=np.float64) for seen in (first, second))
    noise = np.frombuffer(first.update, dtype=np.float64) - one
    changed = replace(second, update=(two + noise).tobytes())
    return replace(result, observations={**result.observations, 1: (first, changed, *others)})


# -- integrity -------------------------------------------------------------------------------------------------


def _sums_confirmed(result: RunResult) -> str:
    transcript = _bodies(result)
    verdict = str(verify(transcript)) if transcript.closed else ""
    for applied in _applied_sums(result):
        _confirmed(transcript, applied)
        contributors = tuple(item.header.sender for item in applied.message.updates)
        told = applied.line.contributors
        _demand(contributors == told, f"round {applied.line.round}: a sum of {contributors}, the result says {told}")
    if not verdict:
        _verified_until(transcript, result.rounds[-1].round)
        raise NotChecked(f"the run broke off after round {result.rounds[-1].round}: its record has no end to verify")
    return f"the auditor confirmed each of {len(result.rounds)} applied sums; {verdict}"


def _verified_until(transcript: Transcript, round_: int) -> None:
    """A record without an end is right up to the last message of this round. Raises: IntegrityError naming the first break."""
    entries = [line.entry for line in transcript.lines]
    last = max(n for n, one in enumerate(entries) if isinstance(one, Sent) and one.position.round == round_)
    lines = b"".join(line.to_json() + b"\n" for line in transcript.lines[: last + 1])
    with suppress(CutOff):
        verify(Transcript.from_bytes(lines, dict(transcript.blobs)))


def _tamper_sum(result: RunResult) -> RunResult:
    """One upload was exchanged after the sum was made."""
    target = next(s for s in result.transcript.sent if s.step == m.UPDATE)
    return _with_blob(result, target.head.header.content_digest, lambda old: old[:-1] + bytes([old[-1] ^ 1]))


def _miss_contributor(result: RunResult) -> RunResult:
    """The record is whole, but the result speaks of another sum than the one that was confirmed: one with a client more."""
    first, *others = result.rounds
    return replace(result, rounds=(replace(first, contributors=(*first.contributors, "client-99")), *others))


_WRONG_LABELS: tuple[tuple[str, Callable[[Header], Header]], ...] = (
    ("key", lambda h: replace(h, key_id=h.key_id[:-1] + ("0" if h.key_id[-1] != "0" else "1"))),
    ("epoch", lambda h: replace(h, position=replace(h.position, epoch=h.position.epoch + 1))),
    ("round", lambda h: replace(h, position=replace(h.position, round=h.position.round + 1))),
    ("attempt", lambda h: replace(h, position=replace(h.position, attempt=h.position.attempt + 1))),
    ("state", lambda h: replace(h, state=hashlib.sha256(h.state).digest())),
    ("plan", lambda h: replace(h, plan=hashlib.sha256(h.plan).digest())),
)
_LABELLED = (m.COMMITMENT, m.UPDATE, m.READY, m.PARTIAL, m.RECEIPT)
"""Everything that a client says in a round."""


def _wrong_labels(result: RunResult) -> str:
    tried = labelled = 0
    rosters, family = _rosters(result.transcript), load_preset(result.experiment.scheme).family
    plans = {s.position: s.head.header for s in result.transcript.sent if s.step == m.PLAN and s.sender == COORDINATOR}
    trial = Identity("trial", CLIENT)
    for sent in (s for s in result.transcript.sent if s.step in _LABELLED):
        header, roster = sent.head.header, rosters[sent.position.epoch]
        plan = plans.get(header.position)
        _demand(plan is not None, f"{header.kind} of {header.sender}: on record without a plan for its place")
        assert plan is not None
        expected = (plan.position, KeyId.parse(plan.key_id, family), plan.state, plan.digest)
        _admitted(sent.head, expected, roster.member(header.sender).signing)
        labelled += 1
        if sent.step == m.UPDATE:
            tried += _mislabelled(sent.head, expected, roster, trial)
    _need(tried > 0, "no upload is on record: nothing was tried")
    return (
        f"{labelled} messages of clients bear the labels of the plan in force and their sender's signature; {tried} wrongly "
        "labelled copies of uploads were refused by the header: those of another place with a true signature (a trial key's), "
        "those of another client by its key"
    )


_Place: TypeAlias = tuple[Position, KeyId, bytes, bytes]
"""Position, key, state and plan that a message of a round has to name."""


def _mislabelled(head: SignedHeader, expected: _Place, roster: Roster, trial: Identity) -> int:
    """How many wrong labels were refused. A trial key signs them, so that only the place can be what is refused."""
    _admitted(_signed(head.header, trial), expected, trial.member.signing)  # with the true label it is taken
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
    """The checks of whoever receives it, before anything is parsed. Raises: whatever refuses it."""
    position, key_id, state, plan = expected
    check_place(head.header, position=position, key_id=key_id, state=state, plan=plan)
    head.verify(signing)


def _unsign(result: RunResult) -> RunResult:
    """An upload's signature is not its sender's, so the true label is refused as well."""
    return _with_sent(result, m.UPDATE, lambda s: replace_struct(s, signature=bytes(64)))


def _unsign_receipt(result: RunResult) -> RunResult:
    """A receipt's signature is not its sender's; the uploads are as they should be."""
    return _with_sent(result, m.RECEIPT, lambda s: replace_struct(s, signature=bytes(64)))


def _secrets_sent(transcript: Transcript) -> list[Sent]:
    """The messages that bring a share of the key, or a part of one from client to client."""
    return [s for s in transcript.sent if s.step in UNKEPT_KINDS]


def _no_share_leaves(result: RunResult) -> str:
    transcript, rosters = result.transcript, _rosters(result.transcript)
    found = _secrets_sent(transcript)
    _need(bool(found), "no share was dealt on record")
    taken: set[tuple[str, int, str, str]] = set()
    for sent in found:
        what, roster = f"a {sent.step} of epoch {sent.position.epoch}", rosters[sent.position.epoch]
        _demand(sent.head.header.sealed, f"{what} for {', '.join(sent.receivers)} travelled unsealed")
        addressed = {*sent.receivers, *sent.head.header.recipients}
        _demand(
            len(addressed) == 1 and addressed <= set(roster.clients), f"{what} was addressed to {', '.join(addressed)}"
        )
        _demand(transcript.content(sent) is None, f"the content of {what} is on record")
        dealers = {KMS} if sent.step == "share" else set(roster.clients) - addressed
        _demand(sent.sender in dealers, f"{what} came from {sent.sender}")
        place = (sent.step, sent.position.epoch, sent.sender, sent.receivers[0])
        _demand(place not in taken, f"{what}: {sent.receivers[0]} got two of {sent.sender}")
        taken.add(place)
        size = seals.sealed_nbytes(sent.head)
        _demand(sent.nbytes == size, f"{what} has {sent.nbytes} bytes, sealed to one client it has {size}")
    whole = sum(sent.step == "share" for sent in found)
    told = [f"{whole} shares"] * bool(whole) + [f"{len(found) - whole} parts of shares"] * (whole < len(found))
    return (
        f"{' and '.join(told)}, each called sealed, to one client, and of the size that sealing to one gives; coordinator and "
        "auditor received none (no record keeps these bodies, so that nobody tried to open them)"
    )


def _misaddress_share(result: RunResult) -> RunResult:
    """A share, or a client's part of one, goes to the coordinator as well."""
    first = _secrets_sent(result.transcript)[0]
    return _with_sent(result, first.step, lambda s: _entry(s, receivers=(*s.receivers, COORDINATOR)))


def _wrap_nothing(result: RunResult) -> RunResult:
    """A share is called sealed and is as small as one whose key lies beside it."""
    return _with_sent(result, _secrets_sent(result.transcript)[0].step, seals.smaller)


def _second_share(result: RunResult) -> RunResult:
    """One client gets another's share too, sealed and addressed to it alone: together they may open a sum."""
    first, *others = _secrets_sent(result.transcript)
    alike = [s for s in others if (s.step, s.sender, s.position) == (first.step, first.sender, first.position)]
    header = replace(alike[0].head.header, recipients=first.receivers)
    which = [s for s in result.transcript.sent if s.step == first.step].index(alike[0])
    other = _entry(alike[0], receivers=first.receivers, header=header)
    return _with_sent(result, first.step, lambda s: other, which=which)


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


def _quorum_kept(result: RunResult) -> str:
    transcript, need = _bodies(result), result.experiment.quorum.threshold
    applied = {one.sent.position: one for one in _applied_sums(result)}
    answered = 0
    for sent in (s for s in transcript.sent if s.step == m.SUM):
        summed = _summed(transcript, sent)
        asked = [s for s in summed.attempt if s.step == m.REQUEST and s.sender == COORDINATOR]
        expected = 1 if sent.position in applied else len(asked[:1])  # an attempt may have ended before
        _demand(len(asked) == expected, f"{summed.where}: {len(asked)} requests to decrypt the sum, expected one")
        if asked:
            active = _asked(transcript, summed, asked[0], need)
            answered += _answers(summed, asked[0], active, complete=sent.position in applied)
    _no_stray_answers(transcript)
    return (
        f"{answered} partial decryptions, of attempts that came to nothing too, each by one of the {need} holders named first, "
        "after the auditor's word on that very sum, signed, and addressed to the clients; none opened without a key"
    )


def _asked(transcript: Transcript, summed: _Summed, asked: Sent, need: int) -> tuple[str, ...]:
    """Whom a request names: as many contributors as it takes, for the sum that the auditor confirmed before it."""
    confirmation = _confirmed(transcript, summed, until=asked)
    request = decode(transcript.body(asked), DecryptionRequest)
    _demand(
        (request.sum, request.confirmation) == (summed.sent.head.header.digest, confirmation.head.header.digest),
        f"{summed.where}: the request names another sum or confirmation",
    )
    members = [item.header.sender for item in summed.message.updates]
    _demand(
        len(set(request.active)) == len(request.active) == need and set(request.active) <= set(members),
        f"{summed.where}: the active set {request.active} is not {need} contributors",
    )
    return request.active


def _answers(summed: _Summed, asked: Sent, active: Sequence[str], *, complete: bool) -> int:
    """How many partials this sum got: after the request, one of each active holder, or of some where the attempt failed."""
    attempt = summed.attempt
    partials = [s for s in attempt if s.step == m.PARTIAL]
    senders = sorted(s.sender for s in partials)
    right = senders == sorted(active) if complete else len(set(senders)) == len(senders) and set(senders) <= set(active)
    _demand(right, f"{summed.where}: answers of {senders}")
    early = any(attempt.index(s) < attempt.index(asked) for s in partials)
    _demand(not early, f"{summed.where}: an answer before the request")
    return len(partials)


def _no_stray_answers(transcript: Transcript) -> None:
    """Every partial on record, of attempts that came to nothing too: signed, sealed to clients, asked for."""
    rosters = _rosters(transcript)
    requests = {s.position: s for s in transcript.sent if s.step == m.REQUEST and s.sender == COORDINATOR}
    for sent in (s for s in transcript.sent if s.step == m.PARTIAL):
        where, roster = f"round {sent.position.round}: the partial of {sent.sender}", rosters[sent.position.epoch]
        _demand(sent.position in requests, f"{where} was not asked for")
        active = decode(transcript.body(requests[sent.position]), DecryptionRequest).active
        _demand(sent.sender in active, f"{where} came from outside of the active set")
        readers = {*sent.receivers, *sent.head.header.recipients}
        _demand(sent.head.header.sealed and readers <= set(roster.clients), f"{where} was readable by others")
        _demand(transcript.content(sent) is None, f"{where} is on record in the open")
        _demand(not seals.opens_without_key(sent.head, transcript.body(sent)), f"{where} opens without a key")
        sent.head.verify(roster.member(sent.sender).signing)


def _drop_partials(result: RunResult) -> RunResult:
    """One partial decryption came from somebody else."""
    return _with_sent(result, m.PARTIAL, lambda s: _entry(s, header=replace(s.head.header, sender="client-99")))


def _key_beside(result: RunResult) -> RunResult:
    """A partial's header says that it is sealed, and the key lies in the body where it should be wrapped."""
    partial = next(s for s in result.transcript.sent if s.step == m.PARTIAL)
    return _with_blob(result, partial.body, lambda _: seals.with_key_beside(partial))


def _unconfirm(result: RunResult) -> RunResult:
    """The sum of the first round was decrypted without the auditor's word on it; holders and seals are as they should be."""
    copy = _copy(result.transcript)
    number = next(n for n, x in enumerate(copy.lines) if isinstance(x.entry, Sent) and x.entry.step == m.CONFIRMATION)
    del copy.lines[number]
    return replace(result, transcript=copy)


def _confirm_oneself(result: RunResult) -> RunResult:
    """The confirmation bears the auditor's name, and a signature that is not the auditor's."""
    return _with_sent(result, m.CONFIRMATION, lambda s: replace_struct(s, signature=s.head.signature[::-1]))


def _flooded(result: RunResult) -> str:
    preset, transcript = load_preset(result.experiment.scheme), _bodies(result)
    if not floods(preset, result.experiment.quorum):
        raise NotChecked(f"{preset.name}: its answers are not flooded, they say nothing but the sum (Paillier)")
    _observed(result)
    names, noise, most = [], [], 1.0
    for applied in _applied_sums(result):
        raw, unit = _opened_noise(result, preset, applied)
        names.append(applied.where)
        noise.append(raw / unit)
        spread = preset.aggregate_noise_std(len(applied.message.updates), result.experiment.clients)
        most = max(most, 1 + 3 * (spread / 2.0**preset.flood_bits) ** 2)
    found = _check_flooding(names, np.stack([one[: min(map(len, noise))] for one in noise]), most)
    quorum = _public_keys(transcript)[applied.sent.head.header.key_id].quorum
    return (
        f"{sum(map(len, noise))} numbers of noise in {len(noise)} opened sums, as every holder sees them: {min(found):.2f} to "
        f"{max(found):.2f} of the variance of {quorum.threshold} floodings of 2^{preset.flood_bits}, and no sum's follows another's"
    )


def _check_flooding(names: Sequence[str], noise: Noise, most: float) -> list[float]:
    """The strength of each sum's noise. Shapes: (sums, numbers). Raises: IntegrityError for too little, too much or the same."""
    sums, count = noise.shape
    budget = math.log(2 * (sums + 1 + 2 * sums**2) / FLOODING_ALPHA)
    found = [float(np.mean(row**2)) for row in noise]
    for name, strength in zip(names, found, strict=True):
        check_strength(f"{name}: the opened sum", strength, count, budget, ROUNDED, most / ROUNDED)
    check_strength("all opened sums together", float(np.mean(found)), sums * count, budget, ROUNDED, most / ROUNDED)
    check_apart([f"{name}: the opened sum" for name in names], noise, most, budget)
    return found


def _opened_noise(result: RunResult, preset: RingPreset, applied: _Applied) -> tuple[Noise, float]:
    """A sum's noise as its holders see it, and its stated standard deviation: of t floodings, uniform on -2^f .. 2^f.

    BFV's is apart from the plaintext. CKKS's is what the applied mean differs by from the mean of the updates: each slot sums N
    coefficients. Raises: NotChecked where that was not observed.
    """
    where, seen = applied.where, result.observations.get(applied.line.round, ())
    first = next((one for one in seen if one.applied), None)
    quorum = _public_keys(result.transcript)[applied.sent.head.header.key_id].quorum
    std = math.sqrt(quorum.threshold / 3)
    if preset.family == "bfv":
        found = np.frombuffer(first.opened_noise if first else b"", dtype="<f4").astype(np.float64)
        _need(len(found) > 0, f"{where}: the noise of the opened sum was not observed")
        return found, std
    contributors = [one for one in seen if one.client in applied.line.contributors]
    _need(first is not None and len(contributors) == len(applied.line.contributors), f"{where}: not all were observed")
    assert first is not None
    ring = seal.open_ring(preset)
    share = sum(one.examples for one in contributors) / result.transcript.manifest.examples_max
    slot = std * 2.0**preset.flood_bits * math.sqrt(ring.degree / 2) / ring.scale
    return np.frombuffer(first.applied, dtype=np.float64) - plain_mean(contributors), slot / share


def _with_opened_noise(result: RunResult, change: Callable[[int, Noise], Noise]) -> RunResult:
    """Other noise in each opened sum, by round; the sums' plaintexts stay."""
    observations = {}
    for round_, found in result.observations.items():
        mean = plain_mean(found)

        def changed(seen: Observation, at: int = round_, mean: Noise = mean) -> Observation:
            if seen.opened_noise:
                noise = change(at, np.frombuffer(seen.opened_noise, dtype="<f4").astype(np.float64))
                return replace(seen, opened_noise=noise.astype("<f4").tobytes())
            noise = change(at, np.frombuffer(seen.applied, dtype=np.float64) - mean)
            return replace(seen, applied=(mean + noise).tobytes())

        observations[round_] = tuple(changed(seen) if seen.applied else seen for seen in found)
    return replace(result, observations=observations)


def _no_flooding(result: RunResult) -> RunResult:
    """No holder floods: an opened sum has its own noise and no more."""
    return _with_opened_noise(result, lambda _, noise: noise * 2.0**-40)


def _one_less(result: RunResult) -> RunResult:
    """One holder does not flood, the others do."""
    threshold = result.experiment.quorum.threshold
    return _with_opened_noise(result, lambda _, noise: noise * math.sqrt((threshold - 1) / threshold))


def _same_flooding(result: RunResult) -> RunResult:
    """The holders flood as much as they should, each sum with the same: the difference of two is in the open."""
    kept: dict[int, Noise] = {}
    return _with_opened_noise(result, lambda _, noise: kept.setdefault(len(noise), noise))


def _epochs_apart(result: RunResult) -> str:
    transcript = _bodies(result)
    keys: dict[int, set[str]] = {}
    for sent in transcript.sent:
        if sent.step in (m.UPDATE, m.SUM):
            keys.setdefault(sent.position.epoch, set()).add(sent.head.header.key_id)
    _demand(all(len(found) == 1 for found in keys.values()), "one epoch used two keys")
    distinct = {key for found in keys.values() for key in found}
    _demand(len(distinct) == len(keys), "two epochs used one key")
    announced = _public_keys(transcript)
    _demand(distinct <= set(announced), "a key was used that was never announced")
    chosen = {epoch: announced[min(found)] for epoch, found in keys.items()}
    pairs = _secrets_apart(result, chosen)
    return (
        f"{len(keys)} epochs, {len(distinct)} different keys over different secrets ({pairs} pairs compared, up to sign and "
        "turn; a secret derived from another in any other way is not recognised)"
    )


def _secrets_apart(result: RunResult, keys: Mapping[int, PublicKey]) -> int:
    """Compare every two epochs' secrets; how many pairs. Raises: NotChecked where an epoch left nothing to compare."""
    preset = load_preset(result.experiment.scheme)
    pairs = list(combinations(sorted(keys), 2))
    if isinstance(preset, PaillierPreset):
        for a, b in pairs:
            _demand(not share_a_factor(keys[a], keys[b]), f"epochs {a} and {b} have one secret: a common factor")
        return len(pairs)
    _encrypts(result)
    assert isinstance(preset, RingPreset)
    found = {epoch: _imprint_of(result, epoch, key.quorum, preset) for epoch, key in keys.items()}
    imprints = {epoch: one for epoch, one in found.items() if one is not None}
    for a, b in combinations(sorted(imprints), 2):
        quorum = max(keys[a].quorum, keys[b].quorum, key=lambda one: one.threshold)
        _demand(not of_one_secret(preset, quorum, imprints[a], imprints[b]), f"epochs {a} and {b} have one secret")
    missing = [str(epoch) for epoch in keys if epoch not in imprints]
    _need(not missing, f"epochs {', '.join(missing)} left no imprint of their secret: a holder was not observed")
    return len(pairs)


def _imprint_of(result: RunResult, epoch: int, quorum: Quorum, preset: RingPreset) -> bytes | None:
    """An epoch's imprint, from what its holders showed the observer; None where one of those it takes did not."""
    parts = {seen.client: seen.imprint for seen in _observed(result) if seen.position.epoch == epoch and seen.imprint}
    holders = _rosters(result.transcript)[epoch].clients[: quorum.threshold] if quorum.collective else tuple(parts)
    if not parts or not set(holders) <= set(parts):
        return None
    return whole_imprint(preset, quorum, [parts[name] for name in holders])


def _reuse_key(result: RunResult) -> RunResult:
    """A later epoch's upload carries the first epoch's key."""
    uploads = [s for s in result.transcript.sent if s.step == m.UPDATE]
    header = replace(uploads[-1].head.header, key_id=uploads[0].head.header.key_id)
    return _with_sent(result, m.UPDATE, lambda s: _entry(s, header=header), which=-1)


def _one_secret(result: RunResult) -> RunResult:
    """The last epoch's key is new in name and in bytes, and its secret is the first epoch's."""
    return _with_first_modulus(_with_first_imprints(result))


def _with_first_imprints(result: RunResult) -> RunResult:
    observed = [seen for found in result.observations.values() for seen in found]
    first = {seen.client: seen.imprint for seen in observed if seen.position.epoch == 1}
    last = max((seen.position.epoch for seen in observed), default=1)
    for round_ in result.observations:
        result = _with_observations(
            result,
            round_,
            lambda seen: replace(seen, imprint=first[seen.client]) if seen.position.epoch == last else seen,
        )
    return result


def _with_first_modulus(result: RunResult) -> RunResult:
    """For Paillier, where the secret is the modulus' factors: the last epoch announces the first one's modulus."""
    announced = [s for s in result.transcript.sent if s.step == "epoch"]
    if not isinstance(load_preset(result.experiment.scheme), PaillierPreset):
        return result
    first, last = (decode(result.transcript.body(s), EpochAnnouncement) for s in (announced[0], announced[-1]))
    key = replace(last.public_key, material=first.public_key.material)
    return _with_blob(result, announced[-1].body, lambda _: encode(replace(last, public_key=key)))


# -- controls change copies, never the run itself ------------------------------------------------------------


def _copy(transcript: Transcript) -> Transcript:
    return Transcript.from_bytes(transcript.to_bytes(), dict(transcript.blobs))


def _with_blob(result: RunResult, digest: bytes, change: Callable[[bytes], bytes]) -> RunResult:
    copy = _copy(result.transcript)
    copy.blobs[digest] = change(copy.blobs[digest])
    return replace(result, transcript=copy)


def _with_sent(result: RunResult, step: str, change: Callable[[Sent], Sent], which: int = 0) -> RunResult:
    """One message of a kind changed, the first unless told otherwise; the lines around it stay."""
    copy = _copy(result.transcript)
    found = [n for n, line in enumerate(copy.lines) if isinstance(line.entry, Sent) and line.entry.step == step]
    line = copy.lines[found[which]]
    assert isinstance(line.entry, Sent)
    copy.lines[found[which]] = Line(line.previous, change(line.entry))
    return replace(result, transcript=copy)


def _with_observations(result: RunResult, round_: int, change: Callable[[Observation], Observation]) -> RunResult:
    changed = tuple(change(seen) for seen in result.observations[round_])
    return replace(result, observations={**result.observations, round_: changed})


def _entry(
    sent: Sent,
    *,
    receivers: tuple[str, ...] | None = None,
    header: Header | None = None,
    work: tuple[Work, ...] | None = None,
) -> Sent:
    """A copy of a transcript entry with something else in it."""
    head = sent.head if header is None else replace(sent.head, header=header)
    to, done = sent.receivers if receivers is None else receivers, sent.work if work is None else work
    return Sent(sent.step, head, to, sent.nbytes, sent.body, done, sent.inline)


def replace_struct(sent: Sent, *, signature: bytes) -> Sent:
    """A copy of a transcript entry with another signature."""
    head = replace(sent.head, signature=signature)
    return Sent(sent.step, head, sent.receivers, sent.nbytes, sent.body, sent.work, sent.inline)


def replace_nbytes(sent: Sent, nbytes: int) -> Sent:
    """A copy of a transcript entry that names another size."""
    return Sent(sent.step, sent.head, sent.receivers, nbytes, sent.body, sent.work, sent.inline)


LEDGER: tuple[Claim, ...] = (
    Claim(
        "coordinator-blind",
        "The coordinator gets no update, weight or aggregate in any form that was searched for, and no ciphertext that opens "
        "without a key; it sees d, cohort, sizes, times, participation, refusals and the number of rounds.",
        COORDINATOR,
        "executed",
        "docs/protocol.md, what is promised",
        _coordinator_blind,
        (_plant_plaintext, _plant_quantised, _leave_open),
    ),
    Claim(
        "inputs-allowed",
        "Everything that coordinator and auditor send, receive or find on record is on an allow-list, field by field, cost "
        "reports too; no field means an example count, no client's refusal has one in digits, and digests of what never comes "
        "look like digests.",
        COORDINATOR,
        "executed",
        "docs/protocol.md, steps of a round; hefl_core/measure/inputs.py",
        _inputs_allowed,
        (_smuggle_count, _report_cost, _tell_entry, _tell_epoch, _hide_count, _spare_count, _weigh_count),
    ),
    Claim(
        "coordinator-memory",
        "At no look into their processes, shared memory included, did coordinator or auditor hold key material, an update, "
        "the aggregate, a model after θ_0 or a record, in any form that was searched for.",
        COORDINATOR,
        "executed",
        "docs/reliability.md, blindness; python -m hefl_core blindness",
        _memory_clean,
        (_plant_hit, _plant_nothing),
        was_looked_into,
    ),
    Claim(
        "ciphertexts-uniform",
        "χ² tests do not tell the run's ciphertexts from uniform noise, alone or in the difference of an upload and the next "
        "one, and no mask is another's up to sign and turn.",
        COORDINATOR,
        "executed",
        "Lyubashevsky, Peikert, Regev 2010; Paillier 1999 (what is uniform); hefl_core/measure/uniformity.py",
        _uniform,
        (_repeat_upload, _share_mask, _turn_mask, _unmask_early),
    ),
    Claim(
        "shares-sealed",
        "Every share of the secret key travels to one client, sealed by its header and by its size; coordinator and auditor "
        "never receive one.",
        COORDINATOR,
        "executed",
        "docs/protocol.md, step 0; RFC 9180 (HPKE)",
        _no_share_leaves,
        (_misaddress_share, _second_share, _wrap_nothing),
    ),
    Claim(
        "fresh-ciphertexts",
        "No two ciphertexts are equal, not even of equal updates, and no mask is another's, its negative, or what a turn by "
        "X^j, an automorphism or (Paillier) the inverse makes of it; other relations are not looked for.",
        COORDINATOR,
        "executed",
        "Goldwasser and Micali 1984 (probabilistic encryption)",
        _fresh,
        (_repeat_upload, _share_mask, _turn_mask),
    ),
    Claim(
        "equals-fedavg",
        "In every round the mean that the clients applied equals FedAvg on the clipped updates within the stated bound, and "
        "the model moved by just that mean.",
        "client",
        "executed",
        "docs/protocol.md, numbers inside a ciphertext",
        _equals_fedavg,
        (_enlarge_error, _move_mean, _double_step, _forget_round),
    ),
    Claim(
        "one-model",
        "After each round every client that was seen holds the same model, bit for bit; a run in which a contributor was "
        "not seen does not count as checked.",
        "client",
        "executed",
        "docs/protocol.md, step 8",
        _one_model,
        (_split_model, _drift),
    ),
    Claim(
        "noise-added",
        "Under differential privacy every contributor's update is clipped, weighs one and carries noise of the stated size and "
        "shape, no other share's as far as these tests see (noise that somebody can compute is not recognised); ε is stated for "
        "the sums and the model, if every contributor adds its noise.",
        "model user",
        "executed",
        "docs/dp.md; Kairouz, Liu, Steinke 2021 (distributed discrete Gaussian)",
        _noise_added,
        (_no_noise, _thin_noise, _shared_noise, _late_noise, _turned_noise),
        is_private,
    ),
    Claim(
        "sums-confirmed",
        "Every applied sum is the one that the auditor confirmed, and the uploads on record added again give its bytes, by the "
        "record's own roster: an honest auditor detects tampering by the coordinator alone, not a client's lie about itself.",
        "client",
        "executed",
        "docs/protocol.md, step 6",
        _sums_confirmed,
        (_tamper_sum, _miss_contributor, _forget_round),
    ),
    Claim(
        "labels-checked",
        "Every message of a client bears the labels of its plan; the check that the parties use refuses copies of the run's "
        "uploads with another key, epoch, round, attempt, state, plan or client by the header alone.",
        COORDINATOR,
        "executed",
        "docs/protocol.md, step 5",
        _wrong_labels,
        (_unsign, _unsign_receipt),
    ),
    Claim(
        "quorum-kept",
        "Collective custody: in every attempt on record only the t holders named first answer, for a confirmed sum, to the "
        "clients, in bodies that do not open by what lies in them.",
        COORDINATOR,
        "executed",
        "docs/protocol.md, custody; Asharov et al. 2012, Mouchet et al. 2021 (threshold RLWE); Fouque, Poupard, Stern 2000",
        _quorum_kept,
        (_drop_partials, _key_beside, _unconfirm, _confirm_oneself),
        is_collective,
    ),
    Claim(
        "flooded",
        "Collective BFV and CKKS: the noise of each opened sum, measured from what every holder has, is that of t floodings, no "
        "less and no more as far as so many numbers tell, and no sum has another's.",
        "t - 1 holders and the coordinator",
        "executed",
        "docs/sharp_edges.md; Asharov et al. 2012 (smudging); hefl_core/schemes/threshold.py",
        _flooded,
        (_no_flooding, _one_less, _same_flooding),
        is_collective,
    ),
    Claim(
        "epochs-apart",
        "No two epochs have one key, or one secret up to sign and turn by X^j (Paillier: a common factor), so that a stolen "
        "key opens the rounds of its own epoch only; secrets derived from each other in another way are not recognised.",
        "whoever stole a key",
        "executed",
        "docs/protocol.md, custody",
        _epochs_apart,
        (_reuse_key, _one_secret),
        has_epochs,
    ),
    Claim(
        "fewer-than-t",
        "Collective custody, as long as every client follows the protocol and no dealer kept the key: fewer than t "
        "semi-honest holders, even with the coordinator, learn no more than the aggregate and their own inputs, up to the "
        "stated flooding distance.",
        "t - 1 holders and the coordinator",
        "argued",
        "docs/threat_model.md; tests/security/test_collusion.py and test_threshold_attacks.py run the attacks and controls; "
        "tests/security/test_deviating_client.py shows what one client that deviates takes",
    ),
    Claim(
        "scheme-security",
        "Ciphertexts of the presets hide their plaintexts from whoever lacks the key, under the Ring-LWE or the "
        "decisional composite residuosity assumption.",
        COORDINATOR,
        "argued",
        "Lyubashevsky, Peikert, Regev 2010; Paillier 1999; parameter tables: HomomorphicEncryption.org 2018, eprint 2024/463",
    ),
)
"""Every claim made anywhere. Screens, reports and docs/claims.md read it."""

NOT_PROMISED: tuple[str, ...] = (
    "The decrypted aggregate and the final model leak (few clients, few records, differencing, membership): more clients, "
    "or DP noise. Individual custody falls to coordinator + one client: choose collective, against fewer than t.",
    "A malicious client poisons under encryption: the clip is enforced by honest clients only. With a clip the norm of the "
    "decrypted mean and the sum of the example counts are checked before anything is applied; without a clip nothing is checked, "
    "and the screen says so. Anyone can encrypt; only signatures keep outsiders out. Auditor + client, KMS + coordinator.",
    "A client that deviates: collective custody under BFV and CKKS assumes that every client follows the protocol. "
    "One that adds a number to c1 of its own upload reads the epoch's key from one opened sum, and with the bytes "
    "(coordinator, auditor, the record's bodies) every upload of that epoch. No check here sees it before the key is "
    "out, and none at all where the coordinator hands that client the other answers first. A key epoch per round "
    "limits it to the rounds in which the client deviates. Under individual custody every client has the key anyway; "
    "Paillier has no such place (argued).",
    "Related ciphertexts: a client that deviates, together with the coordinator, the auditor or the record's bodies, "
    "can mix another's old upload of the same key epoch into its own and read it from the next opened sum. A key "
    'epoch per round stops this one; "no more than that client\'s own" holds for clients that follow the protocol.',
    "Paillier is exact. BFV is exact while the noise stays below q/2t. CKKS decryptions given to somebody who holds the "
    "ciphertext give the key away (Li and Micciancio 2021); a published CKKS-trained model is a returned decryption: flood "
    "before export, rotate.",
    "Traffic metadata: training time grows with n_k, so whoever sees when a client's commitment arrives on the wire learns about "
    "it (release commitments at a fixed time). What coordinator and auditor keep tells how long a round took, of no client "
    "alone.",
)
"""What this system does not promise, in the same words everywhere."""


def to_markdown() -> str:
    """The ledger as docs/claims.md."""
    rows = [f"| `{claim.id}` | {claim.sentence} | {claim.seat} | {claim.kind} | {claim.source} |" for claim in LEDGER]
    limits = [f"- {sentence}" for sentence in NOT_PROMISED]
    return "\n".join(
        [
            "# Claims",
            "",
            "Generated by `python -m hefl_core claims --markdown docs/claims.md` from `hefl_core/claims.py`.",
            "Every run with `--json` reports a finding for each executed claim: `holds`, `fails`, or `not checked` where the check",
            "lacks what it needs. Each check has two planted faults or more on which it must fail, the second chosen to slip past",
            "a check that only knows the first; `tests/claims` plants them all, and runs honest runs on which none may fail.",
            "",
            "| id | sentence | seat | kind | source |",
            "|-|-|-|-|-|",
            *rows,
            "",
            "## Not promised",
            "",
            *limits,
            "",
        ]
    )
