import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typeid import TypeID

from gateway.domain.ids import CHANNEL, EVENT, event_id, event_id_of, is_id, new_id

NAMESPACE = uuid.UUID("6f0e7a5c-6f3f-5b0e-9a64-3c2b1f8d7e90")


def test_new_ids_sort_by_time_and_differ():
    made = [new_id(CHANNEL) for _ in range(10_000)]
    assert made == sorted(made)
    assert len(set(made)) == len(made)
    assert all(is_id(CHANNEL, each) for each in made)
    assert TypeID.from_string(made[0]).uuid.version == 7


@pytest.mark.parametrize(
    "value",
    [
        "",
        "chn",
        "chn_",
        "01kb0000000000000000000000",
        "evt_01kb0000000000000000000000",
        "chn_01kb000000000000000000000",
        "chn_01kb00000000000000000000000",
        "chn_81kb0000000000000000000000",
        "chn_01KB0000000000000000000000",
        "chn_01kb000000000000000000000l",
        "chn_01kb0000000000000000000000\n",
        "chn_\N{ARABIC-INDIC DIGIT ZERO}1kb0000000000000000000000",
    ],
)
def test_other_texts_are_no_ids(value):
    assert not is_id(CHANNEL, value)


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        # Frozen: with another derivation a repeat would have another id, and a second effect.
        ((), "evt_1fpe7vsv6zbheaa5dcpkfqzq1b"),
        (("400500600700800", "messenger", "1", "", "t", "m_one"), "evt_2jy154zx6wafzvq4zfet7bxmwy"),
        (("ü", "\N{WAVING HAND SIGN}", "\ud800"), "evt_46ny3r30yga6hvr10pxz473k09"),
    ],
    ids=["nothing", "a message", "beyond ASCII"],
)
def test_the_id_of_what_came_from_outside_is_frozen(parts, expected):
    assert event_id(parts) == expected
    if parts:
        assert event_id_of(parts[-1], *parts[:-1]) == expected


@given(st.lists(st.text()))
def test_it_is_a_version_5_uuid_of_the_parts_with_their_lengths(parts):
    name = b"".join(b"%d:%b" % (len(part.encode()), part.encode()) for part in parts)
    found = TypeID.from_string(event_id(parts))
    if parts:
        assert event_id_of(parts[-1], *parts[:-1]) == str(found)
    assert found.prefix == EVENT
    assert uuid.UUID(str(found.uuid)) == uuid.uuid5(NAMESPACE, name.decode())


@given(st.lists(st.text("ab1:")), st.lists(st.text("ab1:")))
def test_different_parts_have_different_ids(one, other):
    assert (event_id(one) == event_id(other)) == (one == other)
