"""What goes to Graph and what its answers come to."""

import asyncio
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta

import httpx
import pytest
import respx
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from gateway.domain.delivery import (
    Accepted,
    NotAttempted,
    Reauthenticate,
    Refused,
    Retry,
    Throttle,
    Unknown,
    WindowRefused,
)
from gateway.errors import UpstreamFailedError
from gateway.meta.conversations import (
    NotShown,
    Shown,
    ThreadMessage,
    Unclear,
    find_message,
    read_messages,
)
from gateway.meta.graph import GraphClient, PageAccess, judge
from gateway.meta.sending import (
    PageAction,
    PageMessage,
    UnsendableContentError,
    action_body,
    message_body,
)

TOKEN = "EAApagetoken0123456789"
SECRET = "app-secret"
ACCESS = PageAccess(
    page_id="1001", token=SecretStr(TOKEN), app_secret=SecretStr(SECRET), version="v26.0"
)
PROOF = hmac.new(SECRET.encode(), TOKEN.encode(), hashlib.sha256).hexdigest()
BUDGET = timedelta(seconds=2)
URL = "https://graph.example/v26.0/1001/messages"


def message(content=None, **more):
    return PageMessage(
        contact_id=more.pop("contact_id", "psid1"),
        content=content or {"type": "text", "text": "hello"},
        metadata="msg_1.2",
        **more,
    )


@pytest.mark.parametrize(
    ("content", "sent"),
    [
        ({"type": "text", "text": "hi"}, {"text": "hi"}),
        (
            {"type": "text", "text": "hi", "quick_replies": [{"title": "A", "payload": "a"}]},
            {
                "text": "hi",
                "quick_replies": [{"content_type": "text", "title": "A", "payload": "a"}],
            },
        ),
        (
            {"type": "text", "text": "hi", "quick_replies": [{"title": "A"}]},
            {
                "text": "hi",
                "quick_replies": [{"content_type": "text", "title": "A", "payload": "A"}],
            },
        ),
        (
            {"type": "text", "text": "hi", "quick_replies": [{"content_type": "user_email"}]},
            {"text": "hi", "quick_replies": [{"content_type": "user_email"}]},
        ),
        (
            {"type": "image", "url": "https://cdn.example/a.png"},
            {"attachment": {"type": "image", "payload": {"url": "https://cdn.example/a.png"}}},
        ),
        (
            {"type": "template", "template": {"template_type": "button", "text": "t"}},
            {
                "attachment": {
                    "type": "template",
                    "payload": {"template_type": "button", "text": "t"},
                }
            },
        ),
    ],
)
def test_contents(content, sent):
    body = message_body(message(content))
    assert body == {
        "recipient": {"id": "psid1"},
        "messaging_type": "RESPONSE",
        "message": sent | {"metadata": "msg_1.2"},
    }


def test_what_goes_beside_the_content():
    body = message_body(message(tag="HUMAN_AGENT", reply_to_mid="m_0", persona_id="77"))
    assert body["messaging_type"] == "MESSAGE_TAG"
    assert body["tag"] == "HUMAN_AGENT"
    assert body["reply_to"] == {"mid": "m_0"}
    assert body["persona_id"] == "77"
    assert message_body(message(comment_id="c1"))["recipient"] == {"comment_id": "c1"}
    assert message_body(message(contact_id="ref.abc"))["recipient"] == {"user_ref": "abc"}


@pytest.mark.parametrize("content", [{"type": "image"}, {"type": "location"}, {}])
def test_content_without_anything_to_send(content):
    with pytest.raises(UnsendableContentError):
        message_body(message({"x": 1} | content))


def test_actions_have_nothing_beside_them():
    assert action_body(PageAction(contact_id="p", action="typing_on")) == {
        "recipient": {"id": "p"},
        "sender_action": "typing_on",
    }
    react = PageAction(contact_id="p", action="react", mid="m_1", reaction="love")
    assert action_body(react)["payload"] == {"message_id": "m_1", "reaction": "love"}
    unreact = PageAction(contact_id="p", action="unreact", mid="m_1")
    assert action_body(unreact)["payload"] == {"message_id": "m_1"}


@pytest.fixture
async def graph():
    async with httpx.AsyncClient() as client:
        yield GraphClient(client, base_url="https://graph.example/")


