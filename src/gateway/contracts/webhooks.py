"""The bodies of what we POST to endpoints and third parties."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from gateway.contracts.moments import rfc3339

MESSAGE_SEND: Final = "gateway.message.send.v1"


def webhook_body(
    event_type: str,
    *,
    timestamp: datetime,
    sequence: int,
    data: Mapping[str, Any],
    account_id: str,
    channel_id: str | None,
    conversation_id: str | None,
    enquiry_id: str | None,
) -> bytes:
    """Return a webhook's body: `{"type", "timestamp", "sequence", "data"}` as UTF-8.

    `sequence` orders the events of a conversation, or of the account, as `ce_sequence` does on
    Kafka: a receiver sees by it that one was overtaken.

    `data` holds what the event's does on Kafka, and beside it the ids that the record has there.
    """
    ids = {
        "account_id": account_id,
        "channel_id": channel_id,
        "conversation_id": conversation_id,
        "enquiry_id": enquiry_id,
    }
    body = {
        "type": event_type,
        "timestamp": rfc3339(timestamp),
        "sequence": str(sequence),
        "data": {**ids, **data},
    }
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
