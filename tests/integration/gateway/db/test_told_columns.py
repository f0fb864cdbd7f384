"""Statements that tell their columns tell those that PostgreSQL gives."""

import importlib
import pkgutil

import asyncpg
import pytest
from sqlalchemy import TextualSelect
from sqlalchemy.dialects.postgresql import asyncpg as dialect

import gateway.db
import routing

pytestmark = pytest.mark.integration


def statements():
    """Return every statement that tells its columns, by module and name."""
    found = {}
    for package in (gateway.db, routing):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            for name, value in vars(importlib.import_module(module.name)).items():
                if isinstance(value, TextualSelect):
                    found[f"{module.name}.{name}"] = value
    return found


async def test_the_columns_that_statements_tell_are_those_that_they_give(database_url):
    wrong = {}
    connection = await asyncpg.connect(database_url.replace("+asyncpg", ""))
    try:
        told = statements()
        for name, statement in told.items():
            prepared = await connection.prepare(str(statement.compile(dialect=dialect.dialect())))
            given = [attribute.name for attribute in prepared.get_attributes()]
            if given != [column.name for column in statement.selected_columns]:
                wrong[name] = given
    finally:
        await connection.close()
    assert len(told) > 20
    assert not wrong
