"""Declarations about a table as a user types them: the options of ``table check``, each with its value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Final, Literal, TypeAlias, cast

import msgspec

from hefl_core.errors import ParameterError
from hefl_core.tables.declared import DateOrder, Declared, DeclaredColumn, Kind, Mark

SEPARATOR_WORDS: Final = {"comma": ",", "semicolon": ";", "tab": "\t", "bar": "|"}
_MARKS: Final = ("point", "comma")
_ORDERS: Final = ("day", "month")
Header: TypeAlias = Literal["auto", "first", "none"]
Summary: TypeAlias = Literal["ask", "data", "drop"]
_HEADERS: Final = ("auto", "first", "none")
_SUMMARIES: Final = ("ask", "data", "drop")
DROP_UNLABELLED: Final = "drop-unlabelled"


@dataclass(frozen=True)
class Said:
    """What a user declares, as typed; the fields are the options of ``table check``."""

    kind: list[str] = field(default_factory=list)
    decimal: list[str] = field(default_factory=list)
    dates: list[str] = field(default_factory=list)
    drop: list[str] = field(default_factory=list)
    keep: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    present: list[str] = field(default_factory=list)
    header: list[str] = field(default_factory=list)
    separator: list[str] = field(default_factory=list)
    summary: list[str] = field(default_factory=list)
    drop_unlabelled: bool = False


def said(texts: Sequence[str]) -> Said:
    """``run --declare``: each text is an option of ``table check`` with its value, such as missing=-999 or drop-unlabelled.

    Raises: ParameterError for another option.
    """
    lists: dict[str, Any] = {one.name: list[str]() for one in fields(Said) if one.type == "list[str]"}
    for text in texts:
        option, sign, value = text.partition("=")
        if text == DROP_UNLABELLED:
            continue
        if option not in lists or not sign:
            raise ParameterError(
                f"declare: expected OPTION=VALUE with one of {', '.join(lists)}, or {DROP_UNLABELLED}, found {text[:80]!r}",
                "write missing=-999 or kind=ward=code, as for table check",
            )
        lists[option].append(value)
    return Said(**lists, drop_unlabelled=DROP_UNLABELLED in texts)


def declarations(said: Said) -> Declared:
    """The declarations that were typed. Raises: ParameterError for a value that means nothing."""
    marks = [_one_of(text, _MARKS, "decimal") for text in said.decimal if "=" not in text]
    return Declared(
        columns=_columns(
            said.kind, [text for text in said.decimal if "=" in text], said.dates, said.present, said.drop, said.keep
        ),
        header=cast(Header, _last(said.header, _HEADERS, "header", "auto")),
        separator=SEPARATOR_WORDS.get(said.separator[-1], said.separator[-1]) if said.separator else None,
        decimal=cast(Mark, marks[-1]) if marks else None,
        missing=tuple(said.missing),
        summary=cast(Summary, _last(said.summary, _SUMMARIES, "summary", "ask")),
        drop_unlabelled=said.drop_unlabelled,
    )


def cut_at(text: str) -> float | msgspec.UnsetType:
    """Where a measured label is cut, as typed; unset for an empty text. Raises: ParameterError."""
    if not text.strip():
        return msgspec.UNSET
    try:
        return float(text)
    except ValueError as error:
        raise ParameterError(
            f"cut above: expected a number, found {text[:40]!r}", "write it with a point, as 5.5"
        ) from error


def _last(texts: list[str], values: tuple[str, ...], what: str, otherwise: str) -> str:
    return _one_of(texts[-1], values, what) if texts else otherwise


def _columns(
    kinds: list[str], decimals: list[str], dates: list[str], present: list[str], drop: list[str], keep: list[str]
) -> tuple[DeclaredColumn, ...]:
    kind, mark, order = (dict(map(_pair, texts)) for texts in (kinds, decimals, dates))
    values = list(map(_pair, present))
    names = dict.fromkeys([*kind, *mark, *order, *(name for name, _ in values), *drop, *keep])
    return tuple(
        DeclaredColumn(
            name,
            Kind(_one_of(kind[name], tuple(Kind), "kind")) if name in kind else None,
            cast(Mark, _one_of(mark[name], _MARKS, "decimal")) if name in mark else None,
            cast(DateOrder, _one_of(order[name], _ORDERS, "dates")) if name in order else None,
            drop=name in drop,
            keep=name in keep,
            present=tuple(cell for of, cell in values if of == name),
        )
        for name in names
    )


def _pair(text: str) -> tuple[str, str]:
    """Split COLUMN=VALUE; the column's name may contain '='."""
    name, sign, value = text.rpartition("=")
    if not sign or not name:
        raise ParameterError(f"declared: expected COLUMN=VALUE, found {text!r}", "write age=number")
    return name, value


def _one_of(text: str, values: tuple[str, ...], what: str) -> str:
    if text not in values:
        raise ParameterError(f"{what}: expected one of {', '.join(values)}, found {text!r}", f"try {values[0]}")
    return text
