"""The ids of a contact that turned out to be another one lead to that one."""

from tests.support.talk import wrote

from gateway.db.channels import get_channel
from gateway.db.conversations import lock_conversations
from gateway.db.first_contact import find_known
from gateway.db.merging import Merge, merge_contacts


async def merge(api, acme, channel_id, former, into):
    async with api.database.unit_of_work() as work:
        pairs = [(channel_id, former), (channel_id, into)]
        known = await find_known(work, pairs)
        wanted = [known[pair].conversation_id for pair in pairs]
        await lock_conversations(work, wanted, account_id=acme.account_id)
        channel = await get_channel(work.connection, acme.account_id, channel_id)
        await merge_contacts(work, Merge(channel, *(known[pair] for pair in pairs)))


async def test_the_former_ids_lead_to_the_contact_that_is_left(api):
    acme = await api.account()
    channel_id = (await api.messenger(acme))["id"]
    before, former, _ = await wrote(api.database, acme.account_id, channel_id, "ref.1", "before")
    after, into, _ = await wrote(api.database, acme.account_id, channel_id, "person", "after")
    await merge(api, acme, channel_id, "ref.1", "person")

    assert (await acme.get(f"/v1/contacts/{former}")).json()["id"] == into
    assert [each["id"] for each in (await acme.get("/v1/contacts")).json()["data"]] == [into]
    await acme.patch(f"/v1/contacts/{former}", json={"name": "Ann"})
    shown = (await acme.get(f"/v1/conversations/{before}")).json()
    assert (shown["contact"]["id"], shown["contact"]["name"]) == (into, "Ann")
    assert shown["continued_in"] == after
    listed = await acme.get("/v1/conversations", params={"contact_id": into})
    assert {each["id"] for each in listed.json()["data"]} == {before, after}

    # What was said stays where it was said; what is said now goes where the person is.
    body = {"content": {"type": "text", "text": "hello"}}
    for path, more in (
        (f"/v1/conversations/{before}/messages", {}),
        (f"/v1/channels/{channel_id}/messages", {"recipient": {"contact_id": former}}),
        (f"/v1/channels/{channel_id}/messages", {"recipient": {"source_contact_id": "ref.1"}}),
    ):
        sent = await acme.post(path, json=body | more)
        assert (sent.status_code, sent.json()["conversation_id"]) == (202, after)
    said = (await acme.get(f"/v1/conversations/{before}/messages")).json()["data"]
    assert [each["content"]["text"] for each in said] == ["before"]

    blocked = await acme.post(f"/v1/contacts/{former}/block")
    assert (blocked.json()["id"], blocked.json()["blocked"]) == (into, True)
    assert (await acme.delete(f"/v1/contacts/{former}")).status_code == 202
    for contact_id in (former, into):
        assert (await acme.get(f"/v1/contacts/{contact_id}")).status_code == 404
