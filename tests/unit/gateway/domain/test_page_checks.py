"""What is concluded of a Page from what is known of it, above all where Meta tells little."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from gateway.domain.channel import StatusReason
from gateway.domain.diagnosis import ASK_LATER, CheckResult, Unseen
from gateway.domain.login import PERMISSIONS
from gateway.domain.page_checks import (
    PageFacts,
    PageState,
    Refusal,
    SubscriptionFacts,
    TokenFacts,
    access_checks,
    integration_checks,
    state_checks,
)

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
SILENT = Unseen("Meta could not be reached, or had a fault.", ASK_LATER)
FIELDS = ("messages", "feed")
# As Meta tells: whether a Page is published, and nothing of what else befalls it.
FACTS = PageFacts(
    now=NOW,
    token=TokenFacts(alive=True, granted=frozenset(PERMISSIONS)),
    page=PageState(published=True),
    subscription=SubscriptionFacts(wanted=FIELDS, expected=FIELDS, found=FIELDS, now=FIELDS),
    refusal=None,
    was=None,
    reason=None,
    by_login=True,
    instagram=False,
    connected_at=NOW - timedelta(days=9),
    last_event_at=NOW - timedelta(hours=1),
    changed_at=NOW - timedelta(days=1),
)


def results(**facts):
    changed = replace(FACTS, **facts)
    checks = [*state_checks(changed), *access_checks(changed), *integration_checks(changed)]
    for each in checks:
        assert (each.remedy is None) is (each.result is CheckResult.OK)
    return {each.check: each for each in checks}


def refused(reason):
    return Refusal(reason=reason, detail="Meta said so.")


def test_what_meta_tells_of_by_refused_sends_alone_is_unknown_until_one_was_refused():
    found = results()
    assert found["page_restricted"].result == found["message_access"].result == "unknown"
    shown = results(was=StatusReason.PAGE_RESTRICTED)["page_restricted"]
    assert (shown.result, "A refused send showed it" in shown.seen) == ("failed", True)
    assert results(was=StatusReason.MESSAGES_NOT_ALLOWED)["message_access"].result == "failed"
    # What the Page itself says counts for more than a send of some time ago.
    told = PageState(restricted=False, messages_allowed=False)
    found = results(page=told, was=StatusReason.PAGE_RESTRICTED)
    assert found["page_restricted"].result == "ok"
    assert found["message_access"].result == "failed"


@pytest.mark.parametrize(
    ("last_event", "connected", "result"),
    [(1, 9, "ok"), (None, 1, "warning"), (None, 2, "unknown")],
)
def test_a_new_page_may_have_to_wait_for_its_review(last_event, connected, result):
    found = results(
        last_event_at=None if last_event is None else NOW - timedelta(days=last_event),
        connected_at=NOW - timedelta(days=connected),
    )
    assert found["page_under_review"].result == result
    assert result == "ok" or "24 to 48 hours" in found["page_under_review"].remedy


def test_a_permission_is_looked_for_by_page():
    granted = frozenset(PERMISSIONS) - {"pages_messaging", "pages_show_list"}
    token = TokenFacts(alive=True, granted=granted, elsewhere=frozenset({"pages_show_list"}))
    found = results(token=token)
    missing = found["permission.pages_messaging"]
    assert missing.result == "failed"
    assert "Manage and access Page conversations in Messenger" in missing.seen
    # Both ways are named.
    assert "Business Integrations" in missing.remedy
    assert "remove the integration" in missing.remedy
    assert "not for this Page" in found["permission.pages_show_list"].seen
    assert found["permission.pages_read_engagement"].result == "ok"
    # The token as such is good all the same.
    assert results(token=token, refusal=refused(StatusReason.PERMISSION_MISSING))[
        "token"
    ].result == ("ok")


def test_instagram_has_permissions_of_its_own():
    assert "permission.instagram_manage_messages" in results(instagram=True)
    assert "permission.instagram_manage_messages" not in results()


def test_of_a_dead_token_nothing_else_is_concluded():
    found = results(token=TokenFacts(alive=False), refusal=refused(StatusReason.PASSWORD_CHANGED))
    assert (found["token"].result, found["token"].seen) == ("failed", "Meta said so.")
    assert found["permission.pages_messaging"].result == "unknown"
    assert found["business_integration"].result == "unknown"


@pytest.mark.parametrize(("days", "result"), [(15, "ok"), (14, "warning"), (0, "warning")])
def test_the_end_of_a_token_is_warned_of_two_weeks_before(days, result):
    token = TokenFacts(alive=True, ends_at=NOW + timedelta(days=days))
    assert results(token=token)["token"].result == result


@pytest.mark.parametrize("reason", [StatusReason.APP_REMOVED, StatusReason.PAGE_NOT_GRANTED])
def test_an_integration_without_the_page_is_told(reason):
    assert results(refusal=refused(reason))["business_integration"].result == "failed"


@pytest.mark.parametrize(
    ("found", "now", "subscription", "by_hand"),
    [
        (FIELDS, FIELDS, "ok", "ok"),
        ((), FIELDS, "warning", "ok"),
        (("messages",), FIELDS, "warning", "warning"),
        ((), (), "failed", "ok"),
        (("feed",), ("feed",), "failed", "warning"),
    ],
)
def test_a_subscription_that_is_not_ours_shows_who_connected(found, now, subscription, by_hand):
    facts = SubscriptionFacts(wanted=FIELDS, expected=FIELDS, found=found, now=now)
    checks = results(subscription=facts)
    assert checks["subscription"].result == subscription
    assert checks["connected_by_hand"].result == by_hand


def test_events_after_the_app_was_removed_show_that_somebody_put_it_back():
    gone = {"token": None, "reason": StatusReason.APP_REMOVED, "subscription": SILENT}
    before, after = FACTS.changed_at - timedelta(hours=1), FACTS.changed_at + timedelta(hours=1)
    assert results(**gone, last_event_at=before)["connected_by_hand"].result == "unknown"
    assert results(**gone, last_event_at=after)["connected_by_hand"].result == "failed"
    assert results(**gone)["business_integration"].result == "failed"
    assert results(**gone)["token"].remedy == "Connect the Page again."


def test_while_meta_is_silent_nothing_is_concluded():
    found = results(token=SILENT, page=SILENT, subscription=SILENT, last_event_at=None)
    assert {each.result for each in found.values()} == {"unknown"}
    assert {each.seen for each in found.values() if each.check != "page_under_review"} == {
        SILENT.why
    }
