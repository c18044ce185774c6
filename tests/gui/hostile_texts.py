"""Texts that would like to be more than text on a screen. Each carries the word ``evil`` where it would do so."""

from dataclasses import replace

import msgspec

from hefl_core.federation.record.transcript import LeftOut, Transcript
from hefl_core.wire.envelope import Position

TEXTS = (
    "[evil](http://evil.invalid/link)",
    "![evil](http://evil.invalid/picture.png)",
    "[evil][1]\n\n[1]: http://evil.invalid/reference",
    "<img src='http://evil.invalid/raw.png' alt='evil'><a href='http://evil.invalid'>evil</a>",
    "<script>evil()</script>",
    "http://evil.invalid/bare www.evil.invalid evil@evil.invalid",
    "$$\\href{http://evil.invalid}{evil}$$ and $evil$",
    ":material/evil: :evil: :red[evil] :red-badge[evil] :small[evil]",
    "` [evil](http://evil.invalid/tick)",
    "`` ` [evil](http://evil.invalid/ticks) ``` ![evil](http://evil.invalid/ticks.png)",
    "*`evil`* [evil](http://evil.invalid/both) *`",
    "`*[evil](http://evil.invalid/end)*`",
    "evil\\",
    "\\`[evil](http://evil.invalid/backslash)",
    "a\n\n# evil\n\n- evil\n\n```\nevil\n```\n\n| evil | evil |\n|---|---|\n| evil | evil |",
    "evil \u202etxt.live\u202c \u2066evil\u2069 ev\u200bil \ufeffevil",
    "evil" + "\u0301" * 200,
    "evil " * 3000,
)


def forged(transcript, texts=TEXTS):
    """A record whose writer put these texts wherever a text may stand: names, kinds of message, reasons."""
    made = Transcript.from_bytes(transcript.to_bytes(), transcript.blobs)
    last = transcript.sent[-1]
    for text in texts:
        made.note(LeftOut(text, text, Position(1, last.position.round), text))
        header = replace(last.head.header, kind=text, sender=text, recipients=(text,))
        made._append(
            msgspec.structs.replace(last, step=text, receivers=(text,), head=replace(last.head, header=header))
        )
    return made


def noted(transcript, texts=TEXTS):
    """A record of a run under way, right but for the unsigned notes that its writer filled with these texts."""
    lines = transcript.to_bytes().splitlines(keepends=True)
    made = Transcript.from_bytes(b"".join(lines[:-1]), transcript.blobs)
    for text in texts:
        made.note(LeftOut("client-1", text, transcript.sent[-1].position, text))
    return made


def table(header, label):
    """A table as somebody may upload it: 60 rows of two columns and a label."""
    rows = [",".join(csv_cell(cell) for cell in (header, "b", "label"))]
    rows += [f"{row % 7},{row % 5},{csv_cell(label) if row % 7 > 3 else 'y'}" for row in range(60)]
    return "\n".join(rows).encode()


def csv_cell(text):
    return '"' + text.replace('"', '""') + '"'
