"""The blindness test: does anything of the clients lie where coordinator and auditor could find it? On the real runtime.

A client's process gives fingerprints of what is private; this process looks for them in the memory of the keyless parties
and in the object store that is mapped into it. Then the same search looks where something was put: a test that does not
find that is blind itself, and says so.

What it does not prove: that nothing was there between two looks; that no transformed or encrypted copy lies somewhere; that
no side channel tells. It searches the forms of measure/traces.py, in pieces of 32 bytes and more.
"""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import msgspec
import numpy as np

from hefl_core.attacks import distinguish
from hefl_core.errors import ParameterError, RuntimeUnavailable
from hefl_core.federation import messages as m
from hefl_core.federation.client import Observation
from hefl_core.federation.experiment import Experiment
from hefl_core.ids import AUDITOR, COORDINATOR
from hefl_core.measure import uniformity
from hefl_core.measure.inputs import Inputs, examine, examine_handed
from hefl_core.measure.memory import Hit, Search
from hefl_core.measure.traces import Numbers, mean_forms, model_forms, record_forms, sum_forms, update_forms
from hefl_core.runtime import stage
from hefl_core.runtime.events import EventBus, Progress
from hefl_core.runtime.household import estate
from hefl_core.runtime.result import RunResult
from hefl_core.runtime.run import Run
from hefl_core.schemes.presets import PaillierPreset
from hefl_core.schemes.quorum import Quorum
from hefl_core.schemes.registry import load_preset
from hefl_core.wire.fingerprint import Form, Salt

KEYLESS: Final = (COORDINATOR, AUDITOR)
PIECES: Final = 2
"""Pieces searched of each form of a vector."""
FAMILY_ALPHA: Final = uniformity.FAMILY_ALPHA
LOOK_SECONDS: Final = 120.0
RAY_DUMMY: Final = b"__RAY_DUMMY__"
"""What Ray's calling convention puts before each positional argument."""


@dataclass(frozen=True, slots=True)
class Looked:
    """One process over the whole test. ``nbytes`` of the last look, ``shared`` of it in shared memory."""

    party: str
    pid: int
    looks: int
    nbytes: int
    shared: int


@dataclass(frozen=True, slots=True)
class Control:
    """Something that must be found, and whether it was."""

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
        """What a coin would get right, on average."""
        return self.trials // 2


