"""``blindness``: does the server learn nothing? Search its process while it works, and one that breaks the rules."""

from __future__ import annotations

from typing import Annotated

import msgspec
import typer
from rich.markup import escape
from rich.table import Table

from hefl_core.checks.blindness.examination import PIECES, full_test
from hefl_core.cli.ends.files import output, write_json
from hefl_core.cli.ends.streams import STDERR, STDOUT
from hefl_core.cli.output import progress
from hefl_core.errors import ParameterError
from hefl_core.probes.findings import Blindness
from hefl_core.runtime.events import EventBus
from hefl_core.terms.experiment import Experiment

BOTH = "both"
OBSERVED = {"on": (True,), "off": (False,), BOTH: (True, False)}


def blindness(
    scheme: Annotated[str, typer.Option(help="a preset that encrypts")] = "bfv-lean",
    custody: Annotated[str, typer.Option(help="individual, T-of-N or dealer-free:T-of-N")] = "individual",
    dataset: Annotated[str, typer.Option(help="digits, breast_cancer or credit")] = "breast_cancer",
    model: Annotated[str, typer.Option(help="logistic, mlp or mlp-large")] = "mlp",
    clients: Annotated[int, typer.Option(help="number of clients K")] = 4,
    rounds: Annotated[int, typer.Option(help="number of rounds; two looks in each")] = 20,
    seed: Annotated[int, typer.Option(help="of the learning and of the places searched for")] = 7,
    pieces: Annotated[int, typer.Option(min=1, max=64, help="pieces searched of each form of a vector")] = PIECES,
    observed: Annotated[
        str, typer.Option(help="on, off or both: whether an audience may see the clients' side")
    ] = BOTH,
    json: Annotated[str | None, typer.Option(callback=output, help="write the results as JSON; - is stdout")] = None,
) -> None:
    """Search the keyless processes for everything private, on Ray, every party alone. Exit code 1 if anything is found.

    Exit code 1 as well when the test does not find what was planted for it: then it is blind itself and proves nothing.
    """
    if observed not in OBSERVED:
        raise ParameterError(f"observed: expected on, off or both, found {observed!r}")
    found: list[Blindness] = []
    for watched in OBSERVED[observed]:
        experiment = Experiment(
            dataset=dataset, model=model, batch=16, scheme=scheme, custody=custody, clients=clients, rounds=rounds, seed=seed,
            observed=watched,
        )  # fmt: skip
        bus = EventBus()
        with progress(bus, rounds):
            found.append(full_test(experiment, pieces=pieces, bus=bus)[1])
    holds = all(one.holds for one in found)
    if json:
        runs = [msgspec.json.decode(one.to_json()) for one in found]
        text = msgspec.json.format(msgspec.json.encode({"holds": holds, "runs": runs}), indent=1).decode()
        write_json(json, text)
    if json != "-":
        STDOUT.print(summary(found))
        STDOUT.print(controls(found))
    for one in found:
        for finding in one.findings:
            STDERR.print(f"FOUND, observation {_on(one)}: {finding}", markup=False, soft_wrap=True)
        for control in one.controls:
            if not control.found:
                STDERR.print(
                    f"THE TEST IS BLIND ITSELF, observation {_on(one)}: it did not find {control.planted}",
                    markup=False,
                    soft_wrap=True,
                )
    if not holds:
        raise typer.Exit(1)


def summary(found: list[Blindness]) -> Table:
    """Searches and findings, a column per test."""
    table = Table(
        title="blindness test",
        caption="absence at the time of looking; forms not searched for and side channels stay open",
    )
    table.add_column("observation")
    for one in found:
        table.add_column(_on(one), justify="right")
    for name, cells in _rows(found):
        table.add_row(name, *cells)
    return table


def _rows(found: list[Blindness]) -> list[tuple[str, list[str]]]:
    kinds = sorted({kind for one in found for kind, _ in one.needles})
    rows = [
        ("scheme, custody", [f"{one.experiment.scheme}, {one.experiment.custody}" for one in found]),
        ("rounds, clients", [f"{one.rounds}, {one.experiment.clients}" for one in found]),
        ("needles", [f"{one.needle_count:,}" for one in found]),
        *((f"  {kind}", [f"{dict(one.needles).get(kind, 0):,}" for one in found]) for kind in kinds),
        ("weakest needle, bits", [f"{one.least_bits:.0f}" for one in found]),
    ]
    for party in ("coordinator", "auditor"):
        looked = [next(item for item in one.looked if item.party == party) for one in found]
        rows.append((f"{party}: looks × MiB", [f"{item.looks} × {item.nbytes / 2**20:.0f}" for item in looked]))
    return [
        *rows,
        ("hits", [str(len(one.hits)) for one in found]),
        ("messages decoded (coordinator)", [f"{one.inputs[0][1].messages:,}" for one in found]),
        ("objects handed over by Ray", [f"{one.handed.messages:,}" if one.handed else "-" for one in found]),
        ("not on the allow-list", [str(_strangers(one)) for one in found]),
        (
            "smallest p of uniformity tests",
            [f"{one.uniform.smallest_p:.2g} of {len(one.uniform.tests)}" for one in found],
        ),
        ("distinguishing guesses right", [f"{one.guessing.right} of {one.guessing.trials}" for one in found]),
        ("controls found", [f"{one.controls_found} of {len(one.controls)}" for one in found]),
        ("seconds", [f"{one.seconds:.0f}" for one in found]),
    ]


def _strangers(one: Blindness) -> int:
    read = sum(len(inputs.findings) for _, inputs in one.inputs)
    return read + (len(one.handed.findings) if one.handed else 0)


def controls(found: list[Blindness]) -> Table:
    """The planted values, and whether they were found."""
    table = Table(title="controls: what must be found")
    for column in ("observation", "planted", "found", "evidence"):
        table.add_column(column)
    for one in found:
        for control in one.controls:
            table.add_row(_on(one), control.planted, "yes" if control.found else "NO", escape(control.evidence))
    return table


def _on(one: Blindness) -> str:
    return "on" if one.experiment.observed else "off"
