"""A class on loopback and its players, for tests."""

import time
from contextlib import contextmanager

from hefl_core.classroom.bots import Player
from hefl_core.classroom.custody import DEALT, ONE, Held
from hefl_core.classroom.live_class import CLOSED, LiveClass, Settings
from hefl_core.classroom.page_files import PageFile
from hefl_core.classroom.phone_client import PhoneClient
from hefl_core.classroom.question import Question
from hefl_core.classroom.server import ClassServer
from hefl_core.classroom.teacher import Teacher
from hefl_core.schemes.quorum import Quorum

PATIENCE = 300
"""Seconds until a state that is waited for must be there; other programs may keep the machine busy."""
FILES = {"phone.html": PageFile("phone.html", "text/html; charset=utf-8", b"<p>phone", "ab" * 32)}
TEA = Question("Tea?", ("yes", "no", "coffee"))
SLEEP = Question("How many hours did you sleep?", most=12)
ONE_KEY = Held(ONE)
DEALT_3_OF_5 = Held(DEALT, Quorum(3, 5))


def until(there, what):
    """Wait for a state."""
    end = time.monotonic() + PATIENCE
    while not there():
        assert time.monotonic() < end, f"waited {PATIENCE} s for {what}"
        time.sleep(0.005)


class Room:
    """A class with its server; players join with :meth:`seat`."""

    def __init__(self, held=ONE_KEY, **settings):
        self.live = LiveClass(Settings(held, **settings))
        self.teacher = Teacher(self.live)
        self.server = ClassServer(self.live, FILES, "127.0.0.1")
        self.players = []
        self.server.start()

    @property
    def port(self):
        return self.server.port

    def client(self, name="", address="127.0.0.1"):
        """A phone with a seat that does nothing by itself."""
        found = PhoneClient(address, self.port)
        found.join(self.live.seats.code, name)
        return found

    def seat(self, count, **how):
        """Players that do what the state asks."""
        made = [Player(self.client(), **how) for _ in range(count)]
        for player in made:
            player.start()
        until(lambda: all(self.live.present(one.client.seat) for one in made), f"{count} players")
        self.players += made
        return made

    def ask(self, *questions):
        """Ask, and wait until everybody has answered."""
        sheet = self.teacher.ask(questions or (TEA,))
        until(lambda: len(self.live.summing.addends) == len(self.players), "every answer")
        return sheet

    def phase(self, wanted):
        """Wait for a phase."""
        until(lambda: self.live.phase == wanted, f"phase {wanted}")

    @property
    def failed(self):
        return [error for player in self.players for error in player.failed]

    def end(self):
        for player in self.players:
            player.stop()
        if self.live.phase != CLOSED:
            self.teacher.close()
        self.server.stop()


@contextmanager
def room(held=ONE_KEY, **settings):
    """A class that is stopped at the end."""
    made = Room(held, **settings)
    try:
        yield made
    finally:
        made.end()
