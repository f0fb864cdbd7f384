"""Graph's other calls: tokens, Pages, subscriptions, people, conversations, attachments."""

import pytest
from tests.support.sandbox import (
    ALL_FIELDS,
    APP_ID,
    PAGE,
    PSID,
    SECRET,
    TEXT,
    TOKEN,
    Box,
    Hook,
    error_of,
)

pytestmark = pytest.mark.integration

APP_TOKEN = f"{APP_ID}|{SECRET}"


@pytest.mark.parametrize(
    ("token", "code", "challenge"),
    [(None, (104, None), "invalid_request"), ("EAAstranger", (190, 463), "invalid_token")],
)
async def test_missing_and_unknown_tokens(harbour: Box, token, code, challenge):
    answer = await harbour.graph("GET", "me", token=token)
    assert answer.status_code == 400
    assert error_of(answer) == code
    header = answer.headers["www-authenticate"]
    assert header.startswith(f'OAuth "Facebook Platform" "{challenge}" "')


async def test_page_tells_the_fields_asked_for_and_its_state(harbour: Box):
    await harbour.page(published=False, business_id="77")
    answer = await harbour.graph("GET", f"{PAGE}?fields=id,name,is_published,access_token,business")
    found = answer.json()
    assert found["id"] == PAGE
    assert found["name"] == "Harbour Coffee"
    assert found["is_published"] is False
    assert found["access_token"] == TOKEN
    assert found["business"]["id"] == "77"
    assert (found["restricted"], found["messages_allowed"]) == (False, True)


async def test_answers_carry_usage_and_version(harbour: Box):
    answer = await harbour.graph("GET", "me")
    assert '"call_count"' in answer.headers["x-app-usage"]
    assert f'"{PAGE}"' in answer.headers["x-business-use-case-usage"]
    assert answer.headers["facebook-api-version"].startswith("v")


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", f"{PAGE}?fields=name,shoe_size", (100, None)),
        ("GET", f"{PAGE}?fields=name%7B", (2500, None)),
        ("GET", f"{PAGE}?fields=a{{a{{a{{a{{a{{a{{a{{a}}}}}}}}}}}}}}", (2500, None)),
        ("GET", "1002", (100, 33)),
        ("POST", "1002/messages", (100, 33)),
        ("GET", f"{PAGE}/nowhere", (2500, None)),
        ("POST", PAGE, (2500, None)),
        ("GET", "a/b/c", (2500, None)),
        ("DELETE", "12345", (100, 33)),
    ],
)
async def test_what_is_not_there(harbour: Box, method, path, expected):
    answer = await harbour.graph(method, path)
    assert answer.status_code == 400
    assert error_of(answer) == expected


async def test_versions_have_a_shape(harbour: Box):
    answer = await harbour.client.get("/vNext/me", headers={"Authorization": f"Bearer {TOKEN}"})
    assert error_of(answer) == (2500, None)


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_debug_token_of_a_page(harbour: Box, method: str):
    given = {"input_token": TOKEN}
    answer = await harbour.graph(
        method, "debug_token", token=APP_TOKEN, **{"params" if method == "GET" else "data": given}
    )
    data = answer.json()["data"]
    assert data["is_valid"] is True
    assert (data["type"], data["app_id"], data["profile_id"]) == ("PAGE", APP_ID, PAGE)
    assert data["expires_at"] == 0
    assert "pages_messaging" in data["scopes"]
    assert {"scope": "pages_messaging", "target_ids": [PAGE]} in data["granular_scopes"]


async def test_debug_token_tells_bad_input_in_data(harbour: Box):
    await harbour.page(access_token=None, invalidate="app_removed")
    unknown = await harbour.graph("GET", "debug_token?input_token=unknown", token=APP_TOKEN)
    dead = await harbour.graph("GET", f"debug_token?input_token={TOKEN}", token=APP_TOKEN)

    assert unknown.status_code == dead.status_code == 200
    assert unknown.json()["data"]["is_valid"] is False
    assert dead.json()["data"]["is_valid"] is False
    assert dead.json()["data"]["error"]["subcode"] == 458


