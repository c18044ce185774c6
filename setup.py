"""What pyproject.toml cannot say: in a wheel the application stands in a package of its own, ``hefl_app``.

In a clone app.py, pages, lessons and locale lie beside hefl_core. Installed under these names they would meet other people's.
"""

from setuptools import find_namespace_packages, find_packages, setup

UNPACKED = ["*__pycache__*"]


def parts(top: str) -> list[str]:
    """A folder of the application and all below it, as dotted names."""
    return [top, *(f"{top}.{below}" for below in find_namespace_packages(top, exclude=UNPACKED))]


PARTS = [*parts("pages"), *parts("lessons")]
DATA = [".streamlit/config.toml", "locale/*/LC_MESSAGES/*.po", "docs/legal.md"]

setup(
    packages=[
        *find_packages(include=["hefl_core", "hefl_core.*"]),
        "hefl_app",
        *(f"hefl_app.{part}" for part in PARTS),
    ],
    package_dir={"hefl_app": ".", **{f"hefl_app.{part}": part.replace(".", "/") for part in PARTS}},
    package_data={
        "hefl_core": ["templates/*", "attacks/rates.json"],
        "hefl_core.classroom": ["web/*"],
        "hefl_app": DATA,
        "": ["*.css", "*.js", "*.html", "*.ipynb", "*.md"],
    },
)
