"""Result of a blindness test, and whether it supports that the server learns nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import msgspec

from hefl_core.probes import uniformity
from hefl_core.probes.inputs import Inputs
from hefl_core.probes.memory import Hit
from hefl_core.terms.experiment import Experiment

FAMILY_ALPHA: Final = uniformity.FAMILY_ALPHA


@dataclass(frozen=True, slots=True)
class Looked:
    """One process over the whole test. ``nbytes``: read in the last look, ``shared`` of it in shared memory."""

    party: str
    pid: int
    looks: int
    nbytes: int
    shared: int


@dataclass(frozen=True, slots=True)
class Control:
    """A planted fault that the test must find, and whether it did."""

    name: str
    planted: str
    found: bool
    evidence: str


@dataclass(frozen=True, slots=True)
class Guessing:
    """The distinguishing game under the run's own key (a fresh one where encrypting takes a secret)."""

    trials: int
    right: int
    p_value: float

    @property
    def by_chance(self) -> int:
        """Correct guesses of a coin, on average."""
        return self.trials // 2


@dataclass(frozen=True)
class Blindness:
    """Result of one blindness test. ``needles``: by kind; ``least_bits``: entropy of the weakest needle.

    ``handed``: what Ray passed to the coordinator's process, where this was recorded from the start.
    """

    experiment: Experiment
    when: str
    rounds: int
    needles: tuple[tuple[str, int], ...]
    least_bits: float
    looked: tuple[Looked, ...]
    hits: tuple[Hit, ...]
    inputs: tuple[tuple[str, Inputs], ...]
    handed: Inputs | None
    uniform: uniformity.Uniformity
    guessing: Guessing
    controls: tuple[Control, ...]
    seconds: float

    @property
    def needle_count(self) -> int:
        """Different needles searched for."""
        return sum(count for _, count in self.needles)

    @property
    def mebibytes(self) -> float:
        """Memory read in the last look, all processes together; the shared store is read for each."""
        return sum(one.nbytes for one in self.looked) / 2**20

    @property
    def controls_found(self) -> int:
        """Controls that the test found."""
        return sum(control.found for control in self.controls)

    @property
    def decoded(self) -> tuple[int, int]:
        """(messages, fields) that were compared with the allow-list."""
        fields = sum(count for _, inputs in self.inputs for _, count in inputs.meanings)
        return sum(inputs.messages for _, inputs in self.inputs), fields

    @property
    def findings(self) -> tuple[str, ...]:
        """Everything that contradicts "the server learns nothing", in words."""
        hits = [f"{hit.kind} ({hit.needle}) in process {hit.pid}, {hit.mapping}" for hit in self.hits]
        read = [f"{seat}: {finding}" for seat, found in self.inputs for finding in found.findings]
        given = [f"handed to the coordinator: {finding}" for finding in (self.handed.findings if self.handed else ())]
        return (*hits, *read, *given, *self._of_ciphertexts())

    def _of_ciphertexts(self) -> Iterator[str]:
        if not self.uniform.holds:
            yield f"ciphertexts are not uniform: p {self.uniform.p_text} in {len(self.uniform.tests)} tests"
        if self.guessing.p_value < FAMILY_ALPHA / 2:
            yield f"ciphertexts can be told apart: {self.guessing.right} of {self.guessing.trials} guesses were right"

    @property
    def sighted(self) -> bool:
        """Whether the test found every control. If not, its "nothing found" proves nothing."""
        return all(control.found for control in self.controls)

    @property
    def holds(self) -> bool:
        """Whether a test that finds its controls found nothing else."""
        return self.sighted and not self.findings

    def to_json(self) -> str:
        """For ``--json`` and downloads."""
        computed = {"needle_count": self.needle_count, "findings": self.findings}
        verdict = {"sighted": self.sighted, "holds": self.holds}
        whole = {**msgspec.to_builtins(self), **computed, **verdict}
        return msgspec.json.format(msgspec.json.encode(whole), indent=1).decode()


PLANTED: Final = {
    "key given": "a coordinator that was given a secret key",
    "decrypts": "a coordinator that decrypts the sum",
    "update kept": "one client's update left in the coordinator's memory",
    "update in the object store": "a plaintext update put into Ray's object store",
}
"""Controls of the memory search: names as checks/blindness/hosts.py labels its needles."""
