"""What the Send API takes, and with which of Meta's codes it refuses the rest."""

import hashlib
import hmac
import json
from datetime import timedelta
from typing import Any

import pytest
from tests.support.sandbox import PAGE, PSID, SECRET, TEXT, TOKEN, Box, Hook, error_of, settings

from gateway.sandbox.settings import SandboxSettings

pytestmark = pytest.mark.integration


async def test_text_is_answered_with_recipient_and_a_new_mid(talking: Box):
    first = await talking.send(message=TEXT, messaging_type="RESPONSE")
    second = await talking.send(message=TEXT, messaging_type="RESPONSE")

    assert first.status_code == 200
    assert first.json()["recipient_id"] == PSID
    assert first.json()["message_id"].startswith("m_")
    assert first.json()["message_id"] != second.json()["message_id"]


async def test_the_person_sees_it(talking: Box):
    mid = (await talking.send(message=TEXT)).json()["message_id"]

    last = (await talking.thread())["messages"][-1]
    assert (last["author"], last["mid"], last["text"]) == ("page", mid, "Good morning")


@pytest.mark.parametrize("node", ["me", PAGE])
async def test_page_may_be_named_or_called_me(talking: Box, node: str):
    answer = await talking.send(page=node, message=TEXT)
    assert answer.status_code == 200


async def test_forms_carry_objects_as_json(talking: Box):
    form = {"recipient": json.dumps({"id": PSID}), "message": json.dumps(TEXT)}
    answer = await talking.graph("POST", "me/messages", data=form)
    assert answer.status_code == 200
    assert (await talking.thread())["messages"][-1]["text"] == "Good morning"


async def test_token_may_be_a_parameter_of_query_or_body(talking: Box):
    body = {"recipient": {"id": PSID}, "message": TEXT}
    for request in (
        {"params": {"access_token": "EAAharbour"}, "json": body},
        {"json": {**body, "access_token": "EAAharbour"}},
        {"json": body, "headers": {"Authorization": "OAuth EAAharbour"}},
    ):
        answer = await talking.graph("POST", "me/messages", token=None, **request)
        assert answer.status_code == 200


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"message": {"text": ""}}, (100, 2018034)),
        ({"message": {}}, (100, 2018034)),
        ({"message": TEXT, "sender_action": "typing_on"}, (100, 2018014)),
        ({}, (100, 2018015)),
        ({"message": {"text": "x" * 2001}}, (100, None)),
        ({"message": {"text": 7}}, (100, None)),
        ({"message": {"text": "x", "metadata": "m" * 1001}}, (100, None)),
        ({"message": TEXT, "recipient": {"id": "4711"}}, (100, 2018001)),
        ({"message": TEXT, "recipient": {}}, (100, None)),
        ({"message": TEXT, "recipient": {"id": PSID, "user_ref": "r"}}, (100, None)),
        ({"message": TEXT, "recipient": {"comment_id": "1_2"}}, (100, 2018001)),
        ({"message": TEXT, "messaging_type": "SHOUT"}, (100, None)),
        ({"message": TEXT, "messaging_type": "MESSAGE_TAG"}, (100, None)),
        ({"message": TEXT, "tag": "ACCOUNT_UPDATE"}, (100, 1893061)),
        ({"message": TEXT, "tag": "CONFIRMED_EVENT_UPDATE"}, (100, 1893061)),
        ({"message": TEXT, "tag": "POST_PURCHASE_UPDATE"}, (100, 1893061)),
        ({"message": TEXT, "tag": "WISHFUL"}, (100, None)),
        ({"message": TEXT, "tag": "HUMAN_AGENT"}, (10, 2018278)),
        ({"message": TEXT, "tag": "NON_PROMOTIONAL_SUBSCRIPTION"}, (10, 2018065)),
        ({"message": TEXT, "notification_type": "LOUD"}, (100, None)),
        ({"message": TEXT, "persona_id": "9"}, (100, None)),
        ({"message": TEXT, "reply_to": {"mid": "m_no"}}, (100, None)),
        ({"sender_action": "wave"}, (100, None)),
        ({"sender_action": "react", "payload": {"message_id": "m_no"}}, (100, None)),
        (
            {"message": {"attachment": {"type": "image", "payload": {"url": "ftp://x"}}}},
            (100, None),
        ),
        ({"message": {"attachment": {"type": "image", "payload": {}}}}, (100, None)),
        ({"message": {"attachment": {"type": "smell", "payload": {}}}}, (100, None)),
        (
            {"message": {"attachment": {"type": "image", "payload": {"attachment_id": "12"}}}},
            (100, 2018074),
        ),
        ({"message": {**TEXT, "attachment": {"type": "image", "payload": {}}}}, (100, None)),
        ({"message": {**TEXT, "quick_replies": []}}, (100, None)),
        (
            {
                "message": {
                    **TEXT,
                    "quick_replies": [{"content_type": "text", "title": "t", "payload": "p"}] * 14,
                }
            },
            (100, None),
        ),
        (
            {
                "message": {
                    **TEXT,
                    "quick_replies": [{"content_type": "text", "title": "t" * 21, "payload": "p"}],
                }
            },
            (100, None),
        ),
    ],
)
async def test_refusals_carry_metas_codes(talking: Box, hook: Hook, body, expected):
    answer = await talking.send(**body)

    assert error_of(answer) == expected
    assert answer.json()["error"]["fbtrace_id"]
    assert answer.status_code == (403 if expected[0] == 10 else 400)
    assert len((await talking.thread())["messages"]) == 1
    assert hook.requests == []


