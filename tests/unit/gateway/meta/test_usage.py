"""What usage headers say, however they are meant."""

import json
from datetime import timedelta

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.usage import Usage
from gateway.meta.usage import app_usage, page_usage

# As Meta's "Rate limits" prints it.
BUSINESS = {
    "1784": [
        {
            "type": "messenger",
            "call_count": 71,
            "total_cputime": 25,
            "total_time": 85,
            "estimated_time_to_regain_access": 0,
        }
    ],
    "1785": [{"type": "pages", "call_count": 100, "estimated_time_to_regain_access": 19}],
}


def headers(**values):
    return httpx.Headers({f"X-{name.replace('_', '-')}": value for name, value in values.items()})


def business(value):
    return page_usage(headers(Business_Use_Case_Usage=json.dumps(value)))


def test_the_fullest_of_all_limits_counts():
    assert business({"1784": BUSINESS["1784"]}) == Usage(85)
    assert business(BUSINESS) == Usage(100, timedelta(minutes=19))
    assert app_usage(headers(App_Usage='{"call_count":7,"total_cputime":3,"total_time":9}')) == (
        Usage(9)
    )
    older = headers(Page_Usage='{"call_count":90}', Business_Use_Case_Usage=json.dumps(BUSINESS))
    assert page_usage(older) == Usage(100, timedelta(minutes=19))
    assert page_usage(headers(Page_Usage='{"call_count": 90}')) == Usage(90)


def test_limits_of_advertisements_are_no_limits_of_messages():
    assert business({"1": [{"type": "ads_management", "call_count": 100}]}) is None
    assert business({"1": [{"type": "something_new", "call_count": 99}]}) == Usage(99)


@pytest.mark.parametrize(
    ("text", "usage"),
    [
        ('{"call_count": 79.2}', Usage(80)),
        ('{"call_count": 1e999}', Usage(1000)),
        ('{"call_count": 5000000}', Usage(1000)),
        ('{"estimated_time_to_regain_access": 1e12}', Usage(0, timedelta(days=1))),
        ('{"estimated_time_to_regain_access": 0}', Usage(0)),
        ('{"call_count": -5, "total_time": 3}', Usage(3)),
        ('{"call_count": true, "total_time": "90", "total_cputime": null}', None),
        ('{"call_count": NaN}', None),
        ('{"call_count": Infinity}', None),
        ('{"call_count": %s}' % ("9" * 5000), None),
        ("{}", None),
        ("[]", None),
        ('"100"', None),
        ("100", None),
        ("", None),
        ("garbage", None),
        ("[" * 10_000, None),
        ('{"a":' * 3000, None),
        ('{"call_count": 100, "x": "%s"}' % ("y" * 20_000), None),
    ],
)
def test_what_is_not_in_shape_was_not_said(text, usage):
    assert app_usage(headers(App_Usage=text)) == usage
    entries = text if text.startswith("[") else f"[{text}]"
    told = page_usage(headers(Business_Use_Case_Usage=f'{{"1": {entries}}}'))
    assert told == usage


@pytest.mark.parametrize("value", [{"1": {}}, {"1": [7, None, "x"]}, {"1": "x"}, [], 7, None])
def test_other_shapes_say_nothing(value):
    assert business(value) is None


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["call_count", "estimated_time_to_regain_access", "type", "1"]), inner
        )
    ),
    max_leaves=12,
)


@given(VALUES | st.text(max_size=60))
def test_no_header_is_too_odd(value):
    text = value if isinstance(value, str) else json.dumps(value)
    text = text.encode("latin-1", "replace").decode("latin-1")
    answer = {"x-app-usage": text, "x-page-usage": text, "x-business-use-case-usage": text}
    for usage in (app_usage(answer), page_usage(answer)):
        if usage is not None:
            assert 0 <= usage.percent <= 1000
            assert usage.regain_after is None or usage.regain_after <= timedelta(days=1)
