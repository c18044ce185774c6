"""The ledger of claims: every sentence that a page, a report or the documentation promises.

An *executed* claim has a check that runs on a result, and a control: a result with a planted fault on which the check
must fail. An *argued* claim has a source instead. A claim with neither does not load.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from hefl_core.checks.claims.claim import Claim
from hefl_core.checks.claims.evidence import (
    coordinator_blind,
    epochs_apart,
    equals_fedavg,
    flooded_of,
    fresh,
    has_epochs,
    inputs_allowed,
    is_collective,
    is_private,
    memory_clean,
    no_share_leaves,
    noise_added,
    one_model,
    quorum_kept,
    sums_confirmed,
    uniform_of,
    was_looked_into,
    wrong_labels,
)
from hefl_core.checks.claims.planted import (
    apply_otherwise,
    bare_ciphertext,
    clear_low_bits,
    confirm_oneself,
    double_step,
    drift,
    drop_partials,
    enlarge_error,
    forget_round,
    hide_count,
    hold_another,
    key_beside,
    late_noise,
    leave_open,
    misaddress_share,
    miss_contributor,
    move_mean,
    no_flooding,
    no_noise,
    one_less,
    one_secret,
    plant_hit,
    plant_nothing,
    plant_plaintext,
    plant_quantised,
    plant_unclipped,
    repeat_upload,
    report_cost,
    reuse_key,
    same_flooding,
    second_share,
    share_mask,
    shared_noise,
    smuggle_count,
    spare_count,
    sparse_flooding,
    split_model,
    step_otherwise,
    tamper_sum,
    tell_entry,
    tell_epoch,
    tell_step,
    thin_noise,
    turn_mask,
    turned_flooding,
    turned_noise,
    unconfirm,
    unmask_early,
    unsign,
    unsign_receipt,
    weigh_count,
    wrap_nothing,
)
from hefl_core.ids import COORDINATOR
from hefl_core.runtime.result import RunResult


def check_claims(result: RunResult) -> RunResult:
    """The result with a finding for every executed claim that applies to such a run; of its round zero, too."""
    speaking = (claim for claim in LEDGER if claim.check is not None and claim.applies(result))
    before = None if result.round_zero_run is None else check_claims(result.round_zero_run)
    return replace(result, claims=tuple(claim.examine(result) for claim in speaking), round_zero_run=before)


LEDGER: tuple[Claim[RunResult], ...] = (
    Claim(
        "coordinator-blind",
        "The coordinator gets no update, weight or aggregate in any form that was searched for, no upload or sum that opens "
        "without a key as far as a share of 3 % shows (of 300 words of a one-time body a fifth), and no two one-time bodies under "
        "one key; it sees d, cohort, sizes, times, participation, refusals and the number of rounds.",
        COORDINATOR,
        "executed",
        "docs/protocol.md, what is promised",
        coordinator_blind,
        (plant_plaintext, plant_unclipped, plant_quantised, leave_open),
    ),
    Claim(
        "inputs-allowed",
        "Everything that coordinator and auditor send, receive or find on record is on an allow-list, field by field, cost "
        "reports too; no field means an example count, no client's refusal has one in digits, and digests of what never comes "
        "look like digests.",
        COORDINATOR,
        "executed",
        "docs/protocol.md, steps of a round; hefl_core/probes/inputs.py",
        inputs_allowed,
        (smuggle_count, report_cost, tell_entry, tell_epoch, tell_step, hide_count, spare_count, weigh_count),
    ),
    Claim(
        "coordinator-memory",
        "At no look into their processes, shared memory included, did coordinator or auditor hold key material, an update, "
        "the aggregate, a model after θ_0 or a record, in any form that was searched for.",
        COORDINATOR,
        "executed",
        "docs/reliability.md, blindness; python -m hefl_core blindness",
        memory_clean,
        (plant_hit, plant_nothing),
        was_looked_into,
    ),
    Claim(
        "ciphertexts-uniform",
        "χ² tests of size and of bits do not tell the run's ciphertexts from uniform noise, each upload alone, all together, and "
        "in the difference of an upload and the next one (of every attempt; of more than 60 uploads of a key and 4 blocks, or "
        "64 Paillier numbers, of an upload so many, drawn afterwards), no mask is another's up to sign and turn, and no one-time "
        "key hides two bodies.",
        COORDINATOR,
        "executed",
        "Lyubashevsky, Peikert, Regev 2010; Paillier 1999 (what is uniform); hefl_core/probes/uniformity.py",
        uniform_of,
        (repeat_upload, share_mask, turn_mask, unmask_early, clear_low_bits),
    ),
    Claim(
        "shares-sealed",
        "Every share of the secret key travels to one client, sealed by its header and by its size; coordinator and auditor "
        "never receive one, and no record keeps one.",
        COORDINATOR,
        "executed",
        "docs/protocol.md, step 0; RFC 9180 (HPKE)",
        no_share_leaves,
        (misaddress_share, second_share, wrap_nothing),
    ),
    Claim(
        "fresh-ciphertexts",
        "No two ciphertexts are equal, not even of equal updates, and no mask is another's, its negative, or what a turn by "
        "X^j, an automorphism or (Paillier) the inverse makes of it. The mask of a one-time body is its key's product with public "
        "numbers: no key hides two bodies of one epoch. Other relations are not looked for.",
        COORDINATOR,
        "executed",
        "Goldwasser and Micali 1984 (probabilistic encryption)",
        fresh,
        (repeat_upload, share_mask, turn_mask),
    ),
    Claim(
        "equals-fedavg",
        "In every round whose contributors were all observed the mean that the clients applied equals FedAvg on the clipped "
        "updates within the stated bound, and the model moved by just that mean; rounds that were not are named.",
        "client",
        "executed",
        "docs/protocol.md, numbers inside a ciphertext",
        equals_fedavg,
        (enlarge_error, move_mean, double_step, apply_otherwise, step_otherwise, forget_round),
    ),
    Claim(
        "one-model",
        "After each round all clients that were seen tell the digest of one model, and who showed its model holds it, bit for bit; "
        "contributors that were not seen, and rounds of which fewer than two clients were, are named.",
        "client",
        "executed",
        "docs/protocol.md, step 8",
        one_model,
        (split_model, drift, hold_another),
    ),
    Claim(
        "noise-added",
        "Under differential privacy every contributor's update is clipped, weighs one and carries noise of the stated size and "
        "shape, no other share's as far as these tests on so many numbers see (noise that somebody can compute is not recognised); "
        "ε is stated for the sums and the model, if every contributor adds its noise.",
        "model user",
        "executed",
        "docs/dp.md; Kairouz, Liu, Steinke 2021 (distributed discrete Gaussian)",
        noise_added,
        (no_noise, thin_noise, shared_noise, late_noise, turned_noise),
        is_private,
    ),
    Claim(
        "sums-confirmed",
        "Every applied sum is the one that the auditor confirmed, and the uploads on record added again give its bytes, by the "
        "record's own roster: an honest auditor detects tampering by the coordinator alone, not a client's lie about itself.",
        "client",
        "executed",
        "docs/protocol.md, step 6",
        sums_confirmed,
        (tamper_sum, miss_contributor, forget_round),
    ),
    Claim(
        "labels-checked",
        "Every message of a client bears the labels of its plan; the check that the parties use refuses copies of the run's "
        "uploads with another key, epoch, round, attempt, state, plan or client by the header alone.",
        COORDINATOR,
        "executed",
        "docs/protocol.md, step 5",
        wrong_labels,
        (unsign, unsign_receipt),
    ),
    Claim(
        "quorum-kept",
        "Collective custody: in every attempt on record only the t holders named first answer, for a confirmed sum, to the "
        "clients, in bodies with a wrap for each of them and no other, which no key that stands in a wrap, as it is or backwards, "
        "opens.",
        COORDINATOR,
        "executed",
        "docs/protocol.md, custody; Asharov et al. 2012, Mouchet et al. 2021 (threshold RLWE); Fouque, Poupard, Stern 2000",
        quorum_kept,
        (drop_partials, key_beside, unconfirm, confirm_oneself),
        is_collective,
    ),
    Claim(
        "flooded",
        "Collective BFV and CKKS: the noise of each opened sum that was observed, as every holder sees it, has the variance of "
        "t floodings, as far as so many numbers tell. BFV (up to 16 ciphertexts of a sum, of more 16 drawn afterwards): also in "
        "each ciphertext, in their shape, and no ciphertext's is another's in any turn or sign. CKKS: no sum's is another's in "
        "order or in reverse; shape and turns do not show in its slots. Flooding that somebody can compute is not recognised.",
        "t - 1 holders and the coordinator",
        "executed",
        "docs/sharp_edges.md; Asharov et al. 2012 (smudging); hefl_core/schemes/ring/threshold.py",
        flooded_of,
        (no_flooding, one_less, same_flooding, bare_ciphertext, turned_flooding, sparse_flooding),
        is_collective,
    ),
    Claim(
        "epochs-apart",
        "No two epochs have one key, or one secret up to sign and turn by X^j (Paillier: a common factor), so that a stolen "
        "key opens the rounds of its own epoch only; secrets derived from each other in another way are not recognised, the "
        "clients' tag keys are not compared, and two epochs of which no quorum of holders was observed in common are named, "
        "not compared.",
        "whoever stole a key",
        "executed",
        "docs/protocol.md, custody",
        epochs_apart,
        (reuse_key, one_secret),
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
"""Every claim made anywhere. Pages, reports and docs/claims.md read it."""

NOT_PROMISED: tuple[str, ...] = (
    "That the decrypted aggregate and the final model give nothing away: they leak (few clients, few records, differencing, "
    "membership); more clients help, or DP noise. Nor that individual custody holds against the coordinator and one client "
    "together: choose collective custody, against fewer than t.",
    "That a malicious client cannot poison the model: it can, under encryption too. The clip is enforced by honest clients only. "
    "With a clip the norm of the decrypted mean and the sum of the example counts are checked before anything is "
    "applied; without a clip nothing is checked, and the screen says so. Anyone can encrypt; only signatures keep outsiders "
    "out. Nor that auditor and client, or KMS and coordinator, learn nothing when they work together.",
    "That updates stay secret from a client that deviates: collective custody under BFV and CKKS assumes that every client "
    "follows the protocol. One that adds a number to c1 of its own upload reads the epoch's key from one opened sum, and with "
    "the bytes (coordinator, auditor, the record's bodies) every upload of that epoch. No check here sees it before the key "
    "is out, and none at all where the coordinator hands that client the other answers first. A key epoch per round limits it "
    "to the rounds in which the client deviates. Under individual custody every client has the key anyway; Paillier has no "
    "such place (argued).",
    "That no old upload can be mixed into a new one (related ciphertexts): a client that deviates, together with the "
    "coordinator, the auditor or the record's bodies, "
    "can mix another's old upload of the same key epoch into its own and read it from the next opened sum. A key "
    'epoch per round stops this one; "no more than that client\'s own" holds for clients that follow the protocol.',
    "That every decryption is exact, or safe to publish. Paillier's is exact, BFV's while the noise stays below q/2t. CKKS "
    "decryptions given to somebody who holds the "
    "ciphertext give the key away (Li and Micciancio 2021); a published CKKS-trained model is a returned decryption: flood "
    "before export, rotate.",
    "That the traffic tells nothing: training time grows with n_k, so whoever sees when a client's commitment arrives "
    "on the wire learns about it (release commitments at a fixed time). What coordinator and auditor keep tells "
    "how long a round took, of no client alone.",
)
"""What this system does not promise, in the same words everywhere."""


def to_markdown(of_a_class: Sequence[Claim[Any]]) -> str:
    """The ledger and the claims of a live class as docs/claims.md."""
    limits = [f"- {sentence}" for sentence in NOT_PROMISED]
    return "\n".join(
        [
            "# Claims",
            "",
            "Generated by `python -m hefl_core claims --markdown docs/claims.md` from `hefl_core/checks/claims/ledger.py`.",
            "Every run with `--json` reports a finding for each executed claim: `holds`, `fails`, or `not checked` where the check",
            "lacks what it needs. Each check has two planted faults or more on which it must fail, the second chosen to slip past",
            "a check that only knows the first; `tests/checks/claims` plants them all, and runs honest runs on "
            "which none may fail.",
            "",
            *_table(LEDGER),
            "",
            "## A live class",
            "",
            "From `hefl_core/classroom/claims.py`. They speak of a class whose phones a laboratory played, beside the process that",
            "adds: `tests/classroom/test_claims.py` plays honest ones, plants every fault into what it saw, and plays servers and",
            "pages that have the faults.",
            "",
            *_table(of_a_class),
            "",
            "## Not promised",
            "",
            *limits,
            "",
        ]
    )


def _table(claims: Sequence[Claim[Any]]) -> list[str]:
    rows = [f"| `{claim.id}` | {claim.sentence} | {claim.seat} | {claim.kind} | {claim.source} |" for claim in claims]
    return ["| id | sentence | seat | kind | source |", "|-|-|-|-|-|", *rows]
