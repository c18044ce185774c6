"""Seeded tampers with a record: does the evidence file's JavaScript break on the line on which ``hefl verify`` breaks?

    python benchmarks/evidence_tampers.py --count 1000

Four small runs (individual, 3-of-5, dealer-free, Paillier) are tampered with as hefl_core/checks/damage/transcripts.py does. Each
tampered record is written to a folder and verified there by Python, and packed as in an evidence file and checked in Node.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from random import Random

from hefl_core.app.evidence.file import container, modules
from hefl_core.app.evidence.terms import terms_of
from hefl_core.checks.damage.transcripts import tampered
from hefl_core.errors import IntegrityError
from hefl_core.federation.record.client_heads import ClientHeads
from hefl_core.federation.record.transcript import Transcript, blob_folder
from hefl_core.federation.record.verify import pin_of, verify_file
from hefl_core.runtime.run import Run
from hefl_core.terms.experiment import Experiment

NODE = shutil.which("node")
SMALL = Experiment(
    dataset="breast_cancer", model="logistic", scheme="INSECURE_bfv-1024", clients=3, rounds=2, epoch_rounds=1
)
TOGETHER = {"scheme": "INSECURE_bfv-threshold-1024", "clients": 5}
RUNS = {
    "individual": SMALL,
    "3-of-5": SMALL.but(custody="3-of-5", **TOGETHER),
    "dealer-free": SMALL.but(custody="dealer-free:3-of-5", epoch_rounds=None, **TOGETHER),
    "paillier": SMALL.but(scheme="INSECURE_paillier-512"),
}
JOB = """
import { readFileSync } from "node:fs";
import { check, readHeads, readPin } from "./check.js";
import { openRecord, openTerms } from "./container.js";
const read = (path) => readFileSync(path, "utf8");
const found = [];
for (const { record, terms, pin, heads } of JSON.parse(readFileSync(0, "utf8"))) {
  const options = { pin: pin && readPin(read(pin)), heads: heads && readHeads(read(heads)) };
  found.push(await check(await openRecord(readFileSync(record).toString("base64")), openTerms(read(terms)), options));
}
process.stdout.write(JSON.stringify(found));
"""


@dataclass(frozen=True)
class Tamper:
    """One tampered record. ``python``: its first break as ``hefl verify`` names it, empty when it finds none."""

    run: str
    kind: str
    python: str
    javascript: str

    @property
    def same_place(self) -> bool:
        """Both find a break, on one line, or both after the last."""
        return bool(self.python) and place(self.python) == place(self.javascript)


def place(said: str) -> str:
    """The line that a first break names; what it is about where it names none.

    >>> place("line 12: sum of coordinator: …"), place("heads: client-1 remembers …")
    ('line 12', 'heads')
    """
    return re.match(r"line \d+|\w*", said)[0]  # type: ignore[index]


@lru_cache(maxsize=8)
def finished(name: str, turn: int = 0) -> Run:
    """A finished run of this kind. ``turn``: another one."""
    run = Run(RUNS[name])
    for _ in run.steps():
        pass
    run.end_keys()
    return run


Record = tuple[str, bytes, dict[bytes, bytes] | None, Transcript]


class Checkers:
    """Python's and JavaScript's checks of records, in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name, text in modules().items():
            (folder / name).write_text(text, encoding="utf-8")
        (folder / "package.json").write_text('{"type": "module"}')
        (folder / "job.mjs").write_text(JOB)

    def python(self, lines: bytes, blobs: dict[bytes, bytes] | None, pin, heads) -> str:
        """The first break as ``hefl verify`` names it, empty when there is none."""
        path = self.folder / "record.jsonl"
        shutil.rmtree(blob_folder(path), ignore_errors=True)
        path.write_bytes(lines)
        if blobs is not None:
            blob_folder(path).mkdir()
            for digest, blob in blobs.items():
                (blob_folder(path) / digest.hex()).write_bytes(blob)
        try:
            verdict = verify_file(path, pin, heads)
        except IntegrityError as error:
            return str(error)
        return "" if verdict.sums is not None else "contents and sums: not checked"

    def javascript(self, records: Sequence[Record], sample: Sequence[int] | None = None) -> list[dict]:
        """The verdicts on (name, lines, blobs, transcript that is pinned), in one process. ``sample``: of rounds."""
        jobs = []
        for number, (name, lines, blobs, pinned) in enumerate(records):
            files = {key: self.folder / f"{name}.{key}" for key in ("terms", "pin", "heads")}
            files["record"] = self.folder / f"{number}.record"
            files["terms"].write_text(json.dumps({**terms_of(pinned.manifest), "sample": sample}))
            files["record"].write_bytes(container(lines, blobs))
            pin_of(pinned).save(files["pin"])
            ClientHeads.of(pinned).save(files["heads"])
            jobs.append({key: str(path) for key, path in files.items()})
        done = subprocess.run(
            [str(NODE), "job.mjs"],
            input=json.dumps(jobs),
            capture_output=True,
            text=True,
            cwd=self.folder,
            timeout=3600,
        )
        assert done.returncode == 0, done.stderr
        return list(json.loads(done.stdout))


def measure(count: int, seed: int) -> Iterator[Tamper]:
    """Tampers in turn with each run."""
    with tempfile.TemporaryDirectory() as folder:
        checkers, made = Checkers(Path(folder)), []
        for number in range(count):
            name = tuple(RUNS)[number % len(RUNS)]
            run, other = finished(name), finished(name, 1)
            transcript = run.transcript
            kind, lines, blobs = tampered(
                Random(f"{seed} {number}"), run, other.transcript, transcript.to_bytes(), dict(transcript.blobs)
            )
            python = checkers.python(lines, blobs, pin_of(transcript), ClientHeads.of(transcript))
            made.append((name, kind, python, (name, lines, blobs, transcript)))
        found = checkers.javascript([record for *_, record in made])
        for (name, kind, python, _), verdict in zip(made, found, strict=True):
            yield Tamper(name, kind, python, verdict["broken"] or "")


def main() -> None:
    """Print how many tampers both find at one place, and each that they do not."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=22)
    options = parser.parse_args()
    found = list(measure(options.count, options.seed))
    same = Counter((one.kind, one.same_place) for one in found)
    for kind in sorted({one.kind for one in found}):
        print(f"{kind:45} {same[kind, True]:5} at the same place, {same[kind, False]:3} not")
    for one in found:
        if not one.same_place:
            print(f"{one.run}, {one.kind}\n  python:     {one.python[:200]}\n  javascript: {one.javascript[:200]}")
    print(f"{sum(one.same_place for one in found)} of {len(found)} found at the same place; seed {options.seed}")


if __name__ == "__main__":
    main()
