"""Private replies: one message a comment, within seven days, to who wrote it."""

from datetime import timedelta

import pytest
from tests.support.api import pointers, problem
from tests.support.talk import set_state, wrote

from gateway.db.comments import Comment, keep_comments


def reply(comment_id="1_2", words="Thanks!", **more):
    content = {"type": "text", "text": words}
    return {"content": content, "recipient": {"comment_id": comment_id}, **more}


@pytest.fixture
async def acme(api):
    return await api.account()


@pytest.fixture
async def messenger(api, acme):
    return await api.messenger(acme)


@pytest.fixture
def path(messenger):
    return f"/v1/channels/{messenger['id']}/messages"


@pytest.fixture
def commented(api, acme, messenger):
    async def keep(comment_id="1_2", *, author_id="author", ago=timedelta()):
        async with api.database.unit_of_work() as work:
            comment = Comment(
                account_id=acme.account_id,
                channel_id=messenger["id"],
                comment_id=comment_id,
                author_id=author_id,
                commented_at=work.now - ago,
            )
            await keep_comments(work.connection, [comment], now=work.now)

    return keep


async def test_a_comment_gets_one(api, acme, path):
    sent = await acme.post(path, reply())
    assert sent.status_code == 202, sent.text
    refused = problem(await acme.post(path, reply()), "conflict", 409)
    assert "has had its private reply" in refused["detail"]
    assert (await acme.post(path, reply("3_4"))).status_code == 202
    rows = await api.rows("SELECT comment_id FROM messages ORDER BY id")
    assert [row["comment_id"] for row in rows] == ["1_2", "3_4"]
    conversation = (await acme.get(f"/v1/conversations/{sent.json()['conversation_id']}")).json()
    # Until the person answers, nothing else can be sent.
    assert conversation["window"]["state"] == "closed"
    assert conversation["contact"]["source_contact_id"] == "comment.1_2"


async def test_one_that_failed_may_be_followed_by_another(api, acme, path):
    first = (await acme.post(path, reply())).json()["id"]
    await set_state(api.database, "messages", first, status="failed")
    second = await acme.post(path, reply(words="Thank you!"))
    assert second.status_code == 202
    refused = await acme.post(f"/v1/messages/{first}/resend")
    problem(refused, "conflict", 409)
    await set_state(api.database, "messages", second.json()["id"], status="failed")
    assert (await acme.post(f"/v1/messages/{first}/resend")).status_code == 202
    problem(await acme.post(f"/v1/messages/{second.json()['id']}/resend"), "conflict", 409)


@pytest.mark.parametrize(
    ("ago", "goes"),
    [(timedelta(days=7), True), (timedelta(days=7, seconds=1), False)],
    ids=["at", "after"],
)
async def test_it_goes_within_seven_days(api, acme, path, commented, clock, ago, goes):
    await commented(ago=ago)
    sent = await acme.post(path, reply())
    if goes:
        await set_state(api.database, "messages", sent.json()["id"], status="failed")
        clock.advance(timedelta(seconds=1))
        sent = await acme.post(f"/v1/messages/{sent.json()['id']}/resend")
    assert "seven days" in problem(sent, "messaging-window-closed", 409)["detail"]


async def test_nobody_tries_longer_than_seven_days(api, acme, path, commented, clock):
    await commented(ago=timedelta(days=7, minutes=-10))
    sent = (await acme.post(path, reply())).json()["id"]
    await set_state(api.database, "messages", sent, status="failed")
    assert (await acme.post(f"/v1/messages/{sent}/resend")).status_code == 202
    deliveries = await api.rows("SELECT deadline_at FROM deliveries")
    ends = clock.now() + timedelta(minutes=10)
    assert [each["deadline_at"] for each in deliveries] == [ends, ends]


async def test_who_is_known_gets_it_in_their_conversation(api, acme, messenger, path, commented):
    conversation_id, _, _ = await wrote(api.database, acme.account_id, messenger["id"], "author")
    await commented()
    sent = await acme.post(path, reply())
    assert sent.json()["conversation_id"] == conversation_id
    problem(await acme.post(path, reply()), "conflict", 409)


async def test_what_cannot_reply_is_pointed_at(acme, messenger, path, commented):
    agent = (await acme.post("/v1/agents", {"first_name": "Ann"})).json()
    author = {"kind": "agent", "id": agent["id"]}
    await commented("own", author_id=messenger["source"]["page_id"])
    for body, slug, pointer in [
        (reply("own"), "validation-failed", "/recipient/comment_id"),
        (reply("nonsense id"), "validation-failed", "/recipient/comment_id"),
        (reply(words="x" * 2001), "text-too-long", "/content/text"),
        (reply(words="word " * 500, split=True), "text-too-long", "/content/text"),
        (reply(tag="HUMAN_AGENT", author=author), "validation-failed", "/tag"),
    ]:
        refused = problem(await acme.post(path, body), slug, 422)
        assert pointers(refused) == [pointer]
    assert (await acme.post(path, reply())).status_code == 202


async def test_third_parties_have_no_comments(api, acme):
    channel = await api.third_party(acme)
    refused = await acme.post(f"/v1/channels/{channel['id']}/messages", reply())
    assert pointers(problem(refused, "not-supported-by-channel", 422)) == ["/recipient/comment_id"]
