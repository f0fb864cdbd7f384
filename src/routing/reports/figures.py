"""The figures of a report: counted and gathered by the database, a row for each group."""

import asyncio
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.errors import FieldFault, InvalidFieldsError
from routing.reports.percentiles import Summary, summaries
from routing.reports.spans import Span

MOST_ROWS: Final = 10_000
# What enquiries can be grouped by: the name in the query, the field of the row.
FIELDS: Final = {
    "channel": "channel_id",
    "status": "status",
    "destination": "destination_id",
    "agent": "agent_id",
    "day": "day",
}
DURATIONS: Final = ("waiting", "first_response", "handling")
FILTERS: Final = ("status", "channel_id", "destination_id", "agent_id")

# Which day of the span it is, counted from one.
_DAY: Final = "width_bucket(opened_at, CAST(:day_begins AS timestamptz[]))"
_OF_SPAN: Final = (
    "FROM enquiry_figures WHERE account_id = :account_id"
    " AND opened_at >= :begins AND opened_at < :ends"
)
# All durations of a group in one, eight bytes each: as columns they take longer to gather.
_GATHERED: Final = "string_agg({}, CAST('' AS bytea)) AS gathered".format(
    " || ".join(f"int8send(coalesce({name}, -1))" for name in DURATIONS)
)
# A sort of all rows by their groups takes longer than all the rest, and to compile the statement
# as long as to run it.
_SETTINGS: Final = text(
    "SELECT set_config('enable_sort', 'off', true), set_config('jit', 'off', true),"
    " set_config('work_mem', '64MB', true)"
)
# How many there may be of what enquiries are grouped by.
_KINDS: Final = text(
    """
    SELECT greatest(channels, :least) AS channel, 6 AS status, greatest(agents, :least) AS agent,
           greatest(agents + others, :least) AS destination
    FROM (SELECT (SELECT count(*) FROM channels WHERE account_id = :account_id) AS channels,
                 (SELECT count(*) FROM agents WHERE account_id = :account_id) AS agents,
                 (SELECT count(*) FROM teams WHERE account_id = :account_id)
                 + (SELECT count(*) FROM bots WHERE account_id = :account_id)
                 + (SELECT count(*) FROM endpoints WHERE account_id = :account_id) AS others) AS k
    """
)
_LEAST_KINDS: Final = 100
# Several processes of the database that share a report keep to no limit of memory where groups are
# very many. One alone does.
_ALONE: Final = text("SELECT set_config('max_parallel_workers_per_gather', '0', true)")
_FEW_GROUPS: Final = 2 * MOST_ROWS
# Enough enquiries to tell that those of all days will be too many.
_LOOKED_AT: Final = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """The figures of a group; durations are in seconds."""

    group: Mapping[str, str | date | None]
    count: int
    missed: int
    durations: Mapping[str, Summary | None]

    @property
    def missed_rate(self) -> float | None:
        """Which part of the enquiries was ever missed; None where there are none."""
        return self.missed / self.count if self.count else None


async def report(
    connection: AsyncConnection,
    account_id: str,
    span: Span,
    *,
    group_by: Sequence[str],
    only: Mapping[str, str],
) -> list[Row]:
    """Return the figures of the enquiries that were opened in a span, in the groups' order.

    Args:
        connection: In a transaction, which is then good for nothing but reading.
        account_id: Whose enquiries.
        span: When they were opened.
        group_by: Names in `FIELDS`, each once; none for one row of all.
        only: Values of `FILTERS` that enquiries have to have.

    Raises:
        InvalidFieldsError: The rows would be too many.
    """
    days = span.days() if "day" in group_by else []
    values: dict[str, Any] = {
        "account_id": account_id,
        "begins": span.begins,
        "ends": span.ends,
        **only,
    }
    if days:
        values["day_begins"] = span.day_begins()
    keys = [_DAY if name == "day" else FIELDS[name] for name in group_by]
    of_span = _OF_SPAN + "".join(f" AND {name} = :{name}" for name in only)
    await connection.execute(_SETTINGS)
    columns = [f"{key} AS {FIELDS[name]}" for key, name in zip(keys, group_by, strict=True)]
    grouped = f" GROUP BY {', '.join(keys)}" if keys else ""
    if await _may_be_many(connection, account_id, group_by, len(days)):
        await connection.execute(_ALONE)
        if days:
            await _require_few(connection, f"SELECT {', '.join(columns)} {of_span}", values)
    columns += ["count(*) AS count", "count(*) FILTER (WHERE missed) AS missed", _GATHERED]
    statement = text(f"SELECT {', '.join(columns)} {of_span}{grouped} LIMIT {MOST_ROWS + 1}")
    found = (await connection.execute(statement, values)).mappings().all()
    _require_at_most(len(found))
    # A million enquiries take some hundredths of a second, which others need not wait for.
    return await asyncio.to_thread(_rows, found, group_by, days)


async def _may_be_many(
    connection: AsyncConnection, account_id: str, group_by: Sequence[str], days: int
) -> bool:
    if len(group_by) < 2:  # noqa: PLR2004 - of one kind there are few
        return False
    wanted = {"account_id": account_id, "least": _LEAST_KINDS}
    kinds = (await connection.execute(_KINDS, wanted)).mappings().one()
    sizes: dict[str, int] = {**kinds, "day": days}
    return math.prod(sizes[name] for name in group_by) > _FEW_GROUPS


async def _require_few(
    connection: AsyncConnection, groups_of: str, values: Mapping[str, Any]
) -> None:
    """Refuse early what some days show already: each day has groups of its own."""
    seen = text(
        f"SELECT count(*) FROM (SELECT DISTINCT * FROM ({groups_of} LIMIT {_LOOKED_AT}) r) g"  # noqa: S608 - constant texts
    )
    _require_at_most((await connection.execute(seen, values)).scalar_one())


def _rows(found: Sequence[RowMapping], group_by: Sequence[str], days: Sequence[date]) -> list[Row]:
    return sorted((_row(row, group_by, days) for row in found), key=_place)


def _row(row: RowMapping, group_by: Sequence[str], days: Sequence[date]) -> Row:
    group: dict[str, str | date | None] = {FIELDS[name]: row[FIELDS[name]] for name in group_by}
    if days:
        group["day"] = days[row["day"] - 1]
    seconds = (
        None if found is None else (found[0] / 1000, found[1] / 1000)
        for found in summaries(row["gathered"], len(DURATIONS))
    )
    return Row(
        group=group,
        count=row["count"],
        missed=row["missed"],
        durations=dict(zip(DURATIONS, seconds, strict=True)),
    )


def _place(row: Row) -> list[tuple[bool, str]]:
    return [(value is None, str(value)) for value in row.group.values()]


def _require_at_most(rows: int) -> None:
    if rows > MOST_ROWS:
        raise InvalidFieldsError(
            "The report would have too many rows.",
            faults=[
                FieldFault(
                    "/query/group_by",
                    "too-many-rows",
                    f"A report has at most {MOST_ROWS} rows: group by less, ask for a shorter "
                    "span, or for one channel, agent or destination.",
                )
            ],
        )
