"""The targets of a sweep that are open in a moment: every family, the smallest ring of each kind."""

from hefl_core.checks.damage.targets import targets as all_targets

SLOW = ("bfv-threshold", "ckks-", "paillier-n", "paillier-p", "bfv-lean", "bfv-compact,", "bfv-compact-s", "zip")


def targets():
    return tuple(target for target in all_targets() if not any(f" {slow}" in f" {target.name}" for slow in SLOW))
