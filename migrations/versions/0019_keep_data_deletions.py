"""Keep proofs of data deletions."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0019"
down_revision: str | None = "0018"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

ID = sa.Text(collation="C")


def upgrade() -> None:
    op.create_table(
        "data_deletions",
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("meta_app_id", ID, nullable=False),
        sa.Column("person_hash", sa.LargeBinary(), nullable=False),
        sa.Column("channels", sa.Integer(), nullable=False),
        sa.Column("requested_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["meta_app_id"],
            ["meta_apps.app_id"],
            name=op.f("fk_data_deletions_meta_apps_meta_app_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("code", name=op.f("pk_data_deletions")),
        sa.UniqueConstraint(
            "meta_app_id", "person_hash", name=op.f("uq_data_deletions_meta_app_id_person_hash")
        ),
    )


def downgrade() -> None:
    op.drop_table("data_deletions")
