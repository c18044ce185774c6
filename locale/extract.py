"""Collect the strings of the interface, the glossary and the claims: `python locale/extract.py > locale/hefl.pot`.

`python locale/extract.py --missing de` says how much of them a language has, and prints the template of what it lacks.
A translation is locale/<language>/LC_MESSAGES/hefl.po, a filled copy of the template.
"""

import ast
import importlib
import sys
from pathlib import Path

from babel.messages.pofile import read_po

from hefl_core.app.evidence.said import SAID as EVIDENCE
from hefl_core.attacks.catalogue import ATTACKS
from hefl_core.checks.claims.ledger import LEDGER, NOT_PROMISED
from hefl_core.federation import remarks
from hefl_core.figures import leak
from hefl_core.figures.said import SAID as DRAWN
from hefl_core.keys.collusion import KMS_AND_COORDINATOR
from hefl_core.runtime import divergence
from hefl_core.tables.column import LeftOut
from hefl_core.tables.declared import Kind
from hefl_core.tables.rows.dialect import SEPARATOR_NAMES
from hefl_core.teaching import predictions
from hefl_core.teaching.exercise import SAID
from hefl_core.teaching.glossary import TERMS
from hefl_core.teaching.walks import WALKS

ROOT = Path(__file__).parents[1]
WORDS = (
    *Kind, *LeftOut, *SEPARATOR_NAMES.values(), "as named", "by its name", "last column", "as declared", "by its sep= line",
    "as most lines have it", "point", "comma", "day", "month", " with decimal point", " with decimal comma",
    " with decimal point, as in the other columns", " with decimal comma, as in the other columns", " with the day first",
    " with the month first", "codes", "categories", "mean", "most frequent value",
)  # fmt: skip
"""The table reader's own words in the fields of its sentences (pages/parts/decisions.py)."""


def strings():
    """(text, file:line) of every `_("…")`, in the order of the files; then what the library has to say on screens."""
    for path in (ROOT / "app.py", *sorted((ROOT / "pages").rglob("*.py"))):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "_" and node.args:
                text = node.args[0]
                if isinstance(text, ast.Constant) and isinstance(text.value, str):
                    yield text.value, f"{path.relative_to(ROOT)}:{node.lineno}"
    for text in (text for term in TERMS for text in (term.name, term.sentence)):
        yield text, "hefl_core/teaching/glossary.py"
    for text in (*(claim.sentence for claim in LEDGER), *NOT_PROMISED):
        yield text, "hefl_core/checks/claims/evidence.py"
    for text in KMS_AND_COORDINATOR:
        yield text, "hefl_core/keys/collusion.py"
    for text in SAID:
        yield text, "hefl_core/teaching/exercise.py"
    for text in predictions.SAID:
        yield text, "hefl_core/teaching/predictions.py"
    for walk in WALKS:
        for text in (walk.title, *(text for stop in walk.stops for text in (stop.say, stop.ask))):
            yield text, "hefl_core/teaching/walks.py"
    for text in (text for attack in ATTACKS for text in (attack.title, attack.remedy)):
        yield text, "hefl_core/attacks/catalogue.py"
    for text in EVIDENCE:
        yield text, "hefl_core/app/evidence/said.py"
    for text in leak.SAID:
        yield text, "hefl_core/figures/leak.py"
    for text in DRAWN:
        yield text, "hefl_core/figures/said.py"
    for text in remarks.SAID:
        yield text, "hefl_core/federation/remarks.py"
    for text in divergence.SAID:
        yield text, "hefl_core/runtime/divergence.py"
    yield from decisions()
    for text in WORDS:
        yield text, "hefl_core/tables"


def decisions():
    """(template, file:line) of every ``decided("…")`` of the table reader."""
    for path in sorted((ROOT / "hefl_core" / "tables").rglob("*.py")):
        module = importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
        for function in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(function, ast.FunctionDef):
                for template, line in _templates(function, dict(vars(module))):
                    yield template, f"{path.relative_to(ROOT)}:{line}"


def _templates(function, known):
    """A template is a constant, a name for one, a sum of both, or any value of a named table."""
    for node in sorted(ast.walk(function), key=lambda node: getattr(node, "lineno", 0)):
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant(value=value)):
                known[name] = value
            case ast.Call(func=ast.Name(id="decided"), args=[ast.Subscript(value=ast.Name(id=name)), *_]):
                yield from ((template, node.lineno) for template in known[name].values())
            case ast.Call(func=ast.Name(id="decided"), args=[template, *_]):
                yield eval(compile(ast.Expression(template), "", "eval"), known), node.lineno


def places() -> dict[str, list[str]]:
    """Where each string stands."""
    found: dict[str, list[str]] = {}
    for text, place in strings():
        found.setdefault(text, []).append(place)
    return found


def missing(language: str) -> dict[str, list[str]]:
    """What the catalogue of a language does not have; a word that stays as it is has an entry too."""
    with (ROOT / "locale" / language / "LC_MESSAGES" / "hefl.po").open("rb") as text:
        known = {message.id for message in read_po(text) if message.string}
    return {text: found for text, found in places().items() if text not in known}


def quoted(text: str) -> str:
    """As gettext quotes it."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def main(arguments: list[str]) -> None:
    """Print the template, whole or of what is missing."""
    wanted = every = places()
    if arguments[:1] == ["--missing"]:
        wanted = missing(arguments[1])
        print(f"{arguments[1]}: {len(every) - len(wanted)} of {len(every)} strings", file=sys.stderr)
    else:
        print('msgid ""\nmsgstr "Content-Type: text/plain; charset=UTF-8\\n"\n')
    for text, found in wanted.items():
        print(f'#: {" ".join(found)}\nmsgid {quoted(text)}\nmsgstr ""\n')


if __name__ == "__main__":
    main(sys.argv[1:])
