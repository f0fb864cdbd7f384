"""One administrator's login feeds 500 Pages, and ends."""

from collections import Counter
from datetime import timedelta

from tests.support.api import META_APP
from tests.support.browser import Browser
from tests.support.duties import the_errand

from gateway.db.tables import channels
from gateway.domain import ids
from gateway.messaging.probing import PROBE
from gateway.meta.graph_calls import GraphCalls
from gateway.meta.pages import PageConnector
from gateway.sender.duties import GoOn
from gateway.sender.probing import ChannelProbes, Watch

MANY = 500
PERSON = "70001"
PROBE_SECONDS = 900


async def test_each_channel_is_told_once_and_meta_is_asked_once_for_each(api):
    await connected(api)
    watch = Watch(api.database, probe_seconds=PROBE_SECONDS, check_seconds=3600)
    assert await watch.look() == MANY
    await api.sandbox.post(
        "/control/people", json={"user_id": PERSON, "name": "Robin", "invalidate": "expired"}
    )
    began, before = api.clock.now(), await calls(api)
    pages = PageConnector(GraphCalls(api.sandbox, base_url="https://graph.example"))
    probes = ChannelProbes(api.database, pages, seconds=PROBE_SECONDS)
    due = await api.rows("SELECT subject_id, due_at FROM errands ORDER BY due_at")
    for each in due:
        api.clock.advance(each["due_at"] - api.clock.now())
        errand = await the_errand(api.database, PROBE, subject_id=each["subject_id"])
        result = await probes.run(errand)
        assert isinstance(result, GoOn)
        async with api.database.unit_of_work() as work:
            await result.effect(work)
    told = await api.events(types=["gateway.channel.disconnected.v1"])
    assert Counter(data["channel"]["id"] for _, data in told) == {
        each["subject_id"]: 1 for each in due
    }
    assert {(data["reason"], data["remedy"]) for _, data in told} == {
        ("token_expired", "Re-authenticate the channel, or give it a new Page token.")
    }
    # What a token is good for is the first question, and its answer ends the probe.
    assert await calls(api) - before == MANY
    minutes = Counter((each["due_at"] - began) // timedelta(minutes=1) for each in due)
    assert max(minutes.values()) < 3 * MANY * 60 / PROBE_SECONDS
    assert await api.rows("SELECT DISTINCT status FROM channels") == [{"status": "disconnected"}]


async def connected(api) -> None:
    """Make an account whose channels live by one login; their rows are written by hand."""
    await api.meta_app()
    acme = await api.account()
    pages = [f"9{n:05}" for n in range(MANY)]
    for page_id in pages:
        await api.page(page_id, name=f"Page {page_id}")
    await api.sandbox.post(
        "/control/people",
        json={"user_id": PERSON, "name": "Robin", "pages": {page_id: [] for page_id in pages}},
    )
    login = (await acme.post("/v1/facebook/logins", {"meta_app_id": META_APP})).json()
    answer = await Browser(api.client, api.sandbox).log_in(login["url"], PERSON, pages=tuple(pages))
    assert answer.status_code == 200
    kept = await api.rows("SELECT page_id, user_id, token FROM page_tokens")
    assert len(kept) == MANY
    now, keyring = api.clock.now(), api.database.keyring
    async with api.database.unit_of_work() as work:
        rows = []
        for each in kept:
            channel_id = ids.new_id(ids.CHANNEL)
            bound = f"page_tokens/{acme.account_id}/{each['page_id']}/{PERSON}"
            token = keyring.decrypt(bytes(each["token"]), row=bound)
            rows.append(
                {
                    "account_id": acme.account_id,
                    "id": channel_id,
                    "kind": "messenger",
                    "name": each["page_id"],
                    "status": "active",
                    "source_id": each["page_id"],
                    "page_id": each["page_id"],
                    "meta_app_id": META_APP,
                    "connected_by": PERSON,
                    "page_access_token": keyring.encrypt(
                        token, row=f"channels/{channel_id}/page_access_token"
                    ),
                    "connected_at": now,
                    "created_at": now,
                    "updated_at": now,
                }
            )
        await work.connection.execute(channels.insert(), rows)


async def calls(api):
    """Return how many calls the sandbox has had, as Graph."""
    journal = (await api.sandbox.get("/control/journal")).json()["data"]
    return max((entry["n"] for entry in journal if entry["kind"] == "call"), default=0)
