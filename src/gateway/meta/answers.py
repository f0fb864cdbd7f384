"""What contacts send besides messages: feedback, verdicts, carts, appointments.

Shapes: Messenger Platform webhook events `messaging_feedback`, `response_feedback`, `send_cart`,
`messaging_appointments`.
"""

from gateway.contracts.canonical import Json
from gateway.meta.attachments import appointment
from gateway.meta.fields import (
    as_members,
    as_whole_number,
    bad_field,
    elements,
    loose_members,
    loose_text,
    optional_id,
    optional_text,
    present,
    required_id,
)
from gateway.meta.items import Fact, Item


def form_feedback(item: Item, value: Json) -> Fact:
    """Recognise the answers of a feedback form; the questions of a screen are keyed by id."""
    fields = as_members(value, "messaging_feedback")
    screens = [_screen(each) for each in elements(fields, "feedback_screens", "messaging_feedback")]
    return _feedback(item, {"kind": "form", "screens": screens})


def response_feedback(item: Item, value: Json) -> Fact:
    """Recognise a verdict on one of our messages."""
    fields = as_members(value, "response_feedback")
    verdict = optional_text(fields, "feedback", "response_feedback")
    if not verdict:
        raise bad_field("response_feedback.feedback")
    mid = required_id(fields, "mid", "response_feedback")
    return _feedback(item, {"kind": "response", "message_id": mid, "verdict": verdict})


def order(item: Item, value: Json) -> Fact:
    """Recognise a cart."""
    fields = as_members(value, "order")
    products = [_product(each) for each in elements(fields, "products", "order")]
    data = {"products": products} | present(note=loose_text(fields, "note"))
    return Fact("gateway.order.received.v1", data, item.contact_id(), item.without_own_id())


def appointment_item(item: Item, value: Json) -> Fact:
    """Recognise an appointment that is an item of its own, not an attachment."""
    data = appointment(as_members(value, "appointment"))
    unique = item.without_own_id()
    return Fact("gateway.appointment.received.v1", data, item.contact_id(), unique)


def _feedback(item: Item, data: dict[str, Json]) -> Fact:
    return Fact("gateway.feedback.received.v1", data, item.contact_id(), item.without_own_id())


def _screen(value: Json) -> dict[str, Json]:
    fields = as_members(value, "messaging_feedback.feedback_screens")
    questions = loose_members(fields, "questions")
    answers = [
        _answer(id_, as_members(each, "messaging_feedback.questions"))
        for id_, each in questions.items()
    ]
    return present(id=loose_text(fields, "screen_id"), answers=answers)


def _answer(question_id: str, fields: dict[str, Json]) -> dict[str, Json]:
    added = loose_members(fields, "follow_up")
    follow_up = present(type=loose_text(added, "type"), payload=loose_text(added, "payload"))
    return present(
        id=question_id,
        type=loose_text(fields, "type"),
        payload=loose_text(fields, "payload"),
        follow_up=follow_up or None,
    )


def _product(value: Json) -> dict[str, Json]:
    fields = as_members(value, "order.products")
    return present(
        id=optional_id(fields, "id", "order.products"),
        retailer_id=optional_id(fields, "retailer_id", "order.products"),
        name=loose_text(fields, "name"),
        unit_price=loose_text(fields, "unit_price"),
        currency=loose_text(fields, "currency"),
        quantity=as_whole_number(fields.get("quantity")),
    )