async def test_debug_token_refuses_a_bad_caller_and_foreign_tokens(harbour: Box):
    await harbour.control("POST", "/apps", {"app_id": "42", "app_secret": "other"})
    await harbour.page("2002", access_token="EAAforeign", app_id="42")
    caller = await harbour.graph("GET", f"debug_token?input_token={TOKEN}", token=f"{APP_ID}|no")
    foreign = await harbour.graph("GET", "debug_token?input_token=EAAforeign", token=APP_TOKEN)
    missing = await harbour.graph("GET", "debug_token", token=APP_TOKEN)

    assert error_of(caller) == (190, None)
    assert error_of(foreign) == (100, None)
    assert "did not match the Viewing App" in foreign.json()["error"]["message"]
    assert error_of(missing) == (100, None)


async def test_app_token_cannot_call_as_a_page(harbour: Box):
    answer = await harbour.graph("GET", "me", token=APP_TOKEN)
    assert error_of(answer) == (190, 463)


async def test_subscribing_reading_back_and_leaving(box: Box):
    await box.page()
    edge = f"{PAGE}/subscribed_apps"
    assert (await box.graph("GET", edge)).json() == {"data": []}
    for request in (
        {"data": {"subscribed_fields": ALL_FIELDS}},
        {"params": {"subscribed_fields": ALL_FIELDS}},
        {"json": {"subscribed_fields": ALL_FIELDS.split(",")}},
    ):
        assert (await box.graph("POST", edge, **request)).json() == {"success": True}
        (installed,) = (await box.graph("GET", edge)).json()["data"]
        assert installed["id"] == APP_ID
        assert installed["subscribed_fields"] == ALL_FIELDS.split(",")
    assert (await box.graph("DELETE", edge)).json() == {"success": True}
    assert (await box.graph("GET", edge)).json() == {"data": []}


@pytest.mark.parametrize(
    ("page", "fields", "expected", "status"),
    [
        ({}, "messages,telepathy", (100, None), 400),
        ({}, "", (100, None), 400),
        ({"refused_fields": ["feed"]}, "messages,feed", (200, None), 403),
        ({"scopes": ["pages_manage_metadata"]}, "messages", (200, None), 403),
        ({"scopes": ["pages_messaging"]}, "messages", (200, None), 403),
    ],
)
async def test_one_refused_field_refuses_the_call(box: Box, page, fields, expected, status):
    await box.page(**page)
    answer = await box.graph("POST", f"{PAGE}/subscribed_apps", data={"subscribed_fields": fields})
    assert answer.status_code == status
    assert error_of(answer) == expected
    assert (await box.control("GET", "/pages"))["data"][0]["subscriptions"] == {}


async def test_a_refused_field_is_named(box: Box):
    await box.page(refused_fields=["feed"])
    answer = await box.graph(
        "POST", f"{PAGE}/subscribed_apps", data={"subscribed_fields": "messages,feed"}
    )
    assert "To subscribe to the feed field" in answer.json()["error"]["message"]


async def test_profile_of_a_person(talking: Box):
    visitor = f"/pages/{PAGE}/visitors/{PSID}"
    await talking.control("POST", visitor, {"first_name": "Ada", "last_name": "Byron"})
    answer = await talking.graph("GET", f"{PSID}?fields=first_name,last_name,profile_pic")
    found = answer.json()
    assert (found["first_name"], found["last_name"], found["id"]) == ("Ada", "Byron", PSID)
    picture = await talking.client.get(found["profile_pic"])
    assert picture.headers["content-type"] == "image/svg+xml"
    assert ">AB<" in picture.text

    await talking.control("POST", visitor, {"profile_readable": False})
    assert (await talking.graph("GET", PSID)).json() == {}
    assert error_of(await talking.graph("GET", "4711")) == (100, 33)


async def test_conversation_of_a_person(talking: Box):
    mid = (await talking.send(message=TEXT)).json()["message_id"]
    await talking.says("other", psid="6666")
    fields = "participants,messages{id,message,from,to,created_time},updated_time"
    answer = await talking.graph(
        "GET", f"{PAGE}/conversations", params={"user_id": PSID, "fields": fields}
    )
    (conversation,) = answer.json()["data"]
    newest, oldest = conversation["messages"]["data"]

    assert conversation["id"].startswith("t_")
    assert {each["id"] for each in conversation["participants"]["data"]} == {PSID, PAGE}
    assert (newest["id"], newest["message"]) == (mid, "Good morning")
    assert (newest["from"]["id"], oldest["from"]["id"]) == (PAGE, PSID)
    assert newest["created_time"].endswith("+0000")
    every = await talking.graph("GET", f"{PAGE}/conversations")
    assert len(every.json()["data"]) == 2


