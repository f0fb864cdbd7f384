"""Statements written as SQL, of which it is known what their rows look like.

SQLAlchemy works out anew at each execution which columns the rows of a bare text have. That takes
as long as the driver needs for a small statement, so the texts that are run for each message tell
their columns.
"""

from collections.abc import Iterable

from sqlalchemy import TextualSelect, column, text


def with_rows(sql: str, names: Iterable[str]) -> TextualSelect:
    """Return a statement whose rows have columns of these names, in this order.

    Their values are what the driver makes of them, as those of a bare text's rows are.
    """
    return text(sql).columns(*(column(name) for name in names))
