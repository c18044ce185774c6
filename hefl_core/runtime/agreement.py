"""Run round zero, then make the experiment that trains on what was agreed."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from hefl_core.errors import DataError, ParameterError, RoundError
from hefl_core.ids import client_name
from hefl_core.learning import shelf
from hefl_core.runtime.client_home import require_one_each
from hefl_core.runtime.client_results import model_at
from hefl_core.runtime.events import EventBus, Progress
from hefl_core.runtime.result import RoundZeroNote, RunResult
from hefl_core.runtime.round_zero import layout, round_zero, terms
from hefl_core.runtime.run import Run
from hefl_core.runtime.services.one_machine import run_strict
from hefl_core.tables.columns import alike
from hefl_core.tables.decision import Decision
from hefl_core.tables.doors import CSV_DIR
from hefl_core.tables.hospitals import TABLES
from hefl_core.tables.round_zero.rounds import Agreed
from hefl_core.tables.statistics import class_counts
from hefl_core.terms.experiment import Experiment

Theta: TypeAlias = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Agreement:
    """``experiment``: the one to run, on the agreed tables. ``agreed``: what all clients know now. ``result``: round zero's."""

    experiment: Experiment
    agreed: Agreed
    result: RunResult

    @property
    def warnings(self) -> tuple[Decision, ...]:
        """Categories that may be one, spelt in two ways by two clients."""
        return tuple(one for column in self.agreed.schema.learnt for one in alike(column.name, column.categories))

    @property
    def note(self) -> RoundZeroNote:
        """The agreement in numbers."""
        schema, rounds = self.agreed.schema, self.result.rounds
        return RoundZeroNote(
            clients=self.agreed.clients,
            rows=round(float(self.agreed.totals[0])),
            features=schema.feature_names,
            left_out=tuple(f"{column.name} ({column.left_out})" for column in schema.columns if column.left_out),
            label=schema.label,
            classes=schema.classes,
            class_rows=tuple(round(float(count)) for count in class_counts(schema, self.agreed.totals)),
            warnings=tuple(map(str, self.warnings)),
            schema=schema.digest,
            sums=len(rounds),
            upload_per_client=sum(item.bytes.upload_per_client for item in rounds),
            seconds=sum(item.seconds.total for item in rounds),
        )


def needs_agreement(experiment: Experiment) -> bool:
    """Whether the experiment names tables whose clients have not agreed on a schema yet."""
    if experiment.dataset.startswith(TABLES):
        return any(one is not None and one.schema is None for one in shelf.tables(experiment.dataset).sources)
    return experiment.dataset.startswith(CSV_DIR)


def agree(
    experiment: Experiment,
    runtime: str = "local",
    *,
    bus: EventBus | None = None,
    clients_per_host: int | None = None,
    deadline_seconds: float | None = None,
) -> Agreement:
    """Read the clients' tables, run round zero with them, and name the tables as read by the schema that came out.

    The process that runs this holds all tables, and learns the totals as the observer (in strict mode from a client's own
    results, which lie here); between organisations nobody but the clients learns them.

    Raises: DataError for tables that cannot be read or do not fit; ParameterError for options that deal data, or for
        differential privacy, whose noise the totals do not have; as :class:`hefl_core.runtime.run.Run`.
    """
    _require_plain(experiment)
    bus = bus or EventBus()
    bus.publish(Progress("round zero: the clients agree on columns, categories and scaling, under encryption"))
    first = experiment.but(dataset=shelf.resolve(experiment.dataset))
    require_one_each(shelf.tables(first.dataset), first.clients)
    zero = round_zero(first)
    if runtime == "strict":
        found: list[Theta] = []
        result = run_strict(zero, bus, lambda machine: found.append(model_at(machine.folder / client_name(1))))
        theta = found[0]
    else:
        result = _run(zero, runtime, bus, clients_per_host, deadline_seconds)
        theta = _observed(result)
    agreed = layout(first).agreed(theta)
    if len(agreed.schema.classes) < 2:
        only = ", ".join(agreed.schema.classes) or "values"
        raise DataError(
            f"label {agreed.schema.label!r}: expected 2 classes or more at all clients together, found {only}"
        )
    named = shelf.put_tables(shelf.tables(first.dataset).under(agreed.schema))
    return Agreement(experiment.but(dataset=named), agreed, result)


def _run(zero: Experiment, runtime: str, bus: EventBus, per_host: int | None, deadline: float | None) -> RunResult:
    zero = zero.but(observed=True)
    how = {"bus": bus, "clients_per_host": per_host, "deadline_seconds": deadline}
    with closing(Run(zero, runtime, manifest=terms(zero), **how)) as run:  # type: ignore[arg-type]
        for _ in run.steps():
            pass
        return run.result()


def _observed(result: RunResult) -> Theta:
    seen = next((one for one in result.observations[len(result.rounds)] if one.theta), None)
    if seen is None:
        raise RoundError(
            "round zero: expected a client that shows the totals to the observer, found none; run it again"
        )
    return np.frombuffer(seen.theta, dtype=np.float32)


def _require_plain(experiment: Experiment) -> None:
    if experiment.partition != "iid" or experiment.alpha is not None:
        raise ParameterError(
            "partition: expected none with a table for each client, found one", "leave --partition and --alpha out"
        )
    if experiment.mechanism is not None:
        raise ParameterError(
            "dp_noise: expected none before the clients agreed, found it; the totals of round zero carry no noise",
            "train without it",
        )
