"""`hefl class` in a process of its own, with a fault: run as `python -m tests.classroom.faulty_servers FAULT class …`."""

import sys

from hefl_core.classroom import bridge
from hefl_core.classroom.custody import ClassKey
from hefl_core.classroom.summing import Summing


def keep_the_key():
    """Shares are handed out, and kept."""
    ClassKey.take_share = lambda self, index: bridge.phone_share(self._shares[index])
    ClassKey.undelivered = property(lambda self: ())


def open_one(*, named):
    """Only the first upload is added. ``named``: the others are said to be in the sum all the same."""
    add, finish = Summing.add, Summing.finish

    def first_only(self, seat, body, masks):
        kept = self._running
        if self.addends:
            self._running = type("Nothing", (), {"add": lambda *_: None})()
        try:
            return add(self, seat, body, masks)
        finally:
            self._running = kept

    def short(self):
        if not named:
            del self.addends[1:]
        return finish(self)

    Summing.add, Summing.finish = first_only, short


FAULTS = {
    "none": lambda: None,
    "keeps the key": keep_the_key,
    "opens one": lambda: open_one(named=False),
    "opens one as all": lambda: open_one(named=True),
}

if __name__ == "__main__":
    FAULTS[sys.argv.pop(1)]()
    from hefl_core.cli.main import main

    main()
