"""Every attack on updates from the coordinator's seat, under every scheme and custody: all at chance, or something leaks.

    python benchmarks/chance.py            400 trials a cell
    python benchmarks/chance.py --quick    lean schemes only

All cells together reject guessing with probability 10⁻³ when nothing leaks (Bonferroni). The first row is the positive control:
the same code on the `plaintext` scheme's messages.
"""

from __future__ import annotations

from common import Verdict, parser, report, table

from hefl_core.attacks.catalogue import ATTACKS, run
from hefl_core.attacks.lab import COORDINATOR, PLAIN
from hefl_core.attacks.matrix import family_at_chance
from hefl_core.attacks.result import AttackResult

ON_UPDATES = tuple(one.name for one in ATTACKS if one.family == "update" and one.name != "inversion")
"""Gradient inversion searches for each trial anew: `attack inversion --seat coordinator` runs its 400 alone."""
CASES = (
    ("bfv-lean", 1),
    ("bfv-lean-seeded", 1),
    ("bfv-compact", 1),
    ("bfv-compact-2048", 1),
    ("ckks-tutorial", 1),
    ("ckks-nvflare", 1),
    ("ckks-lean", 1),
    ("bfv-threshold", 3),
    ("ckks-threshold", 3),
    ("INSECURE_paillier-512", 1),
)
QUICK_CASES = CASES[:1]


def main() -> None:
    """Measure and report."""
    chosen = parser(__doc__).parse_args()
    plain = [run(name, PLAIN, trials=20 if name != "membership" else 4) for name in ON_UPDATES]
    rows: list[tuple[object, ...]] = [("plaintext", "", *(f"**{one.value:.3g}**" for one in plain), "")]
    found: list[AttackResult] = []
    for scheme, threshold in QUICK_CASES if chosen.quick else CASES:
        these = [run(name, COORDINATOR, scheme=scheme, threshold=threshold) for name in ON_UPDATES]
        found += these
        smallest = min(one.p_value for one in these if one.p_value is not None)
        custody = "individual" if threshold == 1 else f"{threshold} of 5"
        rows.append((scheme, custody, *(f"{one.value:.3g} ({one.p_value:.2g})" for one in these), f"{smallest:.2g}"))
    chance, corrected = family_at_chance(found)
    what = f"smallest p-value × {len(found)} cells: below 10⁻³ something leaks"
    verdicts = [Verdict(0, what, "≥", 1e-3, corrected, "")]
    heads = ("scheme", "custody", *(f"{name} (p)" for name in ON_UPDATES), "smallest p")
    about = f"{'All at chance' if chance else 'NOT at chance'}; {found[0].trials} trials a cell."
    report(chosen, "Ciphertexts under attack", [one.to_json() for one in found], verdicts, [about, table(heads, rows)])


if __name__ == "__main__":
    main()
