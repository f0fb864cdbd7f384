"""The table of Graph codes, row by row against the platform's own, transcribed by hand."""

import random
from datetime import timedelta

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from tests.support.clock import NOON
from tests.support.graph_codes import DOCUMENTED, OF_A_RANGE
from tests.support.sandbox import PAGE, PSID, SECRET, TOKEN, Box, settings

from gateway.clock import SystemClock
from gateway.domain.backoff import MESSAGE_SCHEDULE
from gateway.domain.delivery import (
    Reauthenticate,
    Refused,
    Retry,
    Throttle,
    WindowRefused,
)
from gateway.domain.verdict import Failed, Held, Patience, RetryDue, settle_message
from gateway.meta.error_classes import GraphClass
from gateway.meta.error_rules import RULES, find_rule
from gateway.meta.errors import (
    THROTTLE_WAIT,
    GraphFault,
    classify,
    is_familiar,
    parse_fault,
)
from gateway.meta.graph import GraphClient, PageAccess
from gateway.meta.sending import PageMessage
from gateway.sandbox.app import create_sandbox

ACCESS = PageAccess(
    page_id=PAGE, token=SecretStr(TOKEN), app_secret=SecretStr(SECRET), version="v26.0"
)
MESSAGE = PageMessage(
    contact_id=PSID, content={"type": "text", "text": "hello"}, metadata="msg_1.1"
)

LETTERS = {
    "R": GraphClass.RETRY,
    "T": GraphClass.THROTTLE,
    "N": GraphClass.PERMANENT,
    "W": GraphClass.WINDOW,
    "A": GraphClass.REAUTHENTICATE,
    "H": GraphClass.REAUTHENTICATE,
}
OUTCOMES = {
    "R": Retry,
    "T": Throttle,
    "N": Refused,
    "W": WindowRefused,
    "A": Reauthenticate,
    "H": Reauthenticate,
}
VERDICTS = {"R": RetryDue, "T": RetryDue, "N": Failed, "W": Failed, "A": Failed, "H": Held}


async def test_each_row_through_the_sandbox():
    """What the client makes of each documented error, and what then becomes of the message."""
    app = create_sandbox(settings())
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://graph.test") as client:
        box = Box(app, client, SystemClock())
        await box.page()
        await box.says("hello")
        graph = GraphClient(client, base_url="http://graph.test")
        for row in DOCUMENTED:
            fault = {"call": "messages", "mode": "error", "code": row.code, "subcode": row.subcode}
            await box.control("POST", "/faults", fault)
            answer = await graph.send_message(ACCESS, MESSAGE, budget=timedelta(seconds=30))
            assert described(answer) == documented(row), row.name
            assert answer.fault_code == str(row.code)


def described(answer):
    outcome = answer.outcome
    verdict = settle_message(
        outcome,
        attempt=1,
        now=NOON,
        patience=Patience(deadline_at=NOON + timedelta(hours=1)),
        schedule=MESSAGE_SCHEDULE,
        chance=random.Random(1),
    )
    error = outcome.error
    broken = isinstance(outcome, Reauthenticate)
    return {
        "outcome": type(outcome),
        "verdict": type(verdict),
        "code": error.code,
        "retried": error.retryable,
        "words": bool(error.detail and error.remedy),
        "attempts": getattr(outcome, "tries", None),
        "app_wide": getattr(outcome, "wide", False),
        "channel": (outcome.status, outcome.reason) if broken else None,
    }


def documented(row):
    return {
        "outcome": OUTCOMES[row.letter],
        "verdict": Held if row.held else VERDICTS[row.letter],
        "code": row.name,
        "retried": row.letter in "RT",
        "words": True,
        "attempts": row.attempts,
        "app_wide": row.app_wide,
        "channel": row.channel,
    }


@pytest.mark.parametrize("row", DOCUMENTED, ids=lambda row: row.name)
def test_each_row_of_the_table(row):
    rule = find_rule(row.code, row.subcode)
    assert rule.graph_class is LETTERS[row.letter]
    assert (rule.tries, rule.wide, rule.holds) == (row.attempts, row.app_wide, row.held)
    assert (None if rule.status is None else (rule.status, rule.reason)) == row.channel
    for words in (rule.detail, rule.remedy):
        assert words[0].isupper()
        assert words.endswith(".")
        assert str(row.code) not in words


def test_no_row_stands_in_our_table_alone():
    rows = {(row.code, row.subcode) for row in DOCUMENTED}
    assert set(RULES) == rows - OF_A_RANGE


def test_a_token_error_with_an_unfamiliar_subcode_is_one_all_the_same():
    outcome = classify(GraphFault(190, 1234567), http_status=400)
    assert (outcome.status, outcome.reason) == ("disconnected", "token_expired")
    assert outcome.error.code == "meta-190-1234567"


def test_of_an_unfamiliar_subcode_metas_word_counts_more_than_the_codes_row():
    assert isinstance(classify(GraphFault(100, 42), http_status=400), Refused)
    assert isinstance(classify(GraphFault(100, 42, transient=True), http_status=400), Retry)
    assert isinstance(classify(GraphFault(100, 2018001, transient=True), http_status=400), Refused)


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


def test_waits_are_the_longest_that_somebody_asked_for():
    fault = GraphFault(80006)
    asked, told = timedelta(seconds=30), timedelta(minutes=19)
    assert classify(fault, http_status=400).after == THROTTLE_WAIT
    assert classify(fault, http_status=400, retry_after=asked).after == asked
    both = classify(fault, http_status=400, retry_after=asked, regain_after=told)
    assert both.after == told
    retry = classify(GraphFault(2), http_status=503, retry_after=asked, regain_after=told)
    assert retry.after == told
    assert classify(GraphFault(2), http_status=503).after is None


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
