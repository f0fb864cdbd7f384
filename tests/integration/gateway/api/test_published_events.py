"""What REST calls announce is what the published contracts say."""

from tests.support.published import checked_types

from gateway.db.channels import get_channel
from gateway.db.first_contact import meet


async def test_what_calls_announce(api):
    acme = await api.account()
    messenger, third_party = await api.messenger(acme), await api.third_party(acme)
    made = await acme.post("/v1/endpoints", {"name": "Desk", "url": api.hook.url})
    endpoint = made.json()
    async with api.database.unit_of_work() as work:
        channel = await get_channel(work.connection, acme.account_id, messenger["id"])
        assert channel is not None
        known, _ = await meet(work, channel, "7788990011223344", partition=0)
    contact = f"/v1/contacts/{known.contact_id}"
    answers = [
        await acme.patch(f"/v1/channels/{messenger['id']}", {"name": "Another name"}),
        await acme.post(f"/v1/channels/{messenger['id']}/suspend"),
        await acme.post(f"/v1/channels/{messenger['id']}/reactivate"),
        await acme.delete(f"/v1/channels/{third_party['id']}"),
        await acme.patch(contact, {"email": "ann@example.com"}),
        await acme.post(f"{contact}/block"),
        await acme.post(f"{contact}/unblock"),
        await acme.post(f"/v1/endpoints/{endpoint['id']}/test"),
        await acme.post(f"/v1/endpoints/{endpoint['id']}/pause"),
        await acme.post(f"/v1/endpoints/{endpoint['id']}/resume"),
    ]
    assert [answer.status_code for answer in answers if answer.is_error] == []

    assert await checked_types(api.database.engine) == {
        "gateway.channel.created.v1",
        "gateway.channel.updated.v1",
        "gateway.channel.activated.v1",
        "gateway.channel.suspended.v1",
        "gateway.channel.deleted.v1",
        "gateway.contact.created.v1",
        "gateway.contact.updated.v1",
        "gateway.contact.blocked.v1",
        "gateway.contact.unblocked.v1",
        "gateway.endpoint.tested.v1",
        "gateway.endpoint.paused.v1",
        "gateway.endpoint.resumed.v1",
    }
