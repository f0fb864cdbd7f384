"""An erased contact is gone from every table, and stays gone."""

import json
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from tests.support.desk import AllShards
from tests.support.inbound import PAGE, Inbound, inbound

from gateway.db.channels import get_channel
from gateway.db.conversations import lock_conversations
from gateway.db.dead_letters import SetAside, set_aside
from gateway.db.first_contact import meet
from gateway.db.media import Media, insert_media
from gateway.db.timers import NewTimer, write_timers
from gateway.db.wakeups import Wakeups
from gateway.domain import ids
from gateway.domain.conversation import commenter_name
from gateway.domain.message import AuthorKind
from gateway.errors import NotFoundError
from gateway.messaging.acceptance import Outgoing, accept_message
from gateway.messaging.erasure import request_erasure
from gateway.messaging.inline_answers import ANSWER_TIMER
from routing.timers import TimerWorker

pytestmark = [pytest.mark.integration, pytest.mark.enable_socket]

WORDS = "canary-7d1f"
PERSON = "740017d1f00"


@pytest.fixture
async def stage(database_url: str) -> AsyncIterator[Inbound]:
    async with inbound(database_url) as opened:
        yield opened


async def timers(stage: Inbound, *, after: float = 0) -> None:
    stage.clock.advance(timedelta(seconds=after))
    await TimerWorker(stage.database, AllShards(), Wakeups("")).run_due()


def comment(stage: Inbound, comment_id: str, *, at: datetime | None = None) -> dict[str, Any]:
    value = {
        "item": "comment",
        "verb": "add",
        "comment_id": comment_id,
        "from": {"id": PERSON, "name": WORDS},
        "message": WORDS,
        "created_time": int((at or stage.clock.now()).timestamp()),
    }
    return {"field": "feed", "value": value}


def review(stage: Inbound) -> dict[str, Any]:
    value = {"item": "rating", "reviewer_id": PERSON, "review_text": WORDS, "verb": "add"}
    return {
        "field": "ratings",
        "value": value | {"created_time": int(stage.clock.now().timestamp())},
    }


async def written(stage: Inbound, channel: str) -> tuple[str, str]:
    """Let somebody have been here, everywhere; return the contact and the conversation."""
    await stage.execute(
        "INSERT INTO endpoints (account_id, id, name, url, event_types, signing_secret, status,"
        " created_at, updated_at) VALUES (:a, 'ept_1', 'E', 'https://e', '{*}', '', 'paused',"
        " now(), now())",
        a=stage.account,
    )
    said = stage.message(WORDS, mid=f"m_{PERSON}", visitor=PERSON)
    pressed = {"postback": {"mid": "m_p", "title": WORDS, "payload": WORDS}}
    came = {"referral": {"ref": WORDS, "source": "SHORTLINK", "type": "OPEN_THREAD"}}
    await stage.feed(said, stage.item(pressed, visitor=PERSON), stage.item(came, visitor=PERSON))
    await stage.change(comment(stage, "c_1"), review(stage))
    contact, conversation = await stage.one("SELECT contact_id, id FROM conversations")
    await stage.execute(
        f"UPDATE contacts SET name = '{WORDS}', attributes = '{{\"x\": \"{WORDS}\"}}'"
    )
    async with stage.database.unit_of_work() as work:
        locked = await lock_conversations(work, [conversation], account_id=stage.account)
        of = await get_channel(work.connection, stage.account, channel)
        assert of is not None
        answer = {"type": "text", "text": WORDS}
        for reference in (WORDS, None):
            outgoing = Outgoing(
                content=answer, author_kind=AuthorKind.AGENT, client_reference=reference
            )
            await accept_message(work, locked[conversation], of, outgoing)
        file = Media(
            account_id=stage.account,
            id="med_1",
            mime_type="image/png",
            name=WORDS,
            size=1,
            sha256="",
            path=f"{stage.account}/med_1",
            created_at=work.now,
            contact_id=contact,
        )
        await insert_media(work.connection, file)
        key = f"messenger:{PAGE}:{PERSON}".encode()
        told_by_page = json.dumps({"author": {"id": PERSON}, "text": WORDS}).encode()
        await set_aside(
            work,
            [
                SetAside(reason="poison", stage="routing", key=key, value=WORDS.encode()),
                *(
                    SetAside(reason="poison", stage="routing", key=wide.encode(), value=value)
                    for wide in (f"messenger:{PAGE}:-", stage.account)
                    for value in (told_by_page, b"somebody else's")
                ),
                SetAside(
                    reason="delivery-exhausted",
                    stage="sender",
                    account_id=stage.account,
                    key=conversation.encode(),
                    value=WORDS.encode(),
                ),
            ],
        )
        inline = NewTimer(
            account_id=stage.account,
            kind=ANSWER_TIMER,
            subject_id="dlv_1",
            due_at=work.now + timedelta(days=1),
            conversation_id=conversation,
            data={"contents": [[0, answer]]},
        )
        await write_timers(work, set_=[inline])
    await stage.execute("UPDATE messages SET status = 'sent' WHERE client_reference IS NOT NULL")
    await stage.execute(
        "INSERT INTO delivery_attempts (delivery_id, attempt, account_id, at, milliseconds,"
        f" outcome, body) SELECT id, 1, account_id, now(), 1, 'retry', '{WORDS}' FROM deliveries"
    )
    # Half of what was told is published already.
    await stage.execute("UPDATE events SET position = sequence WHERE sequence % 2 = 0")
    for n, (waits_for, value) in enumerate([(PERSON, WORDS.encode()), ("-", told_by_page)]):
        await stage.execute(
            "INSERT INTO parked (kind, source_id, contact_id, event_id, record_headers,"
            " record_value, record_partition, original_hash, arrived_at, parked_at, expires_at)"
            " VALUES ('messenger', :page, :waits_for, :id, '{}', :value, 0, '', now(), now(),"
            " :later)",
            page=PAGE,
            waits_for=waits_for,
            id=f"evt_{n}",
            value=value,
            later=stage.clock.now() + timedelta(days=1),
        )
    return contact, conversation


