"""Run an experiment: set up the parties, deal the keys, record the rounds in a transcript, measure, close."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from hefl_core.errors import (
    HeflError,
    IntegrityError,
    KeyNotActive,
    ParameterError,
    QuorumError,
    RoundError,
    RuntimeUnavailable,
)
from hefl_core.federation.answers import check_closing, check_refusals
from hefl_core.federation.client import Client, Observation
from hefl_core.federation.epoch import key_epoch
from hefl_core.federation.post import UNRECORDED, Post
from hefl_core.federation.record.transcript import Sent, Transcript, closing_statement, newest_roster
from hefl_core.federation.round import Parties, end_of_round, federated_round
from hefl_core.ids import AUDITOR, COORDINATOR, is_client
from hefl_core.learning import shelf
from hefl_core.runtime.client_home import dealt_data
from hefl_core.runtime.events import EventBus, Progress
from hefl_core.runtime.journal import Journal
from hefl_core.runtime.observer import Observer
from hefl_core.runtime.result import Environment, RoundResult, RunResult, TableNote
from hefl_core.runtime.stage import Host, Runtime, Stage, local_stage
from hefl_core.schemes.base import SecretShare
from hefl_core.terms.experiment import Experiment, Manifest
from hefl_core.terms.messages import MAX_ATTEMPTS, SUM, EncryptedSum
from hefl_core.wire.canonical import decode
from hefl_core.wire.envelope import Position

ROSTER = "roster"


@dataclass(frozen=True)
class _Begun:
    stage: Stage
    observer: Observer
    transcript: Transcript
    post: Post


class Run:
    """A run that can be stepped: ``steps`` yields every message as it is sent, ``result`` returns the result.

    A typed ``csv:PATH`` is read here, once: ``experiment`` carries the table's name from then on.

    ``keep_keys``: the last key outlives the rounds, for labs and for searches of the processes; until :meth:`end_keys`
    the record's bodies are not released. ``stage``: sets up the parties instead of the runtime that ``runtime`` names
    (runtime/restart.py). ``manifest``: terms agreed on beforehand; without them new ones are drawn.
    ``journal``: an earlier process's journal; the run resumes from it, with parties that outlive their processes.
    """

    def __init__(
        self,
        experiment: Experiment,
        runtime: str = "local",
        *,
        bus: EventBus | None = None,
        clients_per_host: int | None = None,
        deadline_seconds: float | None = None,
        stage: Runtime | None = None,
        manifest: Manifest | None = None,
        journal: Journal | None = None,
        keep_keys: bool = False,
    ) -> None:
        self.experiment = experiment.but(dataset=shelf.resolve(experiment.dataset))
        self._keep_keys = keep_keys
        self._copied: dict[str, dict[int, SecretShare]] = {}
        self._manifest = manifest
        self._journal = journal
        self.runtime = runtime
        self.bus = bus or EventBus()
        self.rounds: list[RoundResult] = []
        self._started = time.perf_counter()
        self._cold_start = 0.0
        self._begun: _Begun | None = None
        self._parties: Parties | None = None
        self._epoch = 0
        self._keepers: dict[int, set[str]] = {}
        self._rotate = False
        self._refusals: dict[str, dict[str, int]] = {}
        self._open_stage = stage or _runtime(runtime, clients_per_host, deadline_seconds, self.bus)

    def steps(self) -> Iterator[Sent]:
        """Every message of the run, in the order of its sending."""
        begun = self._begin()
        if begun.transcript.closed:
            return
        for number in range(len(self.rounds) + 1, self.experiment.rounds + 1):
            if self._rotation_due(number) and self._left_at(number) is None:
                yield from self._open_epoch(number, begun)
            yield from self._round(number, begun)
            self._destroy(range(1, self._epoch), self._present(begun), begun)
        if not self._keep_keys:
            self.end_keys()
        self._close_transcript(begun)

    def rotate(self) -> None:
        """Change the key before the next round; no round is lost."""
        self._rotate = True

    def revoke(self, client: str) -> None:
        """Exclude a client from the next round on, under a new key. Raises: RoundError for an unknown client."""
        self.parties.kms.revoke(client)
        self._rotate = True

    def _rotation_due(self, number: int) -> bool:
        return self._rotate or (number - 1) % self.experiment.rounds_per_epoch == 0

    def _open_epoch(self, number: int, begun: _Begun) -> Iterator[Sent]:
        """Make a new key for this round and later ones; clients missing from the new roster are out."""
        self._rotate = False
        for attempt in range(1, MAX_ATTEMPTS + 1):
            begun.post.begin(self.parties.coordinator)
            try:
                last = self.experiment.last_round_of(number)
                for sent in key_epoch(number, last, self._everybody(), begun.post):
                    if sent.step == ROSTER:
                        self._follow(sent)
                    yield sent
                return
            except (IntegrityError, QuorumError, RoundError, RuntimeUnavailable) as error:
                self._give_up_unless_dropped(error, begun, last=attempt == MAX_ATTEMPTS)

    def _follow(self, roster: Sent) -> None:
        """Take epoch and participants from a roster."""
        self._epoch = roster.position.epoch
        clients = tuple(client for client in self._everybody().clients if client.name in roster.receivers)
        self._parties = replace(self.parties, clients=clients)

    def _everybody(self) -> Parties:
        """The parties with all clients of the run: a client left out of one epoch may be in the next."""
        now = {client.name: client for client in self.parties.clients}
        clients = self._ready().stage.parties.clients
        return replace(self.parties, clients=tuple(now.get(client.name, client) for client in clients))

    def _present(self, begun: _Begun) -> list[Client]:
        """Clients present in this round. A client that returns later still has to catch up, and needs its old keys for that."""
        return [client for client in self.parties.clients if client.name not in begun.post.absent]

    def end_keys(self) -> tuple[str, ...]:
        """Destroy every key of this run, at the KMS and at every client. Returns the parties that may still hold one.

        The record's bodies and a key together reveal the updates: the bodies are released once no party is named here.
        """
        begun = self._ready()
        self._destroy(range(1, self._epoch + 1), self._everybody().clients, begun)
        left = tuple(sorted(set().union(*self._keepers.values())))
        begun.transcript.released = not left
        return left

    def _destroy(self, epochs: Iterable[int], clients: Sequence[Client], begun: _Begun) -> None:
        """Destroy these epochs' keys at the KMS and these clients. Unreachable parties are asked again after the next round."""
        self._copy_shares()
        kms, everybody = self.parties.kms, begun.stage.parties.clients
        for epoch in epochs:
            keepers = self._keepers.setdefault(epoch, {kms.name, *(client.name for client in everybody)})
            if kms.name in keepers:
                try:
                    kms.end(epoch) if epoch == self._epoch else kms.destroy(epoch)
                    keepers.discard(kms.name)
                except RuntimeUnavailable as error:
                    self._note(kms.name, "destroy", epoch, error, begun)
            asked = [client for client in clients if client.name in keepers]
            for client, answer in begun.stage.carrier.gather(asked, "destroy_epoch", epoch) if asked else ():
                if isinstance(answer, HeflError):
                    self._note(client.name, "destroy_epoch", epoch, answer, begun)
                else:
                    keepers.discard(client.name)

    def _note(self, name: str, step: str, epoch: int, error: HeflError, begun: _Begun) -> None:
        if not begun.transcript.closed:
            begun.post.note(name, step, Position(epoch, 0), error)

    @property
    def captured(self) -> dict[str, tuple[SecretShare, ...]]:
        """With ``keep_keys``, the clients' shares that an attacker in this process could have copied in time, for the labs.

        Leaks: every key that a client of this process ever had. Empty when the clients live in other processes.
        """
        self._copy_shares()
        return {name: tuple(shares.values()) for name, shares in self._copied.items()}

    def _copy_shares(self) -> None:
        objects = [
            client for client in self.parties.clients if isinstance(client, Client)
        ]  # a stand-in gives out no key
        for client in objects if self._keep_keys else ():
            with suppress(KeyNotActive):  # not dealt yet, or destroyed
                share = client.enrolment.share
                self._copied.setdefault(client.name, {})[share.id.epoch] = share

    def _begin(self) -> _Begun:
        self.bus.publish(Progress("dealing the data and setting up the parties"))
        manifest = self._manifest or dealt_data(self.experiment).manifest(self.experiment)
        observer = Observer(manifest)
        stage = self._open_stage(manifest, observer.member if self.experiment.observed else None)
        transcript = self._journal.transcript if self._journal else Transcript(manifest, stage.parties.kms.member)
        self._begun = _Begun(stage, observer, transcript, Post(transcript, stage.carrier, self.bus.publish))
        if self._journal:
            self._take_up(self._journal, self._begun)
        return self._begun

    def _take_up(self, journal: Journal, begun: _Begun) -> None:
        """Resume where the earlier process stopped; the unfinished round is asked for again from its first message on."""
        self.rounds = list(journal.rounds)
        for roster in [sent for sent in begun.transcript.sent if sent.step == ROSTER]:
            self._follow(roster)
        begun.post.resume(COORDINATOR, self.parties.kms)

    def _left_at(self, number: int) -> Position | None:
        """The position at which an earlier process left this round; None when it had not planned it."""
        position = self.parties.coordinator.position if self._journal else None
        return position if position is not None and position.round == number else None

    def _round(self, number: int, begun: _Begun) -> Iterator[Sent]:
        """Run one round and measure it."""
        started, left = time.perf_counter(), self._left_at(number)
        if left is not None and self.parties.coordinator.rounds_done == number:
            position = left  # the crash came between the round's end and its measurement
            begun.post.close([self.parties.auditor], position)
        else:
            position = yield from self._attempts(number, left.attempt if left else 1, begun)
        seconds = time.perf_counter() - started
        if number == 1:
            self._cold_start = time.perf_counter() - self._started
        self._file_uploads(position, begun)
        seen = self._with_the_sum(position, self._observe(position, "observe", self._visible(begun), begun), begun)
        result = begun.observer.measure(begun.transcript, position, seen, seconds)
        self.rounds.append(result)
        if self._journal:
            self._journal.add(result)
        self.bus.publish(result)

    def _attempts(self, number: int, first: int, begun: _Begun) -> Generator[Sent, None, Position]:
        """Run a round in as many attempts as drop-outs require, at most three in all. Returns where it ended.

        Once a client has applied an attempt's sum there is no further attempt: the others are asked again for their receipts.
        """
        position = Position(self._epoch, number, first)
        for attempt in range(first, MAX_ATTEMPTS + 1):
            applied = begun.post.receipts(position) > 0
            position = position if applied else replace(position, attempt=attempt)
            begun.post.begin(self.parties.coordinator)
            try:
                step = end_of_round if applied and attempt > first else federated_round
                yield from step(position, self.parties, begun.post)
                break
            except (RoundError, QuorumError, RuntimeUnavailable) as error:
                if attempt == MAX_ATTEMPTS or not self._others_go_on(position, begun):
                    self._give_up_unless_dropped(error, begun, last=attempt == MAX_ATTEMPTS)
        return position

    def _others_go_on(self, position: Position, begun: _Begun) -> bool:
        """Whether the next attempt excludes a client that broke this one."""
        clients = self.parties.clients
        with suppress(RuntimeUnavailable):  # the coordinator itself dropped out; the caller then decides
            return begun.post.can_spare(clients, position) or bool(self.parties.coordinator.without(position))
        return False

    def _give_up_unless_dropped(self, error: HeflError, begun: _Begun, *, last: bool) -> None:
        """As the function below. A client's own IntegrityError ends the run only if too few others remain without it."""
        absent = begun.post.absent
        alone = [name for name, reason in absent.items() if isinstance(reason, IntegrityError) and is_client(name)]
        enough = len(self.parties.clients) - len(alone) >= self.experiment.cohort_floor
        _give_up_unless_dropped(error, absent, alone if enough else [], last=last)

    def _file_uploads(self, position: Position, begun: _Begun) -> None:
        """Put the summed ciphertexts into the record, from the auditor, so that anybody can recompute the sum."""
        for entry in begun.transcript.of_round(position.round):
            if entry.step == "update":
                self._file(entry, begun)

    def _file(self, entry: Sent, begun: _Begun) -> None:
        for _ in range(MAX_ATTEMPTS):
            try:
                begun.transcript.file(self.parties.auditor.evidence(entry.position, entry.sender))
                return
            except RoundError:
                return  # an upload that the auditor rejected or never received is in no sum
            except RuntimeUnavailable as error:
                begun.post.note(AUDITOR, "evidence", entry.position, error)

    def _visible(self, begun: _Begun) -> list[Client]:
        """The clients to observe; none in a run that is not observed."""
        there = [client for client in self.parties.clients if client.name not in begun.post.absent]
        return there if self.experiment.observed else []

    def _with_the_sum(
        self, position: Position, observations: Iterable[Observation], begun: _Begun
    ) -> list[Observation]:
        """The observations, one of them with what all saw alike: that of the first contributor that is there and shows it."""
        seen = {one.client: one for one in observations}
        sent = (entry for entry in begun.transcript.of_round(position.round) if entry.position == position)
        total = next(entry for entry in sent if entry.step == SUM)
        members = decode(begun.transcript.body(total), EncryptedSum).members
        asked = [client for client in self._visible(begun) if client.name in members and client.name in seen]
        for client in asked:
            if shown := list(self._observe(position, "observe_sum", [client], begun)):
                seen[client.name] = shown[0]
                break
        return list(seen.values())

    def _observe(
        self, position: Position, step: str, clients: Sequence[Client], begun: _Begun
    ) -> Iterator[Observation]:
        key = self.parties.coordinator.public_key
        for client, sealed in begun.stage.carrier.gather(clients, step, position):
            try:
                if isinstance(sealed, HeflError):
                    raise sealed
                yield begun.observer.open(client.name, sealed, position, key)
            except HeflError as error:  # the round does not depend on the observer
                begun.post.note(client.name, step, position, error)

    def _close_transcript(self, begun: _Begun) -> None:
        """Have every reachable client sign the record's end, which includes its own last message.

        A client that refuses, or signs something else, is noted, and the others sign the record with that note.

        Raises: RoundError when fewer than min_cohort sign.
        """
        clients = self.parties.clients
        self._refusals = dict(self._count_refusals(begun))
        signing, wrong = self._record_lost_answers(begun), True
        while wrong:  # a note lengthens the record: the signatures made before it no longer fit
            signed, wrong = self._signatures(signing, begun)
            signing = [client for client in signing if client.name in signed]
        if len(signed) < self.experiment.cohort_floor:
            raise RoundError(
                f"closing: expected {self.experiment.cohort_floor} clients' signatures, found {len(signed)}"
            )
        begun.transcript.close([(client.name, signed[client.name]) for client in clients if client.name in signed])

    def _record_lost_answers(self, begun: _Begun) -> list[Client]:
        """Record the headers of messages that were made but never arrived. Returns the clients that answered."""
        parties, reached = self.parties, []
        everybody = (parties.kms, parties.coordinator, parties.auditor, *parties.clients)
        for party, answer in begun.stage.carrier.gather(everybody, UNRECORDED, -1):
            if isinstance(answer, tuple):
                begun.post.record_unsent(party.name, answer)
                reached += [party] if party in parties.clients else []
        return reached

    def _signatures(self, clients: Sequence[Client], begun: _Begun) -> tuple[dict[str, bytes], bool]:
        """Show each client the record from its own last message on. Returns the signatures, and whether a client was noted."""
        ends, signed, wrong = begun.transcript.ends([client.name for client in clients]), dict[str, bytes](), {}
        statement = closing_statement(begun.transcript.manifest.id, *begun.transcript.tail)
        for client in (client for client in clients if client.name in ends):
            for _, answer in begun.stage.carrier.gather([client], "sign_closing", ends[client.name]):
                try:
                    if isinstance(answer, HeflError):
                        raise answer
                    signed[client.name] = check_closing(
                        client.name, _signing_key(client.name, begun), statement, answer
                    )
                except RuntimeUnavailable:
                    continue  # an unreachable client signs nothing; that is no refusal
                except HeflError as error:
                    wrong[client.name] = error
        for name, reason in wrong.items():
            self._note(name, "sign_closing", self._epoch, reason, begun)
        return signed, bool(wrong)

    def _count_refusals(self, begun: _Begun) -> Iterator[tuple[str, dict[str, int]]]:
        """Each reachable party's refusals, counted by kind."""
        for party in (self.parties.coordinator, self.parties.auditor, *self.parties.clients):
            if not isinstance(begun.post.absent.get(party.name), RuntimeUnavailable):
                try:
                    if found := check_refusals(party.name, party.refusals):
                        yield party.name, found
                except RuntimeUnavailable:
                    continue
                except HeflError as error:
                    self._note(party.name, "refusals", self._epoch, error, begun)

    @property
    def transcript(self) -> Transcript:
        """The record so far. Raises: RoundError before the first step."""
        return self._ready().transcript

    @property
    def observer(self) -> Observer:
        """The observer of this run. Raises: RoundError before the first step."""
        return self._ready().observer

    @property
    def parties(self) -> Parties:
        """The parties that take part now. Raises: RoundError before the first step."""
        return self._parties or self._ready().stage.parties

    @property
    def hosts(self) -> tuple[Host, ...]:
        """The processes that the parties live in. Raises: RoundError before the first step."""
        return self._ready().stage.hosts

    def _ready(self) -> _Begun:
        if self._begun is None:
            raise RoundError("run: nothing has happened yet; take the first step")
        return self._begun

    def result(self) -> RunResult:
        """The run's result; :func:`hefl_core.checks.claims.evidence.check_claims` adds the findings."""
        begun = self._ready()
        return RunResult(
            experiment=self.experiment,
            runtime=self.runtime,
            environment=Environment.here(),
            parameters=begun.transcript.manifest.parameters,
            key_id=str(self.parties.coordinator.public_key.id),
            cold_start_seconds=self._cold_start,
            rounds=tuple(self.rounds),
            insecure=self.experiment.insecure,
            shared_processes=begun.stage.shared_processes,
            transcript=begun.transcript,
            observations=begun.observer.observations,
            refusals=self._refusals,
            hosts=begun.stage.hosts,
            table=TableNote.of(self.experiment.dataset),
        )

    def close(self) -> None:
        """End the parties' processes."""
        if self._begun is not None:
            self._begun.stage.close()