def buttons(*given):
    return {
        "message": {
            "attachment": {
                "type": "template",
                "payload": {"template_type": "button", "text": "Which?", "buttons": list(given)},
            }
        }
    }


POSTBACK = {"type": "postback", "title": "Yes", "payload": "YES"}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([{**POSTBACK, "payload": ""}], (100, 2018040)),
        ([{"type": "web_url", "title": "Go", "url": ""}], (100, 2018041)),
        ([{**POSTBACK, "title": ""}], (100, 2018053)),
        ([{**POSTBACK, "title": "t" * 21}], (100, None)),
        ([{"type": "lever"}], (100, None)),
        ([POSTBACK] * 4, (100, None)),
        ([], (100, None)),
    ],
)
async def test_buttons_are_checked(talking: Box, given, expected):
    assert error_of(await talking.send(**buttons(*given))) == expected


async def test_templates_and_quick_replies_arrive(talking: Box):
    choice = {"content_type": "text", "title": "Yes", "payload": "YES"}
    assert (await talking.send(**buttons(POSTBACK))).status_code == 200
    await talking.send(message={**TEXT, "quick_replies": [choice]})

    template, question = (await talking.thread())["messages"][-2:]
    assert template["attachments"][0]["payload"]["buttons"] == [POSTBACK]
    assert question["quick_replies"] == [choice]


@pytest.mark.parametrize(
    "template",
    [
        {"template_type": "generic", "elements": [{"title": "t" * 81}]},
        {"template_type": "generic", "elements": [{"title": "T", "image_url": "no"}]},
        {"template_type": "generic", "elements": [{"title": "T"}] * 11},
        {"template_type": "generic"},
        {"template_type": "media", "elements": [{"media_type": "image"}]},
        {"template_type": "media", "elements": [{"media_type": "sound", "url": "https://x.test"}]},
        {"template_type": "origami"},
    ],
)
async def test_templates_are_checked(talking: Box, template):
    message = {"attachment": {"type": "template", "payload": template}}
    assert error_of(await talking.send(message=message)) == (100, None)


@pytest.mark.parametrize("action", ["typing_on", "typing_off", "mark_seen"])
async def test_sender_actions_answer_the_recipient_alone(talking: Box, action: str):
    answer = await talking.send(sender_action=action)
    assert answer.json() == {"recipient_id": PSID}


async def test_typing_lasts_twenty_seconds_or_until_the_message(talking: Box):
    await talking.send(sender_action="typing_on")
    assert (await talking.thread())["typing"]
    await talking.advance(seconds=21)
    assert not (await talking.thread())["typing"]

    await talking.send(sender_action="typing_on")
    await talking.send(message=TEXT)
    assert not (await talking.thread())["typing"]


