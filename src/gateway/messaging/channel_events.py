"""Channels as outside sees them, and the events that tell of their changes."""

from typing import Any

from gateway.contracts.moments import rfc3339
from gateway.db.channels import Channel
from gateway.db.outbox import NewEvent
from gateway.db.unit_of_work import UnitOfWork
from gateway.domain.channel import ChannelKind
from gateway.domain.channel_reasons import REASONS


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