async def test_paging_through_conversations(harbour: Box):
    for psid in ("1", "2", "3"):
        await harbour.says("hello", psid=psid)
    first = (await harbour.graph("GET", f"{PAGE}/conversations?limit=2")).json()
    after = first["paging"]["cursors"]["after"]
    rest = (await harbour.graph("GET", f"{PAGE}/conversations?limit=2&after={after}")).json()
    assert (len(first["data"]), len(rest["data"])) == (2, 1)


async def test_only_the_newest_twenty_messages_can_be_read(talking: Box):
    first = (await talking.thread())["messages"][0]["mid"]
    mids = [(await talking.send(message=TEXT)).json()["message_id"] for _ in range(20)]

    newest = await talking.graph("GET", f"{mids[0]}?fields=id,message,from")
    assert newest.json()["message"] == "Good morning"
    assert error_of(await talking.graph("GET", first)) == (9000001, None)
    listed = await talking.graph(
        "GET",
        f"{PAGE}/conversations",
        params={"user_id": PSID, "fields": "messages.limit(50){message}"},
    )
    messages = listed.json()["data"][0]["messages"]["data"]
    assert len(messages) == 21
    assert "message" not in messages[-1]
    conversation_id = listed.json()["data"][0]["id"]
    edge = await talking.graph("GET", f"{conversation_id}/messages?limit=3&fields=message")
    assert [each["id"] for each in edge.json()["data"]] == mids[:-4:-1]
    node = await talking.graph("GET", f"{conversation_id}?fields=message_count")
    assert node.json()["message_count"] == 21


async def test_conversations_need_their_permission(talking: Box):
    await talking.page(scopes=["pages_messaging"])
    assert error_of(await talking.graph("GET", f"{PAGE}/conversations")) == (10, None)


async def test_attachment_by_address_and_by_id(talking: Box):
    image = {"type": "image", "payload": {"url": "https://pictures.test/a.png"}}
    uploaded = await talking.graph(
        "POST", f"{PAGE}/message_attachments", json={"message": {"attachment": image}}
    )
    by_id = {"type": "image", "payload": {"attachment_id": uploaded.json()["attachment_id"]}}
    assert (await talking.send(message={"attachment": by_id})).status_code == 200

    shown = (await talking.thread())["messages"][-1]["attachments"]
    assert shown == [image]
    await talking.advance(days=91)
    await talking.says("still there?")
    assert error_of(await talking.send(message={"attachment": by_id})) == (100, 2018074)


async def test_reusable_attachment_answers_its_id(talking: Box):
    image = {
        "type": "image",
        "payload": {"url": "https://pictures.test/a.png", "is_reusable": True},
    }
    answer = await talking.send(message={"attachment": image})
    assert answer.json()["attachment_id"].isdecimal()


async def test_uploaded_files_are_kept_and_served(talking: Box, hook: Hook):
    form = {
        "recipient": f'{{"id":"{PSID}"}}',
        "message": '{"attachment":{"type":"image","payload":{}}}',
    }
    files = {"filedata": ("dot.png", b"\x89PNG...", "image/png")}
    answer = await talking.graph("POST", "me/messages", data=form, files=files)
    assert answer.status_code == 200

    url = (await talking.thread())["messages"][-1]["attachments"][0]["payload"]["url"]
    file = await talking.client.get(url)
    assert (file.content, file.headers["content-type"]) == (b"\x89PNG...", "image/png")


@pytest.mark.parametrize(
    ("kind", "content_type", "size", "expected"),
    [
        ("image", "audio/mpeg", 10, (100, 2018047)),
        ("image", "image/png", 8 * 1024 * 1024 + 1, (100, 2018109)),
    ],
)
async def test_uploads_are_checked(talking: Box, kind, content_type, size, expected):
    form = {"message": f'{{"attachment":{{"type":"{kind}","payload":{{}}}}}}'}
    files = {"filedata": ("f", bytes(size), content_type)}
    answer = await talking.graph("POST", f"{PAGE}/message_attachments", data=form, files=files)
    assert error_of(answer) == expected
