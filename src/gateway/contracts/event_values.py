"""The values of public events: whose each is, and what happened.

Readers must accept fields they do not know: the contract grows by adding. A change that takes
something away is another type, with another version in its name.
"""

from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field


class Fact(BaseModel):
    """What an event tells; a field that has a default may be absent, all others are there."""

    model_config = ConfigDict(frozen=True, extra="allow")


Told = TypeVar("Told", bound=Fact)


class PublicEvent(Fact, Generic[Told]):
    """An event of an account. Webhooks carry the same, with the ids inside `data`."""

    account_id: str = Field(examples=["acc_01kb2x5h8ve0xrn1y2z3a4b5c6"])
    channel_id: str | None = Field(description="Null where no channel is concerned.")
    conversation_id: str | None = Field(
        description="Null where no single conversation is concerned."
    )
    enquiry_id: str | None = Field(
        description="The enquiry that it belongs to; null where there is none."
    )
    data: Told

    @classmethod
    def model_parametrized_name(cls, params: tuple[Any, ...]) -> str:
        """Name an event after what it tells."""
        return f"{params[0].__name__}Event"


class ChannelEvent(PublicEvent[Told], Generic[Told]):
    """An event of a channel; of a conversation too, where one contact is concerned."""

    channel_id: str = Field(examples=["chn_01kb2x5h8ve0xrn1y2z3a4b5c6"])


class ConversationEvent(ChannelEvent[Told], Generic[Told]):
    """An event of a conversation, under the conversation's next number."""

    conversation_id: str = Field(examples=["cnv_01kb2x5h8ve0xrn1y2z3a4b5c6"])


class EnquiryEvent(ConversationEvent[Told], Generic[Told]):
    """An event of an enquiry, under its conversation's next number."""

    enquiry_id: str = Field(examples=["enq_01kb2x5h8ve0xrn1y2z3a4b5c6"])
