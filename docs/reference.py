"""What mkdocs.yml asks for: the pages that are made (API reference, answer key), and links out of docs/ as plain text."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import griffe
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from lessons.tools.answers import key

ROOT = Path(__file__).parents[1]
DOCTEST = re.compile(r"(?m)^>>> .*(?:\n(?!\s*$).*)*")
OUTSIDE = re.compile(r"\[([^\]]+)\]\(\.\./[^)]*\)")


def modules(package: Path) -> list[str]:
    """The package and the modules in it, dotted, without those that begin with an underscore."""
    files = sorted(path for path in package.glob("*.py") if not path.stem.startswith("_"))
    dotted = ".".join(package.relative_to(ROOT).parts)
    return [dotted, *(f"{dotted}.{path.stem}" for path in files)]


def packages() -> list[Path]:
    """hefl_core and every package in it."""
    return sorted(path.parent for path in (ROOT / "hefl_core").rglob("__init__.py"))


def reference(package: Path) -> str:
    """One page: what the package is for, links to the packages around it, then its modules."""
    own, *rest = modules(package)
    below = [path for path in packages() if path.parent == package]
    links = [f"- [`{name}`]({name}.md)" for name in (".".join(path.relative_to(ROOT).parts) for path in below)]
    shown = [f"::: {name}" for name in rest]
    return (
        "\n\n".join([f"# {own}", f"::: {own}\n    options: {{show_root_heading: false}}", "\n".join(links), *shown])
        + "\n"
    )


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made and not committed."""
    for package in packages():
        name = ".".join(package.relative_to(ROOT).parts)
        files.append(File.generated(config, f"api/{name}.md", content=reference(package)))
    files.append(File.generated(config, "answers.md", content=key()))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """A link to a file of the repository is its text: the site stands alone."""
    return OUTSIDE.sub(r"\1", markdown)


class Doctests(griffe.Extension):
    """Doctests stand in docstrings without a heading; Markdown would take ``>>>`` for a quotation."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Fence them."""
        if obj.docstring is not None:
            obj.docstring.value = DOCTEST.sub(lambda found: f"```pycon\n{found[0]}\n```", obj.docstring.value)
