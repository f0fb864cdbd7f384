"""The figures of a report: counted and gathered by the database, a row for each group."""

import asyncio
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from sqlalchemy import Row as SqlRow
from sqlalchemy import text
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
_ALL: Final = "FROM enquiry_figures"
# Pages of the table, from all over it.
_SAMPLED: Final = f"{_ALL} TABLESAMPLE SYSTEM (CAST(:share AS real))"
_OF_SPAN: Final = " WHERE account_id = :account_id AND opened_at >= :begins AND opened_at < :ends"
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
# How many there may be of what enquiries are grouped by, and about how many figures there are.
_KINDS: Final = text(
    """
    SELECT greatest(channels, :least) AS channel, 6 AS status, greatest(agents, :least) AS agent,
           greatest(agents + others, :least) AS destination, figures
    FROM (SELECT (SELECT count(*) FROM channels WHERE account_id = :account_id) AS channels,
                 (SELECT count(*) FROM agents WHERE account_id = :account_id) AS agents,
                 (SELECT count(*) FROM teams WHERE account_id = :account_id)
                 + (SELECT count(*) FROM bots WHERE account_id = :account_id)
                 + (SELECT count(*) FROM endpoints WHERE account_id = :account_id) AS others,
                 (SELECT reltuples FROM pg_class WHERE oid = 'enquiry_figures'::regclass)
                   AS figures) AS k
    """
)
_LEAST_KINDS: Final = 100
# Several processes of the database that share a report keep to no limit of memory where groups are
# very many. One alone does.
_ALONE: Final = text("SELECT set_config('max_parallel_workers_per_gather', '0', true)")
_FEW_GROUPS: Final = 2 * MOST_ROWS
# Enough figures to tell how many groups all of them have.
_LOOKED_AT: Final = 100_000
_EVERY_ONE: Final = 100.0


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
    grouped = f" GROUP BY {', '.join(keys)}" if keys else ""
    share = await _share_to_look_at(connection, account_id, group_by, len(days))
    if share is not None:
        sizes = f"SELECT count(*) AS size {_SAMPLED}{of_span}{grouped}"
        if await _groups(connection, sizes, values | {"share": share}) > _FEW_GROUPS:
            await connection.execute(_ALONE)
    columns = [*keys, "count(*)", "count(*) FILTER (WHERE missed)", _GATHERED]
    statement = text(f"SELECT {', '.join(columns)} {_ALL}{of_span}{grouped} LIMIT {MOST_ROWS + 1}")
    found = (await connection.execute(statement, values)).all()
    _require_at_most(len(found))
    # A million enquiries take a tenth of a second, which others need not wait for.
    return await asyncio.to_thread(_rows, found, group_by, days)


async def _share_to_look_at(
    connection: AsyncConnection, account_id: str, group_by: Sequence[str], days: int
) -> float | None:
    """Return which part of the figures, in per cent, tells how many groups there are.

    None: they cannot be many.
    """
    if len(group_by) < 2:  # noqa: PLR2004 - of one kind there are few
        return None
    wanted = {"account_id": account_id, "least": _LEAST_KINDS}
    kinds = (await connection.execute(_KINDS, wanted)).mappings().one()
    sizes: dict[str, int] = {**kinds, "day": days}
    if math.prod(sizes[name] for name in group_by) <= _FEW_GROUPS:
        return None
    figures: float = max(1.0, kinds["figures"])
    return _EVERY_ONE * min(1.0, _LOOKED_AT / figures)


async def _groups(connection: AsyncConnection, sizes: str, values: Mapping[str, Any]) -> float:
    """Return how many groups there are at most, as a part of the figures lets one expect.

    As often as a figure of the part was alone in its group, the others have one that is new.

    Raises:
        InvalidFieldsError: There are too many in the part alone.
    """
    seen = text(
        f"SELECT count(*), count(*) FILTER (WHERE size = 1) FROM ({sizes}) AS g"  # noqa: S608 - constant texts
    )
    groups, alone = (await connection.execute(seen, values)).one()
    _require_at_most(groups)
    return float(groups + alone * (_EVERY_ONE / values["share"] - 1))


def _rows(found: Sequence[SqlRow[Any]], group_by: Sequence[str], days: Sequence[date]) -> list[Row]:
    names = [FIELDS[name] for name in group_by]
    rows = []
    durations = summaries([each[-1] for each in found], len(DURATIONS))
    for each, of_group in zip(found, durations, strict=True):
        key: list[Any]
        *key, count, missed, _gathered = tuple[Any, ...](each)
        if days:
            day = group_by.index("day")
            key[day] = days[key[day] - 1]
        seconds = (pair and (pair[0] / 1000, pair[1] / 1000) for pair in of_group)
        rows.append(
            Row(
                group=dict(zip(names, key, strict=True)),
                count=count,
                missed=missed,
                durations=dict(zip(DURATIONS, seconds, strict=True)),
            )
        )
    return sorted(rows, key=_place)


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
