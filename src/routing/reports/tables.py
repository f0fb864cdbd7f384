"""Reports as CSV (RFC 4180), for spreadsheets."""

import csv
import io
from collections.abc import Iterable, Sequence
from datetime import date
from typing import Final

from routing.reports.figures import DURATIONS, FIELDS, Row

_OF_GROUPS: Final = ("count", "missed_rate")
_PERCENTILES: Final = ("median", "p95")
# A spreadsheet takes a cell that begins so for a formula, and runs it.
_FORMULAS: Final = ("=", "+", "-", "@", "\t", "\r", "\n")


def as_csv(rows: Iterable[Row], group_by: Sequence[str]) -> str:
    """Return a report as text: a line of names, and one for each row; nothing is empty."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(
        [
            *(FIELDS[name] for name in group_by),
            *_OF_GROUPS,
            *(f"{name}_seconds_{which}" for name in DURATIONS for which in _PERCENTILES),
        ]
    )
    for row in rows:
        durations = [row.durations[name] or (None, None) for name in DURATIONS]
        writer.writerow(
            [
                *(_cell(value) for value in row.group.values()),
                row.count,
                _number(row.missed_rate),
                *(_number(value) for pair in durations for value in pair),
            ]
        )
    return out.getvalue()


def _cell(value: str | date | None) -> str:
    shown = "" if value is None else str(value)
    return f"'{shown}" if shown.startswith(_FORMULAS) else shown


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6f}".rstrip("0").rstrip(".")
