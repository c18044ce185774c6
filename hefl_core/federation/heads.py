"""What every client remembers of a run: how many messages it sent, and the last one. A transcript that ends earlier is cut off.

A closing line shows that clients signed *an* end. Heads show that it is *the* end: whoever asks clients to sign a shorter
record, or drops the tail together with its closing line, cannot take back what they had said by then.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hefl_core.errors import DataError, IntegrityError
from hefl_core.federation.transcript import Transcript

FORMAT: Final = "hefl/heads/1"
DIGEST_BYTES: Final = 32
Head = tuple[int, bytes]
"""Number of a party's last message, and its header's digest."""


@dataclass(frozen=True, slots=True)
class Heads:
    """The heads of one run's clients, kept apart from the transcript. Public: no secret is in them."""

    experiment: str
    heads: Mapping[str, Head]

    @classmethod
    def of(cls, transcript: Transcript) -> Heads:
        """What the clients of this run remember when it ends (:attr:`~hefl_core.federation.client.Client.head`)."""
        said = {sent.sender: (sent.head.header.sequence, sent.head.header.digest) for sent in transcript.sent}
        return cls(transcript.manifest.id, {name: head for name, head in said.items() if name.startswith("client-")})

    def check(self, experiment: str, chains: Mapping[str, Head]) -> None:
        """Compare with the last messages on record. Raises: IntegrityError naming the client whose tail is missing."""
        if experiment != self.experiment:
            raise IntegrityError(
                f"heads: expected those of experiment {experiment[:16]}, found {self.experiment[:16]}; take this run's"
            )
        for name, head in self.heads.items():
            if chains.get(name) != head:
                number = chains[name][0] if name in chains else "nothing"
                raise IntegrityError(
                    f"heads: {name} remembers message {head[0]} as its last, the record ends at {number}; the tail is cut off"
                )

    def save(self, path: str | Path) -> None:
        """Write them as a small JSON file."""
        heads = {name: [number, digest.hex()] for name, (number, digest) in self.heads.items()}
        fields = {"format": FORMAT, "experiment": self.experiment, "heads": heads}
        Path(path).write_text(json.dumps(fields, indent=2) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> Heads:
        """Read a file of heads. Raises: DataError when it is missing or of another form."""
        try:
            fields = json.loads(Path(path).read_text(encoding="utf-8"))
            read = {str(name): (int(number), bytes.fromhex(last)) for name, (number, last) in fields["heads"].items()}
            heads = cls(str(fields["experiment"]), read)
            usable = fields["format"] == FORMAT and all(len(last) == DIGEST_BYTES for _, last in read.values())
        except (
            OSError,
            UnicodeError,
            ValueError,
            TypeError,
            KeyError,
            AttributeError,
            OverflowError,
            RecursionError,
        ) as error:
            raise DataError(f"heads: expected a {FORMAT} file, found {type(error).__name__}: {error}") from error
        if not usable or not read:
            raise DataError(f"heads: expected format {FORMAT} with at least one client's, found {str(fields)[:80]}")
        return heads
