"""The ledger of claims: every sentence that a screen, a report or a page of the docs promises, and the check behind it.

An *executed* claim has a check that runs on a result, and a control: a result with a planted fault on which the check
must fail. An *argued* claim has a source instead. A claim with neither does not load.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from hefl_core.errors import HeflError, ParameterError
from hefl_core.federation import messages as m
from hefl_core.federation.admission import check_place
from hefl_core.federation.messages import (
    DecryptionRequest,
    EncryptedSum,
    Receipt,
)
from hefl_core.federation.transcript import UNKEPT_KINDS, Line, Sent, Transcript
from hefl_core.federation.verify import verify
from hefl_core.ids import AUDITOR, COORDINATOR, KeyId
from hefl_core.keys.roster import Roster
from hefl_core.measure.inputs import MEANINGS, READABLE, examine
from hefl_core.measure.memory import Hit
from hefl_core.measure.uniformity import compare, rows_of
from hefl_core.runtime.result import Finding, RunResult
from hefl_core.schemes.base import CiphertextVector
from hefl_core.schemes.registry import load_preset
from hefl_core.wire.canonical import decode, encode
from hefl_core.wire.envelope import Header

Check = Callable[[RunResult], str]
"""Returns the evidence as a sentence; raises AssertionError or a HeflError when the claim does not hold."""


@dataclass(frozen=True)
class Claim:
    """One promised sentence. ``applies`` says of which runs it speaks (collective custody, several epochs, …).

    Raises: ParameterError without a check that can fail, or without a source.
    """

    id: str
    sentence: str
    seat: str
    kind: Literal["executed", "argued"]
    source: str
    check: Check | None = None
    control: Callable[[RunResult], RunResult] | None = None
    applies: Callable[[RunResult], bool] = lambda result: True

    def __post_init__(self) -> None:
        if not self.source:
            raise ParameterError(f"claim {self.id}: expected a source, found none", "name the page or paper")
        if self.kind == "executed" and (self.check is None or self.control is None):
            raise ParameterError(
                f"claim {self.id}: expected a check and a control on which it fails, found none",
                "write both, or call the claim argued",
            )

    def examine(self, result: RunResult) -> Finding:
        """Run the check on a result."""
        if self.check is None:
            raise ParameterError(f"claim {self.id} is argued, not executed", f"read {self.source}")
        try:
            return Finding(self.id, True, self.check(result))
        except (AssertionError, HeflError) as error:
            return Finding(self.id, False, str(error))


def check_claims(result: RunResult) -> RunResult:
    """The result with a finding for every executed claim that speaks of such a run."""
    speaking = (claim for claim in LEDGER if claim.check is not None and claim.applies(result))
    return replace(result, claims=tuple(claim.examine(result) for claim in speaking))


def _demand(condition: bool, message: str) -> None:
    if not condition:
        raise AssertionError(message)


# -- the coordinator learns nothing ----------------------------------------------------------------------------

CLAIM_ALPHA = 1e-9
"""Every run is examined: at the blindness test's 1e-3, one honest run in a thousand would be accused."""
NEEDLE_ENTRIES = 4
"""Consecutive entries of an update that make one search pattern: 16 bytes as float32, 32 as float64."""


def needles(result: RunResult) -> Iterator[bytes]:
    """Pieces of the plaintext updates and of the aggregate, as float32 and float64, weighted and not."""
    for observations in result.observations.values():
        for seen in observations:
            update = np.frombuffer(seen.update, dtype=np.float64)
            weight = seen.examples / result.transcript.manifest.examples_max
            vectors = [update, update * weight]
            if seen.applied:
                vectors.append(np.frombuffer(seen.applied, dtype=np.float64))
            for vector in vectors:
                start = int(np.argmax(np.abs(vector)))
                piece = vector[max(0, start - NEEDLE_ENTRIES + 1) :][:NEEDLE_ENTRIES]
                yield piece.tobytes()
                yield piece.astype(np.float32).tobytes()


