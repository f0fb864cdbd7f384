"""Let a contact turn out to be another one, and its conversation go on in the other's."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0024"
down_revision: str | None = "0023"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("contacts", sa.Column("merged_into", sa.Text(collation="C"), nullable=True))
    op.add_column("conversations", sa.Column("continued_in", sa.Text(collation="C"), nullable=True))
    with op.get_context().autocommit_block():
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS ix_contacts_merged_into")
        op.execute(
            "CREATE INDEX CONCURRENTLY ix_contacts_merged_into ON contacts (account_id, merged_into)"
            " WHERE merged_into IS NOT NULL"
        )


def downgrade() -> None:
    op.drop_index("ix_contacts_merged_into", table_name="contacts")
    op.drop_column("conversations", "continued_in")
    op.drop_column("contacts", "merged_into")
