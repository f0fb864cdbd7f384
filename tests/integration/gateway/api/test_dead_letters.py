"""Dead letters by REST: whose they are, and doing them again."""

from gateway.db.dead_letters import SetAside, set_aside


class Topic:
    def __init__(self):
        self.records = []

    async def republish(self, topic, partition, *, key, value, headers):
        self.records.append((topic, partition, key, value, headers))


async def _letter(api, account_id=None, **more):
    letter = SetAside(
        **{
            "reason": "poison",
            "stage": "routing",
            "account_id": account_id,
            "topic": "gateway.inbound.v1",
            "partition": 3,
            "offset": 7,
            "key": b"key",
            "headers": [("ce_id", b"evt_1"), ("odd", b"\xff")],
            "value": b'{"a": 1}',
        }
        | more
    )
    async with api.database.unit_of_work() as work:
        await set_aside(work, [letter])
    return letter.id


async def test_each_sees_its_own(api) -> None:
    one, two = await api.account(), await api.account()
    mine, nobodys = await _letter(api, one.account_id), await _letter(api)
    assert [each["id"] for each in (await one.get("/v1/dead-letters")).json()["data"]] == [mine]
    assert (await two.get("/v1/dead-letters")).json()["data"] == []
    seen = (await api.admin.get("/v1/dead-letters")).json()["data"]
    assert [each["id"] for each in seen] == [nobodys]
    for call in (two.get, two.delete):
        assert (await call(f"/v1/dead-letters/{mine}")).status_code == 404
    letter = (await one.get(f"/v1/dead-letters/{mine}")).json()
    assert letter["record"]["value"] == '{"a": 1}'
    assert letter["record"]["headers"] == {"ce_id": "evt_1", "odd": "base64:/w=="}


async def test_filters_and_pages(api) -> None:
    caller = await api.account()
    ids = [await _letter(api, caller.account_id, reason=f"r{n % 2}") for n in range(4)]
    first = (await caller.get("/v1/dead-letters?reason=r1&limit=1")).json()
    assert [each["id"] for each in first["data"]] == [ids[3]]
    second = await caller.get(f"/v1/dead-letters?reason=r1&limit=1&cursor={first['next_cursor']}")
    assert [each["id"] for each in second.json()["data"]] == [ids[1]]
    assert second.json()["next_cursor"] is None


async def test_a_record_goes_back_to_its_topic_as_it_was(api) -> None:
    topic = api.app.state.republisher = Topic()
    caller = await api.account()
    letter = await _letter(api, caller.account_id)
    answer = await caller.post(f"/v1/dead-letters/{letter}/redeliver")
    assert answer.status_code == 202, answer.text
    assert answer.json()["redelivered_at"] is not None
    headers = [("ce_id", b"evt_1"), ("odd", b"\xff")]
    (record,) = topic.records
    assert record[:4] == ("gateway.inbound.v1", 3, b"key", b'{"a": 1}')
    assert sorted(record[4]) == headers


async def test_what_holds_nothing_cannot_be_done_again(api) -> None:
    caller = await api.account()
    letter = await _letter(api, caller.account_id, topic=None, value=None)
    assert (await caller.post(f"/v1/dead-letters/{letter}/redeliver")).status_code == 409


async def test_a_letter_can_be_forgotten(api) -> None:
    caller = await api.account()
    letter = await _letter(api, caller.account_id)
    assert (await caller.delete(f"/v1/dead-letters/{letter}")).status_code == 204
    assert (await caller.delete(f"/v1/dead-letters/{letter}")).status_code == 404
