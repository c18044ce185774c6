"""How letters travel between Ray processes, and what happens to a process that does not answer.

A dead process is noticed at once: Ray restarts it, it restores its parties from their stores, and Ray retries the pending call.
A stopped or hung process is noticed at the deadline: it is killed and then handled like a dead one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, TypeAlias

import psutil

from hefl_core.errors import HeflError, RuntimeUnavailable, as_value
from hefl_core.federation.post import untimed
from hefl_core.ids import AUDITOR, COORDINATOR, KMS
from hefl_core.keys.roster import Member
from hefl_core.runtime.ray.cluster import ray
from hefl_core.runtime.restart import StandIn
from hefl_core.terms.letter import Letter

STEP_DEADLINE_SECONDS: Final = 120.0
SETUP_DEADLINE_SECONDS: Final = 120.0
BESIDE: Final = "beside"
"""A letter's ``reference`` under way, where its body is a return value of its own."""
PID_FILE: Final = "pid"
"""File in a host's home: the id of its present process."""


class RemoteParty(StandIn):
    """Proxy for a party in another process: the same methods, answered by its host within the deadline."""

    def __init__(self, name: str, host: Any, home: Path, deadline_seconds: float = STEP_DEADLINE_SECONDS) -> None:
        super().__init__(name)
        self.host = host
        self.home = home
        self.deadline_seconds = deadline_seconds
        self.member: Member | None = None

    def settle(self) -> RemoteParty:
        """Wait until the party is ready. Raises: the error that kept it from starting."""
        self._await(self.host.settled.remote(self.name))
        return self

    def call(self, method: str, args: tuple[Any, ...]) -> Any:
        """Call the host and wait. Raises: RuntimeUnavailable when its process died, or missed the deadline and was killed."""
        return self.fetch(*self.host.call.remote(self.name, method, args))

    def fetch(self, reference: Any, body: Any = None) -> Any:
        """Get an answer of the host. ``body``: reference to a letter's body beside it. Raises: as :meth:`call`."""
        try:
            answer = ray.get(reference, timeout=self.deadline_seconds)
        except ray.exceptions.GetTimeoutError:
            self.replace_process()
            raise self.late() from None
        except ray.exceptions.RayError as error:
            raise RuntimeUnavailable(
                f"{self.name}: its process is gone ({type(error).__name__}); start the round again"
            ) from None
        if isinstance(answer, HeflError):
            raise answer
        # Ray drops an object when its owner's process dies: a body that was returned belongs to this process.
        return replace(answer, reference=body) if isinstance(answer, Letter) and answer.reference == BESIDE else answer

    def late(self) -> RuntimeUnavailable:
        """The error for an answer that missed the deadline."""
        return RuntimeUnavailable(
            f"{self.name}: expected an answer within {self.deadline_seconds:g} s, none came; it hangs or is stopped"
        )

    def replace_process(self) -> None:
        """Kill a process that does not answer; Ray starts another. A stopped process would not react to SIGTERM."""
        try:
            process = psutil.Process(int((self.home / PID_FILE).read_text()))
            if "ray::" in " ".join(process.cmdline()):  # the system may have given the id to a foreign process
                process.kill()
        except (OSError, ValueError, psutil.Error):  # on another node: Ray's own kill, some seconds slower
            ray.kill(self.host, no_restart=False)

    def restart(self) -> None:
        """Have the host restore the party; Ray restarts a lost host by itself.

        Raises: RuntimeUnavailable when that takes too long, or when its home is lost and it returns with other keys.
        """
        self._await(self.host.come_back.remote(self.name))

    def _await(self, reference: Any) -> None:
        try:
            found = ray.get(reference, timeout=SETUP_DEADLINE_SECONDS)
        except ray.exceptions.RayError as error:
            raise RuntimeUnavailable(f"{self.name}: its process does not come back ({type(error).__name__})") from None
        if isinstance(found, HeflError):
            raise found
        if self.member not in (None, found):
            raise RuntimeUnavailable(f"{self.name}: it came back without its home, as somebody else; enrol it again")
        self.member = found


Ask: TypeAlias = Callable[[RemoteParty], Sequence[Any]]
"""Starts a call. Returns the references to its answer and, for a party's method, to the body beside it."""


class RayCarrier:
    """Delivers to and asks all parties at once; takes answers as they finish, until the deadline.

    A client that gives no answer is left out and its process replaced. Coordinator, auditor and KMS have no substitute: they
    are asked again after their restart.
    """

    def __init__(self, deadline_seconds: float = STEP_DEADLINE_SECONDS) -> None:
        self._deadline = deadline_seconds

    def deliver(self, letter: Letter, to: Sequence[RemoteParty]) -> Iterator[tuple[RemoteParty, HeflError | None]]:
        """Send the header with the body's reference to every receiver at once."""
        yield from self._all(to, lambda r: [r.host.deliver.remote(r.name, letter.envelope, letter.reference)])

    def gather(self, parties: Sequence[RemoteParty], step: str, argument: object) -> Iterator[tuple[RemoteParty, Any]]:
        """Ask every party at once."""
        answers = self._all(parties, lambda p: p.host.call.remote(p.name, step, (argument,)))
        yield from untimed(step, parties, answers)

    def _all(self, parties: Sequence[RemoteParty], ask: Ask) -> Iterator[tuple[Any, Any]]:
        end = time.monotonic() + self._deadline
        asked = {references[0]: (party, references) for party in parties for references in [ask(party)]}
        waiting = list(asked)
        while waiting:
            done, waiting = ray.wait(waiting, num_returns=1, timeout=max(0.0, end - time.monotonic()))
            if not done:
                break
            for reference in done:
                party, references = asked[reference]
                yield party, self._taken(party, references, ask)
        late = [asked[reference][0] for reference in waiting]
        for party in late:
            party.replace_process()
        for party in late:
            yield party, self._again(party, party.late(), ask)

    def _taken(self, party: RemoteParty, references: Sequence[Any], ask: Ask) -> Any:
        answer = as_value(lambda: party.fetch(*references))
        return self._again(party, answer, ask) if isinstance(answer, RuntimeUnavailable) else answer

    @staticmethod
    def _again(party: RemoteParty, error: RuntimeUnavailable, ask: Ask) -> Any:
        """Retry once for coordinator, auditor and KMS: they have no substitute."""
        if party.name not in (COORDINATOR, AUDITOR, KMS):
            return error
        gone = as_value(party.come_back)
        return gone or as_value(lambda: party.fetch(*ask(party)))

    def body(self, letter: Letter) -> bytes:
        """Fetch the body for the record."""
        if letter.reference is None:
            return letter.envelope.body
        body: bytes = ray.get(letter.reference, timeout=self._deadline)
        return body
