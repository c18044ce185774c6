"""A coordinator here, everybody else over real mutual TLS on loopback, in threads or in processes of their own.

Threads run the very code of the services (run_tls) and start at once; what needs a process gets one.
"""

import threading
from contextlib import contextmanager

from hefl_core.ids import COORDINATOR, KMS
from hefl_core.ops.logs import Log
from hefl_core.ops.metrics import Metrics
from hefl_core.ops.settings import Settings
from hefl_core.runtime import stage
from hefl_core.runtime.run import Run
from hefl_core.runtime.services.context import Service
from hefl_core.runtime.services.coordinator_server import CoordinatorServer
from hefl_core.runtime.services.kit import Kit
from hefl_core.runtime.services.one_machine import OneMachine
from hefl_core.runtime.services.provision import role_of
from hefl_core.runtime.services.remote_parties import strict_stage
from hefl_core.runtime.services.roles import serve_strict


class World:
    """A provisioned machine; ``run`` is a Run whose steps the test takes itself."""

    def __init__(self, experiment, folder, absence_seconds):
        self.machine = OneMachine(experiment, folder / "parties")
        self.home = self.machine.folder / COORDINATOR
        self.kit = Kit.load(self.home)
        self.metrics = Metrics(COORDINATOR)
        self.stop = threading.Event()
        self.threads = []
        roles, log = self.kit.roles, Log(COORDINATOR, "error")
        self.server = CoordinatorServer(
            self.kit.manifest.id,
            roles,
            log,
            self.metrics,
            lease_seconds=3,
            absence_seconds=absence_seconds,
            stop=self.stop,
        )
        self.store = stage.open_store(self.home, COORDINATOR)
        settings = Settings.load(COORDINATOR, self.home / "service.toml", {})
        self.address = self.server.listen(settings.listen, self.kit.credentials(self.store))

    def start(self, *names):
        self.machine.start(*names)
        self.wait(*names)

    def start_here(self, *names):
        """The same services in threads of this process."""
        for name in names:
            log = self.machine.log_path(name).open("a", encoding="utf-8")
            settings = Settings.load(role_of(name), self.machine.folder / name / "service.toml", {})
            told = Service(settings, Log(name, "debug", log), Metrics(name), self.stop, threading.Event())
            thread = threading.Thread(target=serve_strict, args=(told,), daemon=True)
            thread.start()
            self.threads.append((thread, log))
        self.wait(*names)

    def wait(self, *names):
        assert self.server.wait_until(lambda here: set(names) <= set(here), 200), self.machine.ended_badly()

    def gone(self, name):
        assert self.server.wait_until(lambda here: name not in here, 60)

    def run(self):
        coordinator = stage.make_coordinator(self.kit.manifest, self.kit.member(KMS), self.store)
        made = strict_stage(self.kit, coordinator, self.server, lambda: None)
        return Run(self.kit.manifest.experiment, "strict", stage=made, manifest=self.kit.manifest)

    def close(self):
        self.stop.set()
        self.server.close()
        self.machine.stop()
        for thread, log in self.threads:
            thread.join(30)
            log.close()
        self.store.close()


@contextmanager
def world(experiment, folder, *, as_processes=(), absence_seconds=3):
    """Everybody is there: these as processes, the others in threads."""
    made = World(experiment, folder, absence_seconds)
    try:
        made.start(*as_processes)
        made.start_here(*[name for name in made.machine.names if name not in (COORDINATOR, *as_processes)])
        yield made
    finally:
        made.close()
