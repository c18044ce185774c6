"""The blindness test: can coordinator and auditor find any private value of the clients? On the real runtime.

A client's process gives fingerprints of its private values. This process searches for them in the memory of the keyless
parties and in the object store mapped into it. Then the same search has to find planted values: a test that does not find
them is blind itself, and says so.

It does not prove that nothing was there between two searches, that no transformed or encrypted copy exists, or that no side
channel leaks. It searches the forms of probes/private_forms.py, in pieces of 32 bytes and more.
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

import numpy as np

from hefl_core.attacks.methods import distinguishing
from hefl_core.errors import ParameterError, RuntimeUnavailable
from hefl_core.ids import AUDITOR, COORDINATOR
from hefl_core.probes import uniformity
from hefl_core.probes.findings import FAMILY_ALPHA, PLANTED, Blindness, Control, Guessing, Looked
from hefl_core.probes.inputs import Inputs, examine, examine_handed
from hefl_core.probes.memory import Hit, Search
from hefl_core.probes.private_forms import (
    mean_forms,
    observed_forms,
    record_forms,
)
from hefl_core.runtime import stage
from hefl_core.runtime.client_home import dealt_data
from hefl_core.runtime.events import EventBus, Progress
from hefl_core.runtime.result import RunResult
from hefl_core.runtime.run import Run
from hefl_core.schemes.presets import PaillierPreset
from hefl_core.schemes.quorum import Quorum
from hefl_core.terms import messages as m
from hefl_core.terms.experiment import Experiment
from hefl_core.wire.fingerprint import Form, Salt

KEYLESS: Final = (COORDINATOR, AUDITOR)
PIECES: Final = 2
"""Pieces searched of each form of a vector."""
LOOK_SECONDS: Final = 120.0
RAY_DUMMY: Final = b"__RAY_DUMMY__"
"""Ray's marker before each positional argument."""


@dataclass
class Examination:
    """One test of one run on Ray, search by search; :meth:`conclude` closes it. ``cancel`` ends it at the next search."""

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
        """Take fingerprints of the present private values, and search the keyless processes for all taken so far.

        Raises: RuntimeUnavailable when a process cannot be read, or the test was cancelled.
        """
        self.take()
        for party in KEYLESS:
            self._look_into(party)

    def take(self) -> None:
        """Take fingerprints from every client's process, and of new observations."""
        self._check_cancelled()
        hosts = {client.host for client in self.run.parties.clients}  # type: ignore[attr-defined]
        asked = [host.fingerprints.remote(self._search.salt, self.pieces, self.seed) for host in hosts]
        for answer in _ray().get(asked, timeout=LOOK_SECONDS):
            if isinstance(answer, Exception):
                raise answer
            self._search.add(answer)
        self._search.add(map(self._search.salt.fingerprint, self._own_forms()))

    def _own_forms(self) -> Iterator[Form]:
        """Forms of the records, which are dealt in this process too, and of each observed round once."""
        if not self._seen:
            self._seen.add(0)
            yield from records_of(self.run.experiment, self.pieces, self.seed)
        for round_, observations in list(self.run.observer.observations.items()):
            if round_ not in self._seen:
                self._seen.add(round_)
                yield from observed_forms(self.run.transcript.manifest, observations, self.pieces, self.seed)

    def _look_into(self, party: str) -> None:
        self._check_cancelled()
        host = _ray().get(getattr(self.run.parties, party).host.whereabouts.remote(), timeout=LOOK_SECONDS)
        found = self._search.look_into(host.pid)
        before = self._looked.get(party)
        self._looked[party] = Looked(party, host.pid, before.looks + 1 if before else 1, found.nbytes, found.shared)
        self._sort(party, found.hits)

    def _sort(self, party: str, hits: Sequence[Hit]) -> None:
        """Split hits: a control's needle in its own place is expected, anywhere else it is a finding like all others."""
        from hefl_core.checks.blindness.hosts import CONTROL, STORED

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
        """Do the last search, with the controls, and everything that needs the finished run.

        Raises: as :meth:`look`.
        """
        self._say("looking once more, with what was planted", 0.5)
        self.take()
        needles = Counter(one.kind for one in self._search.fingerprints.values())
        least = min(one.bits for one in self._search.fingerprints.values())
        controls = list(self._planted(result))
        self._say("the ciphertexts against noise", 0.85)
        senders, rows = uniformity.rows_of(result.transcript)
        # half each for the uniformity tests and the distinguishing game: false alarms of both together stay below it
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
        """What Ray handed to the coordinator's process, if its host kept a list."""
        coordinator = self.run.parties.coordinator
        try:
            handed = _ray().get(coordinator.host.handed.remote(), timeout=LOOK_SECONDS)  # type: ignore[attr-defined]
        except AttributeError:  # an ordinary host keeps none
            return None
        return examine_handed(
            result.transcript, handed, [stage.first_model(result.transcript.manifest), RAY_DUMMY, b""]
        )

    def _guess(self, result: RunResult) -> Guessing:
        preset = result.experiment.preset
        encrypt = (
            distinguishing.encryptor(preset.name)
            if preset.symmetric
            else distinguishing.encryptor_under(self.run.parties.coordinator.public_key)
        )
        slow = isinstance(preset, PaillierPreset)
        return _play(encrypt, trials=40 if slow else 100, training=20 if slow else 60, seed=self.seed)

    # -- positive controls -------------------------------------------------------------------------------------

    def _planted(self, result: RunResult) -> Iterator[Control]:
        """Plant a host that breaks the rules and a plaintext in the store; then do the last search."""
        from hefl_core.checks.blindness import hosts

        ray = _ray()
        with TemporaryDirectory(prefix="hefl-", ignore_cleanup_errors=True) as folder:
            suspect = _suspect(result, folder)
            try:
                quorum = _control_quorum(result.experiment)
                asked = suspect.misbehave.remote(result.experiment.preset.name, quorum, self._search.salt, self.seed)
                self._search.add(ray.get(asked, timeout=LOOK_SECONDS))
                stored = hosts.stored_update(self.seed)
                reference = ray.put(stored.tobytes())  # held: Ray deletes an object without references
                forms = mean_forms("update", stored, self.pieces, self.seed)
                self._search.add(hosts.control(hosts.STORED, form, self._search.salt) for form in forms)
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


