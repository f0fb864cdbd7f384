"""What the public events of conversations tell: of messages, enquiries and threads."""

from typing import Literal

from pydantic import Field

from gateway.contracts.event_values import Fact
from gateway.contracts.inbound_objects import Edit, Postback, Reaction, Unsent
from gateway.contracts.resources import Enquiry, Message, Moment, Party

ThreadOwnerName = Literal["us", "other_app", "page_inbox", "idle"]


class AboutMessage(Fact):
    """A message as it stands after the event."""

    message: Message


class MessageReceived(AboutMessage):
    """A contact wrote; the message opened or continued an enquiry unless `enquiry_id` is null."""


class MessageAccepted(AboutMessage):
    """A message was taken for sending; `hold` says why it waits, if it does.

    It is told again, with another `sequence`, when a message that failed is sent again.
    """


class MessageSent(AboutMessage):
    """The platform or third party took a message.

    Also of what other hands sent: then `author.kind` is `page`, and there was no acceptance.
    """


class MessageDelivered(AboutMessage):
    """A message of ours reached the contact's device."""


class MessageRead(AboutMessage):
    """The contact read a message of ours; it counts as delivered from then on."""


class MessageFailed(AboutMessage):
    """A message will not be sent; `error` says why, and what to do about it."""


class MessageUncertain(AboutMessage):
    """Nobody can say yet whether a message was sent: its call broke off without an answer.

    It is told when the call has ended, and again when the wait for Meta's word ends without one.
    """

    needs_decision: bool = Field(
        default=False,
        description=(
            "The wait is over and nothing has told: send the message again by "
            "`POST /v1/messages/{id}/resend`, or let it be. What tells later is still believed."
        ),
    )


class MessageResolved(AboutMessage):
    """It turned out what became of an uncertain message; `status` says it."""


class MessageEdited(Fact):
    """The contact gave a message other words."""

    message: Message | None = Field(
        None, description="The message with its new words; absent where we never saw it."
    )
    edit: Edit | None = Field(
        None, description="Only of a message that we never saw: what the source told."
    )


class MessageUnsent(Fact):
    """A message was taken back; whoever stored what it said has to delete it."""

    message: Message | None = Field(
        None, description="The message without its words; absent where we never saw it."
    )
    unsent: Unsent | None = Field(
        None, description="Only of a message that we never saw: what the source told."
    )


class MessageReacted(AboutMessage):
    """A reaction was put on a message, or taken off it."""

    reaction: Reaction = Field(description="What changed; `message.reactions` is what stands now.")


class MessageMediaReady(AboutMessage):
    """No file of a message is on its way any more.

    Each attachment that is a file is `ready`, with a `media_id` and an address of ours, or
    `unavailable`, with the reason. Told once for a message whose files had to be fetched.
    """


class PostbackReceived(AboutMessage):
    """The contact pressed a button: a message that opened or continued an enquiry."""

    postback: Postback


class Actor(Fact):
    """Who did it."""

    kind: Literal["agent", "api", "bot", "contact", "endpoint", "page", "system"] = Field(
        description=(
            "`api`: a call that named no agent; `page`: a person in the Page's own inbox; "
            "`system`: the gateway, by a rule or a timer."
        )
    )
    id: str | None = Field(None, description="Of agents, contacts and endpoints.")


class AboutEnquiry(Fact):
    """An enquiry as it stands after the event, and who moved it."""

    enquiry: Enquiry
    actor: Actor


class EnquiryOpened(AboutEnquiry):
    """An enquiry took one of the account's places and is looked after from now on."""

    reason: str | None = Field(
        None, description="`admitted`: it had been queued.", examples=["admitted"]
    )


class EnquiryQueued(AboutEnquiry):
    """An enquiry waits outside: the account serves as many contacts as it may."""

    reason: str = Field(examples=["concurrent_contacts_limit"])


class EnquiryOffered(AboutEnquiry):
    """Agents of a destination were asked; `offers` says whom and until when."""


class EnquiryOfferWithdrawn(AboutEnquiry):
    """An agent is not asked any more."""

    reason: str = Field(
        description="`expired`: the agent did not answer in time; else what came between.",
        examples=["expired", "accepted", "transferred", "unavailable", "closed"],
    )
    agent_id: str


class EnquiryAccepted(AboutEnquiry):
    """Somebody has the enquiry; `handled_by` says what kind of party."""

    reason: str | None = Field(None, examples=["takeover", "page_inbox", "contact_answered"])


class EnquiryRejected(AboutEnquiry):
    """An agent who was asked does not want the enquiry."""

    agent_id: str


class EnquiryTransferred(AboutEnquiry):
    """The enquiry was given to another destination, which is asked now."""

    former_destination: Party | None


class EnquiryMissed(AboutEnquiry):
    """Nobody took the enquiry."""

    reason: str = Field(examples=["nobody_there", "nobody_took_it", "waiting_limit"])


class EnquiryFollowedUp(AboutEnquiry):
    """Somebody came back to a contact whose enquiry was missed."""


class EnquiryClosed(AboutEnquiry):
    """The enquiry ended."""

    reason: str = Field(
        examples=[
            "requested",
            "intermission",
            "channel-deleted",
            "contact-erased",
            "contact-merged",
        ]
    )


class EnquiryReopened(AboutEnquiry):
    """An enquiry that had ended begins anew and is routed anew."""

    reason: str | None = Field(None, examples=["requested", "contact_message"])


class Window(Fact):
    """The time in which replies to the contact may be sent."""

    state: Literal["open", "human_agent", "closed"]
    open_until: Moment | None
    human_agent_until: Moment | None = Field(
        description="Until when agents may still write; null where the Page has no such right."
    )


class ConversationWindowClosing(Fact):
    """The messaging window will close soon: who wants to answer should do it now."""

    window: Window


class ConversationThreadChanged(Fact):
    """Another party holds the thread at the platform."""

    previous_owner: ThreadOwnerName
    thread_owner: ThreadOwnerName
    since: Moment


class ConversationAutomationPaused(Fact):
    """Automatic messages stopped: there were so many that two robots may be talking."""

    reason: str = Field(examples=["too_many_automatic_messages"])
