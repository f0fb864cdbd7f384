"""What log lines must not show, wherever in them it stands."""

import json
import logging

import pytest
import structlog

from gateway.redaction import REDACTED, ExceptionFormatter, Redactor
from gateway.telemetry import configure_logging

redact = Redactor(b"key")

SECRETS = [
    "EAAGm0PX4ZCpsBAKZCZAZD",
    "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "cgk_01kb9xkzfve8mtr2p7aa0q6k3d_c2VjcmV0",
    "sha256=" + "ab" * 32,
]


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize(
    "line",
    [
        lambda secret: {"event": f"it failed with {secret}, alas"},
        lambda secret: {"url": f"https://graph.facebook.com/me?fields=id&access_token={secret}"},
        lambda secret: {"headers": {"x-whatever": f"Bearer {secret}"}},
        lambda secret: {"nested": [{"deeper": ("a", [secret])}]},
        lambda secret: {"error": ValueError(secret)},
    ],
    ids=["event", "query", "header", "nested", "object"],
)
def test_secrets_are_not_shown(secret, line):
    assert secret not in json.dumps(redact(None, "info", line(secret)), default=str)


@pytest.mark.parametrize(
    "text",
    [
        "GET /oauth?code=AQDmysecret&state=mystery",
        "postgresql://gateway:hunter2@db/gateway",
        "Authorization: Bearer abcdef",
        "hub.verify_token=mytoken&hub.challenge=1",
    ],
)
def test_credentials_in_addresses_are_not_shown(text):
    shown = redact.text(text)
    assert REDACTED in shown
    for secret in ("AQDmysecret", "mystery", "hunter2", "abcdef", "mytoken"):
        assert secret not in shown


@pytest.mark.parametrize(
    "name", ["page_access_token", "password", "signing_secret", "text", "first_name", "payload"]
)
def test_fields_are_not_shown_by_their_names(name):
    assert redact(None, "info", {name: "anything"})[name] == REDACTED


def test_ids_of_people_are_hashed_alike_everywhere():
    line = redact(
        None,
        "info",
        {
            "psid": "2468013579246801",
            "key": "messenger:1029384756:2468013579246801",
            "event": "contact 2468013579246801 of acc_01kb9xkzfve8mtr2p7aa0q6k3d",
        },
    )
    hashed = line["psid"]
    assert hashed.startswith("#")
    assert line["key"] == f"messenger:1029384756:{hashed}"
    assert line["event"] == f"contact {hashed} of acc_01kb9xkzfve8mtr2p7aa0q6k3d"
    assert Redactor(b"other")(None, "info", {"psid": "2468013579246801"})["psid"] != hashed


def test_ordinary_values_stay_as_they_are():
    line = {"event": "leases.gained", "mine": 256, "ok": True, "nothing": None, "ms": 1.5}
    assert redact(None, "info", line) == line


def fail():
    raise RuntimeError("outer: what a person wrote") from ValueError("inner: what a person wrote")


@pytest.mark.parametrize("show", [True, False])
def test_what_exceptions_say_is_shown_only_to_developers(show):
    formatter = ExceptionFormatter(show_messages=show)
    with pytest.raises(RuntimeError) as caught:
        fail()
    text = formatter.format(caught.value)
    assert "builtins.ValueError" in text
    assert "builtins.RuntimeError" in text
    assert "test_redaction.py" in text
    assert ("what a person wrote" in text) is show


def test_groups_of_exceptions_are_shown_one_by_one():
    group = ExceptionGroup("several", [ValueError("a"), ExceptionGroup("more", [KeyError("b")])])
    text = ExceptionFormatter(show_messages=False).format(group)
    assert "builtins.ValueError" in text
    assert "builtins.KeyError" in text


@pytest.fixture
def _logging_put_back():
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.mark.usefixtures("_logging_put_back")
def test_lines_of_libraries_leave_as_ours_do(capsys):
    configure_logging(
        level="INFO",
        console=False,
        show_exception_messages=False,
        redaction_key=b"key",
        role="api",
    )
    structlog.get_logger().info("ours", token="t", mine=1)
    logging.getLogger("library").warning("theirs: access_token=%s", "EAAGm0PX4ZCpsBAKZCZAZD")
    logging.getLogger("httpx").info("GET https://graph/?access_token=EAAGm0PX4ZCpsBAKZCZAZD")
    try:
        fail()
    except RuntimeError:
        logging.getLogger("library").exception("it broke")
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["event"] for line in lines] == [
        "ours",
        f"theirs: access_token={REDACTED}",
        "it broke",
    ]
    assert lines[0]["token"] == REDACTED
    assert {line["role"] for line in lines} == {"api"}
    assert "builtins.RuntimeError" in lines[2]["exception"]
    assert "what a person wrote" not in json.dumps(lines)
