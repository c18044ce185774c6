"""How a user types data of their own, and the names by which experiments carry it: a path never leaves the door."""

from __future__ import annotations

import re
from typing import Final

CSV: Final = "csv:"
"""Prefix of a table's path where a user types it. No experiment, transcript or report carries it."""
CSV_DIR: Final = "csv-dir:"
"""Prefix of a folder with one file for each client, where a user types it."""
NPZ: Final = "npz:"
NPY: Final = "npy:"
"""Prefixes of the path of arrays, where a user types it."""
PICTURES: Final = "pictures:"
"""Prefix of a folder of pictures where a user types it, and of a name, where 64 hex digits follow."""
ARRAYS: Final = "arrays:"
"""Prefix of the name of arrays; 64 hex digits follow."""
_DIGITS: Final = re.compile(r"[0-9a-f]{64}")


def is_path(dataset: str) -> bool:
    """Whether a data set is named by a path on some machine, which says nothing about its content.

    >>> is_path("csv:ward.csv"), is_path("pictures:cats"), is_path("pictures:" + "0" * 64), is_path("digits")
    (True, True, False, False)
    """
    return dataset.startswith((CSV, CSV_DIR)) or is_given_path(dataset)


def is_given_path(dataset: str) -> bool:
    """Whether it is a path of arrays or pictures."""
    return dataset.startswith((NPZ, NPY)) or (dataset.startswith(PICTURES) and not is_given_name(dataset))


def is_given_name(dataset: str) -> bool:
    """Whether it is the name of arrays or pictures, from their content."""
    kind, colon, digits = dataset.partition(":")
    return kind + colon in (ARRAYS, PICTURES) and _DIGITS.fullmatch(digits) is not None
