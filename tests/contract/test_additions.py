"""A later document says all that the earlier one said; `losses` finds what it does not."""

import copy
from typing import Any

import pytest
from scripts.published.additions import losses
from tests.support.published import KAFKA, WEBHOOKS, committed, generated

from gateway.contracts.events import PUBLIC_TYPES
from gateway.contracts.topics import CONVERSATIONS
from gateway.contracts.webhooks import MESSAGE_SEND


class Change:
    """A change of a document, made in a copy of it."""

    def __init__(self, name: str) -> None:
        self.before = generated(name)
        self.after = copy.deepcopy(self.before)

    def schema(self, name: str) -> dict[str, Any]:
        schema: dict[str, Any] = self.after["components"]["schemas"][name]
        return schema

    @property
    def messages(self) -> dict[str, Any]:
        messages: dict[str, Any] = self.after["channels"][CONVERSATIONS]["messages"]
        return messages

    @property
    def losses(self) -> list[str]:
        return losses(self.before, self.after)

    def losses_of(self, type_: str) -> list[str]:
        """Return the losses of one public event."""
        start = f"{CONVERSATIONS} {type_}: "
        return [each.removeprefix(start) for each in self.losses if each.startswith(start)]


@pytest.fixture
def kafka() -> Change:
    return Change(KAFKA)


@pytest.mark.parametrize("name", [KAFKA, WEBHOOKS])
def test_the_code_keeps_what_the_committed_file_promises(name):
    assert losses(committed(name), generated(name)) == []


def test_a_type_that_is_gone(kafka):
    del kafka.messages["gateway.enquiry.closed.v1"]
    start = f"{CONVERSATIONS} gateway.enquiry.closed.v1"
    assert kafka.losses == [f"{start} headers is gone", f"{start} is gone"]


def test_a_webhook_that_is_gone():
    webhooks = Change(WEBHOOKS)
    del webhooks.after["webhooks"][MESSAGE_SEND]
    assert webhooks.losses == [f"{MESSAGE_SEND} is gone"]


def test_a_field_that_is_gone(kafka):
    del kafka.schema("Enquiry")["properties"]["custom_info"]
    assert kafka.losses_of("gateway.enquiry.closed.v1") == [
        "/data/enquiry/custom_info is not described any more"
    ]
    assert len(kafka.losses) == sum(type_.startswith("gateway.enquiry.") for type_ in PUBLIC_TYPES)


def test_a_field_that_is_gone_from_webhooks():
    webhooks = Change(WEBHOOKS)
    del webhooks.schema("ConversationIds")["properties"]["conversation_id"]
    assert f"{MESSAGE_SEND}: /data/conversation_id is not described any more" in webhooks.losses


def test_a_field_that_may_be_absent_now(kafka):
    kafka.schema("Message")["required"].remove("status")
    assert kafka.losses_of("gateway.message.sent.v1") == ["/data/message/status may be absent now"]


@pytest.mark.parametrize(
    ("schema", "now"),
    [
        ({"type": ["string", "null"]}, "null"),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, "null"),
        ({"type": "integer"}, "integer"),
        ({}, "array or boolean or integer or null or number or object"),
    ],
)
def test_a_field_that_may_be_something_else_now(kafka, schema, now):
    kafka.schema("Message")["properties"]["direction"] = schema
    assert kafka.losses_of("gateway.message.read.v1") == [
        f"/data/message/direction may be {now} now"
    ]


def test_a_field_in_the_things_of_a_list(kafka):
    kafka.schema("Offer")["required"].remove("agent_id")
    assert kafka.losses_of("gateway.enquiry.missed.v1") == [
        "/data/enquiry/offers[]/agent_id may be absent now"
    ]


def test_a_field_of_one_of_several_shapes(kafka):
    kafka.schema("MessengerSource")["properties"]["page_name"] = {"type": "integer"}
    assert kafka.losses_of("gateway.channel.deleted.v1") == [
        "/data/channel/source/page_name may be integer now"
    ]


def test_a_header_that_may_be_absent_now(kafka):
    kafka.schema("PublicHeaders")["required"].remove("ce_sequence")
    assert len(kafka.losses) == len(PUBLIC_TYPES)
    assert all(each.endswith("headers: /ce_sequence may be absent now") for each in kafka.losses)


def test_additions_are_no_losses(kafka):
    message = kafka.schema("Message")
    message["properties"] |= {"mood": {"type": "string"}, "weather": {"type": ["object", "null"]}}
    message["required"].append("mood")
    message["properties"]["client_reference"] = {"type": "string"}
    kafka.schema("Edit")["required"].append("text")
    kafka.messages["gateway.message.liked.v1"] = kafka.messages["gateway.message.sent.v1"]
    assert kafka.losses == []


def test_a_first_document_takes_nothing_away():
    assert losses({}, generated(KAFKA)) == []
