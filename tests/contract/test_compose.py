"""The compose files against what the roles need and may do; their shape is `make containers`'s."""

import re

import pytest
import yaml
from scripts.rehearse_image import ROOT

from gateway.lifecycle import EXIT_SECONDS
from gateway.sandbox.settings import SandboxSettings
from gateway.settings import Settings

TEXT = (ROOT / "compose.yaml").read_text()
SERVICES = yaml.safe_load(TEXT)["services"]
ROLES = ("api", "routing", "sender")
OURS = (*ROLES, "migrate", "sandbox")


def seconds(text):
    return float(text.removesuffix("s"))


@pytest.mark.parametrize("name", OURS)
def test_what_is_ours_is_confined(name):
    service = SERVICES[name]
    assert service["image"] == "channel-gateway"
    assert service["command"] == [name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["mem_limit"]
    assert service["pids_limit"]
    assert [mount.partition(":")[0] for mount in service["tmpfs"]] == ["/tmp"]
    assert seconds(service["stop_grace_period"]) > EXIT_SECONDS


@pytest.mark.parametrize("name", OURS)
def test_variables_are_ones_that_the_programs_read(name):
    known = {field.upper() for field in Settings.model_fields}
    known |= {f"SANDBOX_{field.upper()}" for field in SandboxSettings.model_fields}
    assert set(SERVICES[name]["environment"]) <= known


@pytest.mark.parametrize("name", ROLES)
def test_roles_wait_for_the_schema_and_are_asked_whether_they_are_ready(name):
    service = SERVICES[name]
    conditions = {other: each["condition"] for other, each in service["depends_on"].items()}
    assert conditions == {
        "migrate": "service_completed_successfully",
        "kafka": "service_healthy",
    }
    assert service["healthcheck"]["test"][-1] == "readyz"
    assert service["restart"] == "unless-stopped"


def test_the_migration_waits_for_the_database_and_is_not_repeated():
    service = SERVICES["migrate"]
    assert service["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    assert service["restart"] == "no"


def test_secrets_come_from_the_environment_and_the_example_names_each():
    needed = set(re.findall(r"\$\{(\w+):\?", TEXT))
    assert needed == {"GATEWAY_ADMIN_KEY", "ENCRYPTION_KEYS", "POSTGRES_PASSWORD"}
    example = (ROOT / ".env.example").read_text()
    named = set(re.findall(r"^#?(\w+)=", example, flags=re.MULTILINE))
    assert named == set(re.findall(r"\$\{(\w+)", TEXT))


def test_three_brokers_agree_and_have_a_folder_each():
    override = yaml.safe_load((ROOT / "compose.three-brokers.yaml").read_text())
    brokers = {name: override["services"][name] for name in ("kafka", "kafka-2", "kafka-3")}
    voters = {each["environment"]["KAFKA_CONTROLLER_QUORUM_VOTERS"] for each in brokers.values()}
    assert voters == {"1@kafka:9093,2@kafka-2:9093,3@kafka-3:9093"}
    for name in ("kafka-2", "kafka-3"):
        assert brokers[name]["volumes"] == [f"{name}:/var/lib/kafka/data"]
        assert brokers[name]["environment"]["KAFKA_NODE_ID"] == name[-1]
        assert name in override["volumes"]
    for role in ROLES:
        assert override["services"][role]["environment"]["KAFKA_MIN_INSYNC_REPLICAS"] == "2"