def _ray() -> Any:
    from hefl_core.runtime.ray.cluster import ray  # takes half a second; pages import this file for its types only

    return ray


def _suspect(result: RunResult, folder: str) -> Any:
    """A real coordinator in its own host that no party talks to."""
    from hefl_core.checks.blindness.hosts import Suspect
    from hefl_core.runtime.ray.actors import PartySpec, host_class

    transcript = result.transcript
    spec = PartySpec(COORDINATOR, "make_coordinator", (transcript.manifest, transcript.opening.kms))
    return host_class(Suspect).remote(str(Path(folder) / "suspect"), [spec])


def _control_quorum(experiment: Experiment) -> Quorum:
    """The run's own quorum, except for Paillier, where making a shared key takes a minute."""
    paillier = isinstance(experiment.preset, PaillierPreset)
    return Quorum(1, experiment.quorum.holders) if paillier else experiment.quorum


def _broken_schemes(senders: Sequence[str], rows: Sequence[uniformity.CiphertextRow]) -> Iterator[Control]:
    for name, planted, broken in (
        ("no mask", "ciphertexts of a scheme that leaves the mask out", uniformity.unmasked),
        ("mask reused", "ciphertexts of a scheme that uses one mask for all uploads", uniformity.same_mask),
    ):
        found = uniformity.compare(senders, broken(rows), FAMILY_ALPHA / 2)
        yield Control(name, planted, not found.holds, f"p {found.p_text} in {len(found.tests)} tests")


def _broken_game(seed: int) -> Control:
    found = _play(distinguishing.broken_encryptor(), trials=100, training=60, seed=seed)
    told = found.p_value < FAMILY_ALPHA / 2
    evidence = f"{found.right} of {found.trials} guesses right"
    return Control(
        "same mask, same message", "the distinguishing game against a mask that never changes", told, evidence
    )


def _play(encrypt: distinguishing.Encrypt, *, trials: int, training: int, seed: int) -> Guessing:
    from scipy.stats import binomtest

    right = int(np.sum(distinguishing.play(encrypt, trials, seed, training).right))
    return Guessing(trials, right, float(binomtest(right, trials, 0.5, alternative="greater").pvalue))


# -- what the observer knows -----------------------------------------------------------------------------------


def records_of(experiment: Experiment, pieces: int, seed: int) -> Iterator[Form]:
    """Every client's records. A data set is dealt by name, so this process can deal it too."""
    for number, part in enumerate(dealt_data(experiment).parts, 1):
        yield from record_forms(f"client-{number}", part.features, pieces, seed)


# -- a whole test ----------------------------------------------------------------------------------------------


def full_test(
    experiment: Experiment, *, pieces: int = PIECES, bus: EventBus | None = None, cancel: threading.Event | None = None
) -> tuple[RunResult, Blindness]:
    """Run an experiment with every party in its own process; search twice per round: after the sum, and at the end.

    Raises: ParameterError for a scheme that encrypts nothing; RuntimeUnavailable when memory cannot be read.
    """
    from hefl_core.checks.blindness.hosts import WatchedHost
    from hefl_core.runtime.ray.actors import RayRuntime

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
    """A short test of a finished run while its processes still live: one search, and the controls.

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
    """Require encryption. Raises: ParameterError for the plaintext scheme, under which the coordinator reads everything."""
    if experiment.preset.family == "plaintext":
        raise ParameterError(
            "blindness test: expected a scheme that encrypts, found plaintext", "choose another; this one hides nothing"
        )