def _signing_key(client: str, begun: _Begun) -> bytes:
    roster = newest_roster(begun.transcript)
    if roster is None:
        raise RoundError("closing: expected a roster on record, found none")
    return roster.member(client).signing


def _give_up_unless_dropped(
    error: HeflError, absent: dict[str, HeflError], unheard: Sequence[str], *, last: bool
) -> None:
    """Raise unless a party dropped out: only then can another attempt help, a refusal would be repeated.

    ``unheard``: clients whose refusal alone does not end the run.
    """
    for name, reason in absent.items():
        if isinstance(reason, IntegrityError) and name not in unheard:
            raise reason from error
    dropped = any(isinstance(reason, RuntimeUnavailable) for reason in (error, *absent.values()))
    if not absent and (last or not dropped):
        raise error
    if last or not dropped:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in absent.items())
        if len({type(reason) for reason in absent.values()}) == 1:
            raise next(iter(absent.values())) from error
        raise RoundError(f"{error} ({reasons})" if reasons else str(error)) from error


def _runtime(name: str, clients_per_host: int | None, deadline_seconds: float | None, bus: EventBus) -> Runtime:
    if name == "local":
        return local_stage
    if name == "ray":
        from hefl_core.runtime.ray.actors import RayRuntime

        return RayRuntime(clients_per_host, bus, deadline_seconds)
    raise ParameterError(f"runtime: expected local or ray, found {name!r}", "use 'local' for instant runs")
