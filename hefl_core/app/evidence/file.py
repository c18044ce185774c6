"""Write the evidence file: the record, the terms, and the modules that check it, as text in one HTML file.

A record whose file would be larger than :data:`MOST_BYTES` comes with a sample of its rounds: every line, every signature and the
whole order are there, the ciphertexts of the sampled rounds only. The file says so.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from importlib.resources import files
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from hefl_core import __version__
from hefl_core.app.evidence.said import RUNNING, SECRETS, STANDING, STATES
from hefl_core.app.evidence.terms import terms_of
from hefl_core.checks.claims.ledger import NOT_PROMISED
from hefl_core.errors import ParameterError
from hefl_core.federation.record.protocol_table import When, row_of
from hefl_core.federation.record.transcript import Sent, Transcript
from hefl_core.figures.knowledge import KnowledgeCell, knowledge
from hefl_core.keys.ceremony_result import APPROVAL_KIND
from hefl_core.terms.messages import SUM, UPDATE
from hefl_core.wire.canonical import encode

MOST_BYTES: Final = 5_000_000
"""A file up to this size has every body, if its maker does not choose rounds."""
MODULES: Final = ("hash", "shapes", "messages", "conversation", "sums", "statements", "check", "container", "page")
"""In the order in which one can be read after the other: each imports earlier ones only."""
ELSEWHERE: Final = {"hash": "hefl_core.classroom.web"}
"""Modules that the phones of a live class use too."""

Blobs = dict[bytes, bytes]


@dataclass(frozen=True, slots=True)
class EvidenceFile:
    """The file's text. ``rounds``: whose sums it can add again, None for all."""

    html: str
    rounds: tuple[int, ...] | None


def modules() -> dict[str, str]:
    """The JavaScript by name, as it is read."""
    found = {}
    for name in MODULES:
        package, _, folder = ELSEWHERE.get(name, "hefl_core.app.evidence.").rpartition(".")
        found[f"{name}.js"] = (files(package) / folder / f"{name}.js").read_text(encoding="utf-8")
    return found


def container(lines: bytes, blobs: Blobs | None) -> bytes:
    """The record as the page's container.js reads it, without its base64."""
    bodies = None if blobs is None else tuple((digest.hex(), blob) for digest, blob in blobs.items())
    return gzip.compress(encode((lines, bodies)), compresslevel=6, mtime=0)


def to_html(
    transcript: Transcript,
    rounds: Sequence[int] | None = None,
    *,
    language: str = "en",
    translate: Callable[[str], str] = str,
) -> EvidenceFile:
    """The evidence file of a finished run. ``rounds``: a sample of them, None for all or as many as fit.

    Raises: KeyUseError while a key of its epochs may live; ParameterError for rounds that the run does not have.
    """
    transcript.require_released()
    if rounds is None:
        whole = _render(transcript, None, language, translate)
        if len(whole.html.encode()) <= MOST_BYTES:
            return whole
        rounds = _fitting(transcript)
    agreed = transcript.manifest.experiment.rounds
    sample = tuple(sorted(set(rounds)))
    if not all(1 <= number <= agreed for number in sample):
        raise ParameterError(
            f"rounds: expected some of 1 to {agreed}, found {', '.join(map(str, sample))}", "choose others"
        )
    return _render(transcript, sample, language, translate)


def kept_bodies(transcript: Transcript, sample: Iterable[int]) -> Blobs:
    """The bodies that a file with this sample of rounds keeps: check.js leaves out the same ones."""
    wanted, kept = set(sample), {}
    for sent in transcript.sent:
        inside = sent.position.round in wanted
        if sent.step == UPDATE and inside:
            kept[sent.head.header.content_digest] = transcript.content(sent)
        elif not _left_out(sent) and (sent.step != SUM or inside):
            kept[sent.body] = transcript.blobs.get(sent.body)
    return {digest: blob for digest, blob in kept.items() if blob is not None}


def _left_out(sent: Sent) -> bool:
    """Sealed forms, which nobody can read, and the steps of a ceremony before its approval, of which digests are checked."""
    ceremony = row_of(sent.step).when is When.CEREMONY and sent.step != APPROVAL_KIND
    return sent.head.header.sealed or ceremony


def _fitting(transcript: Transcript) -> tuple[int, ...]:
    """As many rounds as fit, the last one first, then the first one: where a model is finished, and where it began."""
    agreed = transcript.manifest.experiment.rounds
    base = len(_packed(transcript, ())) + len(_page(transcript, "", (), "en", str).encode())
    chosen: list[int] = []
    for number in dict.fromkeys((agreed, 1, *range(2, agreed))):
        more = len(_packed(transcript, (number,))) - len(_packed(transcript, ()))
        if base + more > MOST_BYTES:
            break
        chosen.append(number)
        base += more
    return tuple(chosen)


def _packed(transcript: Transcript, sample: tuple[int, ...] | None) -> str:
    """Base64 of the container."""
    blobs = transcript.blobs if sample is None else kept_bodies(transcript, sample)
    return base64.b64encode(container(transcript.to_bytes(), blobs if transcript.blobs else None)).decode()


def _render(
    transcript: Transcript, sample: tuple[int, ...] | None, language: str, translate: Callable[[str], str]
) -> EvidenceFile:
    return EvidenceFile(_page(transcript, _packed(transcript, sample), sample, language, translate), sample)


def _page(
    transcript: Transcript, record: str, sample: tuple[int, ...] | None, language: str, translate: Callable[[str], str]
) -> str:
    manifest = transcript.manifest
    environment = Environment(
        loader=PackageLoader("hefl_core", "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    terms = {**terms_of(manifest), "sample": None if sample is None else list(sample)}
    seats, rows = _who_reads_what(transcript, translate)
    return environment.get_template("evidence.html").render(
        language=language,
        said={name: translate(text) for name, text in STANDING.items()},
        running=_script({name: translate(text) for name, text in RUNNING.items()}),
        terms=_script(terms),
        record=record,
        modules=modules(),
        experiment=manifest.experiment,
        run=manifest.id,
        version=__version__,
        day=date.today().isoformat(),
        sample=sample,
        seats=seats,
        rows=rows,
        not_promised=[translate(sentence) for sentence in NOT_PROMISED],
    )


def _script(value: Any) -> str:
    """JSON that can stand in a script element: nothing in it ends the element."""
    return json.dumps(value, ensure_ascii=False).replace("<", "\\u003c")


def _who_reads_what(
    transcript: Transcript, translate: Callable[[str], str]
) -> tuple[tuple[str, ...], list[tuple[str, list[tuple[str, bool]]]]]:
    """(seats, rows): of each secret what each seat has, and whether that is more than the protocol means it to have."""
    matrix = knowledge(transcript, len(transcript.sent))

    def cell(seat: str, name: str) -> KnowledgeCell:
        return matrix.cell(seat, name)

    rows = [
        (
            translate(SECRETS[secret.kind]).format(owner=secret.owner),
            [
                (translate(STATES[cell(seat, secret.name).state.value]), matrix.leaks(seat, secret))
                for seat in matrix.seats
            ],
        )
        for secret in matrix.secrets
    ]
    return matrix.seats, rows
