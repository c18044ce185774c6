"""Whoever connects and says nothing is shown the door, while who takes part is served. Waits are for states, not for times."""

import socket
import ssl
import threading
import time

import pytest

from hefl_core.ops import metrics as health
from hefl_core.ops.metrics import Endpoint, Metrics
from hefl_core.ops.settings import Address
from hefl_core.runtime import stage
from hefl_core.runtime.services import channel
from hefl_core.runtime.services.coordinator_server import CoordinatorServer
from hefl_core.runtime.services.kit import Kit
from tests.conftest import SMALL
from tests.runtime.services.strict_world import World

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")
STRANGERS = 40
GENEROUS_SECONDS = 60
"""Beyond what is stated: this machine may have other things to do."""
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
"""RFC 9113, 3.4: what an HTTP/2 connection begins with, and an empty SETTINGS frame."""


def connected(address):
    return socket.create_connection((address.host, address.port), timeout=GENEROUS_SECONDS)


def is_closed(one, seconds):
    """Whether the other end closes a connection within so many seconds; what it says until then is thrown away."""
    end = time.monotonic() + seconds
    try:
        while (left := end - time.monotonic()) > 0:
            one.settimeout(left)
            if not one.recv(4096):
                return True
    except TimeoutError:
        return False
    except OSError:
        return True
    return False


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    world = World(SMALL.but(observed=False), tmp_path_factory.mktemp("idle"), 3)
    yield world
    world.close()


def credentials(world, name):
    home = world.machine.folder / name
    with stage.open_store(home, name) as store:
        return Kit.load(home).credentials(store)


def over_tls(address, folder, shown=None):
    """A TLS connection; ``shown``: with the certificate of a party."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    if shown is not None:
        for name, content in (("certificate", shown.certificate), ("key", shown.key)):
            (folder / name).write_bytes(content)
        context.load_cert_chain(folder / "certificate", folder / "key")
    return context.wrap_socket(connected(address))


def half_a_hello(address):
    one = connected(address)
    one.sendall(b"\x16\x03\x01\x02\x00\x01")
    return one


def test_the_silent_are_closed_while_a_party_attends(made, tmp_path):
    """Strangers that say nothing or half a hello, a certified one without a word, one without a call."""
    own = credentials(made, "client-1")
    silent = [connected(made.address) for _ in range(STRANGERS)]
    silent += [half_a_hello(made.address) for _ in range(STRANGERS)]
    certified = [over_tls(made.address, tmp_path, own) for _ in range(2)]
    certified[1].sendall(PREFACE)
    made.start_here("client-2")  # waits until it has its seat
    end = time.monotonic() + max(channel.HANDSHAKE_SECONDS, channel.IDLE_SECONDS) + GENEROUS_SECONDS
    assert all(is_closed(one, end - time.monotonic()) for one in (*silent, *certified))
    assert "client-2" in made.server.attending()


def test_one_without_a_certificate_is_closed_at_once(made, tmp_path):
    try:
        stranger = over_tls(made.address, tmp_path)
        stranger.sendall(PREFACE)
    except OSError:
        return  # the other end was faster
    assert is_closed(stranger, GENEROUS_SECONDS)


def test_a_hello_in_drops_does_not_buy_time(made):
    """The second fault: a byte now and then keeps a connection from being silent."""
    one, gone = connected(made.address), threading.Event()
    end = time.monotonic() + channel.HANDSHAKE_SECONDS + GENEROUS_SECONDS
    one.sendall(b"\x16\x03\x01\x02\x00")
    while not gone.wait(0.2):
        assert time.monotonic() < end
        try:
            one.sendall(b"\x01")
        except OSError:
            gone.set()


def test_without_the_servers_options_they_stay(made, monkeypatch):
    """The control: as it was, a silent connection outlives what is stated now."""
    monkeypatch.setattr("hefl_core.runtime.services.coordinator_server.server_options", lambda seats: channel.OPTIONS)
    desk = CoordinatorServer(made.kit.manifest.id, made.kit.roles, made.server._log, Metrics("coordinator"))
    address = desk.listen(Address("127.0.0.1", 0), made.kit.credentials(made.store))
    try:
        assert not is_closed(connected(address), channel.HANDSHAKE_SECONDS + 3)
    finally:
        desk.close()


def test_more_connections_than_there_is_room_for_are_refused(made, monkeypatch):
    monkeypatch.setattr(channel, "SPARE_CONNECTIONS", 4)
    monkeypatch.setattr(channel, "HANDSHAKE_SECONDS", 600)  # nobody is closed for being silent meanwhile
    desk = CoordinatorServer(made.kit.manifest.id, made.kit.roles, made.server._log, Metrics("coordinator"))
    address = desk.listen(Address("127.0.0.1", 0), made.kit.credentials(made.store))
    room = 4 + 2 * len(made.kit.roles)
    try:
        held = [connected(address) for _ in range(room)]
        surplus = [connected(address) for _ in range(room)]
        assert all(is_closed(one, GENEROUS_SECONDS) for one in surplus)
        assert not any(closed_now(one) for one in held)
    finally:
        desk.close()


def closed_now(one):
    one.setblocking(False)
    try:
        return one.recv(1) == b""
    except BlockingIOError:
        return False


# -- health and metrics ----------------------------------------------------------------------------------------------


@pytest.fixture
def endpoint():
    made = Endpoint(Address("127.0.0.1", 0), Metrics("client-1"), threading.Event())
    yield made
    made.close()


def answer(address):
    with connected(address) as one:
        one.sendall(b"GET /live HTTP/1.0\r\nHost: localhost\r\n\r\n")
        one.settimeout(GENEROUS_SECONDS)
        try:
            return one.recv(4096)
        except OSError:
            return b""


def test_silent_callers_of_the_health_page_are_hung_up_on_and_a_flood_is_turned_away(endpoint):
    held = [connected(endpoint.address) for _ in range(health.MOST_CALLERS)]
    surplus = connected(endpoint.address)
    assert is_closed(surplus, GENEROUS_SECONDS)
    assert all(is_closed(one, health.CALL_SECONDS + GENEROUS_SECONDS) for one in held)
    end = time.monotonic() + GENEROUS_SECONDS
    while not answer(endpoint.address).endswith(b"live\n"):
        assert time.monotonic() < end


def test_a_request_in_drops_does_not_buy_time(endpoint):
    one = connected(endpoint.address)
    end = time.monotonic() + health.CALL_SECONDS + GENEROUS_SECONDS
    one.sendall(b"GET /live HTTP/1.0\r\nX: ")
    while not is_closed(one, 0.2):
        assert time.monotonic() < end
        try:
            one.sendall(b"x")
        except OSError:
            return
