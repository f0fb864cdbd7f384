"""What reports are made of: a narrow row of each enquiry, which the database itself keeps."""

from sqlalchemy import BigInteger, Boolean, Column, Table, Text, text

from gateway.db.tables.base import id_column, metadata, moment

# Written by a trigger of `enquiries` (revision 0005), in the transaction that changes an enquiry,
# and by nothing else; neither's rows are ever deleted. The key leads through an account's rows in
# the order of time. Nothing else is indexed, so that a change stays within the row's page.
enquiry_figures = Table(
    "enquiry_figures",
    metadata,
    id_column("account_id", primary_key=True),
    Column("opened_at", moment("opened_at").type, primary_key=True),
    id_column("enquiry_id", primary_key=True),
    # When the span began that the enquiry is in: waiting, or being handled; null in neither.
    moment("since", nullable=True),
    # When it first came in from outside; the first response counts from then.
    moment("entered_at", nullable=True),
    # In milliseconds. Waiting and handling are sums over the spans that have ended.
    Column("waiting", BigInteger),
    Column("first_response", BigInteger),
    Column("handling", BigInteger),
    # It was missed once, whatever came of it.
    Column("missed", Boolean, nullable=False, server_default=text("false")),
    Column("status", Text, nullable=False),
    id_column("channel_id"),
    id_column("destination_id", nullable=True),
    id_column("agent_id", nullable=True),
    # Room to change rows where they are.
    postgresql_with={"fillfactor": "80"},
)
