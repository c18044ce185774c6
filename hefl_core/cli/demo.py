"""``demo``: the main job, narrated. Patient data, five hospitals, one encrypted round step by step, then all of them."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import typer
from rich.panel import Panel

from hefl_core.checks.claims.ledger import check_claims
from hefl_core.cli.ends.files import output, write_json
from hefl_core.cli.ends.streams import STDERR, STDOUT
from hefl_core.cli.output import findings_table, progress, rounds_table, say_signs
from hefl_core.federation.record.transcript import Sent
from hefl_core.federation.record.verify import pin_of, verify
from hefl_core.ids import COORDINATOR
from hefl_core.learning.trainers import trainers_here
from hefl_core.runtime.client_home import dealt_data
from hefl_core.runtime.events import EventBus
from hefl_core.runtime.launch import run_experiment
from hefl_core.runtime.result import RunResult
from hefl_core.schemes.base import CiphertextVector
from hefl_core.terms import messages as m
from hefl_core.terms.experiment import Experiment
from hefl_core.terms.messages import EncryptedSum
from hefl_core.wire.canonical import decode

HOSPITALS = Experiment(
    dataset="breast_cancer", model="mlp", trainer="keras", scheme="bfv-lean", clients=5, rounds=8, seed=7, batch=16
)


def demo(
    rounds: Annotated[int, typer.Option(help="number of rounds")] = HOSPITALS.rounds,
    trainer: Annotated[
        str | None, typer.Option(help="keras or numpy", show_default="keras where TensorFlow is installed")
    ] = None,
    runtime: Annotated[str, typer.Option(help="ray or local")] = "ray",
    json: Annotated[
        str | None, typer.Option(callback=output, help="write the encrypted run's result as JSON; - is stdout")
    ] = None,
) -> None:
    """Five hospitals train a tumour classifier without showing their data: every step, every byte, and a verdict."""
    experiment = HOSPITALS.but(rounds=rounds, trainer=trainer or trainers_here()[-1])
    if trainer is None and experiment.trainer != HOSPITALS.trainer:
        STDERR.print(
            "TensorFlow is not installed here: NumPy trains. pip install 'hefl[keras]' brings it.", markup=False
        )
    encrypted = _run(experiment, runtime)
    plain = _run(experiment.under("plaintext"), runtime)
    for title, text in story(encrypted):
        STDERR.print(Panel(text, title=title, title_align="left"))
    STDERR.print(rounds_table(encrypted, plain))
    STDERR.print(findings_table(encrypted))
    say_signs(encrypted)
    if json:
        write_json(json, encrypted.to_json())
    good = _verdict(encrypted, plain)
    if not good:
        raise typer.Exit(1)


def _run(experiment: Experiment, runtime: str) -> RunResult:
    bus = EventBus()
    with progress(bus, experiment.rounds):
        return check_claims(run_experiment(experiment, runtime, bus=bus))


def story(result: RunResult) -> list[tuple[str, str]]:
    """Round 1 in seven panels, every number taken from the run: (title, text)."""
    transcript, experiment = result.transcript, result.experiment
    data = dealt_data(experiment).dataset
    seen = result.observations[1][0]
    update = np.frombuffer(seen.update)
    upload = _find(transcript.of_round(1), m.UPDATE, seen.client)
    ciphertext = decode(transcript.content(upload) or b"", CiphertextVector)
    total = decode(transcript.body(_find(transcript.of_round(1), m.SUM, COORDINATOR)), EncryptedSum)
    applied = next(np.frombuffer(item.applied) for item in result.observations[1] if item.applied)
    first = result.rounds[0]
    block = ciphertext.blocks[0]
    return [
        (
            "0  keys",
            f"The KMS signed the roster, made one {result.key_id[:40]}… key, sealed a copy to each of "
            f"{experiment.clients} hospitals and deleted its own. {'; '.join(result.shared_processes)}.",
        ),
        (
            "1  what a hospital has",
            f"{seen.client}: {seen.examples} patients with {len(data.feature_names)} measurements each "
            f"({', '.join(data.feature_names[:3])}, …). They never leave.",
        ),
        (
            "2  its update, private",
            f"Δ has {len(update):,} numbers, the first are {_some(update)}. In the clear, this is what leaks patients.",
        ),
        (
            "3  what leaves",
            f"{upload.nbytes:,} bytes: {len(ciphertext.blocks)} ciphertext block(s) of {ciphertext.key_id.short}, sealed to "
            f"coordinator and auditor.\n{_glimpse(block)}",
        ),
        (
            "4  what the coordinator sees",
            f"d = {ciphertext.length:,}, who took part, sizes and times. It adds {total.total.terms} such ciphertexts "
            f"without a key.",
        ),
        (
            "5  the sum, still encrypted",
            f"{_glimpse(total.total.blocks[0])}\nThe auditor added the same ciphertexts again: the same bytes.",
        ),
        (
            "6  decrypted at the hospitals only",
            f"The mean update begins {_some(applied)}; against the plaintext mean it is off by at most "
            f"{first.max_abs_error:.1e} (promised: {first.error_bound:.1e}).",
        ),
    ]


def _verdict(encrypted: RunResult, plain: RunResult) -> bool:
    verdict = verify(encrypted.transcript, pin_of(encrypted.transcript))
    before, after = encrypted.rounds[0].accuracy or 0.0, encrypted.rounds[-1].accuracy or 0.0
    difference = abs(after - (plain.rounds[-1].accuracy or 0.0))
    holds = not encrypted.failed
    rises = after > before or len(encrypted.rounds) == 1
    STDOUT.print(
        f"accuracy {before:.4f} -> {after:.4f} (plain FedAvg differs by {difference:.4f}); "
        f"claims {'hold' if holds else 'FAIL'}; transcript: {verdict}",
        soft_wrap=True,
    )
    return holds and rises


def _glimpse(block: bytes) -> str:
    """Some bytes from the middle, because a block begins with its header."""
    middle = len(block) // 2
    return f"… {block[middle : middle + 24].hex(' ')} …"


def _find(messages: tuple[Sent, ...], step: str, sender: str) -> Sent:
    return next(sent for sent in messages if sent.step == step and sent.sender == sender)


def _some(vector: np.ndarray) -> str:
    return ", ".join(f"{value:+.5f}" for value in vector[:4]) + ", …"
