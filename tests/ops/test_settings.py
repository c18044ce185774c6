"""A service's settings: which source goes before which, and what a wrong value says."""

import json

import pytest

from hefl_core.errors import EncodingError, ParameterError
from hefl_core.federation.outside import public_text
from hefl_core.ops.logs import Log
from hefl_core.ops.settings import Address, Settings

EMPTY: dict[str, str] = {}


def test_defaults_are_loopback():
    found = Settings.load("coordinator", None, EMPTY)
    assert {found.listen.host, found.coordinator.host, found.metrics.host} == {"127.0.0.1"}
    assert found.party == "coordinator" and found.transport == "tls"


def test_the_environment_goes_before_the_file_and_the_file_before_the_defaults(tmp_path):
    file = tmp_path / "service.toml"
    file.write_text('party = "client-2"\nhome = "own"\nmetrics = ""\nlog_level = "debug"\n')
    found = Settings.load("client", file, {"HEFL_PARTY": "client-3", "HEFL_PASSPHRASE": "not a setting"})
    assert (found.party, found.home, found.metrics, found.log_level) == ("client-3", tmp_path / "own", None, "debug")


@pytest.mark.parametrize(
    ("role", "text", "environment", "says"),
    [
        ("cook", "", {}, "role: expected one of kms.*'cook'"),
        ("client", "", {}, "party: expected client-1.*'nothing'.*HEFL_PARTY"),
        ("client", "", {"HEFL_PARTY": "client-0"}, "party: expected client-1"),
        ("kms", 'party = "auditor"', {}, "party: expected kms, found 'auditor'"),
        ("kms", "", {"HEFL_TRANSPORT": "pigeon"}, "transport: expected .*'pigeon'"),
        ("kms", "", {"HEFL_COORDINATOR": "here"}, "coordinator: expected host:port.*'here'"),
        ("kms", "", {"HEFL_METRICS": "127.0.0.1:99999"}, "metrics: expected host:port"),
        ("kms", "", {"HEFL_LOG_LEVEL": "loud"}, "log_level: expected debug or info"),
        ("kms", "colour = 'red'", {}, "settings among party, home.*'colour'"),
        ("kms", "listen = 7443", {}, "listen in service.toml: expected text in quotes, found '7443'"),
        ("kms", "listen = ", {}, "expected TOML"),
    ],
)
def test_a_wrong_value_says_what_was_expected_and_what_was_found(tmp_path, role, text, environment, says):
    file = tmp_path / "service.toml"
    file.write_text(text)
    with pytest.raises(ParameterError, match=says) as caught:
        Settings.load(role, file, environment)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_said(tmp_path):
    with pytest.raises(ParameterError, match="readable file"):
        Settings.load("kms", tmp_path / "none.toml", EMPTY)


def test_an_address_is_host_and_port():
    assert str(Address.parse("listen", "[::1]:80")) == "[::1]:80"


def test_the_log_writes_one_object_per_line_from_its_level_on(capsys):
    log = Log("client-1", "info")
    log.debug("not seen")
    log.warning("refused", reason="two\nlines")
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    told = json.loads(lines[0])
    assert (told["party"], told["level"], told["event"], told["reason"]) == (
        "client-1",
        "warning",
        "refused",
        "two\nlines",
    )


def test_an_error_about_private_numbers_says_nothing_outside():
    error = EncodingError("|entry| 1.3 exceeds the bound 1.0")
    assert "1.3" not in public_text(error) and "1.3" in str(error)
