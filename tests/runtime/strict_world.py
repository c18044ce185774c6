"""A coordinator in this process, everybody else as a real service on loopback: what the tests of the strict mode share."""

import threading
from contextlib import contextmanager

from hefl_core.ids import COORDINATOR, KMS
from hefl_core.runtime import stage
from hefl_core.runtime.exchange import Exchange
from hefl_core.runtime.kit import Kit
from hefl_core.runtime.logs import Log
from hefl_core.runtime.metrics import Metrics
from hefl_core.runtime.one_machine import OneMachine
from hefl_core.runtime.run import Run
from hefl_core.runtime.settings import Settings
from hefl_core.runtime.strict import strict_stage


class World:
    """A provisioned machine; ``run`` is a Run whose steps the test takes itself."""

    def __init__(self, experiment, folder):
        self.machine = OneMachine(experiment, folder / "parties")
        self.home = self.machine.folder / COORDINATOR
        self.kit = Kit.load(self.home)
        self.metrics = Metrics(COORDINATOR)
        self.stop = threading.Event()
        roles, log = self.kit.roles, Log(COORDINATOR, "error")
        self.exchange = Exchange(self.kit.manifest.id, roles, log, self.metrics, lease_seconds=3, stop=self.stop)
        self.store = stage.open_store(self.home, COORDINATOR)
        settings = Settings.load(COORDINATOR, self.home / "service.toml", {})
        self.address = self.exchange.listen(settings.listen, self.kit.credentials(self.store))

    def start(self, *names):
        self.machine.start(*names)
        self.wait(*names)

    def wait(self, *names):
        assert self.exchange.wait_until(lambda here: set(names) <= set(here), 90), self.machine.ended_badly()

    def gone(self, name):
        assert self.exchange.wait_until(lambda here: name not in here, 60)

    def run(self):
        coordinator = stage.make_coordinator(self.kit.manifest, self.kit.member(KMS), self.store)
        made = strict_stage(self.kit, coordinator, self.exchange, lambda: None)
        return Run(self.kit.manifest.experiment, "strict", stage=made, manifest=self.kit.manifest)

    def close(self):
        self.stop.set()
        self.exchange.close()
        self.machine.stop()
        self.store.close()


@contextmanager
def world(experiment, folder, *, everybody=True):
    made = World(experiment, folder)
    try:
        if everybody:
            made.start(*[name for name in made.machine.names if name != COORDINATOR])
        yield made
    finally:
        made.close()