async def test_mark_seen_shows_on_what_the_person_wrote(talking: Box):
    await talking.send(sender_action="mark_seen")
    assert (await talking.thread())["messages"][0]["tick"] == "seen"


async def test_reactions_of_the_page(talking: Box):
    mid = (await talking.thread())["messages"][0]["mid"]
    payload = {"message_id": mid, "reaction": "love"}
    assert (await talking.send(sender_action="react", payload=payload)).status_code == 200
    assert (await talking.thread())["messages"][0]["reactions"] == {"page": "❤"}
    await talking.send(sender_action="unreact", payload={"message_id": mid})
    assert (await talking.thread())["messages"][0]["reactions"] == {}


async def test_window_closes_after_24_hours(talking: Box):
    await talking.advance(hours=23, minutes=59, seconds=55)
    assert (await talking.send(message=TEXT)).status_code == 200
    await talking.advance(seconds=6)
    refused = await talking.send(message=TEXT)
    assert refused.status_code == 403
    assert error_of(refused) == (10, 2018278)


async def test_window_is_counted_from_the_events_own_time(harbour: Box):
    then = harbour.clock.now() - timedelta(hours=24, seconds=1)
    await harbour.visitor({"timestamp": int(then.timestamp() * 1000), "message": {"text": "late"}})
    assert error_of(await harbour.send(message=TEXT)) == (10, 2018278)


@pytest.mark.parametrize(
    ("item", "opens"),
    [
        ({"message": {"text": "hi"}}, True),
        ({"postback": {"title": "Go", "payload": "GO"}}, True),
        ({"reaction": {"action": "react", "mid": "m_1", "emoji": "❤"}}, True),
        ({"reaction": {"action": "unreact", "mid": "m_1"}}, False),
        ({"referral": {"ref": "r", "source": "SHORTLINK", "type": "OPEN_THREAD"}}, True),
        ({"optin": {"type": "notification_messages"}}, False),
        ({"delivery": {"watermark": 1}}, False),
        ({"read": {"watermark": 1}}, False),
        ({"message": {"is_echo": True, "text": "ours"}}, False),
    ],
)
async def test_what_opens_the_window(harbour: Box, item, opens):
    await harbour.visitor(item)
    assert ((await harbour.send(message=TEXT)).status_code == 200) is opens


async def test_human_agent_lasts_seven_days_where_the_page_has_it(talking: Box):
    await talking.page(human_agent=True)
    tagged: dict[str, Any] = {
        "message": TEXT,
        "messaging_type": "MESSAGE_TAG",
        "tag": "HUMAN_AGENT",
    }
    await talking.advance(days=6, hours=23)
    assert error_of(await talking.send(message=TEXT)) == (10, 2018278)
    assert (await talking.send(**tagged)).status_code == 200
    await talking.advance(hours=2)
    assert error_of(await talking.send(**tagged)) == (10, 2018278)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"restricted": True}, (10, 1893063)),
        ({"messages_allowed": False}, (200, 2534041)),
        ({"scopes": ["pages_show_list"]}, (230, None)),
        ({"invalidate": "expired", "access_token": None}, (190, 463)),
        ({"invalidate": "password_changed", "access_token": None}, (190, 460)),
        ({"invalidate": "role_lost", "access_token": None}, (190, 492)),
    ],
)
async def test_state_of_page_and_token(talking: Box, fields, expected):
    await talking.page(**fields)
    assert error_of(await talking.send(message=TEXT)) == expected


async def test_a_person_who_blocked_the_page_is_unavailable(talking: Box):
    await talking.control("POST", f"/pages/{PAGE}/visitors/{PSID}", {"blocked": True})
    assert error_of(await talking.send(message=TEXT)) == (551, 1545041)


async def test_a_person_who_only_opened_the_page_is_unknown(harbour: Box):
    await harbour.client.get(f"/chat/{PAGE}?visitor={PSID}")
    assert error_of(await harbour.send(message=TEXT)) == (100, 2018001)