@respx.mock
async def test_a_send_is_authorised_without_a_secret_in_its_address(graph):
    route = respx.post(URL).respond(200, json={"recipient_id": "psid1", "message_id": "m_1"})
    answer = await graph.send_message(ACCESS, message(), budget=BUDGET)
    assert answer.outcome == Accepted("m_1")
    assert answer.status == 200
    request = route.calls.last.request
    assert request.headers["authorization"] == f"Bearer {TOKEN}"
    assert json.loads(request.content)["appsecret_proof"] == PROOF
    for secret in (TOKEN, SECRET, PROOF):
        assert secret not in str(request.url)


@respx.mock
async def test_what_graph_repeats_of_the_token_is_masked(graph):
    respx.post(URL).respond(
        400, json={"error": {"code": 190, "message": f"Malformed access token {TOKEN}"}}
    )
    answer = await graph.send_message(ACCESS, message(), budget=BUDGET)
    assert isinstance(answer.outcome, Reauthenticate)
    assert TOKEN not in answer.body
    assert "[masked]" in answer.body
    assert answer.fault_code == "190"


@respx.mock
@pytest.mark.parametrize(
    ("error", "slow", "kind"),
    [
        (httpx.ConnectError, True, NotAttempted),
        (httpx.ConnectTimeout, True, NotAttempted),
        (httpx.PoolTimeout, True, NotAttempted),
        (httpx.ReadError, False, Unknown),
        (httpx.WriteError, False, Unknown),
        (httpx.RemoteProtocolError, False, Unknown),
        (httpx.ReadTimeout, False, Unknown),
    ],
)
async def test_what_left_and_what_did_not(graph, error, slow, kind):
    respx.post(URL).mock(side_effect=error("x"))
    answer = await graph.send_message(ACCESS, message(), budget=BUDGET)
    assert isinstance(answer.outcome, kind)
    assert answer.slow is slow
    assert answer.status is None


@respx.mock
async def test_a_call_that_hangs_ends_with_its_budget(graph):
    async def hang(_request):
        await asyncio.Event().wait()

    respx.post(URL).mock(side_effect=hang)
    answer = await graph.send_message(ACCESS, message(), budget=timedelta(milliseconds=20))
    assert isinstance(answer.outcome, Unknown)
    assert answer.slow


@respx.mock
async def test_content_that_cannot_be_sent_is_refused_without_a_call(graph):
    route = respx.post(URL)
    answer = await graph.send_message(ACCESS, message({"type": "image"}), budget=BUDGET)
    assert isinstance(answer.outcome, Refused)
    assert answer.outcome.error.code == "media-not-supported"
    assert not route.called


@respx.mock
async def test_an_action_needs_no_message_id(graph):
    respx.post(URL).respond(200, json={"recipient_id": "psid1"})
    action = PageAction(contact_id="psid1", action="typing_on")
    answer = await graph.send_action(ACCESS, action, budget=BUDGET)
    assert answer.outcome == Accepted()


def error_body(code, subcode=None, **more):
    error = {"code": code, "message": "x", **more}
    if subcode is not None:
        error["error_subcode"] = subcode
    return json.dumps({"error": error}).encode()


JUDGED = {
    "accepted": (200, b'{"recipient_id": "p", "message_id": "m_1"}', Accepted),
    "only a message id": (200, b'{"message_id": "m_1"}', Accepted),
    "200 with an error": (200, error_body(10, 2018278), WindowRefused),
    "201": (201, b'{"message_id": "m_1"}', Accepted),
    "error 2": (503, error_body(2), Retry),
    "limit": (400, error_body(80006), Throttle),
    "person": (400, error_body(551, 1545041), Refused),
    "unfamiliar, transient": (400, error_body(77, is_transient=True), Retry),
    "429 with graph's json": (429, error_body(77), Throttle),
    "empty 200": (200, b"", Unknown),
    "cut 200": (200, b'{"recipient_id": "p", "messa', Unknown),
    "200 without an id": (200, b'{"recipient_id": "p"}', Unknown),
    "200 with an odd id": (200, b'{"message_id": "m\\u0000"}', Unknown),
    "200 with a long id": (200, b'{"message_id": "' + b"m" * 2000 + b'"}', Unknown),
    "200 with a number": (200, b'{"message_id": 7}', Unknown),
    "200 with half an error": (200, b'{"error": "x", "message_id": "m"}', Unknown),
    "200 html": (200, b"<html>", Unknown),
    "500 html": (500, b"<html>", Unknown),
    "503 html": (503, b"<html>", Unknown),
    "429 html": (429, b"<html>", Unknown),
    "404 html": (404, b"<html>", Unknown),
    "500 other json": (500, b'{"oops": true}', Unknown),
    "redirect": (307, b"", Unknown),
    "doubled keys": (200, b'{"message_id": "m_1", "message_id": "m_2"}', Accepted),
    "deep": (200, b"[" * 100_000, Unknown),
    "huge number": (200, b'{"message_id": ' + b"9" * 5000 + b"}", Unknown),
}


