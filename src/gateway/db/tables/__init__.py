"""Every table, by the part of the product that it belongs to."""

from gateway.db.tables.accounts import (
    accounts,
    api_keys,
    audit_entries,
    feed_counters,
    idempotency_keys,
    retention_progress,
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
    erasures,
    media,
    messages,
    offers,
    page_attachments,
    pending_marks,
    timeline_entries,
)
from gateway.db.tables.deletions import data_deletions
from gateway.db.tables.destinations import bot_versions, bots, departments, teams, turns
from gateway.db.tables.events import dead_letters, deliveries, delivery_attempts, events, reruns
from gateway.db.tables.limits import app_demands, app_limits, target_paces
from gateway.db.tables.logins import facebook_logins, page_tokens
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
    "app_demands",
    "app_limits",
    "audit_entries",
    "bot_versions",
    "bots",
    "channel_icons",
    "channels",
    "comments",
    "contacts",
    "conversations",
    "data_deletions",
    "dead_letters",
    "deliveries",
    "delivery_attempts",
    "departments",
    "endpoints",
    "enquiries",
    "enquiry_figures",
    "erasures",
    "errands",
    "events",
    "facebook_logins",
    "feed_counters",
    "idempotency_keys",
    "inbox",
    "media",
    "messages",
    "meta_apps",
    "metadata",
    "offers",
    "page_attachments",
    "page_tokens",
    "parked",
    "parked_keys",
    "partition_owners",
    "pending_marks",
    "processes",
    "product_clock",
    "reruns",
    "retention_progress",
    "secret_versions",
    "shards",
    "target_paces",
    "teams",
    "timeline_entries",
    "timers",
    "topics",
    "turns",
]