def _coordinator_blind(result: RunResult) -> str:
    preset = load_preset(result.experiment.scheme)
    _demand(preset.family != "plaintext", "the scheme is plaintext: the coordinator reads every update")
    patterns = list(needles(result))
    _demand(bool(patterns), "the run was not observed: there is nothing to search for; run with observation on")
    messages = nbytes = 0
    for seen in result.transcript.seen_by(COORDINATOR):
        header = seen.sent.head.header
        _demand(header.kind in READABLE, f"the coordinator got a {header.kind} of {header.sender}")
        for data in (seen.body, seen.content):
            if data is None:
                continue
            hit = next((p for p in patterns if p in data), None)
            _demand(hit is None, f"{header.kind} of {header.sender} contains plaintext of an update")
            nbytes += len(data)
        if seen.content is not None:
            decode(seen.content, READABLE[header.kind])
        messages += 1
    return (
        f"{messages} messages ({nbytes} bytes) decoded against an allow-list of {len(READABLE)} kinds and searched "
        f"for {len(patterns)} plaintext patterns: none found"
    )


def _plant_plaintext(result: RunResult) -> RunResult:
    """Control: an update's float64 bytes lie in a body that the coordinator received."""
    first = next(iter(result.observations.values()))[0]
    target = next(s for s in result.transcript.sent if s.step == m.UPDATE)
    return _with_blob(result, target.head.header.content_digest, lambda old: old + first.update)


def _inputs_allowed(result: RunResult) -> str:
    messages = nbytes = fields = 0
    for seat in (COORDINATOR, AUDITOR):
        found = examine(result.transcript, seat)
        _demand(not found.findings, f"{seat}: {'; '.join(found.findings[:3])}")
        messages, nbytes = messages + found.messages, nbytes + found.nbytes
        fields += sum(count for _, count in found.meanings)
    handed = result.blindness.handed if result.blindness else None
    _demand(handed is None or not handed.findings, f"handed to the process: {handed.findings[:3] if handed else ''}")
    more = f"; {handed.messages} objects that Ray handed to the process likewise" if handed else ""
    return (
        f"{messages} messages ({nbytes} bytes), {fields} fields, each with a meaning on the list; none of the "
        f"{len(set(MEANINGS))} meanings is an example count{more}"
    )


def _smuggle_count(result: RunResult) -> RunResult:
    """Control: a receipt carries one number more, how many examples the client has."""
    target = next(s for s in result.transcript.sent if s.step == m.RECEIPT)
    receipt = decode(result.transcript.content(target) or b"", Receipt)
    content = encode({"sum": receipt.sum, "state": receipt.state, "examples": 113})
    return _with_blob(result, target.head.header.content_digest, lambda _: content)


def _memory_clean(result: RunResult) -> str:
    found = result.blindness
    _demand(found is not None, "no process was looked into")
    assert found is not None
    blind = [control.planted for control in found.controls if not control.found]
    _demand(not blind, f"the test is blind itself, it did not find {'; '.join(blind)}")
    _demand(not found.findings, "; ".join(found.findings[:3]))
    looked = ", ".join(f"{one.party} ({one.nbytes / 2**20:.0f} MiB, {one.looks} looks)" for one in found.looked)
    return (
        f"{found.needle_count} needles over {found.rounds} rounds searched in the memory of {looked}, the shared object "
        f"store included: 0 hits; {len(found.controls)} of {len(found.controls)} planted things were found"
    )


def _plant_hit(result: RunResult) -> RunResult:
    """Control: the search found a piece of an update in the coordinator's heap."""
    found = result.blindness
    if found is None:
        return result
    return replace(result, blindness=replace(found, hits=(Hit(0, "plaintext update", "planted", "[heap]"),)))


# -- ciphertexts -----------------------------------------------------------------------------------------------


def _fresh(result: RunResult) -> str:
    blocks = [
        block
        for sent in result.transcript.sent
        if sent.step == m.UPDATE and (content := result.transcript.content(sent)) is not None
        for block in decode(content, CiphertextVector).blocks
    ]
    _demand(bool(blocks), "no upload is on record")
    distinct = len({hashlib.sha256(block).digest() for block in blocks})
    _demand(distinct == len(blocks), f"{len(blocks) - distinct} of {len(blocks)} ciphertext blocks appear twice")
    return f"{len(blocks)} ciphertext blocks, all different"


