"""Parties as services under mutual TLS: the coordinator listens and runs the rounds, all others connect to it."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from hefl_core.errors import HeflError, RuntimeUnavailable, Stopped
from hefl_core.federation.record.transcript import LeftOut, Sent
from hefl_core.ids import AUDITOR, COORDINATOR, KMS
from hefl_core.keys.vault.store import KeyStore
from hefl_core.runtime import client_results, stage
from hefl_core.runtime.events import Event, EventBus, Progress
from hefl_core.runtime.journal import Journal
from hefl_core.runtime.result import RoundResult
from hefl_core.runtime.run import Run
from hefl_core.runtime.services.coordinator_server import LEASE_SECONDS, CoordinatorServer
from hefl_core.runtime.services.kit import Kit, own_store
from hefl_core.runtime.services.own_data import FOLDER as DATA
from hefl_core.runtime.services.own_data import home_from_files
from hefl_core.runtime.services.party_agent import PartyAgent, PartyDiary
from hefl_core.runtime.services.remote_parties import ClientDesk, KeyDesk, strict_stage

if TYPE_CHECKING:
    from hefl_core.runtime.services.context import Service

GATHER_SECONDS: Final = 300.0
"""After this time the rounds begin without the missing clients, if enough have come."""
FAREWELL_SECONDS: Final = 3 * LEASE_SECONDS
"""How long a coordinator restarted after the end waits for parties that do not know of the end yet."""
RESULT: Final = "result.json"


def serve_strict(service: Service) -> None:
    """Serve a party with its kit. Raises: DataError, ParameterError, KeyUseError for an unfit kit, store or data."""
    home, party = service.home, service.settings.party
    kit = Kit.load(home)
    with own_store(home, party) as store:
        ends = kit.check(party, store)
        service.log.info(
            "kit", experiment=kit.manifest.id, fingerprint=kit.fingerprint, certificate_ends=ends.isoformat()
        )
        (_coordinate if party == COORDINATOR else _take_part)(service, kit, store)


# -- everybody but the coordinator -----------------------------------------------------------------------------------


class _CountingDiary:
    """Diary that only counts rounds; for the auditor a round is over when it is told to close it."""

    def __init__(self, service: Service) -> None:
        self._rounds = service.metrics.rounds

    def note(self, step: str) -> None:
        """Count rounds."""
        if step == "close":
            self._rounds.inc()

    def refused(self, error: HeflError) -> None:
        """Nothing to do: it is in the log."""


class _ClientDiary:
    """A client's diary: its own results."""

    def __init__(self, service: Service, desk: ClientDesk, own: client_results.ClientResults) -> None:
        self._service, self._desk, self._own = service, desk, own

    def note(self, step: str) -> None:
        """Save a new message head; save the results of a round that ended, by this step or while catching up."""
        self._own.keep_head(self._desk.client)
        if self._own.note(self._desk.client):
            self._service.metrics.rounds.inc()
            self._service.log.info("round", round=self._desk.client.rounds_done)

    def refused(self, error: HeflError) -> None:
        """Keep the full text in the client's home."""
        self._own.refused(error)


def _take_part(service: Service, kit: Kit, store: KeyStore) -> None:
    """Serve one party until it is told to leave or to stop."""
    name, role = service.settings.party, service.settings.role
    party, diary = _MAKERS[role](service, kit, store)
    agent = PartyAgent(name, role, party, kit.manifest.id, service.log, service.metrics, diary)
    agent.attend(service.settings.coordinator, kit.credentials(store), service.stop, service.ready)


def _kms(service: Service, kit: Kit, store: KeyStore) -> tuple[object, PartyDiary]:
    return KeyDesk(stage.make_kms(kit.manifest, store), kit), _CountingDiary(service)


def _auditor(service: Service, kit: Kit, store: KeyStore) -> tuple[object, PartyDiary]:
    return stage.make_auditor(kit.manifest, kit.member(KMS), store, kit.members), _CountingDiary(service)


def _client(service: Service, kit: Kit, store: KeyStore) -> tuple[object, PartyDiary]:
    index = int(service.settings.party.rpartition("-")[2])
    home = home_from_files(kit.manifest, index, service.home / DATA)
    client = stage.make_client(kit.manifest, kit.member(KMS), index, None, store, home, kit.members)
    desk, own = ClientDesk(client), client_results.ClientResults(service.home, home.evaluate)
    diary = _ClientDiary(service, desk, own)
    diary.note("start")  # an earlier process may have finished a round and crashed before saving its results
    return desk, diary