@dataclass(frozen=True)
class Blindness:
    """What one blindness test did and found. ``needles``: by kind; ``least_bits``: the entropy of the weakest of them.

    ``handed``: what Ray gave to the coordinator's process, where it was watched from the start.
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
        """(messages, fields) that were held against the allow-list."""
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
        """Whether the test found everything that was put there for it. If not, its "nothing found" means nothing."""
        return all(control.found for control in self.controls)

    @property
    def holds(self) -> bool:
        """Nothing was found, by a test that finds."""
        return self.sighted and not self.findings

    def to_json(self) -> str:
        """For ``--json`` and downloads."""
        computed = {"needle_count": self.needle_count, "findings": self.findings}
        verdict = {"sighted": self.sighted, "holds": self.holds}
        whole = {**msgspec.to_builtins(self), **computed, **verdict}
        return msgspec.json.format(msgspec.json.encode(whole), indent=1).decode()


@dataclass
class Examination:
    """One test of one run on Ray, look after look; :meth:`conclude` closes it. ``cancel`` ends it at the next look."""

    run: Run
    seed: int = 7
    pieces: int = PIECES
    bus: EventBus = field(default_factory=EventBus)
    cancel: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._started = time.perf_counter()
        self._search = Search(Salt(os.urandom(16)))
        self._looked: dict[str, Looked] = {}
        self._hits: dict[tuple[int, str, str], Hit] = {}
        self._control_hits: set[tuple[str, str]] = set()
        self._seen: set[int] = set()

    # -- looking -----------------------------------------------------------------------------------------------

    def look(self) -> None:
        """Take fingerprints of what is private now, and search the keyless processes for all taken so far.

        Raises: RuntimeUnavailable when a process cannot be read, or the audience cancelled.
        """
        self.take()
        for party in KEYLESS:
            self._look_into(party)

    def take(self) -> None:
        """Fingerprints from every client's process, and of what the audience has seen since the last time."""
        self._check_cancelled()
        hosts = {client.host for client in self.run.parties.clients}  # type: ignore[attr-defined]
        asked = [host.fingerprints.remote(self._search.salt, self.pieces, self.seed) for host in hosts]
        for answer in _ray().get(asked, timeout=LOOK_SECONDS):
            if isinstance(answer, Exception):
                raise answer
            self._search.add(answer)
        self._search.add(map(self._search.salt.fingerprint, self._own_forms()))

    def _own_forms(self) -> Iterator[Form]:
        """Of the records, which are dealt in this process too, and of each observed round once."""
        if not self._seen:
            self._seen.add(0)
            yield from records_of(self.run.experiment, self.pieces, self.seed)
        for round_, observations in list(self.run.observer.observations.items()):
            if round_ not in self._seen:
                self._seen.add(round_)
                examples_max = self.run.transcript.manifest.examples_max
                yield from observed_forms(self.run.experiment, examples_max, observations, self.pieces, self.seed)

    def _look_into(self, party: str) -> None:
        self._check_cancelled()
        host = _ray().get(getattr(self.run.parties, party).host.whereabouts.remote(), timeout=LOOK_SECONDS)
        found = self._search.look_into(host.pid)
        before = self._looked.get(party)
        self._looked[party] = Looked(party, host.pid, before.looks + 1 if before else 1, found.nbytes, found.shared)
        self._sort(party, found.hits)

    def _sort(self, party: str, hits: Sequence[Hit]) -> None:
        """A control's needles are expected in its own place; everywhere else they are findings like all others."""
        from hefl_core.runtime.watched import CONTROL, STORED

        for hit in hits:
            name = hit.needle.split(":")[0]
            in_place = "/" in hit.mapping if name == STORED else party == SUSPECT
            if hit.kind == CONTROL and in_place:
                self._control_hits.add((name, hit.mapping))
            else:
                self._hits[hit.pid, hit.needle, hit.mapping] = hit

    def _check_cancelled(self) -> None:
        if self.cancel.is_set():
            raise RuntimeUnavailable("blindness test: cancelled; what it had looked at until then proves nothing")

    # -- the end -----------------------------------------------------------------------------------------------

    def conclude(self, result: RunResult) -> Blindness:
        """A last look, with the controls, and everything that needs the finished run.

        Raises: as :meth:`look`.
        """
        self._say("looking once more, with what was planted", 0.5)
        self.take()
        needles = Counter(one.kind for one in self._search.fingerprints.values())
        least = min(one.bits for one in self._search.fingerprints.values())
        controls = list(self._planted(result))
        self._say("the ciphertexts against noise", 0.85)
        senders, rows = uniformity.rows_of(result.transcript)
        uniform = uniformity.compare(senders, rows, FAMILY_ALPHA / 2)
        controls += _broken_schemes(senders, rows)
        self._check_cancelled()
        self._say("the distinguishing game", 0.92)
        controls.append(_broken_game(self.seed))
        return Blindness(
            experiment=result.experiment,
            when=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
            rounds=len(result.rounds),
            needles=tuple(sorted(needles.items())),
            least_bits=least,
            looked=tuple(self._looked.values()),
            hits=tuple(self._hits.values()),
            inputs=tuple((seat, examine(result.transcript, seat)) for seat in KEYLESS),
            handed=self._handed(result),
            uniform=uniform,
            guessing=self._guess(result),
            controls=tuple(controls),
            seconds=time.perf_counter() - self._started,
        )

    def _say(self, text: str, fraction: float | None = None) -> None:
        self._check_cancelled()
        self.bus.publish(Progress(text, fraction))

    def _handed(self, result: RunResult) -> Inputs | None:
        """What Ray gave to the coordinator's process, where its house kept a list."""
        coordinator = self.run.parties.coordinator
        try:
            handed = _ray().get(coordinator.host.handed.remote(), timeout=LOOK_SECONDS)  # type: ignore[attr-defined]
        except AttributeError:  # an ordinary house
            return None
        return examine_handed(
            result.transcript, handed, [stage.first_model(result.transcript.manifest), RAY_DUMMY, b""]
        )

    def _guess(self, result: RunResult) -> Guessing:
        preset = load_preset(result.experiment.scheme)
        encrypt = (
            distinguish.encryptor(preset.name)
            if preset.symmetric
            else distinguish.encryptor_under(self.run.parties.coordinator.public_key)
        )
        slow = isinstance(preset, PaillierPreset)
        return _play(encrypt, trials=40 if slow else 100, training=20 if slow else 60, seed=self.seed)

    # -- positive controls -------------------------------------------------------------------------------------

    def _planted(self, result: RunResult) -> Iterator[Control]:
        """A suspect that breaks the rules, a plaintext in the store; then the last look."""
        from hefl_core.runtime import watched

        ray = _ray()
        with TemporaryDirectory(prefix="hefl-", ignore_cleanup_errors=True) as folder:
            suspect = _suspect(result, folder)
            try:
                quorum = _control_quorum(result.experiment)
                asked = suspect.misbehave.remote(result.experiment.scheme, quorum, self._search.salt, self.seed)
                self._search.add(ray.get(asked, timeout=LOOK_SECONDS))
                stored = watched.stored_update(self.seed)
                reference = ray.put(stored.tobytes())
                forms = mean_forms("update", stored, self.pieces, self.seed)
                self._search.add(watched.control(watched.STORED, form, self._search.salt) for form in forms)
                for party in KEYLESS:
                    self._look_into(party)
                del reference
                pid = ray.get(suspect.whereabouts.remote(), timeout=LOOK_SECONDS).pid
                self._check_cancelled()
                self._sort(SUSPECT, self._search.look_into(pid).hits)
            finally:
                ray.kill(suspect, no_restart=True)
        for name, planted in PLANTED.items():
            where = sorted({mapping for found, mapping in self._control_hits if found == name})
            yield Control(name, planted, bool(where), f"found in {', '.join(where)}" if where else "not found")