def _repeat_upload(result: RunResult) -> RunResult:
    """Control: one client's ciphertext stands for another's."""
    uploads = [s for s in result.transcript.sent if s.step == m.UPDATE]
    first = result.transcript.content(uploads[0]) or b""
    return _with_blob(result, uploads[1].head.header.content_digest, lambda _: first)


def _uniform(result: RunResult) -> str:
    preset = load_preset(result.experiment.scheme)
    _demand(preset.family != "plaintext", "the scheme is plaintext: there is no ciphertext")
    found = compare(*rows_of(result.transcript), CLAIM_ALPHA)
    _demand(found.holds, f"p {found.p_text} in {len(found.tests)} tests of {found.uploads} uploads")
    return (
        f"{len(found.tests)} χ² tests of {found.numbers} numbers in {found.uploads} uploads, alone and between uploads: "
        f"the smallest p {found.p_text}"
    )


def _equals_fedavg(result: RunResult) -> str:
    worst, compared = 0.0, 0
    for item in result.rounds:
        if item.max_abs_error is None or item.error_bound is None:
            continue
        _demand(
            item.max_abs_error <= item.error_bound,
            f"round {item.round}: error {item.max_abs_error:.3e} exceeds the bound {item.error_bound:.3e}",
        )
        worst, compared = max(worst, item.max_abs_error / item.error_bound), compared + 1
    _demand(compared > 0, "no round was observed: there is nothing to compare with; run with observation on")
    gone = len(result.rounds) - compared
    note = f" ({gone} could not be compared: a contributor had died)" if gone else ""
    return f"{compared} rounds; the largest error is {worst:.0%} of its bound{note}"


def _enlarge_error(result: RunResult) -> RunResult:
    """Control: one round's error is twice its bound."""
    first, *others = result.rounds
    return replace(result, rounds=(replace(first, max_abs_error=2 * (first.error_bound or 1.0)), *others))


def _one_model(result: RunResult) -> str:
    for item in result.rounds:
        _demand(item.model is not None, f"round {item.round}: the clients' models differ or were not observed")
    return f"after each of {len(result.rounds)} rounds all clients held bit-equal models"


def _forget_model(result: RunResult) -> RunResult:
    """Control: in one round the clients' models differ."""
    first, *others = result.rounds
    return replace(result, rounds=(replace(first, model=None), *others))


def is_private(result: RunResult) -> bool:
    """Whether the run promises differential privacy."""
    return result.experiment.mechanism is not None


def _noise_added(result: RunResult) -> str:
    mechanism = result.experiment.mechanism
    assert mechanism is not None
    share = mechanism.noise * mechanism.clip_norm / mechanism.survivors**0.5
    least = float("inf")
    for seen in (item for found in result.observations.values() for item in found):
        noised = np.frombuffer(seen.update, dtype=np.float64)
        found_std = float(np.sqrt(np.mean(noised**2)))
        least = min(least, found_std / share)
        _demand(found_std >= 0.85 * share, f"{seen.client}: noise of {found_std:.3g} per entry, expected {share:.3g}")
        _demand(seen.examples == 1, f"{seen.client}: weighs {seen.examples}, which would scale its noise")
    _demand(least < float("inf"), "the run was not observed: nobody saw the noised updates")
    privacy = result.privacy
    assert privacy is not None
    return (
        f"every update carried at least {least:.2f} of its share of the noise before it was encrypted, at weight 1; "
        f"ε = {privacy.epsilon:.3g} at δ = {privacy.delta:g}"
    )


def _thin_noise(result: RunResult) -> RunResult:
    """Control: one client adds half of its noise."""
    first, *others = result.observations[1]
    half = (np.frombuffer(first.update, dtype=np.float64) / 2).tobytes()
    return replace(result, observations={**result.observations, 1: (replace(first, update=half), *others)})


# -- integrity -------------------------------------------------------------------------------------------------


def _sums_confirmed(result: RunResult) -> str:
    verdict = verify(result.transcript)
    _demand(verdict.sums == len(result.rounds), f"{verdict.sums} sums on record for {len(result.rounds)} rounds")
    return str(verdict)


