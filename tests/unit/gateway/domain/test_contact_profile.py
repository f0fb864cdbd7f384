from datetime import UTC, datetime, timedelta

import pytest

from gateway.domain.channel import ChannelKind
from gateway.domain.contact_profile import profile_is_due

NOW = datetime(2026, 11, 22, tzinfo=UTC)


def due(*, kind=ChannelKind.MESSENGER, contact="7400", named=False, days=None):
    asked_at = None if days is None else NOW - timedelta(days=days)
    return profile_is_due(kind, contact, named=named, asked_at=asked_at, now=NOW)


@pytest.mark.parametrize("kind", [ChannelKind.MESSENGER, ChannelKind.INSTAGRAM])
def test_who_writes_first_is_asked_for(kind):
    assert due(kind=kind)


def test_third_parties_tell_of_their_people_themselves():
    assert not due(kind=ChannelKind.THIRD_PARTY)


@pytest.mark.parametrize("contact", ["ref.a1", "comment.12_3", "erased:con_1", "", "٣"])
def test_what_is_no_persons_id_has_no_profile(contact):
    assert not due(contact=contact)


@pytest.mark.parametrize(
    ("named", "days", "again"),
    [(True, 29, False), (True, 30, True), (False, 0.9, False), (False, 1, True)],
)
def test_a_name_is_asked_for_again_after_a_month_and_a_missing_one_after_a_day(named, days, again):
    assert due(named=named, days=days) is again