SUSPECT: Final = "suspect"
PLANTED: Final = {
    "key given": "a coordinator that was given a secret key",
    "decrypts": "a coordinator that decrypts the sum",
    "update kept": "one client's update left in the coordinator's memory",
    "update in the object store": "a plaintext update put into Ray's object store",
}
"""The controls of the memory search: names as runtime/watched.py labels its needles."""


def _ray() -> Any:
    from hefl_core.runtime.cluster import ray  # half a second; the screen imports this file for its types

    return ray


def _suspect(result: RunResult, folder: str) -> Any:
    """A real coordinator in a house of its own that nobody else talks to."""
    from hefl_core.runtime.ray_actors import Settler, host_class
    from hefl_core.runtime.watched import Suspect

    transcript = result.transcript
    settler = Settler(COORDINATOR, "make_coordinator", (transcript.manifest, transcript.opening.kms))
    return host_class(Suspect).remote(str(Path(folder) / "suspect"), [settler])


def _control_quorum(experiment: Experiment) -> Quorum:
    """The run's own, but for Paillier, where a key to share takes a minute to make."""
    paillier = isinstance(load_preset(experiment.scheme), PaillierPreset)
    return Quorum(1, experiment.quorum.holders) if paillier else experiment.quorum


def _broken_schemes(senders: Sequence[str], rows: Sequence[uniformity.Row]) -> Iterator[Control]:
    for name, planted, broken in (
        ("no mask", "ciphertexts of a scheme that leaves the mask out", uniformity.unmasked),
        ("mask reused", "ciphertexts of a scheme that uses one mask for all uploads", uniformity.same_mask),
    ):
        found = uniformity.compare(senders, broken(rows), FAMILY_ALPHA / 2)
        yield Control(name, planted, not found.holds, f"p {found.p_text} in {len(found.tests)} tests")


def _broken_game(seed: int) -> Control:
    found = _play(distinguish.broken_encryptor(), trials=100, training=60, seed=seed)
    told = found.p_value < FAMILY_ALPHA / 2
    evidence = f"{found.right} of {found.trials} guesses right"
    return Control(
        "same mask, same message", "the distinguishing game against a mask that never changes", told, evidence
    )


