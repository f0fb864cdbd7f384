"""Conversations that are there before a test begins."""

from sqlalchemy import text

from gateway.db.channels import get_channel
from gateway.db.first_contact import meet
from gateway.db.messages import Message, insert_messages
from gateway.domain import ids
from gateway.domain.message import AuthorKind, Direction, MessageStatus


async def wrote(database, account_id, channel_id, source_contact_id="visitor", words="Hello"):
    """Let a contact have written and return the conversation's, contact's and message's ids."""
    async with database.unit_of_work() as work:
        channel = await get_channel(work.connection, account_id, channel_id)
        assert channel is not None
        known, conversation = await meet(work, channel, source_contact_id, partition=0)
        message = Message(
            account_id=account_id,
            id=ids.new_id(ids.MESSAGE),
            channel_id=channel_id,
            conversation_id=conversation.id,
            sequence=conversation.take_sequence(),
            direction=Direction.INBOUND,
            author_kind=AuthorKind.CONTACT,
            author_id=known.contact_id,
            content={"type": "text", "text": words},
            status=MessageStatus.RECEIVED,
            source_message_id=f"m_{ids.new_id(ids.EVENT)}",
            occurred_at=work.now,
            accepted_at=work.now,
        )
        await insert_messages(work.connection, [message])
        conversation.last_action_at = work.now
        conversation.last_inbound_at = work.now
        conversation.last_message_at = work.now
        return conversation.id, known.contact_id, message.id


async def set_state(database, table, row_id, **values):
    """Write values into a row, as another role would have done."""
    assignments = ", ".join(f"{name} = :{name}" for name in values)
    async with database.unit_of_work() as work:
        await work.connection.execute(
            text(f"UPDATE {table} SET {assignments} WHERE id = :row_id"),
            {**values, "row_id": row_id},
        )
