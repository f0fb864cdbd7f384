"""Contacts, conversations and messages."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY

from gateway.db.tables.base import belongs_to, document, id_column, metadata, moment, one_of

contacts = Table(
    "contacts",
    metadata,
    id_column("account_id", primary_key=True),
    id_column(primary_key=True),
    id_column("channel_id"),
    id_column("source_contact_id"),
    Column("name", Text),
    Column("first_name", Text),
    Column("last_name", Text),
    Column("email", Text),
    Column("phone", Text),
    Column("avatar_url", Text),
    Column("locale", Text),
    document("attributes", default="{}"),
    moment("blocked_at", nullable=True),
    moment("profile_fetched_at", nullable=True),
    # What was said before then is forgotten: it was by the same person, who was erased.
    moment("heard_from", nullable=True),
    moment("erased_at", nullable=True),
    # The contact that it turned out to be; its row stays, so that its ids lead there.
    id_column("merged_into", nullable=True),
    Column("version", Integer, nullable=False, server_default="1"),
    moment("created_at"),
    moment("updated_at"),
    belongs_to("channels", "channel_id"),
    UniqueConstraint("account_id", "channel_id", "source_contact_id"),
    Index("ix_contacts_channel", "channel_id", "id"),
    Index(
        "ix_contacts_blocked",
        "account_id",
        "id",
        postgresql_where=text("blocked_at IS NOT NULL"),
    ),
    Index(
        "ix_contacts_merged_into",
        "account_id",
        "merged_into",
        postgresql_where=text("merged_into IS NOT NULL"),
    ),
)

# Who was erased, by the SHA-256 of channel and id: what is told of the time before has no effect.
erasures = Table(
    "erasures",
    metadata,
    id_column("account_id", primary_key=True),
    id_column("channel_id", primary_key=True),
    Column("contact_hash", LargeBinary, primary_key=True),
    moment("erased_at"),
    belongs_to("channels", "channel_id"),
)

conversations = Table(
    "conversations",
    metadata,
    id_column("account_id", primary_key=True),
    id_column(primary_key=True),
    id_column("channel_id"),
    id_column("contact_id"),
    # "In the order accepted" means this number: it orders events, messages and lanes.
    Column("next_seq", BigInteger, nullable=False, server_default="1"),
    # The partition of the inbound topic that carries this conversation.
    Column("inbound_partition", Integer, nullable=False),
    id_column("enquiry_id", nullable=True),
    # The agent who wrote first, while no enquiry was alive: the answer goes there.
    id_column("engaged_agent_id", nullable=True),
    moment("last_inbound_at", nullable=True),
    # The contact's last action that opens the messaging window, by the event's own time.
    moment("last_action_at", nullable=True),
    moment("last_message_at", nullable=True),
    moment("last_outbound_at", nullable=True),
    # When it is next looked at whether the messaging window will close; a timer is due then.
    moment("window_notice_at", nullable=True),
    moment("delivered_watermark", nullable=True),
    moment("read_watermark", nullable=True),
    Column("thread_owner", Text, nullable=False, server_default="idle"),
    moment("thread_owner_since", nullable=True),
    # When the latest automatic messages were accepted: too many in a short time stop automation.
    Column("automatic_at", ARRAY(DateTime(timezone=True)), nullable=False, server_default="{}"),
    moment("automation_paused_at", nullable=True),
    # Where it goes on, once its contact turned out to be another one.
    id_column("continued_in", nullable=True),
    moment("created_at"),
    belongs_to("channels", "channel_id"),
    belongs_to("contacts", "contact_id"),
    one_of("thread_owner", "us", "other_app", "page_inbox", "idle"),
    UniqueConstraint("account_id", "channel_id", "contact_id"),
    # Workers lock conversations by the ids in rows of their own.
    Index("ix_conversations_id", "id", unique=True),
    Index(
        "ix_conversations_active",
        "account_id",
        text("coalesce(last_message_at, created_at)"),
        "id",
    ),
    Index(
        "ix_conversations_channel_active",
        "channel_id",
        text("coalesce(last_message_at, created_at)"),
        "id",
    ),
    Index("ix_conversations_contact", "contact_id"),
)

messages = Table(
    "messages",
    metadata,
    id_column("account_id", primary_key=True),
    id_column(primary_key=True),
    id_column("channel_id"),
    id_column("conversation_id"),
    id_column("enquiry_id", nullable=True),
    Column("sequence", BigInteger, nullable=False),
    Column("direction", Text, nullable=False),
    Column("author_kind", Text, nullable=False),
    id_column("author_id", nullable=True),
    Column("author_name", Text),
    document("content"),
    Column("status", Text, nullable=False),
    document("error", nullable=True),
    Column("client_reference", Text),
    Column("tag", Text),
    id_column("persona_id", nullable=True),
    # Our id of the message that this one answers.
    id_column("reply_to", nullable=True),
    # A private reply goes to a comment, not to a person.
    id_column("comment_id", nullable=True),
    Column("take_thread", Boolean, nullable=False, server_default=text("false")),
    # The agent's name as it stands before the text on the wire; it was the name at acceptance.
    Column("display_name", Text),
    # What made an automatic message; unique, so that each cause has one at most.
    Column("automation_cause", Text),
    Column("possibly_duplicate", Boolean, nullable=False, server_default=text("false")),
    Column("late", Boolean, nullable=False, server_default=text("false")),
    # Meta's mid, or the third party's own id.
    id_column("source_message_id", nullable=True),
    # The platform's time of an outbound message: its echo's, else its call's start. Watermarks
    # are compared with this one and never with sent_at.
    moment("platform_at", nullable=True),
    document("reactions", default="{}"),
    moment("edited_at", nullable=True),
    moment("unsent_at", nullable=True),
    moment("occurred_at"),
    moment("accepted_at"),
    moment("sent_at", nullable=True),
    moment("delivered_at", nullable=True),
    moment("read_at", nullable=True),
    belongs_to("conversations", "conversation_id"),
    one_of("direction", "inbound", "outbound"),
    one_of("author_kind", "contact", "agent", "bot", "system", "page"),
    one_of(
        "status",
        "received",
        "accepted",
        "sending",
        "sent",
        "delivered",
        "read",
        "failed",
        "uncertain",
    ),
    Index("ix_messages_conversation", "account_id", "conversation_id", "sequence"),
    Index("ix_messages_occurred", "conversation_id", "occurred_at", "sequence"),
    # What shall be said automatically and has not left: a person who takes over cancels it.
    Index(
        "ix_messages_unsent_automatic",
        "account_id",
        "conversation_id",
        postgresql_where=text("status = 'accepted' AND automation_cause IS NOT NULL"),
    ),
    Index(
        "uq_messages_source",
        "channel_id",
        "direction",
        "source_message_id",
        unique=True,
        postgresql_where=text("source_message_id IS NOT NULL"),
    ),
    Index(
        "uq_messages_automation_cause",
        "account_id",
        "automation_cause",
        unique=True,
        postgresql_where=text("automation_cause IS NOT NULL"),
    ),
    # Which messages a watermark may still move.
    Index(
        "ix_messages_unread",
        "account_id",
        "conversation_id",
        "platform_at",
        postgresql_where=text("status IN ('sent', 'delivered') AND direction = 'outbound'"),
    ),
    Index("ix_messages_id", "id"),
)

pending_marks = Table(
    "pending_marks",
    metadata,
    # Delivery, read and reaction marks for a message that is not known yet; kept for a day.
    id_column("account_id", primary_key=True),
    id_column("channel_id", primary_key=True),
    id_column("source_message_id", primary_key=True),
    Column("kind", Text, primary_key=True),
    moment("at"),
    moment("expires_at"),
    one_of("kind", "delivered", "read", "failed"),
    Index("ix_pending_marks_expires_at", "expires_at"),
)

comments = Table(
    "comments",
    metadata,
    # On posts of Pages and Instagram accounts; each may get one private reply.
    id_column("account_id", primary_key=True),
    id_column("channel_id", primary_key=True),
    id_column("comment_id", primary_key=True),
    # The platform's id of who wrote it; null where we only know of our reply.
    id_column("author_id", nullable=True),
    moment("commented_at", nullable=True),
    id_column("message_id", nullable=True),
    moment("expires_at"),
    belongs_to("channels", "channel_id"),
    Index("ix_comments_expires_at", "expires_at"),
    Index(
        "ix_comments_message_id",
        "message_id",
        postgresql_where=text("message_id IS NOT NULL"),
    ),
)

media = Table(
    "media",
    metadata,
    id_column("account_id", primary_key=True),
    id_column(primary_key=True),
    Column("mime_type", Text, nullable=False),
    Column("name", Text),
    Column("size", BigInteger, nullable=False),
    Column("sha256", Text, nullable=False),
    # Where the object store has it.
    Column("path", Text, nullable=False),
    moment("created_at"),
    # Who sent it, or to whom alone it was sent; null for what an account uploaded.
    id_column("contact_id", nullable=True),
    Index("ix_media_id", "id"),
    Index("ix_media_created_at", "account_id", "created_at"),
    Index(
        "ix_media_contact",
        "contact_id",
        postgresql_where=text("contact_id IS NOT NULL"),
    ),
)

# Files that a Page has with Meta, to be sent again by their id.
page_attachments = Table(
    "page_attachments",
    metadata,
    id_column("account_id", primary_key=True),
    id_column("channel_id", primary_key=True),
    Column("sha256", Text, primary_key=True),
    # As what it was uploaded: image, audio, video, file.
    Column("kind", Text, primary_key=True),
    id_column("attachment_id"),
    # Meta forgets them 90 days after this.
    moment("created_at"),
    moment("last_used_at"),
    belongs_to("channels", "channel_id"),
    one_of("kind", "image", "audio", "video", "file"),
    Index("ix_page_attachments_created_at", "created_at"),
)

enquiries = Table(
    "enquiries",
    metadata,
    id_column("account_id", primary_key=True),
    id_column(primary_key=True),
    id_column("channel_id"),
    id_column("conversation_id"),
    id_column("contact_id"),
    Column("status", Text, nullable=False),
    # The destination that has it, or has the offer; its kind and name at that time.
    document("destination", nullable=True),
    id_column("agent_id", nullable=True),
    Column("agent_name", Text),
    Column("handled_by", Text),
    # How far the rule has come: which destinations were tried, and with what end.
    document("progress", default="{}"),
    document("assignment", nullable=True),
    Column("custom_info", Text),
    Column("close_reason", Text),
    # When it had its away message: it never has another.
    moment("away_at", nullable=True),
    # Opened by messages that had been parked: no welcome, no away.
    Column("late", Boolean, nullable=False, server_default=text("false")),
    moment("queued_at", nullable=True),
    moment("opened_at"),
    moment("entered_at", nullable=True),
    moment("offered_at", nullable=True),
    moment("accepted_at", nullable=True),
    moment("first_response_at", nullable=True),
    moment("closed_at", nullable=True),
    moment("missed_at", nullable=True),
    moment("followed_up_at", nullable=True),
    moment("updated_at"),
    belongs_to("conversations", "conversation_id"),
    one_of("status", "open", "offered", "ongoing", "closed", "missed", "followed_up"),
    one_of("handled_by", "agent", "bot", "endpoint", "page_inbox"),
    Index("ix_enquiries_id", "id"),
    # What lists are filtered by, in the order of time, and what they combine. Those of one channel,
    # agent or destination do not begin with the account: a look for an id in an account must not
    # take them for the key.
    Index("ix_enquiries_by_time", "account_id", "opened_at", "id"),
    Index("ix_enquiries_by_status", "account_id", "status", "opened_at", "id"),
    Index("ix_enquiries_by_channel", "channel_id", "status", "opened_at", "id"),
    Index(
        "ix_enquiries_by_agent",
        "agent_id",
        "status",
        "opened_at",
        "id",
        postgresql_where=text("agent_id IS NOT NULL"),
    ),
    Index(
        "ix_enquiries_by_destination",
        text("(destination ->> 'id')"),
        "status",
        "opened_at",
        "id",
        postgresql_where=text("destination IS NOT NULL"),
    ),
    Index(
        "ix_enquiries_by_agent_channel",
        "agent_id",
        "channel_id",
        "status",
        "opened_at",
        "id",
        postgresql_where=text("agent_id IS NOT NULL"),
    ),
    Index(
        "ix_enquiries_by_agent_destination",
        "agent_id",
        text("(destination ->> 'id')"),
        "status",
        "opened_at",
        "id",
        postgresql_where=text("agent_id IS NOT NULL AND destination IS NOT NULL"),
    ),
    Index(
        "ix_enquiries_by_channel_destination",
        "channel_id",
        text("(destination ->> 'id')"),
        "status",
        "opened_at",
        "id",
        postgresql_where=text("destination IS NOT NULL"),
    ),
    Index("ix_enquiries_contact", "contact_id", "id"),
    # Who has one of the account's places.
    Index(
        "ix_enquiries_inside",
        "account_id",
        postgresql_where=text("status IN ('open', 'offered', 'ongoing') AND queued_at IS NULL"),
    ),
    # Who waits for an agent, and who waits outside: first in, first out.
    Index(
        "ix_enquiries_waiting",
        "account_id",
        "entered_at",
        "id",
        postgresql_where=text("status = 'open' AND queued_at IS NULL"),
    ),
    Index(
        "ix_enquiries_queued",
        "account_id",
        "queued_at",
        "id",
        postgresql_where=text("status = 'open' AND queued_at IS NOT NULL"),
    ),
    Index(
        "ix_enquiries_agent",
        "account_id",
        "agent_id",
        postgresql_where=text("status = 'ongoing'"),
    ),
    # At most one enquiry of a conversation is alive.
    Index(
        "uq_enquiries_live",
        "account_id",
        "conversation_id",
        unique=True,
        postgresql_where=text("status IN ('open', 'offered', 'ongoing')"),
    ),
)

offers = Table(
    "offers",
    metadata,
    id_column("account_id", primary_key=True),
    id_column(primary_key=True),
    id_column("enquiry_id"),
    id_column("agent_id"),
    id_column("destination_id"),
    Column("status", Text, nullable=False),
    moment("created_at"),
    moment("expires_at", nullable=True),
    moment("settled_at", nullable=True),
    belongs_to("enquiries", "enquiry_id"),
    one_of("status", "pending", "accepted", "rejected", "expired", "withdrawn"),
    Index("ix_offers_enquiry", "account_id", "enquiry_id"),
    Index(
        "ix_offers_agent_pending",
        "account_id",
        "agent_id",
        postgresql_where=text("status = 'pending'"),
    ),
)

timeline_entries = Table(
    "timeline_entries",
    metadata,
    id_column("account_id", primary_key=True),
    id_column("enquiry_id", primary_key=True),
    Column("sequence", BigInteger, primary_key=True),
    Column("position", SmallInteger, primary_key=True, server_default="0"),
    moment("at"),
    Column("type", Text, nullable=False),
    # Who did it: `{"kind": "agent|bot|contact|endpoint|system|api|page", "id"?}`.
    document("actor"),
    document("data", default="{}"),
    belongs_to("enquiries", "enquiry_id"),
)
