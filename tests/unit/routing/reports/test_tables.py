"""Reports as CSV."""

import csv
import io
from datetime import date

import pytest

from routing.reports.figures import Row
from routing.reports.tables import as_csv

NOTHING = {"waiting": None, "first_response": None, "handling": None}


def row(**group: str | date | None) -> Row:
    return Row(group=group, count=3, missed=1, durations=NOTHING | {"waiting": (1.5, 20.0)})


def test_a_line_of_names_and_one_of_each_row() -> None:
    text = as_csv([row(channel_id="chn_1", day=date(2026, 3, 1))], ["channel", "day"])
    assert text == (
        "channel_id,day,count,missed_rate,waiting_seconds_median,waiting_seconds_p95,"
        "first_response_seconds_median,first_response_seconds_p95,handling_seconds_median,"
        "handling_seconds_p95\r\n"
        "chn_1,2026-03-01,3,0.333333,1.5,20,,,,\r\n"
    )


def test_without_rows_there_are_the_names() -> None:
    assert as_csv([], ["agent"]).count("\r\n") == 1


@pytest.mark.parametrize(
    "hostile", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", '=HYPERLINK("x","y")', "=a,b\n"]
)
def test_no_cell_is_a_formula(hostile: str) -> None:
    [_, line] = csv.reader(io.StringIO(as_csv([row(destination_id=hostile)], ["destination"])))
    assert line[0] == f"'{hostile}"
