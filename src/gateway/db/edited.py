"""Rows of an account that people edit: each has a version, and is marked rather than deleted."""

from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from sqlalchemy import ColumnElement, Table, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection


class EditedRow(Protocol):
    """What every such row has."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def account_id(self) -> str:
        """Whose it is."""
        ...

    @property
    def id(self) -> str:
        """Its id."""
        ...


Row = TypeVar("Row", bound=EditedRow)


class EditedTable(Generic[Row]):
    """Reads and writes the rows of one table; the fields of their class are its columns."""

    def __init__(self, table: Table, row: type[Row]) -> None:
        """Take the table and the class of its rows."""
        self._table = table
        self._row = row
        self._columns = [table.c[field.name] for field in fields(row)]
        self._live = table.c.deleted_at.is_(None)

    async def insert(self, connection: AsyncConnection, row: Row, *, now: datetime) -> None:
        """Insert a row."""
        values = {field.name: getattr(row, field.name) for field in fields(self._row)}
        await connection.execute(insert(self._table).values(**values, updated_at=now))

    async def get(
        self, connection: AsyncConnection, account_id: str, row_id: str, *, lock: bool = False
    ) -> Row | None:
        """Return a live row of an account."""
        statement = select(*self._columns).where(
            self._table.c.account_id == account_id, self._table.c.id == row_id, self._live
        )
        if lock:
            statement = statement.with_for_update()
        found = (await connection.execute(statement)).mappings().one_or_none()
        return None if found is None else self._row(**found)

    async def list(
        self,
        connection: AsyncConnection,
        account_id: str,
        *conditions: ColumnElement[bool],
        before: str | None,
        limit: int,
    ) -> Sequence[Row]:
        """Return live rows of an account, the newest first, older than `before`."""
        statement = select(*self._columns).where(
            self._table.c.account_id == account_id, self._live, *conditions
        )
        if before is not None:
            statement = statement.where(self._table.c.id < before)
        found = await connection.execute(statement.order_by(self._table.c.id.desc()).limit(limit))
        return [self._row(**row) for row in found.mappings()]

    async def change(
        self,
        connection: AsyncConnection,
        row: Row,
        *,
        now: datetime,
        edited: bool = True,
        **changes: Any,  # noqa: ANN401 - column values
    ) -> Row:
        """Write new values into a row and return it; an edit raises its version."""
        if edited:
            changes |= {"version": self._table.c.version + 1, "updated_at": now}
        statement = (
            update(self._table)
            .where(self._table.c.account_id == row.account_id, self._table.c.id == row.id)
            .values(**changes)
            .returning(*self._columns)
        )
        return self._row(**(await connection.execute(statement)).mappings().one())
