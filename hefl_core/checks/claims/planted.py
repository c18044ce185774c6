"""A planted fault for every executed claim: its check must fail on it. Only copies are changed, never the run."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from hefl_core.checks.claims.evidence import opened_length
from hefl_core.checks.claims.reading import Noise, noise_step_of, public_keys, secrets_sent, vectors_of
from hefl_core.federation.client import Observation
from hefl_core.federation.record.transcript import LeftOut, Sent, Transcript, TranscriptLine
from hefl_core.ids import COORDINATOR
from hefl_core.keys.epochs import EpochAnnouncement
from hefl_core.measure import seals
from hefl_core.measure.masks import (
    under_mask_of,
    under_related_mask_of,
    with_low_bits_of_zero,
    without_key,
    without_mask,
)
from hefl_core.probes.memory import Hit
from hefl_core.runtime.observer import plain_mean
from hefl_core.runtime.result import RunResult
from hefl_core.schemes.base import CiphertextVector, PublicKey
from hefl_core.schemes.presets import PaillierPreset
from hefl_core.terms import messages as m
from hefl_core.terms.letter import Work
from hefl_core.terms.messages import Commitment, Receipt
from hefl_core.wire.canonical import decode, encode
from hefl_core.wire.envelope import Header


def plant_plaintext(result: RunResult) -> RunResult:
    """An update's float64 bytes lie in a body that the coordinator received."""
    first = next(iter(result.observations.values()))[0]
    target = next(s for s in result.transcript.sent if s.step == m.UPDATE)
    return _with_blob(result, target.head.header.content_digest, lambda old: old + first.update)


def plant_unclipped(result: RunResult) -> RunResult:
    """An update as the training left it, weighted, as float32, lies in a sealed body, which no check decodes."""
    first = next(iter(result.observations.values()))[0]
    trained = np.frombuffer(first.trained or first.update, dtype=np.float64)
    leaked = (trained * (first.examples / result.transcript.manifest.examples_max)).astype("<f4").tobytes()
    target = next(s for s in result.transcript.sent if s.step == m.UPDATE)
    return _with_blob(result, target.body, lambda old: old + leaked)


def plant_quantised(result: RunResult) -> RunResult:
    """An update stands in a ciphertext's place as whole numbers of steps: no float of it is anywhere, and it decodes."""
    first = next(iter(result.observations.values()))[0]
    update = np.frombuffer(first.update, dtype=np.float64)
    sent, vector = next(vectors_of(result.transcript))
    whole = np.rint(update * 2**15).astype(">i4").tobytes()
    content = replace(vector, blocks=(whole, *vector.blocks[1:])).to_bytes()
    return _with_blob(result, sent.head.header.content_digest, lambda _: content)


def leave_open(result: RunResult) -> RunResult:
    """One upload is well formed, its c1 is noise, and its c0 is the plaintext scaled up: everybody reads it."""
    sent, vector = next(vectors_of(result.transcript))
    key = public_keys(result.transcript)[sent.head.header.key_id]
    content = replace(vector, blocks=without_key(key, vector)).to_bytes()
    return _with_blob(result, sent.head.header.content_digest, lambda _: content)


def smuggle_count(result: RunResult) -> RunResult:
    """A receipt carries one number more, how many examples the client has."""
    target = next(s for s in result.transcript.sent if s.step == m.RECEIPT)
    receipt = decode(result.transcript.content(target) or b"", Receipt)
    content = encode({"sum": receipt.sum, "state": receipt.state, "examples": 113})
    return _with_blob(result, target.head.header.content_digest, lambda _: content)


def report_cost(result: RunResult) -> RunResult:
    """A commitment stands on record with what training cost the client, in no field of any message."""
    cost = (Work("train", 0.113, 0.113),)
    return _with_sent(result, m.COMMITMENT, lambda s: _entry(s, work=cost))


def tell_entry(result: RunResult) -> RunResult:
    """A client's refusal names the largest entry of its update."""
    copy = _copy(result.transcript)
    place = copy.sent[-1].position
    copy.note(LeftOut("client-1", "commit", place, "EncodingError: |entry| 1.3 exceeds the bound 1.0"))
    return replace(result, transcript=copy)


def tell_epoch(result: RunResult) -> RunResult:
    """A client's refusal names the number of its examples as a key epoch that the run does not have."""
    copy = _copy(result.transcript)
    copy.note(LeftOut("client-1", "commit", copy.sent[-1].position, "KeyNotActive: epoch 113"))
    return replace(result, transcript=copy)


