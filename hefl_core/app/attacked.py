"""Attacks on a finished run's own messages, each beside its control: the same attack on the same run without encryption."""

from __future__ import annotations

from dataclasses import dataclass

from hefl_core.app.captured_run import of_result
from hefl_core.attacks.capture import Capture
from hefl_core.attacks.on_run import ON_RUN, Reading, attack_run, reading
from hefl_core.attacks.result import AttackResult
from hefl_core.errors import HeflError
from hefl_core.ids import COORDINATOR
from hefl_core.runtime.launch import run_experiment
from hefl_core.runtime.result import RunResult
from hefl_core.terms.experiment import Experiment


@dataclass(frozen=True)
class Attacked:
    """One attack on the run and on its control; None where it was refused, ``reason`` says why."""

    attack: str
    run: AttackResult | None
    control: AttackResult | None
    reason: str = ""

    @property
    def readings(self) -> tuple[Reading | None, Reading | None]:
        """What the attack learned from the run and from the control."""
        run, control = (None if one is None else reading(one) for one in (self.run, self.control))
        return run, control


def plain_twin(experiment: Experiment) -> RunResult:
    """The same data, seeds and batches in plaintext, in this process."""
    return run_experiment(
        experiment.under("plaintext", custody="individual", bound=None, trainer="numpy", observed=True)
    )


def beside_control(result: RunResult, seat: str = COORDINATOR) -> tuple[Attacked, ...]:
    """Every attack that a run's messages allow, from one seat, on the run and on its plain twin.

    Raises: HeflError when the twin cannot be run.
    """
    own, twin = of_result(result), of_result(plain_twin(result.experiment))
    return tuple(_attacked(name, own, twin, seat) for name in ON_RUN)


def _attacked(name: str, own: Capture, twin: Capture, seat: str) -> Attacked:
    seed = own.transcript.manifest.experiment.seed
    found: list[AttackResult | None] = []
    reason = ""
    for capture in (own, twin):
        try:
            found.append(attack_run(capture, name, seat, capture.rounds[0], seed))
        except HeflError as error:
            found.append(None)
            reason = str(error)
    return Attacked(name, found[0], found[1], reason)
