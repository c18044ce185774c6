"""A key playground that lives through its example in the background: some presets take seconds to make three keys."""

from __future__ import annotations

from hefl_core.app.job import Job
from hefl_core.app.key_playground import KeyPlayground


class KeyLife(Job):
    """One playground. ``playground`` is None until its example is over.

    ``not_revoked``: why the example revoked nobody, else ''.
    """

    def __init__(self, preset: str, clients: int, custody: str) -> None:
        super().__init__("key playground")
        self.wanted = (preset, clients, custody)
        self.playground: KeyPlayground | None = None
        self.not_revoked = ""

    def work(self) -> None:
        """Make the keys and live through them. Raises: ParameterError where the preset cannot carry the custody."""
        playground = KeyPlayground(*self.wanted)
        self.not_revoked = playground.live_through()
        self.playground = playground
