"""deploy/kuberay.yaml starts the services of compose.yaml, as confined, and fits Kubernetes' schemas. It was not run.

The schema of RayCluster itself is the operator's and no package has it; its own fields are compared with the names that
the operator's v1 types declare, and what is inside them, pods, with the schema of Kubernetes.
"""

import copy

import kubernetes_validate
import pytest
import yaml

from tests.deploy.files import CLIENTS, PARTIES, ROOT, compose

KUBERNETES = "1.37"
TEXT = (ROOT / "deploy" / "kuberay.yaml").read_text(encoding="utf-8")
DOCUMENTS = list(yaml.safe_load_all(TEXT))
CLUSTER = next(document for document in DOCUMENTS if document["kind"] == "RayCluster")
SERVICES = compose()["services"]
KEY_HOLDERS = {"kms", *CLIENTS}
SPEC = {"rayVersion", "headGroupSpec", "workerGroupSpecs"}
HEAD = {"rayStartParams", "template"}
WORKER = {"groupName", "replicas", "minReplicas", "maxReplicas", "rayStartParams", "template"}


def pods():
    """Every group's pod by the name of its compose service."""
    found = {"ray-head": CLUSTER["spec"]["headGroupSpec"]["template"]["spec"]}
    return found | {group["groupName"]: group["template"]["spec"] for group in CLUSTER["spec"]["workerGroupSpecs"]}


PODS = pods()


def container(pod):
    (only,) = pod["containers"]
    return only


def environment(pod):
    return {item["name"]: item.get("value") for item in container(pod)["env"]}


def check_pod(spec):
    whole = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "one"}, "spec": spec}
    kubernetes_validate.validate(whole, KUBERNETES, strict=True)


@pytest.mark.parametrize(
    "document", DOCUMENTS, ids=lambda document: f"{document['kind']}-{document['metadata']['name']}"
)
def test_every_document_fits_its_schema(document):
    assert document["metadata"].get("namespace", "hefl") == "hefl"
    if document["kind"] != "RayCluster":
        kubernetes_validate.validate(document, KUBERNETES, strict=True)


@pytest.mark.parametrize("name", sorted(PODS))
def test_every_pod_fits_its_schema(name):
    check_pod(PODS[name])


def test_a_pod_that_does_not_fit_is_found():
    wrong = copy.deepcopy(PODS["kms"])
    container(wrong)["readOnlyRootFilesystem"] = True  # belongs into the security context
    with pytest.raises(kubernetes_validate.ValidationError, match="readOnlyRootFilesystem"):
        check_pod(wrong)


def test_the_cluster_has_the_operator_s_fields_and_no_other():
    spec = CLUSTER["spec"]
    assert CLUSTER["apiVersion"] == "ray.io/v1" and set(spec) == SPEC and set(spec["headGroupSpec"]) == HEAD
    assert CLUSTER["metadata"]["annotations"] == {"ray.io/overwrite-container-cmd": "true"}
    for group in spec["workerGroupSpecs"]:
        assert set(group) == WORKER
        assert group["replicas"] == group["minReplicas"] == group["maxReplicas"] == 1  # a party runs once
    assert f"ray=={spec['rayVersion']}" in (ROOT / "requirements-light.txt").read_text(encoding="utf-8").split()


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_a_pod_starts_what_compose_starts(name):
    pod, service = PODS[name], SERVICES[name]
    assert container(pod)["command"] == ["python", "-m", "hefl_core"] and container(pod)["args"] == service["command"]
    assert container(pod)["image"] == service["image"]
    own = {"RAY_ADDRESS", "RAY_AUTH_TOKEN_PATH", "HEFL_LISTEN", "HEFL_HOME", "POD_IP"}
    found, asked = environment(pod), service["environment"]
    assert {k: v for k, v in found.items() if k not in own} == {k: v for k, v in asked.items() if k not in own}
    address = "$(POD_IP):6379" if name == "ray-head" else f"{CLUSTER['metadata']['name']}-head-svc:6379"
    assert found["RAY_ADDRESS"] == address and found["HEFL_HOME"] == "/var/lib/hefl"
    assert found.get("HEFL_LISTEN", "127.0.0.1:").startswith("127.0.0.1:")


def test_one_group_per_party():
    assert set(PODS) == set(SERVICES) == {"ray-head", "gui", *PARTIES}


@pytest.mark.parametrize("name", sorted(PODS))
def test_every_pod_is_confined(name):
    pod = PODS[name]
    user = pod["securityContext"]
    assert user["runAsNonRoot"] is True and user["runAsUser"] == user["runAsGroup"] == user["fsGroup"] == 10001
    assert user["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container(pod)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod["automountServiceAccountToken"] is False
    assert not {"hostNetwork", "hostPID", "hostIPC", "initContainers"} & set(pod)
    assert not any("hostPath" in volume for volume in pod["volumes"])
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container(pod)[probe]["httpGet"]["port"] == 9464


@pytest.mark.parametrize("name", sorted(PODS))
def test_a_key_holder_has_a_claim_of_its_own_and_nobody_else_has_one(name):
    volumes = {volume["name"]: volume for volume in PODS[name]["volumes"]}
    assert volumes["token"]["secret"] == {"secretName": "ray-token", "defaultMode": 0o440}
    if name in KEY_HOLDERS:
        assert volumes["home"]["persistentVolumeClaim"] == {"claimName": name}
    else:
        assert volumes["home"]["emptyDir"]["medium"] == "Memory"
        assert not any("persistentVolumeClaim" in volume for volume in volumes.values())
    mounts = {mount["mountPath"]: mount["name"] for mount in container(PODS[name])["volumeMounts"]}
    assert mounts == {"/run/secrets/ray": "token", "/tmp": "tmp", "/dev/shm": "shm", "/var/lib/hefl": "home"}
    assert environment(PODS[name])["RAY_AUTH_TOKEN_PATH"].startswith("/run/secrets/ray/")


def test_claims_are_the_key_holders_and_no_secret_is_in_the_file():
    claims = {document["metadata"]["name"] for document in DOCUMENTS if document["kind"] == "PersistentVolumeClaim"}
    assert claims == KEY_HOLDERS
    assert not any(document["kind"] in ("Secret", "ConfigMap") for document in DOCUMENTS)


def test_nobody_outside_reaches_a_pod_and_pods_reach_only_each_other_and_names():
    (policy,) = [document["spec"] for document in DOCUMENTS if document["kind"] == "NetworkPolicy"]
    inside = [{"podSelector": {}}]
    assert policy["podSelector"] == {} and set(policy["policyTypes"]) == {"Ingress", "Egress"}
    assert policy["ingress"] == [{"from": inside}]
    assert [rule["to"] for rule in policy["egress"] if "ports" not in rule] == [inside]
    assert {port["port"] for rule in policy["egress"] for port in rule.get("ports", ())} == {53}
    (space,) = [document for document in DOCUMENTS if document["kind"] == "Namespace"]
    assert space["metadata"]["labels"] == {"pod-security.kubernetes.io/enforce": "restricted"}
