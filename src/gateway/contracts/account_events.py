"""What the public events beside conversations tell: of contacts, channels and endpoints."""

from typing import Any

from pydantic import Field

from gateway.contracts.event_values import Fact
from gateway.contracts.resources import Channel, Contact, Endpoint, Moment


class AboutContact(Fact):
    """A contact as it stands after the event."""

    contact: Contact


class ContactCreated(AboutContact):
    """Somebody wrote or was met for the first time."""


class ContactUpdated(AboutContact):
    """The profile of a contact changed."""


class ContactBlocked(AboutContact):
    """What the contact writes is stored, and opens nothing any more."""


class ContactUnblocked(AboutContact):
    """The contact may open enquiries again."""


class ErasedContact(Fact):
    """What is left of a contact."""

    id: str
    channel_id: str


class ContactErased(Fact):
    """Everything that was known of a contact was deleted; receivers should delete theirs too."""

    contact: ErasedContact


class AboutChannel(Fact):
    """A channel as it stands after the event, without any secret."""

    channel: Channel
    reason: str | None = Field(
        description="The channel's `status_reason`.", examples=["token_expired", None]
    )
    detail: str | None = Field(description="What happened, for people.")
    remedy: str | None = Field(description="What to do about it, for people.")


class ChannelCreated(AboutChannel):
    """A channel was made."""


class ChannelUpdated(AboutChannel):
    """Settings of a channel changed."""


class ChannelActivated(AboutChannel):
    """A channel works: for the first time, or again; messages that were held leave now."""


class ChannelDegraded(AboutChannel):
    """A channel works in part; `remedy` says what to do."""


class ChannelDisconnected(AboutChannel):
    """Nothing can be sent on a channel; messages are held until it is connected again."""


class ChannelSuspended(AboutChannel):
    """A channel was suspended by its account: what comes in is kept, nothing is sent."""


class ChannelDeleted(AboutChannel):
    """A channel was deleted; its history stays readable."""


class ChannelTokenExpiring(AboutChannel):
    """The Page's token will expire: re-authenticate the channel before it does."""

    days_left: int = Field(examples=[14, 7, 1])


class AboutEndpoint(Fact):
    """An endpoint as it stands after the event, without any secret."""

    endpoint: Endpoint


class EndpointTested(AboutEndpoint):
    """Somebody asked for something to be sent to an endpoint; no other endpoint gets it."""


class EndpointPaused(AboutEndpoint):
    """An endpoint was paused; its deliveries are kept."""


class EndpointResumed(AboutEndpoint):
    """An endpoint takes deliveries again, those that were kept first."""


class EndpointFailing(AboutEndpoint):
    """An endpoint has done nothing but fail for a day; after five days it is disabled."""

    failing_since: Moment
    disabled_from: Moment = Field(
        description="From then on one more failure disables it, if none of its deliveries got "
        "through and at least ten attempts failed."
    )
    error: dict[str, Any] = Field(description="Of the latest attempt, as attempts show it.")


class EndpointDisabled(AboutEndpoint):
    """An endpoint failed for days, asked to be left alone or is gone; its deliveries are kept.

    `status_reason` of the endpoint: `failing`, `retry_after` (it asked for more than five days
    without a call) or `gone` (it answered 410).
    """
