"""Metadata, naming convention and the column types that every table uses."""

from typing import Any

from sqlalchemy import CheckConstraint, Column, DateTime, ForeignKeyConstraint, MetaData, Text, text
from sqlalchemy.dialects.postgresql import JSONB

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(referred_table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# Ids sort by bytes, so that their order in the database is the order in which they were made.
ID = Text(collation="C")


def id_column(
    name: str = "id", *, nullable: bool = False, primary_key: bool = False
) -> Column[str]:
    """Return a column that holds one of our ids, or an id of Meta's or a third party's."""
    return Column(name, ID, nullable=nullable, primary_key=primary_key)


def moment(name: str, *, nullable: bool = False) -> Column[Any]:
    """Return a column that holds a moment in time."""
    return Column(name, DateTime(timezone=True), nullable=nullable)


def document(name: str, *, nullable: bool = False, default: str | None = None) -> Column[Any]:
    """Return a JSON column; `default` is the JSON text that the database fills in."""
    server_default = text(f"'{default}'::jsonb") if default is not None else None
    return Column(name, JSONB(none_as_null=True), nullable=nullable, server_default=server_default)


def one_of(column: str, *values: str) -> CheckConstraint:
    """Return a check that a text column holds one of these words."""
    allowed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({allowed})", name=column)


def belongs_to(table: str, column: str) -> ForeignKeyConstraint:
    """Return a foreign key that carries the account, so that no row can point into another's."""
    return ForeignKeyConstraint(["account_id", column], [f"{table}.account_id", f"{table}.id"])
