"""Departments: channels cannot be more than they are, where an account uses them."""

import asyncio

import pytest
from sqlalchemy import text
from tests.support.api import pointers, problem, third_party_body

from gateway.db.accounts import get_account


@pytest.fixture
async def acme(api):
    return await api.account()


async def _department(acme, name="Support"):
    return (await acme.post("/v1/departments", {"name": name})).json()["id"]


async def _enable(api, acme):
    changed = await api.admin.patch(
        f"/v1/accounts/{acme.account_id}", {"departments_enabled": True}
    )
    assert changed.status_code == 200, changed.text


async def _new(api, acme, **more):
    return await acme.post("/v1/channels", third_party_body(api.hook.url, **more))


async def test_they_are_not_needed_where_they_are_not_used(api, acme):
    support = await _department(acme)
    for department_id in (support, None):
        made = await _new(api, acme, department_id=department_id)
        assert made.json()["department_id"] == department_id
    made = await _new(api, acme, department_id=support)
    path = f"/v1/channels/{made.json()['id']}"
    assert (await acme.patch(path, {"department_id": None})).json()["department_id"] is None


async def test_a_channel_cannot_lose_the_department_that_it_needs(api, acme):
    support, sales = await _department(acme), await _department(acme, "Sales")
    await _enable(api, acme)
    path = f"/v1/channels/{(await _new(api, acme, department_id=support)).json()['id']}"
    refused = await acme.patch(path, {"department_id": None})
    assert pointers(problem(refused, "validation-failed", 422)) == ["/department_id"]
    assert (await acme.get(path)).json()["department_id"] == support
    assert (await acme.patch(path, {"department_id": sales})).json()["department_id"] == sales
    assert (await acme.patch(path, {"name": "Renamed"})).json()["department_id"] == sales
    refused = await acme.patch(path, {"department_id": "dpt_x"})
    assert pointers(problem(refused, "validation-failed", 422)) == ["/department_id"]


async def test_a_channel_from_before_may_be_changed_and_gets_one_when_somebody_says_which(
    api, acme
):
    support = await _department(acme)
    path = f"/v1/channels/{(await _new(api, acme)).json()['id']}"
    await _enable(api, acme)
    assert (await acme.patch(path, {"name": "Renamed"})).status_code == 200
    refused = await acme.patch(path, {"department_id": None})
    assert pointers(problem(refused, "validation-failed", 422)) == ["/department_id"]
    named = await acme.patch(path, {"department_id": support})
    assert named.json()["department_id"] == support


async def test_deleted_channels_and_departments_do_not_count(api, acme):
    support, sales = await _department(acme), await _department(acme, "Sales")
    await _enable(api, acme)
    first = (await _new(api, acme, department_id=support)).json()["id"]
    assert (await acme.delete(f"/v1/departments/{sales}")).status_code == 204
    # Full: whatever it says.
    for more in ({"department_id": support}, {}):
        problem(await _new(api, acme, **more), "departments-exhausted", 409)
    await acme.delete(f"/v1/channels/{first}")
    assert (await acme.get("/v1/channels")).json()["data"] == []
    made = await _new(api, acme, department_id=support)
    assert made.status_code == 201, made.text
    refused = await _new(api, acme, department_id=sales)
    assert pointers(problem(refused, "validation-failed", 422)) == ["/department_id"]


async def test_they_can_be_turned_off_again(api, acme):
    support = await _department(acme)
    await _enable(api, acme)
    await _new(api, acme, department_id=support)
    off = {"departments_enabled": False}
    await api.admin.patch(f"/v1/accounts/{acme.account_id}", off)
    assert (await _new(api, acme)).status_code == 201
    on = {"departments_enabled": True}
    again = await api.admin.patch(f"/v1/accounts/{acme.account_id}", on)
    problem(again, "departments-exhausted", 409)


async def test_the_last_department_is_taken_once(api, acme):
    support = await _department(acme)
    await _department(acme, "Sales")
    await _enable(api, acme)
    await _new(api, acme, department_id=support)
    made = await asyncio.gather(*(_new(api, acme, department_id=support) for _ in range(5)))
    assert sorted(each.status_code for each in made) == [201, 409, 409, 409, 409]
    assert len((await acme.get("/v1/channels")).json()["data"]) == 2


async def test_a_department_is_not_deleted_while_a_channel_comes_to_it(api, acme):
    support = await _department(acme)
    await _new(api, acme)
    async with asyncio.TaskGroup() as group, api.database.unit_of_work() as work:
        await get_account(work.connection, acme.account_id, lock=True)
        deleting = group.create_task(acme.delete(f"/v1/departments/{support}"))
        await api.until_waiting()
        await work.connection.execute(
            text("UPDATE channels SET department_id = :id"), {"id": support}
        )
    problem(await deleting, "conflict", 409)


async def test_a_channel_does_not_come_to_a_department_that_goes(api, acme):
    support = await _department(acme)
    channel = (await _new(api, acme)).json()["id"]
    async with asyncio.TaskGroup() as group, api.database.unit_of_work() as work:
        await get_account(work.connection, acme.account_id, lock=True)
        patching = group.create_task(
            acme.patch(f"/v1/channels/{channel}", {"department_id": support})
        )
        await api.until_waiting()
        await work.connection.execute(
            text("UPDATE departments SET deleted_at = now() WHERE id = :id"), {"id": support}
        )
    assert pointers(problem(await patching, "validation-failed", 422)) == ["/department_id"]