def _tamper_sum(result: RunResult) -> RunResult:
    """Control: one upload was exchanged after the sum was made."""
    target = next(s for s in result.transcript.sent if s.step == m.UPDATE)
    return _with_blob(result, target.head.header.content_digest, lambda old: old[:-1] + bytes([old[-1] ^ 1]))


_WRONG_LABELS: tuple[tuple[str, Callable[[Header], Header]], ...] = (
    ("key", lambda h: replace(h, key_id=h.key_id[:-1] + ("0" if h.key_id[-1] != "0" else "1"))),
    ("epoch", lambda h: replace(h, position=replace(h.position, epoch=h.position.epoch + 1))),
    ("round", lambda h: replace(h, position=replace(h.position, round=h.position.round + 1))),
    ("attempt", lambda h: replace(h, position=replace(h.position, attempt=h.position.attempt + 1))),
    ("client", lambda h: replace(h, sender="client-1" if h.sender != "client-1" else "client-2")),
)


def _wrong_labels(result: RunResult) -> str:
    tried = 0
    rosters = [decode(s.inline, Roster) for s in result.transcript.sent if s.inline is not None]
    for sent in (s for s in result.transcript.sent if s.step == m.UPDATE):
        header = sent.head.header
        roster = next(r for r in rosters if r.epoch == header.position.epoch)
        key_id = KeyId.parse(header.key_id, load_preset(result.experiment.scheme).family)
        for what, change in _WRONG_LABELS:
            wrong = change(header)
            try:
                check_place(wrong, position=header.position, key_id=key_id, state=header.state, plan=header.plan)
                replace(sent.head, header=wrong).verify(roster.member(wrong.sender).signing)
            except HeflError:
                tried += 1
            else:
                raise AssertionError(f"an update labelled with another {what} was accepted")
        sent.head.verify(roster.member(header.sender).signing)
    return f"{tried} wrongly labelled copies of the run's own uploads refused by header and signature alone"


def _unsign(result: RunResult) -> RunResult:
    """Control: an upload's signature is not its sender's, so the true label is refused as well."""
    return _with_sent(result, m.UPDATE, lambda s: replace_struct(s, signature=bytes(64)))


def _no_share_leaves(result: RunResult) -> str:
    shares = [s for s in result.transcript.sent if s.step in UNKEPT_KINDS]
    _demand(bool(shares), "no share was dealt on record")
    for sent in shares:
        _demand(sent.head.header.sealed, f"the share for {', '.join(sent.receivers)} travelled unsealed")
        _demand(
            len(sent.receivers) == 1 and sent.receivers[0] not in (COORDINATOR, AUDITOR),
            f"a share was addressed to {', '.join(sent.receivers)}",
        )
        _demand(result.transcript.content(sent) is None, "a share's content is on record")
    return f"{len(shares)} shares, each sealed to one client; coordinator and auditor received none"


def _misaddress_share(result: RunResult) -> RunResult:
    """Control: a share goes to the coordinator as well."""

    def change(sent: Sent) -> Sent:
        return Sent(sent.step, sent.head, (*sent.receivers, COORDINATOR), sent.nbytes, sent.body, sent.work)

    kind = next(sent.step for sent in result.transcript.sent if sent.step in UNKEPT_KINDS)
    return _with_sent(result, kind, change)


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
    transcript, need = result.transcript, result.experiment.quorum.threshold
    answered = 0
    for total in (s for s in transcript.sent if s.step == m.SUM):
        here = [s for s in transcript.of_round(total.position.round) if s.position == total.position]
        request = next((s for s in here if s.step == m.REQUEST), None)
        if request is None:
            continue
        active = decode(transcript.body(request), DecryptionRequest).active
        members = [item.header.sender for item in decode(transcript.body(total), EncryptedSum).updates]
        partials = [s for s in here if s.step == m.PARTIAL]
        _demand(
            len(active) == need and set(active) <= set(members), f"the active set {active} is not {need} contributors"
        )
        _demand({s.sender for s in partials} <= set(active), "a holder outside the active set answered")
        _demand(
            all(s.head.header.sealed and COORDINATOR not in s.receivers for s in partials), "a partial was readable"
        )
        answered += len(partials)
    _demand(
        answered >= need * len(result.rounds), f"only {answered} partial decryptions for {len(result.rounds)} rounds"
    )
    return f"{answered} partial decryptions, each by one of the {need} holders named first, sealed to the clients"


