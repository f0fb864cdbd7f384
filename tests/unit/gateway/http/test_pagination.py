from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import InvalidFieldsError
from gateway.http.pagination import PageRequest, decode_cursor, encode_cursor

moments = st.datetimes(timezones=st.just(UTC))


@given(
    moments,
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    st.integers(-(2**63), 2**63 - 1),
)
def test_a_place_comes_back(moment, text, number):
    cursor = encode_cursor("list", [moment.isoformat(), text, number])
    assert cursor.isascii()
    assert decode_cursor(cursor, "list", datetime, str, int) == (moment, text, number)


@given(st.text(max_size=60))
def test_whatever_somebody_sends_is_a_place_or_refused(cursor):
    with pytest.raises(InvalidFieldsError) as caught:
        decode_cursor(cursor, "list", str)
    assert caught.value.faults[0].pointer == "/query/cursor"


@pytest.mark.parametrize("place", [["x", 1], [None], [True], ["a\0b"], [2**63], ["x", "y"], []])
def test_another_shape_is_refused(place):
    with pytest.raises(InvalidFieldsError):
        decode_cursor(encode_cursor("list", place), "list", int)


def test_another_lists_cursor_is_refused():
    with pytest.raises(InvalidFieldsError):
        decode_cursor(encode_cursor("agents", ["agt_1"]), "channels", str)


def test_the_spare_row_tells_whether_there_is_more():
    request = PageRequest(2, None)
    assert request.page(["a", "b"], "list", lambda row: [row]) == (["a", "b"], None)
    rows, cursor = request.page(["a", "b", "c"], "list", lambda row: [row])
    assert rows == ["a", "b"]
    assert cursor is not None
    assert PageRequest(2, cursor).place("list", str) == ("b",)
