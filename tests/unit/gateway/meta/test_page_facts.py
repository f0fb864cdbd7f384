"""What a diagnosis reads out of Meta's answers, and out of their absence."""

from gateway.domain.diagnosis import Unseen
from gateway.domain.page_checks import PageState, SubscriptionFacts, TokenFacts
from gateway.errors import UpstreamFailedError
from gateway.meta.page_facts import facts_of
from gateway.meta.page_findings import Inspection, PageRefusedError

TOKEN = {
    "is_valid": True,
    "scopes": ["pages_messaging", "pages_show_list", "instagram_basic", 7],
    "granular_scopes": [
        {"scope": "pages_messaging", "target_ids": [10, "11"]},
        {"scope": "pages_show_list", "target_ids": ["11"]},
        {"scope": "instagram_basic", "target_ids": ["90"]},
        "odd",
    ],
}


def facts(**parts):
    return facts_of(Inspection(**parts), page_id="10", expected=["messages"])


def test_a_permission_that_names_other_pages_is_not_this_ones():
    token = facts(token=TOKEN).token
    assert isinstance(token, TokenFacts)
    assert token.granted == {"pages_messaging", "instagram_basic"}
    assert token.elsewhere == {"pages_show_list"}


def test_what_meta_says_of_a_page_is_taken_and_what_it_does_not_say_is_not_made_up():
    found = facts(token=TOKEN, page={"is_published": True}, found_fields=[], fields=["messages"])
    assert found.page == PageState(published=True)
    assert isinstance(found.subscription, SubscriptionFacts)
    assert (found.subscription.found, found.subscription.now) == ([], ["messages"])


def test_each_part_that_was_not_seen_says_why():
    found = facts(token=TOKEN | {"is_valid": False})
    assert isinstance(found.page, Unseen)
    assert "refused the token" in found.page.why
    found = facts(token=TOKEN, page=UpstreamFailedError("Meta had a fault."))
    assert isinstance(found.subscription, Unseen)
    assert found.subscription.why == "Meta had a fault."
    refused = PageRefusedError("meta-200", "The token has no right to this Page.")
    found = facts(token=TOKEN, page=refused, found_fields=refused, fields=refused)
    assert isinstance(found.page, Unseen)
    assert "no right to this Page" in found.page.why
