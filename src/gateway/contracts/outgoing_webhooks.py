"""What we POST beside public events, and what may be answered: messages and the challenge."""

from typing import Literal

from pydantic import Field

from gateway.contracts.event_values import Fact
from gateway.contracts.resources import Message


class Recipient(Fact):
    """Whom a message is for."""

    id: str = Field(
        description="Our id of the contact.", examples=["con_01kb2x5h8ve0xrn1y2z3a4b5c6"]
    )
    source_contact_id: str = Field(description="The third party's own id of the contact.")
    name: str | None


class MessageSend(Fact):
    """A message that the third party shall give to one of its contacts.

    The same message may be posted again when no answer came; `message.id` tells repeats.
    """

    message: Message
    contact: Recipient
    reply_to_source_message_id: str | None = Field(
        description="The third party's own id of the message that this one answers."
    )


class MessageTaken(Fact):
    """The answer to a message; every part of it may be left out."""

    message_id: str | None = Field(
        None,
        min_length=1,
        max_length=255,
        description="The third party's own id of the message, by which it may report its status.",
        examples=["m-20481"],
    )


class Challenge(Fact):
    """Asks an address to prove that whoever runs it wants what we send."""

    type: Literal["challenge"]
    challenge: str = Field(examples=["vH3mTq0mW1lq5kq1o0Q0lZr1k0V0m3yq0C9bq6n3d2E"])


class ChallengeMet(Fact):
    """The challenge's value, given back."""

    challenge: str


class ChallengeMetInResult(Fact):
    """The challenge's value, given back inside the receiver's own kind of answer."""

    code: Literal[0]
    result: ChallengeMet
