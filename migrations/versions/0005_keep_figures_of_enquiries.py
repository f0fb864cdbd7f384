"""Keep the figures that reports are made of, and index what lists of enquiries combine.

Forward only. The trigger comes first and the rows of enquiries that were there before follow in
batches, so that nobody waits for it; a run that was cut off goes on where it ended. The indexes
are made without blocking, as in 0002.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0005"
down_revision: str | None = "0004"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

ID = sa.Text(collation="C")
BATCH = 20_000

# Figures of an enquiry of which nothing but its present row is known.
_FIRST = """
    {row}.account_id, {row}.opened_at, {row}.id,
    CASE WHEN {row}.status IN ('open', 'offered') AND {row}.queued_at IS NULL
         THEN coalesce({row}.entered_at, {row}.opened_at)
         WHEN {row}.status = 'ongoing' THEN {row}.accepted_at END,
    {entered},
    gateway_milliseconds(least({row}.accepted_at, {row}.missed_at, {row}.closed_at) - {entered}),
    gateway_milliseconds({row}.first_response_at - {entered}),
    gateway_milliseconds({row}.closed_at - {row}.accepted_at),
    {missed}, {row}.status, {row}.channel_id, {row}.destination ->> 'id', {row}.agent_id
"""
_ENTERED = "CASE WHEN {row}.queued_at IS NULL THEN coalesce({row}.entered_at, {row}.opened_at) END"
_COLUMNS = """
    account_id, opened_at, enquiry_id, since, entered_at, waiting, first_response, handling, missed,
    status, channel_id, destination_id, agent_id
"""
_EXCLUDED = ", ".join(
    f"{name} = excluded.{name}"
    for name in map(str.strip, _COLUMNS.split(","))
    if name not in ("account_id", "opened_at", "enquiry_id")
)


def _first(row: str, missed: str) -> str:
    return _FIRST.format(row=row, entered=_ENTERED.format(row=row), missed=missed)


# A span ends when the enquiry was accepted, missed or closed, and where it goes back to be asked
# for again, when that was written. Clocks of two processes may differ by a little.
_FUNCTIONS = (
    """
    CREATE OR REPLACE FUNCTION gateway_milliseconds(span interval) RETURNS bigint
    LANGUAGE sql IMMUTABLE
    AS $$ SELECT CASE WHEN span < interval '0' THEN 0
                 ELSE round(extract(epoch FROM span) * 1000)::bigint END $$
    """,
    f"""
    CREATE OR REPLACE FUNCTION gateway_note_figures() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
      waited boolean;
      waits boolean := NEW.status IN ('open', 'offered') AND NEW.queued_at IS NULL;
      handled boolean;
      handles boolean := NEW.status = 'ongoing';
      at timestamptz := coalesce(
        CASE NEW.status WHEN 'ongoing' THEN NEW.accepted_at WHEN 'missed' THEN NEW.missed_at
                        WHEN 'closed' THEN NEW.closed_at END, NEW.updated_at);
    BEGIN
      IF TG_OP = 'UPDATE' THEN
        waited := OLD.status IN ('open', 'offered') AND OLD.queued_at IS NULL;
        handled := OLD.status = 'ongoing';
        UPDATE enquiry_figures f SET
          since = CASE WHEN waits = waited AND handles = handled THEN f.since
                       WHEN waits AND NEW.entered_at IS DISTINCT FROM OLD.entered_at
                         THEN NEW.entered_at
                       WHEN waits OR handles THEN at END,
          entered_at = coalesce(f.entered_at, NEW.entered_at),
          waiting = CASE WHEN waited AND NOT waits
                         THEN coalesce(f.waiting, 0) + gateway_milliseconds(at - f.since)
                         ELSE f.waiting END,
          first_response = coalesce(f.first_response, gateway_milliseconds(
            NEW.first_response_at - coalesce(f.entered_at, NEW.entered_at, NEW.opened_at))),
          handling = CASE WHEN handled AND NOT handles
                          THEN coalesce(f.handling, 0) + gateway_milliseconds(at - f.since)
                          ELSE f.handling END,
          missed = f.missed OR NEW.missed_at IS NOT NULL,
          status = NEW.status,
          channel_id = NEW.channel_id,
          destination_id = NEW.destination ->> 'id',
          agent_id = NEW.agent_id
        WHERE f.account_id = NEW.account_id AND f.opened_at = OLD.opened_at AND f.enquiry_id = NEW.id;
        IF FOUND THEN RETURN NULL; END IF;
      END IF;
      -- New, or from before there were figures, and not filled in yet.
      INSERT INTO enquiry_figures ({_COLUMNS})
      VALUES ({_first("NEW", "NEW.missed_at IS NOT NULL")})
      ON CONFLICT (account_id, opened_at, enquiry_id) DO UPDATE SET
        {_EXCLUDED};
      RETURN NULL;
    END $$
    """,  # noqa: S608 - constant texts
)
# Most saves of an enquiry change nothing that a report tells.
_TRIGGERS = (
    """
    CREATE OR REPLACE TRIGGER note_first_figures AFTER INSERT ON enquiries
    FOR EACH ROW EXECUTE FUNCTION gateway_note_figures()
    """,
    """
    CREATE OR REPLACE TRIGGER note_figures AFTER UPDATE ON enquiries FOR EACH ROW
    WHEN ((OLD.status, OLD.agent_id, OLD.queued_at, OLD.entered_at, OLD.first_response_at,
           OLD.destination)
          IS DISTINCT FROM
          (NEW.status, NEW.agent_id, NEW.queued_at, NEW.entered_at, NEW.first_response_at,
           NEW.destination))
    EXECUTE FUNCTION gateway_note_figures()
    """,
)
_MISSED_ONCE = """
    e.missed_at IS NOT NULL OR EXISTS (
      SELECT FROM timeline_entries t
      WHERE t.account_id = e.account_id AND t.enquiry_id = e.id AND t.type = 'missed')
