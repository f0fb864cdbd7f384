"""The table of Graph codes, row by row against the platform's own, transcribed by hand."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.channel import ChannelStatus, StatusReason, hold_reason
from gateway.domain.delivery import (
    Reauthenticate,
    Refused,
    Retry,
    Throttle,
    WindowRefused,
)
from gateway.meta.errors import (
    RULES,
    THROTTLE_WAIT,
    GraphClass,
    GraphFault,
    classify,
    find_rule,
    is_familiar,
    parse_fault,
    regain_after,
)

# Meta's table: R retry, T throttle, N never the same request again, W the window, A the connection.
PLATFORM = """
1 - R
1 99 R
1 1357046 N
2 - R
2 2018344 N
4 - T
4 2018022 T
4 2018354 N
9 2018352 N
10 - A
10 2018278 W
10 2018065 W
10 2018108 N
10 2534022 W
10 2018336 N
10 1404170 N
10 1893015 N
10 1893063 A
10 2534077 A
17 - T
17 2446079 T
32 - T
80001 - T
80002 - T
80006 - T
100 - N
100 33 N
100 2018001 N
100 2018008 R
100 2018014 N
100 2018015 N
100 2018034 N
100 2018040 N
100 2018041 N
100 2018053 N
100 2018047 N
100 2018048 N
100 2018074 N
100 2018109 N
100 2018164 N
100 2018294 R
100 2534013 N
100 2534014 N
100 2534015 N
100 2534025 N
100 2534029 N
100 2534037 N
190 - A
190 458 A
190 459 A
190 464 A
190 460 A
190 463 A
190 467 A
190 492 A
102 - A
200 - A
210 - A
299 - A
200 1545041 N
200 2018021 N
200 2018027 N
200 2018028 N
200 2534041 A
230 - A
341 - T
368 - A
551 - N
551 1545041 N
613 - T
613 2018338 N
613 2534040 T
613 1893016 N
1200 - R
1200 2018024 R
2022 - N
10303 - N
10900 - N
803 - N
2500 - N
2635 - N
9000001 - N
2018218 - N
2018247 - N
2018300 - N
2018321 - N
"""
LETTERS = {
    "R": (GraphClass.RETRY, Retry),
    "T": (GraphClass.THROTTLE, Throttle),
    "N": (GraphClass.PERMANENT, Refused),
    "W": (GraphClass.WINDOW, WindowRefused),
    "A": (GraphClass.REAUTHENTICATE, Reauthenticate),
}


def rows():
    for line in PLATFORM.strip().splitlines():
        code, subcode, letter = line.split()
        yield int(code), None if subcode == "-" else int(subcode), letter


@pytest.mark.parametrize(("code", "subcode", "letter"), list(rows()))
def test_each_row_of_the_platforms_table(code, subcode, letter):
    graph_class, outcome = LETTERS[letter]
    rule = find_rule(code, subcode)
    assert rule.graph_class is graph_class
    assert isinstance(classify(GraphFault(code, subcode), http_status=400), outcome)


def test_no_row_stands_in_our_table_alone():
    transcribed = {(code, subcode) for code, subcode, _ in rows()}
    assert set(RULES) <= transcribed
    # 210 and 299 are of the range that 200 stands for.
    assert transcribed - set(RULES) == {(210, None), (299, None)}


@pytest.mark.parametrize(("code", "subcode", "letter"), list(rows()))
def test_words_are_for_people(code, subcode, letter):
    rule = find_rule(code, subcode)
    for words in (rule.detail, rule.remedy):
        assert words[0].isupper()
        assert words.endswith(".")
        assert str(code) not in words
    assert (rule.status is None) == (rule.reason is None)
    assert (rule.status is not None) == (letter == "A")


@pytest.mark.parametrize(
    ("code", "subcode", "status", "reason", "held"),
    [
        (190, None, "disconnected", "token_expired", True),
        (190, 1234567, "disconnected", "token_expired", True),
        (190, 458, "disconnected", "app_removed", True),
        (190, 460, "disconnected", "password_changed", True),
        (190, 463, "disconnected", "token_expired", True),
        (190, 492, "disconnected", "role_lost", True),
        (102, None, "disconnected", "token_expired", True),
        (10, None, "disconnected", "permission_missing", True),
        (200, None, "disconnected", "permission_missing", True),
        (230, None, "disconnected", "permission_missing", True),
        (10, 1893063, "degraded", "page_restricted", True),
        (368, None, "degraded", "page_restricted", True),
        (200, 2534041, "degraded", "messages_not_allowed", False),
    ],
)
def test_what_becomes_of_the_channel(code, subcode, status, reason, held):
    outcome = classify(GraphFault(code, subcode), http_status=400)
    assert isinstance(outcome, Reauthenticate)
    assert (outcome.status, outcome.reason) == (ChannelStatus(status), StatusReason(reason))
    assert (hold_reason(outcome.status, outcome.reason) is not None) == held


@pytest.mark.parametrize("subcode", [2018300, 2018321, 2018218])
def test_numbers_printed_as_codes_are_found_as_subcodes(subcode):
    assert find_rule(10, subcode) is RULES[subcode, None]
    assert find_rule(100, subcode) is RULES[subcode, None]


@pytest.mark.parametrize("code", [10, 200, 250])
def test_an_unfamiliar_subcode_does_not_disconnect_a_channel(code):
    fault = GraphFault(code, 7654321)
    assert isinstance(classify(fault, http_status=403), Refused)
    assert not is_familiar(fault)


@pytest.mark.parametrize(
    ("fault", "status", "outcome"),
    [
        (GraphFault(77777), 400, Refused),
        (GraphFault(77777, transient=True), 400, Retry),
        (GraphFault(77777), 500, Retry),
        (GraphFault(77777), 503, Retry),
        (GraphFault(77777), 429, Throttle),
        (GraphFault(77777, 5), 200, Refused),
    ],
)
def test_unfamiliar_codes_are_judged_by_what_else_there_is(fault, status, outcome):
    assert isinstance(classify(fault, http_status=status), outcome)
    assert not is_familiar(fault)


def test_the_code_is_named_as_the_interface_says():
    assert GraphFault(551, 1545041).slug == "meta-551-1545041"
    assert GraphFault(2).slug == "meta-2"


def test_few_tries_are_for_what_rarely_passes():
    assert [RULES[key].tries for key in ((1, 99), (100, 2018008), (100, 2018294))] == [3, 3, 2]
    assert RULES[1, None].tries is None


def test_waits_are_the_longest_that_somebody_asked_for():
    fault = GraphFault(80006)
    asked, told = timedelta(seconds=30), timedelta(minutes=19)
    assert classify(fault, http_status=400).after == THROTTLE_WAIT
    assert classify(fault, http_status=400, retry_after=asked).after == asked
    both = classify(fault, http_status=400, retry_after=asked, regain_after=told)
    assert both.after == told
    assert classify(GraphFault(4), http_status=400).wide
    assert not both.wide


def test_the_usage_header_tells_when_to_come_back():
    header = (
        '{"1784": [{"type": "messenger", "call_count": 100, "total_cputime": 25,'
        ' "total_time": 25, "estimated_time_to_regain_access": 19},'
        ' {"type": "pages", "estimated_time_to_regain_access": 3}]}'
    )
    assert regain_after(header) == timedelta(minutes=19)
    assert regain_after('{"1": [{"estimated_time_to_regain_access": 0}]}') is None
    assert regain_after("") is None
    assert regain_after("garbage" * 10_000) is None


@pytest.mark.parametrize(
    ("document", "fault"),
    [
        (
            {"error": {"code": 10, "error_subcode": 2018278, "message": "(#10) Late"}},
            GraphFault(10, 2018278, "(#10) Late"),
        ),
        ({"error": {"code": "190", "error_subcode": "463"}}, GraphFault(190, 463)),
        ({"error": {"code": 2, "is_transient": True}}, GraphFault(2, transient=True)),
        (
            {"error_type": "OAuthException", "code": 400, "error_message": "Bad"},
            GraphFault(400, None, "Bad"),
        ),
        ({"error": {"code": True}}, None),
        ({"error": {"message": "no code"}}, None),
        ({"error": "text"}, None),
        ({"message_id": "m_1"}, None),
        ([], None),
        (None, None),
    ],
)
def test_shapes_of_errors(document, fault):
    assert parse_fault(document) == fault


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["error", "code", "error_subcode", "message", "is_transient"]),
                inner,
                max_size=4,
            )
        ),
        max_leaves=12,
    )
)
def test_no_json_is_too_odd(document):
    fault = parse_fault(document)
    if fault is not None:
        classify(fault, http_status=400)