_MAKERS: Final[dict[str, Callable[..., tuple[object, PartyDiary]]]] = {KMS: _kms, AUDITOR: _auditor, "client": _client}


# -- the coordinator -------------------------------------------------------------------------------------------------


def _coordinate(service: Service, kit: Kit, store: KeyStore) -> None:
    """Listen, wait for the parties, run all rounds, keep the record; resume where an earlier process stopped."""
    coordinator = stage.make_coordinator(kit.manifest, kit.member(KMS), store, kit.members)
    journal = Journal(service.home / client_results.FOLDER, kit.manifest, kit.member(KMS))
    if journal.transcript.resumed:
        service.log.info("resumes", rounds_done=len(journal.rounds), lines=len(journal.transcript.lines))
    server = CoordinatorServer(kit.manifest.id, kit.roles, service.log, service.metrics, stop=service.stop)
    try:
        address = server.listen(service.settings.listen, kit.credentials(store))
        service.log.info("listens", address=str(address))
        service.ready()
        if journal.transcript.closed:
            server.wait_until(lambda here: set(here) == set(kit.roles), FAREWELL_SECONDS)
        else:
            _gather(service, kit, server)
        bus = EventBus()
        run = Run(
            kit.manifest.experiment,
            "strict",
            bus=bus,
            stage=strict_stage(kit, coordinator, server, lambda: None),
            manifest=kit.manifest,
            journal=journal,
        )
        if _drained(service, run, bus):
            _keep(service, run)
            with suppress(Stopped):
                server.farewell()
    finally:
        server.close()


def _gather(service: Service, kit: Kit, server: CoordinatorServer) -> None:
    """Wait for the parties. Raises: RuntimeUnavailable when too few come."""
    service.log.info("waits", parties=len(kit.roles))
    if server.wait_until(lambda here: set(here) == set(kit.roles), GATHER_SECONDS):
        return
    here, floor = server.attending(), kit.manifest.experiment.cohort_floor
    missing = ", ".join(name for name in kit.roles if name not in here)
    enough = {KMS, AUDITOR} <= set(here) and len(here) - 2 >= floor
    service.log.warning("missing", who=missing)
    if not enough:
        raise RuntimeUnavailable(
            f"coordinator: expected KMS, auditor and {floor} clients within {GATHER_SECONDS:.0f} s; missing: {missing}"
        )


def _drained(service: Service, run: Run, bus: EventBus) -> bool:
    """Run all rounds. Returns whether they were completed. Raises: the error that breaks the run."""
    cursor = 0
    try:
        for _ in run.steps():
            cursor = _tell(service, bus, cursor)
            if service.stop.is_set():
                return False
    except HeflError:
        if not service.stop.is_set():
            raise
        return False
    finally:
        _tell(service, bus, cursor)
    return True


def _tell(service: Service, bus: EventBus, cursor: int) -> int:
    """Turn new events into log lines and metrics. Returns the new cursor."""
    events, cursor = bus.since(cursor)
    for event in events:
        _tell_one(service, event)
    return cursor


def _tell_one(service: Service, event: Event) -> None:
    log = service.log
    if isinstance(event, Sent):
        log.debug("sent", step=event.step, sender=event.sender, round=event.position.round, nbytes=event.nbytes)
        for work in event.work:
            service.metrics.step(work.step, work.seconds)
    elif isinstance(event, LeftOut):
        log.warning("left out", who=event.party, step=event.step, round=event.position.round, reason=event.reason)
    elif isinstance(event, RoundResult):
        service.metrics.rounds.inc()
        log.info("round", round=event.round, contributors=len(event.contributors), attempts=event.attempts)
    elif isinstance(event, Progress):
        log.debug("progress", text=event.text)


def _keep(service: Service, run: Run) -> None:
    """Write the public result beside the record, unless an earlier process has."""
    path = service.home / client_results.FOLDER / RESULT
    if not path.exists():
        temporary = path.with_suffix(".new")
        temporary.write_text(run.result().to_json() + "\n", encoding="utf-8")
        os.replace(temporary, path)
    service.log.info("finished", rounds=len(run.rounds))
