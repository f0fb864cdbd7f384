"""Keep teams, bots and departments."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0003"
down_revision: str | None = "0002"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

ID = sa.Text(collation="C")


def upgrade() -> None:
    op.create_table(
        "teams",
        sa.Column("account_id", ID, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("distribution", sa.Text(), server_default="simultaneous", nullable=False),
        sa.Column("agent_timeout_seconds", sa.Integer(), server_default="30", nullable=False),
        sa.Column("agent_ids", postgresql.ARRAY(ID), server_default="{}", nullable=False),
        *_edited(),
        sa.CheckConstraint(
            "distribution IN ('simultaneous', 'fixed_order', 'round_robin', 'most_idle')",
            name=op.f("ck_teams_distribution"),
        ),
        *_keys("teams"),
    )
    op.create_table(
        "bots",
        sa.Column("account_id", ID, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        *_edited(),
        *_keys("bots"),
    )
    op.create_table(
        "bot_versions",
        sa.Column("account_id", ID, nullable=False),
        sa.Column("bot_id", ID, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("rules", postgresql.JSONB(none_as_null=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id", "bot_id"],
            ["bots.account_id", "bots.id"],
            name=op.f("fk_bot_versions_bots_account_id_bot_id"),
        ),
        sa.PrimaryKeyConstraint("account_id", "bot_id", "version", name=op.f("pk_bot_versions")),
    )
    op.create_table(
        "departments",
        sa.Column("account_id", ID, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        *_edited(),
        *_keys("departments"),
    )


def downgrade() -> None:
    op.drop_table("departments")
    op.drop_table("bot_versions")
    op.drop_table("bots")
    op.drop_table("teams")


def _edited() -> list[sa.Column[object]]:
    return [
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
    ]


def _keys(table: str) -> list[sa.Constraint]:
    return [
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name=op.f(f"fk_{table}_accounts_account_id")
        ),
        sa.PrimaryKeyConstraint("account_id", "id", name=op.f(f"pk_{table}")),
    ]