async def where_it_is(stage: Inbound) -> set[str]:
    """Return the tables in which the person, or what they said, is to be found."""
    tables = await stage.all(
        "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p')"
        " AND relnamespace = 'public'::regnamespace AND NOT relispartition"
    )
    found = set()
    for table in tables:
        for row in await stage.all(f'SELECT t::text AS all_of_it FROM "{table.relname}" t'):
            # Bytes show in hexadecimal.
            for secret in (WORDS, PERSON):
                if secret in row.all_of_it or secret.encode().hex() in row.all_of_it:
                    found.add(table.relname)
    return found


async def erase(stage: Inbound, contact: str) -> None:
    async with stage.database.unit_of_work() as work:
        await request_erasure(work, stage.account, contact)


async def test_nothing_that_a_contact_said_or_is_called_is_left(stage: Inbound) -> None:
    contact, conversation = await written(stage, await stage.channel())
    assert await where_it_is(stage) >= {
        "comments", "contacts", "dead_letters", "delivery_attempts", "events", "media", "messages",
        "parked", "timers",
    }  # fmt: skip
    events = await stage.value("SELECT count(*) FROM events")
    await erase(stage, contact)
    await erase(stage, contact)
    await timers(stage)
    # What the second round is for: an answer that came when the first was over.
    await stage.execute(f"UPDATE delivery_attempts SET body = '{WORDS}'")
    await timers(stage, after=31)
    assert await where_it_is(stage) == set()
    assert await stage.value("SELECT count(*) FROM timers WHERE kind = 'erase'") == 0
    # Numbers and places stay, and a reader of the feed still gets what it can read.
    told = await stage.all(
        "SELECT type, data FROM events WHERE conversation_id = :c ORDER BY sequence",
        c=conversation,
    )
    assert await stage.value("SELECT count(*) FROM events") > events
    accepted = [row.data for row in told if row.type == "gateway.message.accepted.v1"]
    assert [each["message"]["content"] for each in accepted] == [{"type": "erased"}] * 2
    [erased] = await stage.all("SELECT data FROM events WHERE type = 'gateway.contact.erased.v1'")
    assert erased.data["contact"]["id"] == contact
    # What had not left does not leave, to the person or to an endpoint.
    statuses = await stage.all(
        "SELECT status, content FROM messages WHERE direction = 'outbound' ORDER BY sequence"
    )
    assert [row.status for row in statuses] == ["sent", "failed"]
    waiting = await stage.all(
        "SELECT e.type FROM deliveries d JOIN events e ON e.id = d.event_id"
        " WHERE d.status = 'pending' AND e.type LIKE 'gateway.message.%'"
    )
    assert waiting == []
    # Their files go from the store, and nobody else's record with theirs.
    removed = await stage.one("SELECT kind, subject_id FROM errands")
    assert tuple(removed) == ("remove_file", "med_1")
    assert await stage.value("SELECT count(*) FROM dead_letters") == 2
    closed = await stage.one("SELECT status, close_reason FROM enquiries")
    assert tuple(closed) == ("closed", "contact-erased")


