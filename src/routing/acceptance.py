"""Accepts a channel's routing: its form, and that its destinations exist."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.db.unit_of_work import UnitOfWork
from gateway.errors import FieldFault, InvalidFieldsError
from routing.configuration import validate_routing

_EXISTING: Final = text(
    """
    SELECT id FROM agents
    WHERE account_id = :account_id AND id = ANY(:ids) AND deleted_at IS NULL
    UNION ALL
    SELECT id FROM teams
    WHERE account_id = :account_id AND id = ANY(:ids) AND deleted_at IS NULL
    UNION ALL
    SELECT id FROM bots
    WHERE account_id = :account_id AND id = ANY(:ids) AND deleted_at IS NULL
    UNION ALL
    SELECT id FROM endpoints
    WHERE account_id = :account_id AND id = ANY(:ids) AND deleted_at IS NULL
    """
)


class RoutingRules:
    """What the channels' resources ask of routing before they store a configuration."""

    async def accept(
        self, work: UnitOfWork, account_id: str, raw: object, *, pointer_prefix: str
    ) -> dict[str, Any]:
        """Return the configuration with its defaults filled in.

        Raises:
            InvalidFieldsError: It does not hold, or names destinations that the account does not
                have; pointers begin with the prefix.
        """
        routing = validate_routing(raw, pointer_prefix=pointer_prefix)
        await _require_destinations(work.connection, account_id, routing, pointer_prefix)
        return routing


def entries_of(routing: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield each place of an accepted routing that names a destination: its pointer, and the id."""
    yield from _of_list("/destinations", routing.get("destinations", ()))
    timetable = routing.get("time", {})
    yield from _of_spans("/time/spans", timetable.get("spans", ()))
    for n, each in enumerate(timetable.get("exceptions", ())):
        yield from _of_spans(f"/time/exceptions/{n}/spans", each.get("spans", ()))
    yield from _of_list("/time/other", timetable.get("other", ()))


def _of_spans(pointer: str, spans: Collection[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    for n, span in enumerate(spans):
        yield from _of_list(f"{pointer}/{n}/destinations", span["destinations"])


def _of_list(pointer: str, entries: Collection[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    for n, entry in enumerate(entries):
        yield f"{pointer}/{n}/id", entry["id"]


async def _require_destinations(
    connection: AsyncConnection, account_id: str, routing: Mapping[str, Any], prefix: str
) -> None:
    wanted = list(entries_of(routing))
    rows = await connection.execute(
        _EXISTING, {"account_id": account_id, "ids": list({each for _, each in wanted})}
    )
    existing = set(rows.scalars())
    faults = [
        FieldFault(prefix + pointer, "unknown-destination", "There is no such destination.")
        for pointer, destination_id in wanted
        if destination_id not in existing
    ]
    if faults:
        raise InvalidFieldsError("The routing names destinations that do not exist.", faults=faults)