def tell_step(result: RunResult) -> RunResult:
    """A note names the number of a client's examples in letters, as the step of which it speaks."""
    copy = _copy(result.transcript)
    copy.note(LeftOut("client-1", "receive cxiii examples", copy.sent[-1].position, "RoundError: no"))
    return replace(result, transcript=copy)


def spare_count(result: RunResult) -> RunResult:
    """A commitment holds one spare more, for an attempt that is never made: 32 bytes with the number of examples in them."""
    target = next(s for s in result.transcript.sent if s.step == m.COMMITMENT)
    told = decode(result.transcript.content(target) or b"", Commitment)
    content = encode(replace(told, spares=(*told.spares[:-1], (113).to_bytes(32, "big"))))
    return _with_blob(result, target.head.header.content_digest, lambda _: content)


def weigh_count(result: RunResult) -> RunResult:
    """The record says a size of a message that it does not have: the number of examples."""
    return _with_sent(result, m.COMMITMENT, lambda s: replace_nbytes(s, 113))


def hide_count(result: RunResult) -> RunResult:
    """A receipt's digest of the state is no digest of anything: it is 32 bytes with the number of examples in them."""
    target = next(s for s in result.transcript.sent if s.step == m.RECEIPT)
    receipt = decode(result.transcript.content(target) or b"", Receipt)
    content = encode(replace(receipt, state=(113).to_bytes(32, "big")))
    return _with_blob(result, target.head.header.content_digest, lambda _: content)


def plant_hit(result: RunResult) -> RunResult:
    """The search found a piece of an update in the coordinator's heap."""
    found = result.blindness
    if found is None:
        return result
    return replace(result, blindness=replace(found, hits=(Hit(0, "plaintext update", "planted", "[heap]"),)))


def plant_nothing(result: RunResult) -> RunResult:
    """The search was never tried on anything that it must find, so its "nothing found" means nothing."""
    found = result.blindness
    return result if found is None else replace(result, blindness=replace(found, controls=()))


def repeat_upload(result: RunResult) -> RunResult:
    """One client's ciphertext stands for another's."""
    uploads = [s for s in result.transcript.sent if s.step == m.UPDATE]
    first = result.transcript.content(uploads[0]) or b""
    return _with_blob(result, uploads[1].head.header.content_digest, lambda _: first)


def share_mask(result: RunResult) -> RunResult:
    """Two clients that are no neighbours use one mask for different updates: no two ciphertexts are equal."""
    return _with_masks(result, under_mask_of)


def turn_mask(result: RunResult) -> RunResult:
    """A client's mask is -X times another's (Paillier: its inverse), so that no two ciphertexts have the same one."""
    return _with_masks(result, under_related_mask_of)


def _with_masks(
    result: RunResult, under: Callable[[PublicKey, CiphertextVector, CiphertextVector], tuple[bytes, ...]]
) -> RunResult:
    (first, one), *_, (last, other) = [
        found
        for found in vectors_of(result.transcript)
        if found[0].position == next(vectors_of(result.transcript))[0].position
    ]
    key = public_keys(result.transcript)[first.head.header.key_id]
    content = replace(other, blocks=under(key, one, other)).to_bytes()
    return _with_blob(result, last.head.header.content_digest, lambda _: content)


def unmask_early(result: RunResult) -> RunResult:
    """One upload of the first key is sent without its noise: c0 holds small numbers. Later keys are clean."""
    sent, vector = next(vectors_of(result.transcript))
    key = public_keys(result.transcript)[sent.head.header.key_id]
    content = replace(vector, blocks=without_mask(key, vector)).to_bytes()
    return _with_blob(result, sent.head.header.content_digest, lambda _: content)


def clear_low_bits(result: RunResult) -> RunResult:
    """The masks of all uploads are as large as they should be, and their low byte is zero."""
    copy, keys = _copy(result.transcript), public_keys(result.transcript)
    for sent, vector in vectors_of(result.transcript):
        header = sent.head.header
        blocks = with_low_bits_of_zero(keys[header.key_id], vector)
        copy.blobs[header.content_digest] = replace(vector, blocks=blocks).to_bytes()
    return replace(result, transcript=copy)


def enlarge_error(result: RunResult) -> RunResult:
    """One round's error is twice its bound."""
    first, *others = result.rounds
    return replace(result, rounds=(replace(first, max_abs_error=2 * (first.error_bound or 1.0)), *others))


