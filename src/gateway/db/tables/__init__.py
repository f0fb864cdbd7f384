"""Every table, by the part of the product that it belongs to."""

from gateway.db.tables.accounts import (
    accounts,
    api_keys,
    audit_entries,
    feed_counters,
    idempotency_keys,
)
from gateway.db.tables.base import metadata
from gateway.db.tables.channels import (
    agents,
    channel_icons,
    channels,
    endpoints,
    meta_apps,
    secret_versions,
)
from gateway.db.tables.conversations import (
    comments,
    contacts,
    conversations,
    enquiries,
    media,
    messages,
    offers,
    pending_marks,
    timeline_entries,
)
from gateway.db.tables.destinations import bot_versions, bots, departments, teams, turns
from gateway.db.tables.events import dead_letters, deliveries, delivery_attempts, events, reruns
from gateway.db.tables.reports import enquiry_figures
from gateway.db.tables.work import (
    errands,
    inbox,
    parked,
    parked_keys,
    partition_owners,
    processes,
    product_clock,
    shards,
    timers,
    topics,
)

__all__ = [
    "accounts",
    "agents",
    "api_keys",
    "audit_entries",
    "bot_versions",
    "bots",
    "channel_icons",
    "channels",
    "comments",
    "contacts",
    "conversations",
    "dead_letters",
    "deliveries",
    "delivery_attempts",
    "departments",
    "endpoints",
    "enquiries",
    "enquiry_figures",
    "errands",
    "events",
    "feed_counters",
    "idempotency_keys",
    "inbox",
    "media",
    "messages",
    "meta_apps",
    "metadata",
    "offers",
    "parked",
    "parked_keys",
    "partition_owners",
    "pending_marks",
    "processes",
    "product_clock",
    "reruns",
    "secret_versions",
    "shards",
    "teams",
    "timeline_entries",
    "timers",
    "topics",
    "turns",
]