@pytest.mark.parametrize("kind", JUDGED)
def test_answers(kind):
    status, body, outcome = JUDGED[kind]
    assert isinstance(judge(status, body, httpx.Headers()), outcome)


def test_both_headers_say_when_to_come_back():
    usage = '{"1001": [{"estimated_time_to_regain_access": 2}]}'
    headers = httpx.Headers([("Retry-After", "7"), ("X-Business-Use-Case-Usage", usage)])
    assert judge(400, error_body(80006), headers).after == timedelta(minutes=2)
    assert judge(503, error_body(2), headers).after == timedelta(minutes=2)


@given(st.integers(100, 599), st.binary(max_size=200))
def test_no_answer_is_too_odd(status, body):
    outcome = judge(status, body, httpx.Headers())
    assert not isinstance(outcome, Retry | Throttle | Refused | WindowRefused | Reauthenticate)


# Meta's own conversation

AT = datetime(2026, 3, 2, 12, tzinfo=UTC)


def shown(mid, text, *, seconds=1, by_page=True):
    return ThreadMessage(
        mid=mid, text=text, by_page=by_page, created_at=AT + timedelta(seconds=seconds)
    )


def look(*thread, text="hello", known=()):
    return find_message(list(thread), text=text, since=AT, known_mids=known)


def test_a_message_is_known_by_its_words_its_side_and_its_time():
    assert look(shown("m", " hello ")) == Shown("m", AT + timedelta(seconds=1))
    assert look() == NotShown()
    assert look(shown("m", "hello", by_page=False)) == NotShown()
    assert look(shown("m", "hello", seconds=-60)) == NotShown()
    assert look(shown("m", "other")) == NotShown()
    assert look(shown("m", "hello"), known={"m"}) == NotShown()
    # The first of two with the same words that are not accounted for.
    assert look(shown("m2", "hello", seconds=9), shown("m1", "hello")).mid == "m1"


def test_what_cannot_be_told_is_unclear():
    assert look(shown("m", None)) == Unclear()
    assert look(shown("m", ""), text=None) == Unclear()
    assert look(text=None) == NotShown()
    # Twenty newer ones may hide it.
    assert look(*(shown(f"m{n}", "other") for n in range(20))) == Unclear()
    old = shown("old", "x", seconds=-60)
    assert look(*(shown(f"m{n}", "other") for n in range(19)), old) == NotShown()


@respx.mock
async def test_a_thread_is_read_with_the_token_in_a_header(graph):
    body = {
        "data": [
            {
                "id": "t_1",
                "messages": {
                    "data": [
                        {
                            "id": "m_2",
                            "message": "hello",
                            "from": {"id": "1001"},
                            "created_time": "2026-03-02T12:00:01+0000",
                        },
                        {"id": "m_1", "created_time": "2026-03-02T12:00:00+0000"},
                        {"id": "m_0", "created_time": "yesterday"},
                        {"message": "no id"},
                    ]
                },
            }
        ]
    }
    route = respx.get("https://graph.example/v26.0/1001/conversations").respond(200, json=body)
    thread = await graph.read_thread(ACCESS, "psid1", instagram=False, budget=BUDGET)
    assert [(each.mid, each.text, each.by_page) for each in thread] == [
        ("m_2", "hello", True),
        ("m_1", None, True),
    ]
    request = route.calls.last.request
    assert request.url.params["platform"] == "messenger"
    assert request.url.params["user_id"] == "psid1"
    assert TOKEN not in str(request.url)


@respx.mock
@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(400, content=error_body(190)),
        httpx.Response(200, content=b"<html>"),
        httpx.ConnectError("x"),
    ],
    ids=["refused", "html", "away"],
)
async def test_a_thread_that_cannot_be_read_says_so(graph, answer):
    route = respx.get("https://graph.example/v26.0/1001/conversations")
    route.mock(side_effect=[answer])
    with pytest.raises(UpstreamFailedError):
        await graph.read_thread(ACCESS, "psid1", instagram=True, budget=BUDGET)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["data", "messages", "id", "message", "from", "created_time"]),
                inner,
                max_size=4,
            )
        ),
        max_leaves=12,
    )
)
def test_no_conversation_is_too_odd(document):
    read_messages({"data": document}, "psid1")
