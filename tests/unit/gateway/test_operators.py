"""What operators do by hand, as calls of the REST API."""

import json

import httpx
import pytest
import respx
from typer.testing import CliRunner

from gateway.operators import commands

API = "https://gateway.example"


def run(*arguments):
    return CliRunner().invoke(commands, [*arguments, "--api-url", API, "--key", "cgk_1_x"])


@respx.mock
def test_one_is_redelivered_by_its_id():
    delivery = respx.post(f"{API}/v1/deliveries/dlv_1/redeliver").mock(
        return_value=httpx.Response(202, json={"id": "dlv_1"})
    )
    letter = respx.post(f"{API}/v1/dead-letters/dlt_1/redeliver").mock(
        return_value=httpx.Response(202, json={"id": "dlt_1"})
    )
    assert json.loads(run("redeliver", "dlv_1").stdout) == {"id": "dlv_1"}
    assert run("redeliver", "dlt_1").exit_code == 0
    assert delivery.calls.last.request.headers["authorization"] == "Bearer cgk_1_x"
    assert letter.called


@respx.mock
def test_a_filter_is_redelivered_in_the_background():
    called = respx.post(f"{API}/v1/dead-letters/redeliver").mock(
        return_value=httpx.Response(202, json={"id": "rrn_1"})
    )
    assert run("redeliver", "--reason", "poison", "--from", "2026-03-01T00:00:00Z").exit_code == 0
    body = json.loads(called.calls.last.request.content)
    assert body == {"reason": "poison", "from": "2026-03-01T00:00:00Z"}
    assert run("redeliver", "--all").exit_code == 0
    assert json.loads(called.calls.last.request.content) == {}


@pytest.mark.parametrize(
    "arguments", [[], ["dlt_1", "--all"], ["dlt_1", "--reason", "poison"]], ids=str
)
def test_what_is_meant_has_to_be_said_in_one_way(arguments):
    assert run("redeliver", *arguments).exit_code == 2


@respx.mock
def test_lists_are_read_to_their_ends_with_their_filter():
    pages = [
        httpx.Response(200, json={"data": [{"id": "dlt_2"}], "next_cursor": "a+b"}),
        httpx.Response(200, json={"data": [{"id": "dlt_1"}], "next_cursor": None}),
    ]
    called = respx.get(f"{API}/v1/dead-letters").mock(side_effect=pages)
    shown = run("dead-letters", "--stage", "sender").stdout
    assert [json.loads(line)["id"] for line in shown.splitlines()] == ["dlt_2", "dlt_1"]
    asked = [dict(call.request.url.params) for call in called.calls]
    assert asked == [
        {"limit": "200", "stage": "sender"},
        {"limit": "200", "stage": "sender", "cursor": "a+b"},
    ]


@respx.mock
@pytest.mark.parametrize(
    ("result", "code"), [("ok", 0), ("unknown", 0), ("warning", 0), ("failed", 3)]
)
def test_a_diagnosis_is_told_check_by_check_and_ends_by_what_failed(result, code):
    state = {"checked_at": "2026-03-02T12:00:00.000Z", "channel_status": "active"}
    checks = [
        {"check": "token", "result": result, "seen": "Zoë meets “190”.", "remedy": None},
        {"check": "window", "result": "ok", "seen": "Open.", "remedy": None},
    ]
    respx.get(f"{API}/v1/channels/chn_1/diagnosis").mock(
        return_value=httpx.Response(200, json=state | {"checks": checks})
    )
    told = run("diagnose", "chn_1")
    assert [json.loads(line) for line in told.stdout.splitlines()] == [state, *checks]
    assert told.exit_code == code


@respx.mock
def test_a_diagnosis_that_is_refused_is_not_one_that_failed():
    problem = {"title": "There is no such thing", "detail": "There is no such channel."}
    respx.get(f"{API}/v1/channels/chn_1/diagnosis").mock(
        return_value=httpx.Response(404, json=problem)
    )
    told = run("diagnose", "chn_1")
    assert (told.exit_code, told.stdout) == (1, "")
    assert "There is no such channel." in told.stderr