def move_mean(result: RunResult) -> RunResult:
    """The clients applied a mean that is off in one entry; what the result says of its error stays as it was."""

    def moved(seen: Observation) -> Observation:
        mean = np.frombuffer(seen.applied, dtype=np.float64).copy()
        mean[len(mean) // 2] += 0.01
        return replace(seen, applied=mean.tobytes())

    return _with_observations(result, min(result.observations), lambda seen: moved(seen) if seen.applied else seen)


def double_step(result: RunResult) -> RunResult:
    """The clients saw the right mean and moved their model by twice that; all did the same."""
    last = max(result.observations)

    def moved(seen: Observation) -> Observation:
        step = np.frombuffer(seen.applied, dtype=np.float64)
        theta = (np.frombuffer(seen.theta, dtype=np.float32).astype(np.float64) + step).astype(np.float32)
        return replace(seen, theta=theta.tobytes())

    return _with_observations(result, last, lambda seen: moved(seen) if seen.theta else seen)


def forget_round(result: RunResult) -> RunResult:
    """The result does not speak of the last round, which was applied and is on record."""
    return replace(result, rounds=result.rounds[:-1])


def split_model(result: RunResult) -> RunResult:
    """In one round two different models were seen."""
    first, *others = result.rounds
    return replace(result, rounds=(replace(first, model=None, models=("00" * 32, "11" * 32)), *others))


def drift(result: RunResult) -> RunResult:
    """One client's model is another one; the result says that all are equal."""
    last = max(result.observations)
    chosen = result.observations[last][-1].client
    other = hashlib.sha256(b"another model").digest()
    return _with_observations(
        result, last, lambda seen: replace(seen, theta_digest=other) if seen.client == chosen else seen
    )


def hold_another(result: RunResult) -> RunResult:
    """One client's model is another one; the digest that it tells is the others'."""
    last = max(result.observations)

    def moved(seen: Observation) -> Observation:
        return replace(seen, theta=(np.frombuffer(seen.theta, dtype=np.float32) + np.float32(1)).tobytes())

    return _with_observations(result, last, lambda seen: moved(seen) if seen.theta else seen)


def apply_otherwise(result: RunResult) -> RunResult:
    """The client that is asked first applied the right mean; another one, that shows it as well, applied twice that."""
    last = max(result.observations)
    first = next(seen for seen in result.observations[last] if seen.applied)
    other = next(seen.client for seen in reversed(result.observations[last]) if seen.client != first.client)
    twice = (2 * np.frombuffer(first.applied, dtype=np.float64)).tobytes()
    return _with_observations(result, last, lambda seen: replace(seen, applied=twice) if seen.client == other else seen)


def step_otherwise(result: RunResult) -> RunResult:
    """Two clients show the right mean; the second one's model moved by twice that."""
    last = max(result.observations)
    first = next(seen for seen in result.observations[last] if seen.applied)
    other = next(seen.client for seen in reversed(result.observations[last]) if seen.client != first.client)
    further = np.frombuffer(first.theta, dtype=np.float32) + np.frombuffer(first.applied, dtype=np.float64)
    theta = further.astype(np.float32).tobytes()
    return _with_observations(
        result, last, lambda seen: replace(seen, applied=first.applied, theta=theta) if seen.client == other else seen
    )


def no_noise(result: RunResult) -> RunResult:
    """No client adds noise: the updates go out as they were clipped, with entries of the noise's size."""
    bare = {
        round_: tuple(replace(seen, update=_on_grid(result, seen)) for seen in found)
        for round_, found in result.observations.items()
    }
    return replace(result, observations=bare)


def _on_grid(result: RunResult, seen: Observation) -> bytes:
    mechanism = result.experiment.mechanism
    step = noise_step_of(result, mechanism.bound, seen.position.round) if mechanism else 1.0
    under = np.frombuffer(seen.before_noise, dtype=np.float64)
    return np.asarray(np.trunc(under / step) * step, dtype=np.float64).tobytes()


def late_noise(result: RunResult) -> RunResult:
    """A client adds in the last round what another one added in the first."""
    last = max(result.observations)
    first, (own, *others) = result.observations[1][1], result.observations[last]
    taken = np.frombuffer(first.update, dtype=np.float64) - np.frombuffer(_on_grid(result, first), dtype=np.float64)
    under = np.frombuffer(_on_grid(result, own), dtype=np.float64)
    changed = replace(own, update=(under + taken).tobytes())
    return replace(result, observations={**result.observations, last: (changed, *others)})


def turned_noise(result: RunResult) -> RunResult:
    """One client adds the noise of another in the reverse order."""
    first, second, *others = result.observations[1]
    one, two = (np.frombuffer(_on_grid(result, seen), dtype=np.float64) for seen in (first, second))
    noise = (np.frombuffer(first.update, dtype=np.float64) - one)[::-1]
    changed = replace(second, update=(two + noise).tobytes())
    return replace(result, observations={**result.observations, 1: (first, changed, *others)})


def thin_noise(result: RunResult) -> RunResult:
    """One client adds half of its noise."""
    first, *others = result.observations[1]
    before = np.frombuffer(_on_grid(result, first), dtype=np.float64)
    step = noise_step_of(result, result.experiment.mechanism.bound if result.experiment.mechanism else 1.0, 1)
    noise = np.frombuffer(first.update, dtype=np.float64) - before
    half = (before + np.rint(noise / step / 2) * step).tobytes()
    return replace(result, observations={**result.observations, 1: (replace(first, update=half), *others)})


def shared_noise(result: RunResult) -> RunResult:
    """One client adds the noise of another: as much as it should, in the right shape, and the other can take it off."""
    first, second, *others = result.observations[1]
    one, two = (np.frombuffer(_on_grid(result, seen), dtype=np.float64) for seen in (first, second))
    noise = np.frombuffer(first.update, dtype=np.float64) - one
    changed = replace(second, update=(two + noise).tobytes())
    return replace(result, observations={**result.observations, 1: (first, changed, *others)})


def tamper_sum(result: RunResult) -> RunResult:
    """One upload was exchanged after the sum was made."""
    target = next(s for s in result.transcript.sent if s.step == m.UPDATE)
    return _with_blob(result, target.head.header.content_digest, lambda old: old[:-1] + bytes([old[-1] ^ 1]))


def miss_contributor(result: RunResult) -> RunResult:
    """The record is whole, but the result speaks of another sum than the one that was confirmed: one with a client more."""
    first, *others = result.rounds
    return replace(result, rounds=(replace(first, contributors=(*first.contributors, "client-99")), *others))


def unsign(result: RunResult) -> RunResult:
    """An upload's signature is not its sender's, so the true label is refused as well."""
    return _with_sent(result, m.UPDATE, lambda s: replace_struct(s, signature=bytes(64)))


def unsign_receipt(result: RunResult) -> RunResult:
    """A receipt's signature is not its sender's; the uploads are as they should be."""
    return _with_sent(result, m.RECEIPT, lambda s: replace_struct(s, signature=bytes(64)))


def misaddress_share(result: RunResult) -> RunResult:
    """A share, or a client's part of one, goes to the coordinator as well."""
    first = secrets_sent(result.transcript)[0]
    return _with_sent(result, first.step, lambda s: _entry(s, receivers=(*s.receivers, COORDINATOR)))


def wrap_nothing(result: RunResult) -> RunResult:
    """A share is called sealed and is as small as one whose key lies beside it."""
    return _with_sent(result, secrets_sent(result.transcript)[0].step, seals.smaller)


def second_share(result: RunResult) -> RunResult:
    """One client gets another's share too, sealed and addressed to it alone: together they may open a sum."""
    first, *others = secrets_sent(result.transcript)
    alike = [s for s in others if (s.step, s.sender, s.position) == (first.step, first.sender, first.position)]
    header = replace(alike[0].head.header, recipients=first.receivers)
    which = [s for s in result.transcript.sent if s.step == first.step].index(alike[0])
    other = _entry(alike[0], receivers=first.receivers, header=header)
    return _with_sent(result, first.step, lambda s: other, which=which)


def drop_partials(result: RunResult) -> RunResult:
    """One partial decryption came from a sender outside of the cohort."""
    return _with_sent(result, m.PARTIAL, lambda s: _entry(s, header=replace(s.head.header, sender="client-99")))


def key_beside(result: RunResult) -> RunResult:
    """A partial's header says that it is sealed, and the key lies in the body where it should be wrapped."""
    partial = next(s for s in result.transcript.sent if s.step == m.PARTIAL)
    return _with_blob(result, partial.body, lambda _: seals.with_key_beside(partial))


def unconfirm(result: RunResult) -> RunResult:
    """The sum of the first round was decrypted without the auditor's word on it; holders and seals are as they should be."""
    copy = _copy(result.transcript)
    number = next(n for n, x in enumerate(copy.lines) if isinstance(x.entry, Sent) and x.entry.step == m.CONFIRMATION)
    del copy.lines[number]
    return replace(result, transcript=copy)


def confirm_oneself(result: RunResult) -> RunResult:
    """The confirmation bears the auditor's name, and a signature that is not the auditor's."""
    return _with_sent(result, m.CONFIRMATION, lambda s: replace_struct(s, signature=s.head.signature[::-1]))


def _with_opened_noise(result: RunResult, change: Callable[[int, Noise], Noise]) -> RunResult:
    """Replace the noise in each opened sum, by round; the sums' plaintexts stay."""
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


def no_flooding(result: RunResult) -> RunResult:
    """No holder floods: an opened sum has its own noise and no more."""
    return _with_opened_noise(result, lambda _, noise: noise * 2.0**-40)


def one_less(result: RunResult) -> RunResult:
    """One holder does not flood, the others do."""
    threshold = result.experiment.quorum.threshold
    return _with_opened_noise(result, lambda _, noise: noise * math.sqrt((threshold - 1) / threshold))


def same_flooding(result: RunResult) -> RunResult:
    """The holders flood as much as they should, each sum with the same: the difference of two is in the open."""
    kept: dict[int, Noise] = {}
    return _with_opened_noise(result, lambda _, noise: kept.setdefault(len(noise), noise))


def bare_ciphertext(result: RunResult) -> RunResult:
    """The last ciphertext of the last sum is not flooded, all others are."""
    last, degree = max(result.observations), _degree(result)
    return _with_opened_noise(
        result, lambda at, noise: np.append(noise[:-degree], noise[-degree:] * 2.0**-40) if at == last else noise
    )


def turned_flooding(result: RunResult) -> RunResult:
    """Every sum has the first one's flooding, turned by X^17 each time and negated: no two look alike."""
    kept: dict[int, Noise] = {}
    degree = _degree(result)

    def turned(at: int, noise: Noise) -> Noise:
        first = kept.setdefault(len(noise), noise).reshape(-1, degree)
        by = 17 * (at - min(result.observations)) % degree
        around = np.concatenate([-first[:, degree - by :], first[:, : degree - by]], axis=1)
        return np.asarray(around * (-1) ** at).ravel()

    return _with_opened_noise(result, turned)


def sparse_flooding(result: RunResult) -> RunResult:
    """All holders flood every third coefficient as far as may be, and the others not at all: the variance is right."""
    largest = math.sqrt(result.experiment.quorum.threshold)

    def sparse(at: int, noise: Noise) -> Noise:
        return np.asarray(np.where(np.arange(len(noise)) % 3 == 0, np.sign(noise) * largest, noise * 2.0**-40))

    return _with_opened_noise(result, sparse)


def _degree(result: RunResult) -> int:
    return opened_length(result)


def reuse_key(result: RunResult) -> RunResult:
    """A later epoch's upload carries the first epoch's key."""
    uploads = [s for s in result.transcript.sent if s.step == m.UPDATE]
    header = replace(uploads[-1].head.header, key_id=uploads[0].head.header.key_id)
    return _with_sent(result, m.UPDATE, lambda s: _entry(s, header=header), which=-1)


def one_secret(result: RunResult) -> RunResult:
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
    if not isinstance(result.experiment.preset, PaillierPreset):
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
    """Change one message of a kind, by default the first; the lines around it stay."""
    copy = _copy(result.transcript)
    found = [n for n, line in enumerate(copy.lines) if isinstance(line.entry, Sent) and line.entry.step == step]
    line = copy.lines[found[which]]
    assert isinstance(line.entry, Sent)
    copy.lines[found[which]] = TranscriptLine(line.previous, change(line.entry))
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
    """A copy of a transcript entry with some parts replaced."""
    head = sent.head if header is None else replace(sent.head, header=header)
    to, done = sent.receivers if receivers is None else receivers, sent.work if work is None else work
    return Sent(sent.step, head, to, sent.nbytes, sent.body, done, sent.inline)


def replace_struct(sent: Sent, *, signature: bytes) -> Sent:
    """A copy of a transcript entry with another signature."""
    head = replace(sent.head, signature=signature)
    return Sent(sent.step, head, sent.receivers, sent.nbytes, sent.body, sent.work, sent.inline)


def replace_nbytes(sent: Sent, nbytes: int) -> Sent:
    """A copy of a transcript entry with another size."""
    return Sent(sent.step, sent.head, sent.receivers, nbytes, sent.body, sent.work, sent.inline)