def _play(encrypt: distinguish.Encrypt, *, trials: int, training: int, seed: int) -> Guessing:
    from scipy.stats import binomtest

    right = int(np.sum(distinguish.play(encrypt, trials, seed, training).right))
    return Guessing(trials, right, float(binomtest(right, trials, 0.5, alternative="greater").pvalue))


# -- what the observer knows -----------------------------------------------------------------------------------


def records_of(experiment: Experiment, pieces: int, seed: int) -> Iterator[Form]:
    """Every client's records. A data set is dealt by name, so this process can deal it too."""
    for number, part in enumerate(estate(experiment).parts, 1):
        yield from record_forms(f"client-{number}", part.features, pieces, seed)


def observed_forms(
    experiment: Experiment, examples_max: int, observations: Sequence[Observation], pieces: int, seed: int
) -> Iterator[Form]:
    """One round's updates, sum, mean and model, as the audience was shown them."""
    numbers = Numbers(experiment.scheme, experiment.clients)
    bounds: list[float | None] = []
    weighted = []
    for seen in observations:
        name = f"{seen.client}, round {seen.position.round}, observed"
        update = np.frombuffer(seen.update, dtype=np.float64)
        weighted.append(update * (seen.examples / examples_max))
        bounds.append(experiment.declared_bound if seen.bound is None else seen.bound)
        yield from update_forms(name, update, weighted[-1], bounds[-1], numbers, pieces, seed)
        if seen.applied and seen.theta:
            mean = np.frombuffer(seen.applied, dtype=np.float64)
            yield from mean_forms(name, mean, pieces, seed)
            yield from model_forms(f"{name}, model", np.frombuffer(seen.theta, np.float32), mean != 0, pieces, seed)
    if weighted:
        round_ = observations[0].position.round
        yield from sum_forms(f"round {round_}, observed", weighted, bounds[0], numbers, pieces, seed)


# -- a whole test ----------------------------------------------------------------------------------------------


def full_test(
    experiment: Experiment, *, pieces: int = PIECES, bus: EventBus | None = None, cancel: threading.Event | None = None
) -> tuple[RunResult, Blindness]:
    """Run an experiment with every party in a process of its own, and look twice in every round: after the sum, and at its end.

    Raises: ParameterError for a scheme that encrypts nothing; RuntimeUnavailable where memory cannot be read.
    """
    from hefl_core.runtime.ray_actors import RayRuntime
    from hefl_core.runtime.watched import WatchedHost

    require_encryption(experiment)
    bus = bus or EventBus()
    run = Run(experiment, "ray", bus=bus, stage=RayRuntime(1, bus, host=WatchedHost), keep_keys=True)
    with closing(run):
        examination = Examination(run, experiment.seed, pieces, bus, cancel or threading.Event())
        done = 0
        for sent in run.steps():
            if sent.step == m.SUM or len(run.rounds) > done:
                done = len(run.rounds)
                examination.look()
        examination.look()  # the last round's end
        result = run.result()
        found = examination.conclude(result)
        return replace(result, blindness=found), found


def look_at(run: Run, result: RunResult, bus: EventBus, cancel: threading.Event, seed: int = 7) -> Blindness:
    """A short test of a run that is over while its processes still live: one look, and the controls.

    Raises: ParameterError for a run in one process or without encryption; RuntimeUnavailable.
    """
    if result.runtime != "ray":
        raise ParameterError(
            "blindness test: expected a run whose parties have processes of their own, found a local one",
            "run it again in separate processes",
        )
    require_encryption(result.experiment)
    bus.publish(Progress("fingerprints of what is private, from every client", 0.05))
    examination = Examination(run, seed, bus=bus, cancel=cancel)
    return examination.conclude(result)


def require_encryption(experiment: Experiment) -> None:
    """Raises: ParameterError for the plaintext scheme, under which the coordinator reads everything."""
    if load_preset(experiment.scheme).family == "plaintext":
        raise ParameterError(
            "blindness test: expected a scheme that encrypts, found plaintext", "choose another; this one hides nothing"
        )
