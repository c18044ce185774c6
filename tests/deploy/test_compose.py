"""compose.yaml and the Dockerfile say what the documents promise. Whether it runs: test_namespaces.py."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.deploy.files import CLIENTS, PARTIES, ROOT, arguments, compose, instructions

FILES = sorted(path.name for path in ROOT.glob("compose*.yaml"))
SERVICES = compose()["services"]
KEY_HOLDERS = ("kms", *CLIENTS)


def tool(name):
    found = Path(sys.executable).with_name(name)
    if not found.exists():
        pytest.skip(f"{name} is not installed: no wheel for this platform")
    return str(found)


def against_schema(path):
    command = [tool("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", str(path)]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.mark.parametrize("name", FILES)
def test_the_files_keep_to_the_compose_specification(name):
    found = against_schema(ROOT / name)
    assert found.returncode == 0, found.stdout


def test_a_file_beyond_the_specification_is_found(tmp_path):
    changed = compose()
    changed["services"]["kms"]["read_onyl"] = True
    path = tmp_path / "compose.yaml"
    path.write_text(yaml.safe_dump(changed), encoding="utf-8")
    assert "read_onyl" in against_schema(path).stdout


def test_hadolint_has_nothing_to_say(tmp_path):
    assert subprocess.run([tool("hadolint"), "Dockerfile"], cwd=ROOT).returncode == 0
    planted = tmp_path / "Dockerfile"
    planted.write_text("FROM debian:latest\nRUN cd /tmp && sudo apt-get install curl\n", encoding="utf-8")
    said = subprocess.run([tool("hadolint"), str(planted)], capture_output=True, text=True)
    assert said.returncode and {"DL3007", "DL3004"} <= set(said.stdout.split())


def test_one_service_per_party_and_one_image():
    parties = [service["environment"]["HEFL_PARTY"] for service in SERVICES.values()]
    assert sorted(parties) == sorted([*PARTIES, "ray-head", "gui"]) == sorted(SERVICES)
    assert {service["image"] for service in SERVICES.values()} == {"hefl:local"}
    roles = {name: service["command"] for name, service in SERVICES.items()}
    assert all(roles[name] == ["serve", "client" if name in CLIENTS else name] for name in roles)


@pytest.mark.parametrize("name", FILES)
def test_every_service_is_confined(name):
    for service in compose(name)["services"].values():
        assert service["user"] == "10001:10001"
        assert service["ulimits"] == {"core": 0}
        assert service["read_only"] is True and service["cap_drop"] == ["ALL"]
        assert "no-new-privileges:true" in service["security_opt"]
        assert not {"privileged", "cap_add", "devices", "pid", "ipc"} & set(service)
        assert any(entry.startswith("/tmp:") for entry in service["tmpfs"])


def test_only_the_screen_is_published_and_on_loopback():
    assert {name: service["ports"] for name, service in SERVICES.items() if "ports" in service} == {
        "gui": ["127.0.0.1:8501:8501"]
    }
    assert compose()["networks"]["inside"] == {"internal": True}
    assert [name for name, service in SERVICES.items() if service["networks"] != ["inside"]] == ["gui"]


def test_each_key_holder_has_a_volume_of_its_own_and_nobody_else_has_one():
    volumes = {name: service["volumes"] for name, service in SERVICES.items() if "volumes" in service}
    assert volumes == {name: [f"{name}:/var/lib/hefl"] for name in KEY_HOLDERS}
    assert sorted(compose()["volumes"]) == sorted(KEY_HOLDERS)
    for keyless in ("coordinator", "auditor", "gui", "ray-head"):
        assert SERVICES[keyless]["environment"]["HEFL_HOME"] == "/tmp/hefl"  # a tmpfs


@pytest.mark.parametrize("name", FILES)
def test_secrets_come_as_files(name):
    whole = compose(name)
    for service in whole["services"].values():
        for variable, value in service["environment"].items():
            assert "TOKEN" not in variable or str(value).startswith("/run/secrets/"), variable
    for secret in whole.get("secrets", {}).values():
        assert set(secret) == {"file"}


def without(service, *names):
    return {key: value for key, value in service.items() if key not in names}


def test_the_parties_that_join_a_cluster_are_the_same_but_for_the_head():
    """What runs in namespaces for compose.yaml (test_namespaces.py) is what compose.cluster.yaml starts elsewhere."""
    joining = compose("compose.cluster.yaml")
    assert set(joining["services"]) == set(SERVICES) - {"ray-head"}
    for name, service in joining["services"].items():
        address = service["environment"].pop("RAY_ADDRESS")
        assert address.startswith("${RAY_ADDRESS:?")  # Compose refuses to start without one
        own = SERVICES[name] | {"environment": without(SERVICES[name]["environment"], "RAY_ADDRESS")}
        assert without(service, "networks") == without(own, "networks", "depends_on")
        assert service["networks"] == [{"inside": "cluster"}.get(network, network) for network in own["networks"]]
    assert joining["networks"]["cluster"]["external"] is True
    assert joining["volumes"] == compose()["volumes"] and joining["secrets"] == compose()["secrets"]
    assert joining["name"] != compose()["name"]


def test_who_waits_for_whom():
    for party in PARTIES:
        assert SERVICES[party]["depends_on"] == {"ray-head": {"condition": "service_healthy"}}
    assert set(SERVICES["gui"]["depends_on"]) == set(PARTIES)
    assert len(arguments("HEALTHCHECK")) == 1


def test_the_health_check_asks_the_ready_endpoint(tmp_path):
    probe = json.loads(arguments("HEALTHCHECK")[0].split("CMD ", 1)[1])
    program = tmp_path / "ready.py"
    program.write_text(
        "import threading, sys\n"
        "from hefl_core.ops.metrics import Endpoint, Metrics\n"
        "from hefl_core.ops.settings import Address\n"
        "ready = threading.Event(); at = Endpoint(Address('127.0.0.1', 0), Metrics('kms'), ready).address\n"
        "print(at.port, flush=True)\n"
        "for line in sys.stdin: ready.set(); print('set', flush=True)\n"
    )
    with subprocess.Popen(
        [sys.executable, str(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as server:
        environment = os.environ | {"HEFL_METRICS": f"0.0.0.0:{int(server.stdout.readline())}"}

        def healthy():
            asked = subprocess.run([sys.executable, *probe[1:]], env=environment, capture_output=True)
            return asked.returncode == 0

        assert probe[0] == "python" and not healthy()
        server.stdin.write("\n")
        server.stdin.flush()
        server.stdout.readline()
        assert healthy()
        server.stdin.close()


def test_the_image_is_pinned_and_nobody_is_root():
    installs = [line for line in instructions() if "pip install" in line]
    assert len(installs) == 1 and {"--require-hashes", "--only-binary"} <= set(installs[0].split())
    assert len(arguments("FROM")) == 2 and arguments("USER") == ["10001:10001"]
    last = max(number for number, line in enumerate(instructions()) if line.startswith("FROM"))
    copied = [line for line in instructions()[last:] if line.startswith(("COPY", "ADD"))]
    assert copied and all("--from=build" in line for line in copied)


def test_the_context_lets_in_what_runs_and_no_more():
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    allowed = {line[1:] for line in rules if line.startswith("!")}
    assert allowed == {
        "app.py",
        "hefl_core",
        "pages",
        "lessons",
        "locale",
        ".streamlit/config.toml",
        "requirements.lock",
    }
    assert {"**/*.key", "**/*.db"} <= set(rules)
