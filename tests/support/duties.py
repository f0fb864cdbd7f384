"""Runs an errand that is set by its duty, as the sender would, one attempt at a time."""

from dataclasses import fields

from sqlalchemy import text

from gateway.db.errands import Errand, put_off_errand
from gateway.db.unit_of_work import Database
from gateway.sender.duties import Done, Duty, GoOn, Impossible, Result


async def attempt(database: Database, duty: Duty, kind: str) -> Result:
    """Attempt the one errand of a kind, whenever it is due, and write what follows of it.

    One that has to be tried again stays as it is.
    """
    errand = await the_errand(database, kind)
    result = await duty.run(errand)
    async with database.unit_of_work() as work:
        match result:
            case Done(effect):
                await effect(work)
                await work.connection.execute(
                    text("DELETE FROM errands WHERE id = :id"), {"id": errand.id}
                )
            case GoOn(due_at=due_at, data=data, effect=effect):
                await effect(work)
                assert await put_off_errand(work, errand, until=due_at, data=data, attempt=0)
            case Impossible(reason):
                await duty.given_up(work, errand, reason)
            case _:
                pass
    return result


async def the_errand(database: Database, kind: str, *, subject_id: str | None = None) -> Errand:
    """Return the one errand of a kind, or the one of several that is about a subject."""
    of = "" if subject_id is None else " AND subject_id = :subject_id"
    async with database.unit_of_work() as work:
        found = await work.connection.execute(
            text("SELECT * FROM errands WHERE kind = :kind" + of),
            {"kind": kind} | ({"subject_id": subject_id} if of else {}),
        )
        row = found.mappings().one()
    return Errand(**{each.name: row[each.name] for each in fields(Errand)})