async def test_what_comes_of_the_time_before_has_no_effect(stage: Inbound) -> None:
    contact, _ = await written(stage, await stage.channel())
    asked_at = stage.clock.now()
    stage.clock.advance(timedelta(seconds=5))
    await erase(stage, contact)
    await timers(stage)
    before = await stage.value("SELECT count(*) FROM events")
    late = stage.message(WORDS, mid="m_late", visitor=PERSON, at=asked_at)
    await stage.feed(late)
    await stage.change(comment(stage, "c_late", at=asked_at))
    assert await stage.value("SELECT count(*) FROM events") == before
    assert await stage.value("SELECT count(*) FROM comments WHERE author_id = :p", p=PERSON) == 0
    # Who writes anew is somebody else; and what is told later still of the time before is not.
    stage.clock.advance(timedelta(seconds=5))
    stranger = stage.message("hello", mid="m_new", visitor=PERSON)
    again = stage.message(WORDS, mid="m_later", visitor=PERSON, at=asked_at)
    await stage.feed(stage.message(WORDS, mid="m_batch", visitor=PERSON, at=asked_at), stranger)
    await stage.feed(again)
    await stage.change(comment(stage, "c_later", at=asked_at), comment(stage, "c_new"))
    told = await stage.all(
        "SELECT data FROM events WHERE type = 'gateway.comment.received.v1' AND data ? 'comment'"
    )
    assert [row.data["comment"]["id"] for row in told] == ["c_new"]
    people = await stage.all("SELECT id FROM contacts WHERE source_contact_id = :p", p=PERSON)
    assert len(people) == 1
    assert people[0].id != contact
    texts = await stage.all(
        "SELECT m.content ->> 'text' AS words FROM messages m JOIN conversations c"
        " ON c.id = m.conversation_id WHERE c.contact_id = :id AND m.direction = 'inbound'",
        id=people[0].id,
    )
    assert [row.words for row in texts] == ["hello"]
    assert await stage.value("SELECT count(*) FROM enquiries WHERE status <> 'closed'") == 1


async def test_who_is_known_by_a_comment_alone_is_erased_with_it(stage: Inbound) -> None:
    channel_id = await stage.channel()
    asked_at = stage.clock.now()
    await stage.change(comment(stage, "c_1"))
    async with stage.database.unit_of_work() as work:
        channel = await get_channel(work.connection, stage.account, channel_id)
        assert channel is not None
        known, _ = await meet(work, channel, commenter_name("c_1"), partition=0)
    stage.clock.advance(timedelta(seconds=5))
    await erase(stage, known.contact_id)
    await timers(stage)
    await timers(stage, after=31)
    assert await where_it_is(stage) == set()
    await stage.change(comment(stage, "c_late", at=asked_at))
    await stage.feed(stage.message(WORDS, visitor=PERSON, at=asked_at))
    assert await stage.value("SELECT count(*) FROM messages") == 0
    assert await where_it_is(stage) == set()


async def test_an_erasure_goes_on_where_a_process_died(stage: Inbound) -> None:
    contact, conversation = await written(stage, await stage.channel())
    await stage.execute(
        "INSERT INTO messages (account_id, id, channel_id, conversation_id, sequence, direction,"
        " author_kind, content, status, occurred_at, accepted_at)"
        " SELECT account_id, id || n, channel_id, conversation_id, 1000 + n, 'inbound', 'contact',"
        " content, 'received', now(), now() FROM messages, generate_series(1, 700) n"
        " WHERE source_message_id = 'm_p'"
    )
    await erase(stage, contact)

    async def die(point: str, _timer: Any) -> None:
        if point == "before_commit":
            raise RuntimeError

    for _ in range(8):
        # Each step is undone once before it is done.
        await TimerWorker(stage.database, AllShards(), Wakeups(""), at=die).run_due()
        await timers(stage, after=40)
    assert await where_it_is(stage) == set()
    left = await stage.value(
        "SELECT count(*) FROM messages WHERE conversation_id = :c"
        ' AND content <> \'{"type": "erased"}\'',
        c=conversation,
    )
    assert left == 0
    assert await stage.dead_letters() == ["poison"] * 2


async def test_a_stranger_cannot_be_erased(stage: Inbound) -> None:
    await written(stage, await stage.channel())
    with pytest.raises(NotFoundError):
        await erase(stage, ids.new_id(ids.CONTACT))
