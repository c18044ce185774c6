"""Run a whole experiment in the chosen mode and return its result."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from typing import Any

from hefl_core.errors import ParameterError
from hefl_core.learning.trainers import require_trainer
from hefl_core.runtime.agreement import agree, needs_agreement
from hefl_core.runtime.events import EventBus
from hefl_core.runtime.result import RunResult
from hefl_core.runtime.run import Run
from hefl_core.terms.experiment import Experiment


def run_experiment(
    experiment: Experiment,
    runtime: str = "local",
    *,
    bus: EventBus | None = None,
    clients_per_host: int | None = None,
    deadline_seconds: float | None = None,
) -> RunResult:
    """Run all rounds and return the result.

    ``runtime``: 'local' (objects in this process), 'ray' (separate processes) or 'strict' (services under mutual
    TLS, each with its own directory). ``bus`` receives progress, messages and round results as they come.
    ``deadline_seconds``: how long a party's process may take for one step on Ray.
    Clients with tables of their own (``csv-dir:FOLDER``) agree on a schema first, in round zero.
    Raises: any HeflError; nothing is swallowed. ParameterError for an option that the runtime would ignore.
    """
    require_trainer(experiment.trainer)  # here too: a missing library is said before a process starts
    _require_used(runtime, clients_per_host=clients_per_host, deadline_seconds=deadline_seconds)
    if needs_agreement(experiment):
        how: dict[str, Any] = {"clients_per_host": clients_per_host, "deadline_seconds": deadline_seconds}
        agreement = agree(experiment, runtime, bus=bus, **how)
        found = run_experiment(agreement.experiment, runtime, bus=bus, **how)
        return replace(found, round_zero=agreement.note, round_zero_run=agreement.result)
    if runtime == "strict":
        from hefl_core.runtime.services.one_machine import run_strict

        return run_strict(experiment, bus or EventBus())
    with closing(
        Run(experiment, runtime, bus=bus, clients_per_host=clients_per_host, deadline_seconds=deadline_seconds)
    ) as run:
        for _ in run.steps():
            pass
        return run.result()


def _require_used(runtime: str, **of_ray: float | None) -> None:
    for name, value in of_ray.items():
        if value is not None and runtime in ("local", "strict"):
            raise ParameterError(
                f"{name}: expected none on the runtime {runtime}, found {value:g}", "leave it out, or run on ray"
            )
