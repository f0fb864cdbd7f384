"""Channels as outside sees them, and the events that tell of their changes."""

from typing import Any, Final

from gateway.contracts.moments import rfc3339
from gateway.db.channels import Channel
from gateway.db.outbox import NewEvent
from gateway.db.unit_of_work import UnitOfWork
from gateway.domain.channel import ChannelKind, StatusReason

# What happened, and what to do about it.
REASONS: Final[dict[StatusReason, tuple[str, str]]] = {
    StatusReason.TOKEN_EXPIRED: (
        "Meta no longer accepts the Page's token.",
        "Re-authenticate the channel, or give it a new Page token.",
    ),
    StatusReason.PASSWORD_CHANGED: (
        "The person who connected the Page changed their Facebook password.",
        "Re-authenticate the channel, or give it a new Page token.",
    ),
    StatusReason.APP_REMOVED: (
        "The person who connected the Page removed the app.",
        "Connect the Page again.",
    ),
    StatusReason.PERMISSION_MISSING: (
        "A permission that the channel needs is missing or was withdrawn.",
        "Switch it on under Business Integrations, or remove the integration and connect again.",
    ),
    StatusReason.PAGE_NOT_GRANTED: (
        "The Page is not among those that were granted.",
        "Re-authenticate the channel and tick the Page.",
    ),
    StatusReason.ROLE_LOST: (
        "The person who connected the Page no longer has a role on it.",
        "Re-authenticate the channel as somebody who manages the Page.",
    ),
    StatusReason.PAGE_UNPUBLISHED: (
        "The Page is not published.",
        "Publish the Page in its settings.",
    ),
    StatusReason.PAGE_RESTRICTED: (
        "Meta has restricted the Page from sending messages.",
        "See the Page's quality in Meta Business Suite.",
    ),
    StatusReason.MESSAGES_NOT_ALLOWED: (
        "The Page does not take messages.",
        "Switch messages on in the Page's settings.",
    ),
    StatusReason.SUBSCRIPTION_MISSING: (
        "The app is not subscribed to the Page, so nothing comes in.",
        "Reconnect the channel; the person needs a role on the Page that may subscribe apps.",
    ),
    StatusReason.CHALLENGE_FAILED: (
        "The outgoing webhook failed its challenge several times.",
        "See that the address answers the challenge, then verify the channel.",
    ),
}


def channel_resource(channel: Channel) -> dict[str, Any]:
    """Return a channel's public form, without any secret."""
    return {
        "id": channel.id,
        "kind": channel.kind.value,
        "name": channel.name,
        "status": channel.status.value,
        "status_reason": channel.status_reason and channel.status_reason.value,
        "source": _source(channel),
        "meta_app_id": channel.meta_app_id,
        "department_id": channel.department_id,
        "link": channel.link,
        "routing": channel.routing,
        "messages": channel.messages,
        "custom_info": channel.custom_info,
        "icon": channel.icon,
        "intermission_minutes": channel.intermission_minutes,
        "closed_enquiry_policy": channel.closed_enquiry_policy,
        "text_limit": channel.text_limit,
        "human_agent": channel.human_agent,
        "media_policy": channel.media_policy,
        "inbound_media_types": channel.inbound_media_types,
        "send_deadline_seconds": channel.send_deadline_seconds,
        "on_unknown_outcome": channel.on_unknown_outcome,
        "on_suspend": channel.on_suspend,
        "created_at": rfc3339(channel.created_at),
        "version": channel.version,
    }


def announce_channel(
    work: UnitOfWork,
    channel: Channel,
    change: str,
    *,
    detail: str | None = None,
    remedy: str | None = None,
    **further: Any,  # noqa: ANN401 - JSON values beside the channel
) -> None:
    """Tell what became of a channel: `created`, `activated`, `degraded`, `disconnected`, ….

    The reason is the channel's own; without better words, those of the reason are used.
    """
    reason = channel.status_reason
    words = (None, None) if reason is None else REASONS[reason]
    work.announce(
        NewEvent(
            type=f"gateway.channel.{change}.v1",
            account_id=channel.account_id,
            channel_id=channel.id,
            occurred_at=work.now,
            data={
                "channel": channel_resource(channel),
                "reason": None if reason is None else reason.value,
                "detail": detail or words[0],
                "remedy": remedy or words[1],
                **further,
            },
        )
    )


def _source(channel: Channel) -> dict[str, Any]:
    match channel.kind:
        case ChannelKind.MESSENGER:
            return {"page_id": channel.page_id, "page_name": channel.page_name}
        case ChannelKind.INSTAGRAM:
            return {
                "instagram_id": channel.source_id,
                "page_id": channel.page_id,
                "page_name": channel.page_name,
            }
        case ChannelKind.THIRD_PARTY:
            return {
                "source_name": channel.source_name,
                "outgoing_webhook_url": channel.outgoing_webhook_url,
            }
