"""The stage of strict mode: the coordinator is an object here, all other parties connect from their organisations.

Like actors.py, but the only process of ours there is the service that its owner started.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, cast

from hefl_core.errors import HeflError, IntegrityError, KeyUseError, RoundError, as_value
from hefl_core.federation.auditor import Auditor
from hefl_core.federation.client import Client
from hefl_core.federation.coordinator import Coordinator
from hefl_core.federation.post import untimed
from hefl_core.federation.round import Parties
from hefl_core.ids import AUDITOR, COORDINATOR, client_name
from hefl_core.ids import KMS as KMS_NAME
from hefl_core.keys.kms.service import KMS
from hefl_core.keys.roster import Member
from hefl_core.runtime.calls import Proxy
from hefl_core.runtime.services.coordinator_server import CoordinatorServer
from hefl_core.runtime.services.kit import Kit
from hefl_core.runtime.stage import Host, Runtime, Stage, custody_of
from hefl_core.terms.experiment import Manifest
from hefl_core.terms.letter import Letter
from hefl_core.wire.envelope import Envelope


class DistantParty(Proxy):
    """A party of another organisation, which its own service answers for."""

    def __init__(self, member: Member, server: CoordinatorServer) -> None:
        super().__init__(member.name)
        self.member = member
        self._server = server

    def ask(self, step: str, *arguments: Any) -> Any:
        """Through the coordinator's server. Raises: as :class:`Proxy`."""
        return self._server.ask(self.name, step, *arguments)


class StrictCarrier:
    """Passes letters and calls to the coordinator's server, all at once; yields answers as they come."""

    def __init__(self, server: CoordinatorServer) -> None:
        self._server = server

    def deliver(self, letter: Letter, to: Sequence[Any]) -> Iterator[tuple[Any, HeflError | None]]:
        """Deliver the coordinator's letters by a direct call, all others through its server."""
        yield from self._ask(to, "receive", letter.envelope)

    def gather(self, parties: Sequence[Any], step: str, argument: object) -> Iterator[tuple[Any, Any]]:
        """Ask each party for its answer."""
        yield from untimed(step, parties, self._ask(parties, step, argument))

    def _ask(self, parties: Sequence[Any], step: str, argument: object) -> Iterator[tuple[Any, Any]]:
        distant = {party.name: party for party in parties if isinstance(party, DistantParty)}
        for party in parties:
            if party.name not in distant:
                yield party, as_value(partial(getattr(party, step), argument))
        for name, answer in self._server.ask_all(list(distant), step, argument):
            yield distant[name], answer

    def body(self, letter: Letter) -> bytes:
        """The envelope holds it."""
        return letter.envelope.body


def strict_stage(kit: Kit, coordinator: Coordinator, server: CoordinatorServer, close: Callable[[], None]) -> Runtime:
    """A runtime over parties connected to ``server``; the KMS has enrolled them from its own kit."""

    def stage(manifest: Manifest, observer: Member | None) -> Stage:
        def distant(name: str) -> Any:
            return DistantParty(kit.member(name), server)

        custody, numbers = custody_of(manifest), range(1, manifest.experiment.clients + 1)
        clients = tuple(cast(Client, distant(client_name(index))) for index in numbers)
        kms, auditor = cast(KMS, distant(KMS_NAME)), cast(Auditor, distant(AUDITOR))
        parties = Parties(kms, coordinator, auditor, clients, custody.quorum.collective, custody.dealer_free)
        here = Host((COORDINATOR,), os.getpid(), platform.node())
        return Stage(parties, StrictCarrier(server), (here,), close)

    return stage


class KeyDesk:
    """The KMS's interface to the coordinator, and its policy: one key per first round, for no more rounds than the
    terms say.

    The KMS takes the members from its own kit; only its owner revokes (``keys revoke``). A repeated call changes nothing.
    """

    def __init__(self, kms: KMS, kit: Kit) -> None:
        self._kms = kms
        self._terms = kit.manifest.experiment
        enrolled = {entry.subject: dict(entry.details) for entry in kms.audit_log.entries if entry.action == "enrol"}
        for member in kit.members:
            if member.name == KMS_NAME:
                continue
            if member.name not in enrolled:
                kms.enrol(member)
            elif enrolled[member.name]["signing"] != member.signing.hex():
                raise IntegrityError(f"kit: {member.name} has other keys than those enrolled before; refuse the kit")

    def __getattr__(self, step: str) -> Any:
        return getattr(self._kms, step)

    def open_epoch(self, first_round: int, last_round: int) -> None:
        """Deal the first key. Raises: RoundError for other rounds than the terms say."""
        self._check_terms(first_round, last_round)
        self._kms.open_epoch(first_round, last_round)

    def rotate(self, first_round: int, last_round: int) -> None:
        """Deal the next key. Raises: RoundError for other rounds than the terms say."""
        self._check_terms(first_round, last_round)
        self._kms.rotate(first_round, last_round)

    def begin_ceremony(self, first_round: int, last_round: int) -> Envelope:
        """Begin a key without a dealer. Raises: RoundError for other rounds than the terms say."""
        self._check_terms(first_round, last_round)
        return self._kms.begin_ceremony(first_round, last_round)

    def end(self, epoch: int) -> None:
        """End the last epoch when the coordinator asks: the clients have their shares and keep them until their last round.

        Raises: KeyNotActive for an epoch that never was; RoundError for another than the last round's.
        """
        last = next((one.last_round for one in self._kms.epochs if one.epoch == epoch), self._terms.rounds)
        if last != self._terms.rounds:
            raise RoundError(
                f"KMS: expected the end of the key for round {self._terms.rounds}, found epoch {epoch}, which serves up "
                f"to {last}; rotate"
            )
        self._kms.end(epoch)

    def _check_terms(self, first_round: int, last_round: int) -> None:
        if not 1 <= first_round <= last_round or last_round != self._terms.last_round_of(first_round):
            raise RoundError(
                f"KMS: expected a key for {self._terms.rounds_per_epoch} of {self._terms.rounds} rounds, found "
                f"{first_round} to {last_round}; the terms say otherwise"
            )


class ClientDesk:
    """A client's interface to the coordinator; it keeps the current epoch's key whatever the coordinator asks."""

    def __init__(self, client: Client) -> None:
        self.client = client

    def __getattr__(self, method: str) -> Any:
        return getattr(self.client, method)

    def destroy_epoch(self, epoch: int) -> None:
        """Destroy an epoch's secrets. Raises: KeyUseError for the newest before this client finished the last round."""
        newest, rounds = self.client.enrolment.record.epoch, self.client.manifest.experiment.rounds
        if epoch >= newest and self.client.rounds_done < rounds:
            raise KeyUseError(
                f"destroy: expected an epoch before {newest}, found {epoch}; it is needed up to round {rounds}"
            )
        self.client.destroy_epoch(epoch)
