"""Containers without a container engine: the services of compose.yaml in namespaces of their own.

Each service gets a network, mount, host-name, IPC and process namespace, a read-only root made of the machine's own
folders with /app and /opt/hefl in it, its tmpfs and its volume where compose.yaml says, the user and the capabilities
that compose.yaml says, and a leg of a bridge that leads nowhere else. What it is not: an image that was pulled, and
cgroup limits.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from hefl_core.checks.faults import namespaces
from tests.deploy.files import ROOT, arguments, image_environment

SYSTEM = ("usr", "bin", "sbin", "lib", "lib64", "etc", "opt")
TOOLS = ("nsenter", "setpriv", "mount")
READY = '"event": "ready"'


def why_not():
    """Why namespaces cannot be had here, or nothing."""
    missing = [name for name in TOOLS if shutil.which(name) is None]
    if missing:
        return f"not installed: {', '.join(missing)}"
    if reason := namespaces.why_not():
        return reason
    tried = subprocess.run(["unshare", "--mount", "--uts", "--pid", "--fork", "true"], capture_output=True)
    return "" if tried.returncode == 0 else "this kernel or container gives no namespaces"


class Network(namespaces.Network):
    """With a hosts file, as an engine gives its services names."""

    def __init__(self, names, folder):
        super().__init__(tuple(names))
        self.hosts = folder / "hosts"
        lines = ["127.0.0.1 localhost", *(f"{address} {name}" for name, address in self.addresses.items())]
        self.hosts.write_text("\n".join(lines) + "\n", encoding="utf-8")

    def processes(self, name):
        """Who is still in a service's network namespace."""
        return subprocess.check_output(["ip", "netns", "pids", self.namespace(name)], text=True).split()


class Tap:
    """Every packet that passes a service's line, until it is closed: ``seen``."""

    def __init__(self, net, name, path):
        self._path = path
        command = [*net.enter(name), "tcpdump", "-i", "eth0", "-U", "-Z", "root", "-s", "0", "-w", str(path)]
        self._tcpdump = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def close(self):
        self._tcpdump.terminate()
        self._tcpdump.wait()

    @property
    def seen(self):
        return self._path.read_bytes()


def script(service, volume, hosts, secret):
    """Shell that makes the root, enters it and becomes the service's user: what an engine does, in its order."""
    uid, gid = service["user"].split(":")
    lines = ["set -e", "root=$1; shift", "mount --make-rprivate /", "mount -t tmpfs tmpfs $root"]
    base = Path(sys.base_prefix).resolve()
    outside = [str(base)[1:]] if not str(base).startswith("/usr") else []
    for name in (*SYSTEM, *outside):
        if not Path("/", name).is_symlink():
            lines += [f"[ ! -d /{name} ] || {{ mkdir -p $root/{name}; mount --rbind /{name} $root/{name}; }}"]
        else:
            lines += [f"ln -s {os.readlink(Path('/', name))} $root/{name}"]
    lines += ["mkdir -p $root/proc $root/dev/shm $root/sys $root/app $root/run/secrets $root/tmp $root/var/lib/hefl"]
    lines += ["mount -t tmpfs tmpfs $root/opt; mkdir $root/opt/hefl"]
    lines += [f"mount --bind {ROOT} $root/app", f"mount --bind {sys.prefix} $root/opt/hefl"]
    lines += [f"mount --bind {hosts} $root/etc/hosts", "mount -t proc proc $root/proc"]
    lines += ["for d in null zero random urandom; do touch $root/dev/$d; mount --bind /dev/$d $root/dev/$d; done"]
    lines += ["ln -s /proc/self/fd $root/dev/fd"]
    lines += [f"mount -t tmpfs -o size={service['shm_size']},mode=1777 tmpfs $root/dev/shm"]
    for entry in service["tmpfs"]:
        where, options = entry.split(":", 1)
        lines += [f"mount -t tmpfs -o {options} tmpfs $root{where}"]
    if volume:
        lines += [f"mount --bind {volume} $root/var/lib/hefl"]
    for name in service.get("secrets", ()):
        lines += [f"cp {secret} $root/run/secrets/{name}; chown {uid} $root/run/secrets/{name}"]
    assert service["read_only"] and service["cap_drop"] == ["ALL"]
    for name in ("", *SYSTEM, "app", "opt/hefl"):
        lines += [f"[ -L $root/{name} ] || [ ! -d $root/{name} ] || mount -o remount,bind,ro $root/{name}"]
    become = f"--reuid {uid} --regid {gid} --clear-groups --no-new-privs --inh-caps=-all --bounding-set=-all"
    lines += [
        f"hostname {service['hostname']}",
        f'exec chroot $root setpriv {become} -- sh -c \'cd /app && exec "$@"\' sh "$@"',
    ]
    return "\n".join(lines)