def _drop_partials(result: RunResult) -> RunResult:
    """Control: one partial decryption came from somebody else."""

    def change(sent: Sent) -> Sent:
        head = replace(sent.head, header=replace(sent.head.header, sender="client-99"))
        return Sent(sent.step, head, sent.receivers, sent.nbytes, sent.body, sent.work)

    return _with_sent(result, m.PARTIAL, change)


def _epochs_apart(result: RunResult) -> str:
    keys: dict[int, set[str]] = {}
    for sent in result.transcript.sent:
        if sent.step in (m.UPDATE, m.SUM):
            keys.setdefault(sent.position.epoch, set()).add(sent.head.header.key_id)
    _demand(all(len(found) == 1 for found in keys.values()), "one epoch used two keys")
    distinct = {key for found in keys.values() for key in found}
    _demand(len(distinct) == len(keys), "two epochs used one key")
    return f"{len(keys)} epochs, {len(distinct)} different keys; every upload and sum is labelled with its epoch's"


def _reuse_key(result: RunResult) -> RunResult:
    """Control: a later epoch's upload carries the first epoch's key."""
    first = next(s for s in result.transcript.sent if s.step == m.UPDATE).head.header.key_id
    copy = _copy(result.transcript)
    number, last = [
        (n, x.entry) for n, x in enumerate(copy.lines) if isinstance(x.entry, Sent) and x.entry.step == m.UPDATE
    ][-1]
    assert isinstance(last, Sent)
    head = replace(last.head, header=replace(last.head.header, key_id=first))
    entry = Sent(last.step, head, last.receivers, last.nbytes, last.body, last.work)
    copy.lines[number] = Line(copy.lines[number].previous, entry)
    return replace(result, transcript=copy)


# -- controls change copies, never the run itself ------------------------------------------------------------


def _copy(transcript: Transcript) -> Transcript:
    return Transcript.from_bytes(transcript.to_bytes(), dict(transcript.blobs))


def _with_blob(result: RunResult, digest: bytes, change: Callable[[bytes], bytes]) -> RunResult:
    copy = _copy(result.transcript)
    copy.blobs[digest] = change(copy.blobs[digest])
    return replace(result, transcript=copy)


def _with_sent(result: RunResult, step: str, change: Callable[[Sent], Sent]) -> RunResult:
    copy = _copy(result.transcript)
    for number, line in enumerate(copy.lines):
        if isinstance(line.entry, Sent) and line.entry.step == step:
            copy.lines[number] = Line(line.previous, change(line.entry))
            break
    return replace(result, transcript=copy)


def replace_struct(sent: Sent, *, signature: bytes) -> Sent:
    """A copy of a transcript entry with another signature."""
    head = replace(sent.head, signature=signature)
    return Sent(sent.step, head, sent.receivers, sent.nbytes, sent.body, sent.work, sent.inline)


