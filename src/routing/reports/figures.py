"""The figures of a report: counted and gathered by the database, a row for each group."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.errors import FieldFault, InvalidFieldsError
from routing.reports.percentiles import percentiles
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
_DURATIONS: Final = ", ".join(
    f"string_agg(int8send({name}), CAST('' AS bytea)) AS {name}" for name in DURATIONS
)
# A sort of all rows by their groups takes longer than all the rest, and to compile the statement
# as long as to run it.
_SETTINGS: Final = text(
    "SELECT set_config('enable_sort', 'off', true), set_config('jit', 'off', true),"
    " set_config('work_mem', '64MB', true)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """The figures of a group; durations are in seconds."""

    group: Mapping[str, str | date | None]
    count: int
    missed: int
    durations: Mapping[str, tuple[float, float] | None]

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
    # What a group gathers takes some kilobytes at least, so many groups are told of before.
    if len(set(group_by) - {"status"}) > 1:
        await _require_few(connection, f"SELECT 1 {of_span} GROUP BY {', '.join(keys)}", values)
    columns = [f"{key} AS {FIELDS[name]}" for key, name in zip(keys, group_by, strict=True)]
    columns += ["count(*) AS count", "count(*) FILTER (WHERE missed) AS missed", _DURATIONS]
    grouped = f" GROUP BY {', '.join(keys)}" if keys else ""
    statement = text(f"SELECT {', '.join(columns)} {of_span}{grouped} LIMIT {MOST_ROWS + 1}")
    found = (await connection.execute(statement, values)).mappings().all()
    _require_at_most(len(found))
    # A million enquiries take some hundredths of a second, which others need not wait for.
    rows = await asyncio.to_thread(_rows, found, group_by, days)
    return sorted(rows, key=_place)


def _rows(found: Sequence[RowMapping], group_by: Sequence[str], days: Sequence[date]) -> list[Row]:
    return [_row(row, group_by, days) for row in found]


def _row(row: RowMapping, group_by: Sequence[str], days: Sequence[date]) -> Row:
    group: dict[str, str | date | None] = {FIELDS[name]: row[FIELDS[name]] for name in group_by}
    if days:
        group["day"] = days[row["day"] - 1]
    return Row(
        group=group,
        count=row["count"],
        missed=row["missed"],
        durations={name: _seconds(row[name]) for name in DURATIONS},
    )


def _seconds(packed: bytes | None) -> tuple[float, float] | None:
    found = percentiles(packed, 0.5, 0.95)
    return None if found is None else (found[0] / 1000, found[1] / 1000)


def _place(row: Row) -> list[tuple[bool, str]]:
    return [(value is None, str(value)) for value in row.group.values()]


async def _require_few(connection: AsyncConnection, groups: str, values: dict[str, Any]) -> None:
    counted = text(f"SELECT count(*) FROM (SELECT 1 FROM ({groups}) g LIMIT {MOST_ROWS + 1}) m")  # noqa: S608 - constant texts
    _require_at_most((await connection.execute(counted, values)).scalar_one())


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