"""
_FILL = f"""
    WITH batch AS (
      SELECT * FROM enquiries WHERE (account_id, id) > (:account_id, :id)
      ORDER BY account_id, id LIMIT {BATCH}
    ), filled AS (
      INSERT INTO enquiry_figures ({_COLUMNS})
      SELECT {_first("e", _MISSED_ONCE)}
      FROM batch e
      ON CONFLICT DO NOTHING
    )
    SELECT account_id, id FROM batch ORDER BY account_id DESC, id DESC LIMIT 1
"""  # noqa: S608 - constant texts

# Name, columns, the rows that it holds, and what it takes the place of.
_AGENT, _DESTINATION = "agent_id IS NOT NULL", "destination IS NOT NULL"
_INDEXES = (
    ("ix_enquiries_by_time", "account_id, opened_at, id", None, "ix_enquiries_opened"),
    ("ix_enquiries_by_status", "account_id, status, opened_at, id", None,
     "ix_enquiries_account_status"),
    ("ix_enquiries_by_channel", "channel_id, status, opened_at, id", None, "ix_enquiries_channel"),
    ("ix_enquiries_by_agent", "agent_id, status, opened_at, id", _AGENT, "ix_enquiries_agent_all"),
    ("ix_enquiries_by_destination", "(destination ->> 'id'), status, opened_at, id", _DESTINATION,
     "ix_enquiries_destination"),
    ("ix_enquiries_by_agent_channel", "agent_id, channel_id, status, opened_at, id", _AGENT, None),
    ("ix_enquiries_by_agent_destination",
     "agent_id, (destination ->> 'id'), status, opened_at, id",
     f"{_AGENT} AND {_DESTINATION}", None),
    ("ix_enquiries_by_channel_destination",
     "channel_id, (destination ->> 'id'), status, opened_at, id", _DESTINATION, None),
)  # fmt: skip


def upgrade() -> None:
    if not sa.inspect(op.get_bind()).has_table("enquiry_figures"):
        _create_table()
    for statement in (*_FUNCTIONS, *_TRIGGERS):
        op.execute(statement)
    with op.get_context().autocommit_block():
        op.execute("SET statement_timeout = 0")
        op.execute("SET lock_timeout = 0")
        _fill()
        for name, columns, rows, former in _INDEXES:
            if not _is_whole(name):
                where = "" if rows is None else f" WHERE {rows}"
                op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
                op.execute(f"CREATE INDEX CONCURRENTLY {name} ON enquiries ({columns}){where}")
            if former is not None:
                op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {former}")
        op.execute("SET statement_timeout = '60s'")
        op.execute("SET lock_timeout = '5s'")


def _create_table() -> None:
    op.create_table(
        "enquiry_figures",
        sa.Column("account_id", ID, nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("enquiry_id", ID, nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("entered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("waiting", sa.BigInteger(), nullable=True),
        sa.Column("first_response", sa.BigInteger(), nullable=True),
        sa.Column("handling", sa.BigInteger(), nullable=True),
        sa.Column("missed", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("channel_id", ID, nullable=False),
        sa.Column("destination_id", ID, nullable=True),
        sa.Column("agent_id", ID, nullable=True),
        sa.PrimaryKeyConstraint(
            "account_id", "opened_at", "enquiry_id", name=op.f("pk_enquiry_figures")
        ),
        postgresql_with={"fillfactor": "80"},
    )
    # What is grouped by the time of opening goes by its day. The planner knows only how many
    # moments there are, and would think that there are as many groups.
    op.execute("ALTER TABLE enquiry_figures ALTER opened_at SET (n_distinct = 100)")


def _fill() -> None:
    """Note the figures of enquiries that were there before the trigger was."""
    last: dict[str, str] | None = {"account_id": "", "id": ""}
    while last is not None:
        row = op.get_bind().execute(sa.text(_FILL), last).mappings().one_or_none()
        last = None if row is None else dict(row)


def _is_whole(name: str) -> bool:
    found = op.get_bind().execute(
        sa.text("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(:name)"),
        {"name": name},
    )
    return bool(found.scalar_one_or_none())
