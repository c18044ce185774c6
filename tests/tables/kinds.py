"""The kinds of tables that hospitals and banks have: each as a file, what is declared, and what a careful clerk makes of it.

``same_as``: the plain table (comma, point, UTF-8) whose numbers it must give. ``refused``: what the refusal must say.
"""

from __future__ import annotations

from dataclasses import dataclass

ROWS = 48


@dataclass(frozen=True)
class Made:
    content: bytes
    same_as: bytes = b""
    refused: str = ""
    declare: tuple[str, ...] = ()
    label: str | None = None
    warned: str = ""


def made(header, line, *, rows=ROWS, end="\n", encoding="utf-8", before="", after=""):
    lines = [*([header] if header else []), *(line(at) for at in range(rows))]
    return (before + end.join(lines) + end + after).encode(encoding)


def age(at):
    return 20 + at * 7 % 31


def dose(at):
    return (at * 5 % 17) / 4


def sex(at):
    return "mf"[at // 3 % 2]


def ill(at):
    return int(age(at) + 3 * dose(at) > 39)


def wide(by):
    return made(
        by.join([*(f"x{n}" for n in range(300)), "outcome"]),
        lambda at: by.join([*(str((at * n + n) % 11 / 2) for n in range(300)), str(ill(at))]),
    )


PLAIN = made("age,dose,outcome", lambda at: f"{age(at)},{dose(at):.2f},{ill(at)}")


def cell(text, at=5, line=7, what="age"):
    """PLAIN with one age replaced; row 5 stands in line 7."""
    return made("age,dose,outcome", lambda n: f"{text if n == at else age(n)},{dose(n):.2f},{ill(n)}")


def outcome(word, **how):
    return made("age,dose,outcome", lambda at: f"{age(at)},{dose(at):.2f},{word(at)}", **how)


def rare(at):
    return int(at % 400 == 399)


NAMED = made("age,dose,outcome", lambda at: f"{age(at)},{dose(at):.2f},{('no', 'yes')[ill(at)]}")
TRUTH = made("age,smoker,outcome", lambda at: f"{age(at)},{('no', 'yes')[at % 2]},{ill(at)}")
CITIES = made("age,city,outcome", lambda at: f"{age(at)},{('Bonn', 'Kiel', 'Ulm')[at % 3]},{ill(at)}")
CODES = made("age,zip,outcome", lambda at: f"{age(at)},{('01067', '10115', '53113')[at % 3]},{ill(at)}")
GAPS = made("age,dose,outcome", lambda at: f"{age(at)},{'' if at % 9 == 4 else f'{dose(at):.2f}'},{ill(at)}")
DAYS = made("age,seen,outcome", lambda at: f"{age(at)},2025-03-{1 + at % 28:02},{ill(at)}")
ONE_FEATURE = made("age,outcome", lambda at: f"{age(at)},{ill(at)}")
THOUSANDS = made("age,pay,outcome", lambda at: f"{age(at)},{1000 * (at % 7) + 250.5},{ill(at)}")

KINDS = {
    # separators, decimal marks, thousands
    "semicolons and decimal commas": Made(
        made("age;dose;outcome", lambda at: f"{age(at)};{dose(at):.2f};{ill(at)}".replace(".", ",")), PLAIN
    ),
    "tabs": Made(PLAIN.replace(b",", b"\t"), PLAIN),
    "bars": Made(PLAIN.replace(b",", b"|"), PLAIN),
    "sep line": Made(b"sep=,\n" + PLAIN, PLAIN),
    "thousands apostrophe": Made(
        made("age;pay;outcome", lambda at: f"{age(at)};{1000 * (at % 7) + 250.5:,.2f};{ill(at)}".replace(",", "'")),
        THOUSANDS,
    ),
    "thousands point": Made(
        made(
            "age;pay;outcome",
            lambda at: f"{age(at)};{1000 * (at % 7) + 250.5:,.2f};{ill(at)}".translate(str.maketrans(",.", ".,")),
        ),
        THOUSANDS,
    ),
    "either reading": Made(
        made("age;pay;outcome", lambda at: f"{age(at)};{1 + at % 7}.{100 + at % 9};{ill(at)}"), refused="column 'pay'"
    ),
    "either reading, declared": Made(
        made("age;pay;outcome", lambda at: f"{age(at)};{1 + at % 7}.{100 + at % 9};{ill(at)}"),
        made("age,pay,outcome", lambda at: f"{age(at)},{1 + at % 7}{100 + at % 9},{ill(at)}"),
        declare=("decimal=pay=comma",),
    ),
    "decimal commas in a comma file": Made(
        made("age,dose,outcome", lambda at: f"{age(at)},{dose(at):.2f},{ill(at)}".replace(".", ",")),
        refused="line 1: expected 4 names.*decimal comma",
    ),
    # encodings
    "byte-order mark": Made(b"\xef\xbb\xbf" + PLAIN, PLAIN),
    "UTF-16": Made(PLAIN.decode().encode("utf-16"), PLAIN),
    "CP1252": Made(
        CITIES.replace(b"Ulm", "Köln".encode("cp1252")), CITIES.replace(b"Ulm", "Köln".encode()), warned="CP1252"
    ),
    # headers
    "no header": Made(PLAIN.split(b"\n", 1)[1], refused="line 1: expected names of columns, found '20' in column 1"),
    "no header, first patient with a text": Made(
        cell("old", at=0).split(b"\n", 1)[1], refused="line 1: expected names of columns, found"
    ),
    "no header, declared": Made(
        PLAIN.split(b"\n", 1)[1],
        made("column 1,column 2,column 3", lambda at: f"{age(at)},{dose(at):.2f},{ill(at)}"),
        declare=("header=none",),
    ),
    "header twice": Made(PLAIN + b"age,dose,outcome\n", refused="line 50: expected a row, found line 1 again"),
    "titles": Made(b"Report of ward 3;;\n\n" + PLAIN.replace(b",", b";"), PLAIN),
    "totals at the end": Made(PLAIN + b"Total,3,1\n", refused="line 50: expected a row as the others, found a line of totals"),
    "totals, declared": Made(PLAIN + b"Total,3,1\n", PLAIN, declare=("summary=drop",)),
    # index columns
    "index without a name": Made(
        made(",age,dose,outcome", lambda at: f"{at},{age(at)},{dose(at):.2f},{ill(at)}"), PLAIN
    ),
    "patient number": Made(
        made("patient,age,dose,outcome", lambda at: f"P{at * 37 % 1000:04},{age(at)},{dose(at):.2f},{ill(at)}"), PLAIN
    ),
    "account numbers": Made(
        made("account,age,dose,outcome", lambda at: f"{4111111111111111 + at},{age(at)},{dose(at):.2f},{ill(at)}"), PLAIN
    ),
    # the label
    "yes and no": Made(NAMED.replace(b"yes", b"Ja").replace(b"no", b"Nein"), NAMED.replace(b"yes", b"ja").replace(b"no", b"nein")),
    "true and false": Made(outcome(lambda at: ("FALSE", "TRUE")[ill(at)]), outcome(lambda at: ("false", "true")[ill(at)])),
    "one and two": Made(outcome(lambda at: 1 + ill(at)), outcome(lambda at: 1 + ill(at))),
    "plus and minus": Made(outcome(lambda at: "-+"[ill(at)]), outcome(lambda at: "-+"[ill(at)])),
    "text": Made(outcome(lambda at: ("well", "ill")[ill(at)]), outcome(lambda at: ("well", "ill")[ill(at)])),
    "label in the middle": Made(
        made("age,outcome,dose", lambda at: f"{age(at)},{ill(at)},{dose(at):.2f}"), PLAIN, label="outcome"
    ),
    "label missing in rows": Made(
        outcome(lambda at: "NA" if at in (3, 8) else ill(at)), refused=r"in every row, found 2 missing \('NA'\) in line 5, 10"
    ),
    "label missing as -999": Made(
        outcome(lambda at: -999 if at == 3 else ill(at)), refused="line 5, label 'outcome': expected an outcome, found -999"
    ),
    "label missing, left out": Made(
        outcome(lambda at: "?" if at > 39 else ill(at)), outcome(ill, rows=40), declare=("drop-unlabelled",)
    ),
    "measured": Made(outcome(lambda at: at * 0.5), refused=r"label 'outcome': expected classes .* found 48 different numbers"),
    "one class": Made(outcome(lambda at: "ill"), refused="label 'outcome': expected 2 classes or more, found only 'ill'"),
    # missing cells
    **{
        f"missing as {word or 'nothing'}": Made(
            made("age,dose,outcome", lambda at, w=word: f"{age(at)},{w if at % 9 == 4 else f'{dose(at):.2f}'},{ill(at)}"), GAPS
        )
        for word in ("", "NA", "N/A", "?", "-", "NULL", "nan", "None", ".")
    },
    "missing as -999, undeclared": Made(
        GAPS.replace(b",,", b",-999,"), GAPS.replace(b",,", b",-999,"), warned="-999, far from all others"
    ),
    "missing as -999, declared": Made(GAPS.replace(b",,", b",-999,"), GAPS, declare=("missing=-999",)),
    # categories, codes, booleans, units, dates
    "categories": Made(CITIES.replace(b",", b";"), CITIES),
    "codes with zeros": Made(CODES.replace(b",", b"\t"), CODES),
    "codes, declared": Made(
        made("age,branch,outcome", lambda at: f"{age(at)},{10 + at % 3},{ill(at)}"),
        made("age,branch,outcome", lambda at: f"{age(at)},{'xyz'[at % 3]}{10 + at % 3},{ill(at)}"),
        declare=("kind=branch=code",),
    ),
    "smokers in Italian": Made(TRUTH.replace(b",no,", b",no,").replace(b",yes,", ",sì,".encode()), TRUTH),
    "percent": Made(
        made("age,share,outcome", lambda at: f"{age(at)},{at % 40} %,{ill(at)}"),
        made("age,share,outcome", lambda at: f"{age(at)},{at % 40 / 100},{ill(at)}"),
    ),
    "milligrams": Made(
        made("age,dose,outcome", lambda at: f"{age(at)},{dose(at):.2f} mg,{ill(at)}"), PLAIN
    ),
    "milligrams and one without": Made(
        made("age,dose,outcome", lambda at: f"{age(at)},{dose(at):.2f}{'' if at == 9 else ' mg'},{ill(at)}"),
        refused="line 11, column 'dose'",
    ),
    "euros": Made(
        made("age;pay;outcome", lambda at: f"{age(at)};{1000 * (at % 7) + 250.5:.2f} €;{ill(at)}".replace(".", ",")), THOUSANDS
    ),
    "German dates": Made(
        made("age,seen,outcome", lambda at: f"{age(at)},{1 + at % 28:02}.03.2025,{ill(at)}"), DAYS
    ),
    "American dates": Made(
        made("age,seen,outcome", lambda at: f"{age(at)},03/{1 + at % 28:02}/2025,{ill(at)}"), DAYS
    ),
    "ambiguous dates": Made(
        made("age,seen,outcome", lambda at: f"{age(at)},{1 + at % 9:02}/{1 + at % 7:02}/2025,{ill(at)}"), refused="column 'seen'"
    ),
    "durations": Made(
        made("age,stay,outcome", lambda at: f"{age(at)},{at % 5}:{at % 4}5,{ill(at)}"),
        made("age,stay,outcome", lambda at: f"{age(at)},{at % 5 * 3600 + (at % 4 * 10 + 5) * 60},{ill(at)}"),
    ),
    # odd columns and rows
    "constant column": Made(
        made("age,dose,ward,outcome", lambda at: f"{age(at)},{dose(at):.2f},3,{ill(at)}"), PLAIN
    ),
    "duplicate column": Made(
        made("age,dose,again,outcome", lambda at: f"{age(at)},{dose(at):.2f},{dose(at):.2f},{ill(at)}"), PLAIN
    ),
    "two of one name": Made(PLAIN.replace(b"age,dose", b"age,age"), refused="columns 1 and 2 both named 'age'"),
    "one row": Made(outcome(lambda at: 1, rows=1), refused="expected .* found"),
    "no row": Made(b"age,dose,outcome\n", refused="expected rows below the line of names, found none"),
    "too few rows": Made(outcome(ill, rows=12), refused="table: expected at least 20 rows, found 12"),
    "quotes and newlines": Made(
        made("age,city,outcome", lambda at: f'{age(at)},"{("Bonn", "Kiel", "Ulm,")[at % 3]}\n""x""",{ill(at)}'),
        made("age|city|outcome", lambda at: f'{age(at)}|"{("Bonn", "Kiel", "Ulm,")[at % 3]}\n""x"""|{ill(at)}'),
    ),
    "stray quote": Made(cell('"4"1'), refused="line 7: expected cells whose quotes are closed"),
    "trailing separators": Made(PLAIN.replace(b"\n", b",\n"), PLAIN),
    "row of other length": Made(cell("1,2"), refused="line 7: expected 3 cells as in the header"),
    "CRLF and blank lines": Made(PLAIN.replace(b"\n", b"\r\n") + b"\r\n\r\n", PLAIN),
    # numbers
    "huge integers": Made(
        made("big,age,dose,outcome", lambda at: f"{9007199254740993 + at * 10**6},{age(at)},{dose(at):.2f},{ill(at)}"), PLAIN
    ),
    "1e400": Made(cell("1e400"), refused="line 7, column 'age'"),
    "infinity": Made(cell("inf"), refused="line 7, column 'age'"),
    "minus nought": Made(PLAIN.replace(b",0.00,", b",-0,"), PLAIN),
    "formula": Made(cell("=1+1"), refused="line 7, column 'age'"),
    "text in a number": Made(cell("oops"), refused="line 7, column 'age'"),
    "script in a header": Made(
        PLAIN.replace(b"age,", b"<script>alert(1)</script>,"), PLAIN.replace(b"age,", b"<script>alert(1)</script>,")
    ),
    "one of a thousand": Made(
        outcome(rare, rows=800), outcome(rare, rows=800), warned="is rare, 2 of 800"
    ),
    "Mean in the label's column": Made(
        PLAIN + b"30.1,1.2,Mean\n", refused="line 50: expected a row as the others, found a line of totals"
    ),
    "mean and deviation, declared": Made(PLAIN + b"Mean,3,1\nSD,2,1\n", PLAIN, declare=("summary=drop",)),
    "titers": Made(
        made("age,titer,outcome", lambda at: f"{age(at)},1:{10 * 2 ** (at % 3)},{ill(at)}"),
        refused="column 'titer'.*titer or ratio",
    ),
    "raised digits": Made(
        made("age,count,outcome", lambda at: f"{age(at)},{at % 7}²,{ill(at)}"), refused="column 'count'.*a raised digit"
    ),
    "one letter": Made(
        made("age,size,outcome", lambda at: f"{age(at)},{5 + at % 7}F,{ill(at)}"), refused="column 'size'.*a unit or a digit"
    ),
    "dates of the open end": Made(
        DAYS.replace(b"2025-03-05", b"9999-12-31"), DAYS.replace(b"2025-03-05", b"9999-12-31"), warned="far from all others"
    ),
    "hundreds of columns": Made(wide(","), wide(";"), warned="more columns"),
    # other files
    "spreadsheet": Made(b"PK\x03\x04" + bytes(60), refused="found a broken zip archive or spreadsheet"),
    "web page": Made(b"<!doctype html><p>not found", refused="found a web page or XML"),
    "empty": Made(b"", refused="found an empty file"),
}  # fmt: skip