async def test_new_token_does_not_end_the_old_one(talking: Box):
    await talking.page(access_token="EAAsecond")
    for token in ("EAAharbour", "EAAsecond"):
        answer = await talking.graph("GET", "me", token=token)
        assert answer.status_code == 200


async def test_personas_and_replies(talking: Box):
    persona = await talking.graph(
        "POST",
        f"{PAGE}/personas",
        json={"name": "Ana", "profile_picture_url": "https://pictures.test/ana.png"},
    )
    persona_id = persona.json()["id"]
    hello = (await talking.thread())["messages"][0]["mid"]
    answer = await talking.send(message=TEXT, persona_id=persona_id, reply_to={"mid": hello})
    assert answer.status_code == 200

    said = (await talking.thread())["messages"][-1]
    assert (said["persona_id"], said["reply_to"]) == (persona_id, hello)
    listed = await talking.graph("GET", f"{PAGE}/personas")
    assert [each["name"] for each in listed.json()["data"]] == ["Ana"]
    assert (await talking.graph("DELETE", persona_id)).json() == {"success": True}
    assert error_of(await talking.graph("GET", persona_id)) == (100, 33)


@pytest.mark.parametrize(
    "request_",
    [
        {"content": b"{", "headers": {"content-type": "application/json"}},
        {"content": b"[]", "headers": {"content-type": "application/json"}},
        {"content": b"[" * 100_000, "headers": {"content-type": "application/json"}},
        {"data": {"recipient": "{", "message": "{}"}},
        {"data": {"recipient": "[]", "message": "{}"}},
        {"content": b"--x", "headers": {"content-type": "multipart/form-data"}},
    ],
)
async def test_unreadable_bodies_are_invalid_parameters(talking: Box, request_):
    answer = await talking.graph("POST", "me/messages", **request_)
    assert answer.status_code == 400
    assert error_of(answer)[0] == 100


class TestProof:
    @pytest.fixture
    def sandbox_settings(self) -> SandboxSettings:
        return settings(require_appsecret_proof=True)

    async def test_required_proof(self, talking: Box):
        proof = hmac.new(SECRET.encode(), TOKEN.encode(), hashlib.sha256).hexdigest()
        missing = await talking.send(message=TEXT)
        wrong = await talking.send(message=TEXT, appsecret_proof="0" * 64)
        right = await talking.send(message=TEXT, appsecret_proof=proof)

        assert error_of(missing) == (100, None)
        assert "invalid_request" in missing.headers["www-authenticate"]
        assert wrong.status_code == 400
        assert "Invalid appsecret_proof" in wrong.json()["error"]["message"]
        assert right.status_code == 200


async def test_a_given_proof_is_checked_though_none_is_required(talking: Box):
    answer = await talking.graph(
        "POST",
        "me/messages",
        params={"appsecret_proof": "0" * 64},
        json={"recipient": {"id": PSID}, "message": TEXT},
    )
    assert error_of(answer) == (100, None)


async def test_a_comment_gets_one_private_reply(talking: Box):
    author = "5559"
    value = {"item": "comment", "verb": "add", "comment_id": "1_2", "from": {"id": author}}
    await talking.visitor({"field": "feed", "value": value}, psid=author)
    to_comment = {"recipient": {"comment_id": "1_2"}, "message": TEXT}
    refused = await talking.send(**to_comment | {"message": {"text": ""}})
    assert error_of(refused) == (100, 2018034)
    first = await talking.send(**to_comment)
    assert first.json()["recipient_id"] == author
    assert error_of(await talking.send(**to_comment)) == (10900, None)


async def test_a_private_reply_comes_within_seven_days(talking: Box):
    value = {"id": "17", "text": "Nice!", "from": {"id": "5559"}}
    await talking.visitor({"field": "comments", "value": value}, psid="5559")
    await talking.advance(days=7, seconds=1)
    late = await talking.send(recipient={"comment_id": "17"}, message=TEXT)
    assert error_of(late) == (10, 2018278)