LEDGER: tuple[Claim, ...] = (
    Claim(
        "coordinator-blind",
        "The coordinator learns no update, weight or aggregate from any message; it sees d, cohort, sizes, times, "
        "participation, refusals and the number of rounds.",
        COORDINATOR,
        "executed",
        "docs/protocol.md, what is promised",
        _coordinator_blind,
        _plant_plaintext,
    ),
    Claim(
        "inputs-allowed",
        "Everything that coordinator and auditor send or receive is on an allow-list, field by field; no field carries "
        "an example count.",
        COORDINATOR,
        "executed",
        "docs/protocol.md, steps of a round; hefl_core/measure/inputs.py",
        _inputs_allowed,
        _smuggle_count,
    ),
    Claim(
        "coordinator-memory",
        "At no look into their processes, shared memory included, did coordinator or auditor hold key material, an update, "
        "the aggregate, a model after θ_0 or a record, in any form that was searched for.",
        COORDINATOR,
        "executed",
        "docs/reliability.md, blindness; python -m hefl_core blindness",
        _memory_clean,
        _plant_hit,
        was_looked_into,
    ),
    Claim(
        "ciphertexts-uniform",
        "χ² tests do not tell the run's ciphertexts from uniform noise, neither alone nor the difference of two.",
        COORDINATOR,
        "executed",
        "Lyubashevsky, Peikert, Regev 2010; Paillier 1999 (what is uniform); hefl_core/measure/uniformity.py",
        _uniform,
        _repeat_upload,
    ),
    Claim(
        "shares-sealed",
        "Every share of the secret key travels sealed to one client; coordinator and auditor never receive one.",
        COORDINATOR,
        "executed",
        "docs/protocol.md, step 0; RFC 9180 (HPKE)",
        _no_share_leaves,
        _misaddress_share,
    ),
    Claim(
        "fresh-ciphertexts",
        "No two ciphertexts are equal, not even of equal updates.",
        COORDINATOR,
        "executed",
        "Goldwasser and Micali 1984 (probabilistic encryption)",
        _fresh,
        _repeat_upload,
    ),
    Claim(
        "equals-fedavg",
        "Encrypted FedAvg equals FedAvg on the clipped updates within the stated bound.",
        "client",
        "executed",
        "docs/protocol.md, numbers inside a ciphertext",
        _equals_fedavg,
        _enlarge_error,
    ),
    Claim(
        "one-model",
        "After each round every client holds the same model, bit for bit.",
        "client",
        "executed",
        "docs/protocol.md, step 8",
        _one_model,
        _forget_model,
    ),
    Claim(
        "noise-added",
        "Under differential privacy every update is clipped, weighs one and carries its share of discrete Gaussian noise "
        "before it is encrypted; ε is stated for the sums and the model, if every contributor adds its noise.",
        "model user",
        "executed",
        "docs/dp.md; Kairouz, Liu, Steinke 2021 (distributed discrete Gaussian)",
        _noise_added,
        _thin_noise,
        is_private,
    ),
    Claim(
        "sums-confirmed",
        "Tampering by the coordinator alone is detected by an honest auditor's re-adding (or by the tag, after "
        "decryption); a client's lie about its own update is not.",
        "client",
        "executed",
        "docs/protocol.md, step 6",
        _sums_confirmed,
        _tamper_sum,
    ),
    Claim(
        "labels-checked",
        "A message labelled with another key, epoch, round or client is refused before parsing; a false label surfaces "
        "after decryption.",
        COORDINATOR,
        "executed",
        "docs/protocol.md, step 5",
        _wrong_labels,
        _unsign,
    ),
    Claim(
        "quorum-kept",
        "Collective custody: only the t holders named first answer, for a confirmed sum, sealed to the clients.",
        COORDINATOR,
        "executed",
        "docs/protocol.md, custody; Asharov et al. 2012, Mouchet et al. 2021 (threshold RLWE); Fouque, Poupard, Stern 2000",
        _quorum_kept,
        _drop_partials,
        is_collective,
    ),
    Claim(
        "epochs-apart",
        "A key opens the rounds of its own epoch only.",
        "whoever stole a key",
        "executed",
        "docs/protocol.md, custody",
        _epochs_apart,
        _reuse_key,
        has_epochs,
    ),
    Claim(
        "fewer-than-t",
        "Collective custody: fewer than t semi-honest holders, even with the coordinator, learn no more than the aggregate "
        "and their own inputs, up to the stated flooding distance, if no dealer kept the key.",
        "t - 1 holders and the coordinator",
        "argued",
        "docs/threat_model.md; tests/security/test_collusion.py and test_threshold_attacks.py run the attacks and controls",
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
    "A malicious client poisons under encryption (the clip is enforced by honest clients only; the aggregate's norm is "
    "checked after decryption). Anyone can encrypt; only signatures keep outsiders out. Auditor + client, KMS + coordinator.",
    "Paillier is exact. BFV is exact while the noise stays below q/2t. CKKS decryptions given to somebody who holds the "
    "ciphertext give the key away (Li and Micciancio 2021); a published CKKS-trained model is a returned decryption: flood "
    "before export, rotate.",
    "Traffic metadata; training time grows with n_k (release uploads at a fixed time).",
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
            "Every run with `--json` reports a finding for each executed claim. Each check has a control, a planted fault on",
            "which it must fail; `tests/claims` runs both.",
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
