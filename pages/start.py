"""Start: what leaves the hospital? One minute on one real record."""

from pages.parts import opening

opening.page()
