"""Each client's own memory of a run: its message count and last message. A transcript that ends earlier is cut off.

A closing line shows that clients signed *an* end. Heads show that it is *the* end: neither a shorter record signed by the
clients nor a tail dropped with its closing line agrees with the messages that they remember.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hefl_core.errors import DataError, IntegrityError
from hefl_core.federation.record.transcript import DIGEST_BYTES, Transcript
from hefl_core.wire.files import from_hex, read_object, read_regular, replace_file, text, whole

FORMAT: Final = "hefl/heads/1"
MAX_BYTES: Final = 1 << 20
Head = tuple[int, bytes]
"""Number of a party's last message, and its header's digest."""


@dataclass(frozen=True, slots=True)
class ClientHeads:
    """The heads of one run's clients, kept apart from the transcript. Public: no secret is in them."""

    experiment: str
    heads: Mapping[str, Head]

    @classmethod
    def of(cls, transcript: Transcript) -> ClientHeads:
        """The clients' heads at the end of this run (:attr:`~hefl_core.federation.client.Client.head`)."""
        headers = (head.header for head in transcript.headers)
        said = {header.sender: (header.sequence, header.digest) for header in headers}
        return cls(transcript.manifest.id, {name: head for name, head in said.items() if name.startswith("client-")})

    @classmethod
    def together(cls, parts: Sequence[ClientHeads]) -> ClientHeads:
        """Merge the heads of several clients, each from a file of its own.

        Raises: IntegrityError when two files are of different runs, or disagree about one client.
        """
        heads: dict[str, Head] = {}
        for part in parts:
            for name, head in part.heads.items():
                if part.experiment != parts[0].experiment or heads.setdefault(name, head) != head:
                    raise IntegrityError(f"heads: two files contradict each other about {name}; take those of one run")
        return cls(parts[0].experiment, heads)

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
        """Write them as a small JSON file, mode 0600, replaced atomically."""
        heads = {name: [number, digest.hex()] for name, (number, digest) in self.heads.items()}
        fields = {"format": FORMAT, "experiment": self.experiment, "heads": heads}
        replace_file(Path(path), (json.dumps(fields, indent=2) + "\n").encode("utf-8"), owner_only=True)

    @classmethod
    def load(cls, path: str | Path) -> ClientHeads:
        """Read a file of heads. Raises: DataError when it is missing or of another form."""
        try:
            fields = read_object(read_regular(Path(path), MAX_BYTES, "heads"))
            read = {name: (whole(number), from_hex(last)) for name, (number, last) in fields["heads"].items()}
            heads = cls(text(fields["experiment"]), read)
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
