"""Collect the strings of the interface: `python locale/extract.py > locale/hefl.pot`.

A translation is locale/<language>/LC_MESSAGES/hefl.mo, made from a filled copy of the template with msgfmt.
"""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1]


def strings():
    """(text, file:line) of every `_("…")`, in the order of the files."""
    for path in (ROOT / "app.py", *sorted((ROOT / "pages").rglob("*.py"))):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "_" and node.args:
                text = node.args[0]
                if isinstance(text, ast.Constant) and isinstance(text.value, str):
                    yield text.value, f"{path.relative_to(ROOT)}:{node.lineno}"


def quoted(text: str) -> str:
    """As gettext quotes it."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def main() -> None:
    """Print the template."""
    places: dict[str, list[str]] = {}
    for text, place in strings():
        places.setdefault(text, []).append(place)
    print('msgid ""\nmsgstr "Content-Type: text/plain; charset=UTF-8\\n"\n')
    for text, found in places.items():
        print(f'#: {" ".join(found)}\nmsgid {quoted(text)}\nmsgstr ""\n')


if __name__ == "__main__":
    main()