class Container:
    """One service of compose.yaml, started as its image and its entry say; ``entry``: a machine without our image."""

    def __init__(self, name, service, network, folder, secret, entry=None):
        self.name, self.service, self.network = name, service, network
        self.folder = folder / name
        self.folder.mkdir()
        self.log = self.folder / "log"
        self.volume = self.folder / "volume" if "volumes" in service else None
        uid, gid = map(int, service["user"].split(":"))
        if self.volume:
            self.volume.mkdir(mode=0o700)
            os.chown(self.volume, uid, gid)
        (self.folder / "root").mkdir()
        image = {} if entry else image_environment()
        # Training is compared bit by bit with this process's: the same kernels must multiply.
        image |= {name: value for name, value in os.environ.items() if name.startswith("OPENBLAS_")}
        self.environment = image | {k: str(v) for k, v in service["environment"].items()}
        self.environment["PATH"] = "/opt/hefl/bin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        self._script = script(service, self.volume, network.hosts, secret)
        self._entry = entry or json.loads(arguments("ENTRYPOINT")[0])
        self.process = None

    def start(self):
        command = [*self._entry, *self.service["command"]]
        wrapped = ["ip", "netns", "exec", self.network.namespace(self.name)]
        wrapped += ["unshare", "--mount", "--uts", "--ipc", "--pid", "--fork"]
        wrapped += ["sh", "-c", self._script, "sh", str(self.folder / "root"), *command]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                wrapped, env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    @property
    def inner(self):
        """The service's own process, as this machine numbers it: the child of unshare. None before it is there."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return int(children[0]) if children else None

    def exec(self, command, **options):
        """`docker compose exec`: a process beside the service, in its namespaces, as its user."""
        uid, gid = self.service["user"].split(":")
        inside = ["nsenter", "--target", str(self.inner), "--all", "--root", "--wd"]
        inside += ["setpriv", "--reuid", uid, "--regid", gid, "--clear-groups", "--no-new-privs", "--"]
        return subprocess.Popen([*inside, *command], env=self.environment, **options)

    def healthy(self):
        probe = json.loads(arguments("HEALTHCHECK")[0].split("CMD ", 1)[1])
        with self.exec(probe, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as asked:
            return asked.wait() == 0

    def wait_until_healthy(self, seconds=120):
        end = time.monotonic() + seconds
        while time.monotonic() < end and self.process.poll() is None:
            if (
                READY in self.log.read_text() and self.healthy()
            ):  # the probe is a Python of its own: no need to ask often
                return
            time.sleep(0.2)
        raise AssertionError(f"{self.name} did not become healthy:\n{self.log.read_text()[-3000:]}")

    def ask_to_stop(self):
        """As an engine does: SIGTERM to the service alone."""
        if self.process.poll() is None:
            os.kill(self.inner, signal.SIGTERM)

    def exit_code(self, seconds):
        """The service's own, None when it had to be killed after a time of grace."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            return None

    def kill(self):
        """The end of process 1 of a namespace is the end of everything in it.

        unshare's --kill-child does not reach it: the signal for a parent's death is lost with the change of user.
        """
        if self.process is None or self.process.poll() is not None:
            return
        if self.inner is not None:
            os.kill(self.inner, signal.SIGKILL)
        self.process.kill()
        self.process.wait()
