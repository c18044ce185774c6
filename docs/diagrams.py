"""The generated parts of docs/blueprint.md: ``python docs/diagrams.py`` rewrites them, ``--check`` compares.

Services and who may reach whom come from compose.yaml, the floors from the import contracts, the conversation from the
transcript of a small run, the sizes from the same arithmetic that forecasts a run (hefl_core/measure/sizes.py).
"""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import yaml

from hefl_core.measure.sizes import round_bytes
from hefl_core.runtime.run import Run
from hefl_core.terms.experiment import Experiment

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "blueprint.md"
SIZES = (
    ("bfv-lean", "individual"),
    ("bfv-compact", "individual"),
    ("bfv-threshold", "3-of-5"),
)
PARAMETERS = (2_410, 99_530, 1_000_000)
CLIENTS = 5


def services() -> Iterator[str]:
    """compose.yaml as a graph: networks as boxes, what waits for what as arrows, volumes as stores."""
    whole = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
    yield "flowchart LR"
    yield '  subgraph inside["network: inside (internal)"]'
    for name in whole["services"]:
        yield f"    {name}"
    yield "  end"
    for name, service in whole["services"].items():
        for needed in service.get("depends_on", {}):
            yield f"  {name} -->|waits for| {needed}"
        for volume in service.get("volumes", []):
            yield f"  {name} --- v-{name}[({volume.split(':')[0]}: keys, data)]"
        for port in service.get("ports", []):
            yield f"  loopback([{port.rsplit(':', 1)[0]}]) --> {name}"


def floors() -> Iterator[str]:
    """The import contract, top to bottom."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    layers = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    names = [layer.replace("hefl_core.", "").replace("(", "").replace(")", "") for layer in layers]
    yield "flowchart TD"
    for number, name in enumerate(names):
        yield f'  f{number}["{name}"]'
    for number in range(len(names) - 1):
        yield f"  f{number} -->|may import| f{number + 1}"


def conversation() -> Iterator[str]:
    """Every kind of message of the first round, as a run recorded it; the clients' own are drawn once."""
    run = Run(Experiment(dataset="digits", model="mlp", clients=3, rounds=1, seed=7))
    seen: dict[tuple[str, str, tuple[str, ...]], None] = {}
    for sent in run.steps():
        receivers = tuple(dict.fromkeys(_seat(name) for name in sent.receivers))
        seen[_seat(sent.sender), sent.step, receivers] = None
    run.close()
    yield "sequenceDiagram"
    for seat in ("kms", "coordinator", "auditor", "client"):
        yield f"  participant {seat}"
    for sender, step, receivers in seen:
        for receiver in receivers:
            yield f"  {sender}->>{receiver}: {step}"


def _seat(name: str) -> str:
    return "client" if name.startswith("client-") else name


def sizes() -> Iterator[str]:
    """Bytes of one round, exactly as they will be."""
    yield "| preset, custody | d | one upload | one client receives | coordinator in | coordinator out |"
    yield "|-|-|-|-|-|-|"
    for scheme, custody in SIZES:
        for parameters in PARAMETERS:
            size = round_bytes(Experiment(scheme=scheme, custody=custody, clients=CLIENTS), parameters)
            cells = (size.up, size.down, size.coordinator_in, size.coordinator_out)
            yield f"| `{scheme}`, {custody} | {parameters:,} | {' | '.join(map(_short, cells))} |"


def _short(nbytes: int) -> str:
    return f"{nbytes / 1e6:.1f} MB" if nbytes >= 1e6 else f"{nbytes / 1e3:.0f} kB"


def filled(text: str) -> str:
    """The page with every generated part written anew."""
    for name, lines in (("services", services), ("floors", floors), ("conversation", conversation), ("sizes", sizes)):
        begin, end = f"<!-- generated: {name} -->\n", f"<!-- end: {name} -->"
        before, rest = text.split(begin)
        body = "\n".join(lines())
        body = body if name == "sizes" else f"```mermaid\n{body}\n```"
        text = f"{before}{begin}{body}\n{end}{rest.split(end, 1)[1]}"
    return text


def main() -> int:
    """Write, or with ``--check`` say whether the page is what would be written."""
    old = PAGE.read_text(encoding="utf-8")
    new = filled(old)
    if "--check" in sys.argv:
        return int(new != old)
    PAGE.write_text(new, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
