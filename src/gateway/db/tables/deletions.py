"""Requests to delete what a login brought: the proof that they were met, without content."""

from sqlalchemy import (
    Column,
    ForeignKeyConstraint,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
)

from gateway.db.tables.base import id_column, metadata, moment

data_deletions = Table(
    "data_deletions",
    metadata,
    # Unguessable: whoever has it may see how the request stands.
    Column("code", Text, primary_key=True),
    id_column("meta_app_id"),
    # SHA-256 of the app's id and the person's, so that a repeat is known without either.
    Column("person_hash", LargeBinary, nullable=False),
    Column("channels", Integer, nullable=False),
    moment("requested_at"),
    ForeignKeyConstraint(["meta_app_id"], ["meta_apps.app_id"], ondelete="CASCADE"),
    UniqueConstraint("meta_app_id", "person_hash"),
)
