"""Uploads beyond what fits in memory lie in a file, and come back as they were."""

import os
import tracemalloc

from hefl_core.federation.auditor import Auditor
from hefl_core.federation.coordinator import Coordinator
from hefl_core.wire.spool import Spool
from tests.conftest import SMALL, finished


def test_memory_does_not_grow_with_what_is_kept():
    spool, piece = Spool[int](memory_bytes=1 << 20), os.urandom(1 << 20)
    tracemalloc.start()
    for key in range(20):
        spool[key] = piece
    used = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert used < 4 << 20
    assert all(spool[key] == piece for key in (19, 0, 7))


def test_what_is_forgotten_is_gone_and_the_rest_stays():
    spool = Spool[str]()
    spool["a"], spool["b"] = b"1", b"22"
    spool.keep(lambda key: key == "b")
    assert "a" not in spool and spool["b"] == b"22"
    spool.keep(lambda key: False)
    spool["c"] = b"333"
    assert list(spool) == ["c"] and spool["c"] == b"333"


def test_no_upload_stays_in_a_mailbox():
    run = finished(SMALL)
    for party, kind in ((run.parties.coordinator, Coordinator), (run.parties.auditor, Auditor)):
        assert isinstance(party, kind)
        bodies = [envelope.body for (_, what, _), envelope in party._inbox.items() if what == "update"]
        assert bodies and not any(bodies)
