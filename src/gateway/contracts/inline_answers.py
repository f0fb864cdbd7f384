"""What an endpoint may say in its answer to an event that a contact caused."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic import Field, TypeAdapter, ValidationError

from gateway.contracts.content import Content, stored
from gateway.contracts.strict import Body

MOST_MESSAGES: Final = 10

# What a contact says or does. What becomes of our own messages is not among them: an endpoint that
# answered that would talk to itself.
CAUSED_BY_CONTACTS: Final = frozenset(
    {
        "gateway.message.received.v1",
        "gateway.message.edited.v1",
        "gateway.message.unsent.v1",
        "gateway.message.reacted.v1",
        "gateway.postback.received.v1",
        "gateway.referral.received.v1",
        "gateway.optin.received.v1",
        "gateway.optout.received.v1",
        "gateway.account.linked.v1",
        "gateway.account.unlinked.v1",
        "gateway.feedback.received.v1",
        "gateway.order.received.v1",
        "gateway.appointment.received.v1",
    }
)


class InlineAnswer(Body):
    """What the endpoint says to the contact at once; any other answer says nothing.

    It counts in a 200 to an event that a contact caused, from the endpoint that the channel is
    linked to or that has the enquiry. What cannot be sent is left out, and noted with the attempt.
    """

    messages: list[Content] = Field(max_length=MOST_MESSAGES)


@dataclass(frozen=True, slots=True)
class Spoken:
    """What an answer said.

    Attributes:
        contents: By their index in the answer: what can be said, as messages hold it.
        faults: Pointers to what cannot, and why; they repeat nothing of what was said.
    """

    contents: Mapping[int, dict[str, Any]]
    faults: tuple[str, ...] = ()


SILENT: Final = Spoken({})
_CONTENT: Final[TypeAdapter[Content]] = TypeAdapter(Content)


def read_answer(body: bytes) -> Spoken:
    """Return what an endpoint's answer says; most say nothing."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return SILENT
    given = document.get("messages") if isinstance(document, dict) else None
    if given is None:
        return SILENT
    if not isinstance(given, list):
        return Spoken({}, ("/messages: list_type",))
    contents: dict[int, dict[str, Any]] = {}
    faults: list[str] = []
    for index, each in enumerate(given[:MOST_MESSAGES]):
        try:
            contents[index] = stored(_CONTENT.validate_python(each))
        except ValidationError as error:
            faults.append(_fault(index, error))
    if len(given) > MOST_MESSAGES:
        faults.append(f"/messages: too_long, {MOST_MESSAGES} at most")
    return Spoken(contents, tuple(faults))


def _fault(index: int, error: ValidationError) -> str:
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    # Names of fields that the endpoint made up are its own words.
    known = first["type"] != "extra_forbidden"
    place = "/".join(str(part) for part in (first["loc"] if known else first["loc"][:-1]))
    return f"/messages/{index}/{place}".rstrip("/") + f": {first['type']}"
