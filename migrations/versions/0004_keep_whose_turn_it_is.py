"""Keep whose turn it is, and who began a conversation."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0004"
down_revision: str | None = "0003"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

ID = sa.Text(collation="C")


def upgrade() -> None:
    op.create_table(
        "turns",
        sa.Column("account_id", ID, nullable=False),
        sa.Column("subject_id", ID, nullable=False),
        sa.Column("state", postgresql.JSONB(none_as_null=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name=op.f("fk_turns_accounts_account_id")
        ),
        sa.PrimaryKeyConstraint("account_id", "subject_id", name=op.f("pk_turns")),
    )
    op.add_column("conversations", sa.Column("engaged_agent_id", ID, nullable=True))


def downgrade() -> None:
    op.drop_column("conversations", "engaged_agent_id")
    op.drop_table("turns")
