"""Three hospitals with tables of one meaning and three forms, and what somebody who sees all of them would agree on."""

import math

from msgspec.structs import replace

from hefl_core.tables.agreement import agree
from hefl_core.tables.schema import propose
from hefl_core.tables.statistics import centred, scaling_from, sums
from hefl_core.tables.table import read_table


def hospital(lines, header="age;dose;ward;ill"):
    return "\n".join([header, *lines]).encode()


A = hospital(
    [f"{20 + 3 * (at % 17)};{at % 9},{at % 4}5;{'AB'[at % 2]};{'ja' if at % 3 else 'nein'}" for at in range(40)]
)
B = "\n".join(
    [
        "age,dose,ward,ill",
        *(f"{30 + 2 * (at % 13)},{at % 7}.125,{'BC'[at % 2]},{'yes' if at % 2 else 'no'}" for at in range(30)),
    ]
).encode()
C = "\n".join(
    ["age\tdose\tward\till", *(f"{41 + at % 11}\t{'' if at == 4 else 1000 + at % 3}\tA\tnon" for at in range(25))]
).encode()


def reader(content):
    def read(schema):
        return read_table(content, declared=None if schema is None else schema.declared())

    return read


def pooled(contents):
    """The same agreement by somebody who sees all tables."""
    schema = agree([propose(reader(content)(None)) for content in contents])
    tables = [reader(content)(schema) for content in contents]
    middle = centred(schema, sum(sums(table, schema) for table in tables))
    totals = sum(sums(table, middle) for table in tables)
    return scaling_from(middle, totals), totals


def alike(one, other):
    """Whether two schemas are the same but for the last digits of centre and spread: exact sums beside float64's."""
    numbers = [(a.centre, a.spread, b.centre, b.spread) for a, b in zip(one.columns, other.columns, strict=True)]
    close = all(
        math.isclose(a, c, rel_tol=1e-13, abs_tol=1e-13) and math.isclose(b, d, rel_tol=1e-12) for a, b, c, d in numbers
    )
    bare = [
        replace(
            schema, columns=tuple(replace(column, centre=0.0, remainder=0.0, spread=1.0) for column in schema.columns)
        )
        for schema in (one, other)
    ]
    return close and bare[0] == bare[1]
