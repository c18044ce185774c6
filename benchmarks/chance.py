"""Every attack on updates from the coordinator's seat, under every scheme and custody: all at chance, or something leaks.

    python benchmarks/chance.py                          400 trials a cell
    python benchmarks/chance.py --quick                  lean schemes only
    python benchmarks/chance.py --only paillier-naive    one scheme's row

All cells together reject guessing with probability 10⁻⁹ when nothing leaks (Bonferroni). The first row is the positive control:
the same code on the `plaintext` scheme's messages.
"""

from __future__ import annotations

from typing import Any

from common import TargetVerdict, parser, report, table

from hefl_core.attacks.catalogue import ATTACKS, run
from hefl_core.attacks.lab import COORDINATOR, PLAIN
from hefl_core.attacks.result import FAMILY_ALPHA, AttackResult
from hefl_core.attacks.seat_matrix import family_at_chance
from hefl_core.schemes.registry import load_preset

SEARCHES = ("inversion", "inverting-gradients")
LARGE = "dager"
"""Its model has 25,000 parameters; like gradient inversion it runs under the first scheme only."""
ON_UPDATES = tuple(one.name for one in ATTACKS if one.family == "update" and one.name not in (*SEARCHES, LARGE))
"""Gradient inversion searches for each trial anew; it runs under the first scheme only."""
CASES = (
    ("bfv-lean", 1),
    ("bfv-lean-seeded", 1),
    ("bfv-compact", 1),
    ("bfv-compact-seeded", 1),
    ("bfv-compact-2048", 1),
    ("bfv-compact-2048-seeded", 1),
    ("ckks-tutorial", 1),
    ("ckks-nvflare", 1),
    ("ckks-lean", 1),
    ("bfv-threshold", 3),
    ("bfv-threshold-classroom", 3),
    ("bfv-threshold-small", 3),
    ("bfv-threshold-strict", 3),
    ("ckks-threshold", 3),
    ("paillier-packed", 1),
    ("paillier-packed", 3),
    ("paillier-packed-3072", 1),
    ("paillier-naive", 1),
)
"""Every preset that encrypts."""
QUICK_CASES = CASES[:1]
SLOW_HIDDEN = 1
"""Units of the victim's model where a ciphertext of the usual one takes seconds (Paillier)."""
NAIVE = "paillier-naive"
"""A ciphertext per number: the table with fewer columns, and no imprint (8,450 ciphertexts an update even there)."""


def main() -> None:
    """Measure and report."""
    options = parser(__doc__)
    options.add_argument("--only", help="one scheme")
    chosen = options.parse_args()
    plain = [run(name, PLAIN, trials=20 if name != "membership" else 4) for name in ON_UPDATES]
    rows: list[tuple[object, ...]] = [("plaintext", "", *(f"**{one.value:.3g}**" for one in plain), "")]
    found: list[AttackResult] = []
    searched = ""
    for scheme, threshold in QUICK_CASES if chosen.quick else CASES:
        if chosen.only not in (None, scheme):
            continue
        these = {name: run(name, COORDINATOR, **how(scheme, threshold)) for name in attacked(scheme)}
        if scheme == CASES[0][0]:
            search = run("inversion", COORDINATOR, scheme=scheme)
            searched = f"Gradient inversion under {scheme}: {search.value:.3g} dB (p = {search.p_value:.2g})."
            read = run(LARGE, COORDINATOR, scheme=scheme)
            searched += f" Words of letters: {read.value:.2%} (p = {read.p_value:.2g})."
            found += [search, read]
        found += these.values()
        smallest = min(one.p_value for one in these.values() if one.p_value is not None)
        custody = "individual" if threshold == 1 else f"{threshold} of 5"
        flooded = getattr(load_preset(scheme), "demonstration", False)
        named = f"{scheme} (demonstration flooding)" if flooded else scheme
        rows.append((named, custody, *(cell(these.get(name)) for name in ON_UPDATES), f"{smallest:.2g}"))
    chance, corrected = family_at_chance(found)
    what = f"smallest p-value × {len(found)} cells: below 10⁻⁹ something leaks"
    verdicts = [TargetVerdict(0, what, "≥", FAMILY_ALPHA, corrected, "")]
    heads = ("scheme", "custody", *(f"{name} (p)" for name in ON_UPDATES), "smallest p")
    about = f"{searched} {'All at chance' if chance else 'NOT at chance'}; {found[0].trials} trials a cell."
    report(chosen, "Ciphertexts under attack", [one.to_json() for one in found], verdicts, [about, table(heads, rows)])


def attacked(scheme: str) -> tuple[str, ...]:
    """What can be run under it 400 times."""
    return tuple(name for name in ON_UPDATES if scheme != NAIVE or name != "imprint")


def how(scheme: str, threshold: int) -> dict[str, Any]:
    """The victim's model is as large as the scheme allows."""
    chosen = {"scheme": scheme, "threshold": threshold}
    if scheme.startswith("paillier"):
        chosen["hidden"] = SLOW_HIDDEN
    return chosen | ({"dataset": "breast_cancer"} if scheme == NAIVE else {})


def cell(result: AttackResult | None) -> str:
    """Value and p-value."""
    return "not run" if result is None else f"{result.value:.3g} ({result.p_value:.2g})"


if __name__ == "__main__":
    main()
