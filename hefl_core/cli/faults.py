"""``faults``: disturb runs on purpose and classify their outcomes."""

from __future__ import annotations

import time
from collections import defaultdict
from typing import Annotated

import typer
from rich.table import Table

from hefl_core.checks.faults.campaign import (
    FEWER,
    KEPT,
    LOST,
    RETRIED,
    STOPPED,
    UNREACHED,
    WRONG,
    FaultOutcome,
    Report,
    local_faults,
)
from hefl_core.cli.ends.files import output, write_json
from hefl_core.cli.ends.streams import STDERR, STDOUT

RESULTS = {
    KEPT: "kept",
    FEWER: "fewer",
    RETRIED: "again",
    STOPPED: "stopped",
    UNREACHED: "missed",
    LOST: LOST,
    WRONG: WRONG,
}

PLACES = {"objects": "objects", "processes": "Ray", "network namespaces": "network"}


def faults(
    seed: Annotated[int, typer.Option(help="of the choice of faults (never of the cryptography)")] = 1,
    count: Annotated[int, typer.Option(min=1, help="faults in all")] = 240,
    processes: Annotated[
        int | None, typer.Option(min=0, help="of these on Ray: SIGKILL, SIGSTOP; omitted: a sixth")
    ] = None,
    network: Annotated[
        int | None, typer.Option(min=0, help="of these in network namespaces (Linux, root); omitted: one in twenty")
    ] = None,
    deadline: Annotated[float, typer.Option(min=0.5, help="Ray: seconds a party may take over one step")] = 4.0,
    without_log: Annotated[
        bool, typer.Option("--without-log", help="control: parties without stores; rounds must be lost")
    ] = False,
    json: Annotated[
        str | None, typer.Option(callback=output, help="write every fault and its outcome as JSON; - is stdout")
    ] = None,
) -> None:
    """Kill, stop, cut off, lie to and corrupt parties at every point of the protocol; fails when a round is lost or wrong."""
    started = time.perf_counter()
    on_ray = 0 if without_log else count // 6 if processes is None else min(processes, count)
    wired = 0 if without_log else count // 20 if network is None else min(network, count - on_ray)
    skipped: tuple[tuple[str, str], ...] = ()
    outcomes: list[FaultOutcome] = []
    if wired:
        from hefl_core.checks.faults import networks

        skipped = networks.skipped()
        outcomes += [_said(one) for one in networks.network_faults(seed, wired)]
    outcomes += [_said(one) for one in local_faults(seed, count - on_ray - len(outcomes), durable=not without_log)]
    if on_ray:
        from hefl_core.checks.faults.processes import process_faults

        outcomes += [_said(one) for one in process_faults(seed, on_ray, deadline)]
    report = Report(seed, time.perf_counter() - started, deadline, tuple(outcomes), skipped)
    if json:
        write_json(json, report.to_json())
    if json != "-":
        STDOUT.print(_table(report))
        for kind, reason in report.skipped:
            STDOUT.print(f"skipped, {kind}: {reason}")
    if report.broken:
        raise typer.Exit(1)


def _said(outcome: FaultOutcome) -> FaultOutcome:
    if outcome.result in (LOST, WRONG, UNREACHED):
        fault = outcome.fault
        STDERR.print(
            f"{outcome.result}: {fault.kind} at {fault.party}, {fault.point} ({outcome.custody}) {outcome.detail}"
        )
    return outcome


def _table(report: Report) -> Table:
    """One line per kind of fault."""
    table = Table(
        box=None,
        padding=(0, 1, 0, 0),
        title=f"{len(report.outcomes)} faults, seed {report.seed}, {report.seconds:.0f} s",
        caption="kept: nothing lost; fewer: it went on without somebody; again: in another attempt; stopped: by a named error, "
        "as nobody stands in for a coordinator, auditor or KMS whose store is destroyed; missed: the point was not reached; "
        f"s: longest standstill, for SIGSTOP beyond the deadline of {report.deadline_seconds:g} s",
    )
    for column in ("fault", "on"):
        table.add_column(column, no_wrap=True)
    for column in ("", *RESULTS.values(), "s"):
        table.add_column(column, justify="right", min_width=len(column))
    by_kind: dict[tuple[str, str], list[FaultOutcome]] = defaultdict(list)
    for outcome in report.outcomes:
        by_kind[outcome.where, outcome.fault.kind].append(outcome)
    for (where, kind), found in sorted(by_kind.items()):
        ends = [str(sum(one.result == result for one in found) or "") for result in RESULTS]
        table.add_row(kind, PLACES[where], str(len(found)), *ends, f"{max(one.recovery_seconds for one in found):.2f}")
    return table
