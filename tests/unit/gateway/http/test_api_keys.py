from hypothesis import given
from hypothesis import strategies as st

from gateway.domain import ids
from gateway.http.api_keys import new_key, parse_key


def test_a_key_reads_back_as_itself():
    key_id = ids.new_id(ids.API_KEY)
    key = new_key(key_id)
    text = str(key)
    assert text.startswith("cgk_")
    assert parse_key(text) == key
    assert len(key.digest) == 32
    assert key.secret not in repr(key.digest)


def test_keys_are_not_alike():
    key_id = ids.new_id(ids.API_KEY)
    assert len({str(new_key(key_id)) for _ in range(100)}) == 100


@given(st.integers(0, 79), st.sampled_from("0aZ_"))
def test_a_slip_of_the_pen_is_noticed(place, other):
    text = str(new_key(ids.new_id(ids.API_KEY)))
    slipped = text[:place] + other + text[place + 1 :]
    assert (parse_key(slipped) is None) == (slipped != text)


@given(st.text())
def test_any_text_is_a_key_or_none(text):
    assert parse_key(text) is None
