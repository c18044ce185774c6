"""Bots: phones without a person, in threads of this process, marked as bots wherever a seat is shown.

A bot encrypts, trains and answers like a phone. It never holds a share: a bot's share would be this computer's.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from typing import Any

from hefl_core.classroom.phone_client import PhoneClient
from hefl_core.classroom.server import ClassServer
from hefl_core.errors import HeflError

Pick = Callable[[dict[str, Any]], int]
"""From one question of the public state to a pick: the place of a choice, or a number."""
STOP_SECONDS = 5.0


def anything(question: dict[str, Any]) -> int:
    """A pick at random."""
    return secrets.randbelow(len(question["choices"]) or question["most"] + 1)


class Player:
    """Plays one seat: does once what each public state asks of it.

    ``agrees``: what a holder says when it is asked to open. ``failed``: errors, by what they stopped; empty when none did.
    """

    def __init__(self, client: PhoneClient, pick: Pick = anything, *, agrees: bool = True) -> None:
        self.client, self._pick, self._agrees = client, pick, agrees
        self.picked: dict[int, tuple[int, ...]] = {}
        self.sent: dict[tuple[str, int, int], str] = {}
        self.failed: list[str] = []
        self._done: set[tuple[str, int, int]] = set()
        self._thread: threading.Thread | None = None
        self._stopped = threading.Event()

    def start(self) -> None:
        """Play in a thread until the class ends."""
        self._thread = threading.Thread(target=self._follow, name=f"hefl-seat-{self.client.seat}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Leave: the connection ends, as that of a phone that sleeps."""
        self._stopped.set()
        self.client.hang_up()
        if self._thread is not None:
            self._thread.join(STOP_SECONDS)

    def _follow(self) -> None:
        try:
            for state in self.client.states():
                if self._stopped.is_set():
                    return
                self.react(state)
        except (HeflError, OSError, ValueError) as error:
            if not self._stopped.is_set():
                self.failed.append(f"states: {error}")

    def react(self, state: dict[str, Any]) -> None:
        """Do what this state asks and was not done before."""
        if state["paused"]:
            return
        if self.client.holder is not None and state["custody"] == "dealt":
            self._once(("share", 0, 0), self.client.take_share)
        question, now, opening = state["question"], state["round"], state["opening"]
        if state["phase"] == "predict":
            self._once(("prediction", question["id"], 0), lambda: self._predict(question))
        if state["phase"] == "question":
            self._once(("question", question["id"], 0), lambda: self._answer(question))
        if state["phase"] == "training" and self.client.seat in now["members"]:
            place = ("round", now["number"], now["attempt"])
            self._once(place, lambda: self.sent.__setitem__(place, self.client.update(now)))
        leak = state["leak"]
        if leak is not None and leak["seat"] == self.client.seat and not leak["read"]:
            self._once(("plain", state["revision"], 0), lambda: self.client.plain(leak))
        if opening is not None and self.client.holder is not None:
            self._hold(opening, state)

    def _hold(self, opening: dict[str, Any], state: dict[str, Any]) -> None:
        if opening["active"] is None:
            self._once(("consent", opening["id"], 0), lambda: self.client.consent(opening, self._agrees))
        elif self.client.holder in opening["active"]:
            mine = self._mine(opening, state)
            self._once(("partial", opening["id"], 0), lambda: self.client.partial(opening, mine))

    def _mine(self, opening: dict[str, Any], state: dict[str, Any]) -> str | None:
        now = state["round"]
        if opening["kind"] == "question":
            return self.sent.get(("question", opening["id"], 0))
        return self.sent.get(("round", now["number"], now["attempt"]))

    def _predict(self, question: dict[str, Any]) -> None:
        self.client.post(f"/prediction/{question['id']}", choice=[self._pick(one) for one in question["questions"]])

    def _answer(self, question: dict[str, Any]) -> None:
        picks = tuple(self._pick(one) for one in question["questions"])
        integers = [n for one, pick in zip(question["questions"], picks, strict=True) for n in _integers(one, pick)]
        self.sent["question", question["id"], 0] = self.client.answer(question, integers)
        self.picked[question["id"]] = picks

    def _once(self, place: tuple[str, int, int], act: Callable[[], object]) -> None:
        if place in self._done:
            return
        self._done.add(place)
        try:
            act()
        except HeflError as error:
            self.failed.append(f"{place}: {error}")


def _integers(question: dict[str, Any], pick: int) -> list[int]:
    choices = question["choices"]
    return [int(at == pick) for at in range(len(choices))] if choices else [pick, 1]


class Bots:
    """The bots of one class."""

    def __init__(self, server: ClassServer) -> None:
        self._server = server
        self.players: list[Player] = []

    def add(self, count: int) -> None:
        """Seat so many more. Raises: Refusal (429) when the class is full."""
        for _ in range(count):
            seat, token = self._server.live.join_bot(f"bot {len(self.players) + 1}")
            player = Player(PhoneClient(self._server.address, self._server.port, token, seat.number))
            self.players.append(player)
            player.start()

    def stop(self) -> None:
        """Have all leave."""
        for player in self.players:
            player.stop()
