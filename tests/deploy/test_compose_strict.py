"""compose.strict.yaml keeps organisations apart; what every compose file keeps to stands in test_compose.py.

Whether it runs: test_strict_namespaces.py.
"""

from tests.deploy.files import compose

WHOLE = compose("compose.strict.yaml")
SERVICES = WHOLE["services"]
CLIENTS = ("client-1", "client-2", "client-3")
PARTIES = ("coordinator", "kms", "auditor", *CLIENTS)


def test_one_service_per_party_over_tls_and_nothing_of_ray():
    assert set(SERVICES) == set(PARTIES)
    for name, service in SERVICES.items():
        environment = service["environment"]
        assert service["command"] == ["serve", "client" if name in CLIENTS else name]
        assert (environment["HEFL_PARTY"], environment["HEFL_TRANSPORT"]) == (name, "tls")
        assert not [variable for variable in environment if variable.startswith("RAY")]
    assert "secrets" not in WHOLE and "depends_on" not in str(SERVICES)


def test_each_party_has_a_directory_of_its_own_and_nothing_else():
    for name, service in SERVICES.items():
        assert service["volumes"] == [f"./parties/{name}:/var/lib/hefl"]
        assert service["tmpfs"] == ["/tmp:mode=1777,size=256m"]
    assert "volumes" not in WHOLE


def test_nothing_is_published_and_only_the_coordinator_listens():
    assert not [name for name, service in SERVICES.items() if {"ports", "expose", "network_mode"} & set(service)]
    assert WHOLE["networks"] == {"between": {"internal": True}}
    assert {tuple(service["networks"]) for service in SERVICES.values()} == {("between",)}
    assert [name for name, service in SERVICES.items() if "HEFL_LISTEN" in service["environment"]] == ["coordinator"]
    assert {service["environment"]["HEFL_METRICS"] for service in SERVICES.values()} == {"127.0.0.1:9464"}


def test_who_was_killed_is_started_again_and_who_left_is_not():
    assert {service["restart"] for service in SERVICES.values()} == {"on-failure"}
