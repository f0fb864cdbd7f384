"""Keep what was learnt of limits."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0014"
down_revision: str | None = "0013"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

ID = sa.Text(collation="C")
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "target_paces",
        sa.Column("account_id", ID, nullable=False),
        sa.Column("target_id", ID, nullable=False),
        sa.Column("usage_percent", sa.SmallInteger(), nullable=True),
        sa.Column("rate", sa.Float(), nullable=True),
        sa.Column("felt", sa.Float(), nullable=True),
        sa.Column("decided_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name=op.f("fk_target_paces_accounts_account_id")
        ),
        sa.PrimaryKeyConstraint("account_id", "target_id", name=op.f("pk_target_paces")),
    )
    op.create_table(
        "app_limits",
        sa.Column("app_id", ID, nullable=False),
        sa.Column("usage_percent", sa.SmallInteger(), nullable=False, server_default="0"),
        sa.Column("told_at", MOMENT, nullable=True),
        sa.Column("rate", sa.Float(), nullable=True),
        sa.Column("felt", sa.Float(), nullable=True),
        sa.Column("decided_at", MOMENT, nullable=True),
        sa.Column("rests_until", MOMENT, nullable=True),
        sa.ForeignKeyConstraint(
            ["app_id"],
            ["meta_apps.app_id"],
            name=op.f("fk_app_limits_meta_apps_app_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("app_id", name=op.f("pk_app_limits")),
    )
    op.create_table(
        "app_demands",
        sa.Column("app_id", ID, nullable=False),
        sa.Column("account_id", ID, nullable=False),
        sa.Column("process_id", sa.Text(), nullable=False),
        sa.Column("wanted", sa.Float(), nullable=False),
        sa.Column("made", sa.Float(), nullable=False),
        sa.Column("noted_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name=op.f("fk_app_demands_accounts_account_id")
        ),
        sa.ForeignKeyConstraint(
            ["app_id"],
            ["app_limits.app_id"],
            name=op.f("fk_app_demands_app_limits_app_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("app_id", "account_id", "process_id", name=op.f("pk_app_demands")),
    )


def downgrade() -> None:
    op.drop_table("app_demands")
    op.drop_table("app_limits")
    op.drop_table("target_paces")
