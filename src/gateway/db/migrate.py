"""Brings a database to the schema that this release needs."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

_IN_THE_WHEEL = Path(__file__).parents[1] / "_migrations"
_IN_THE_TREE = Path(__file__).parents[3] / "migrations"


def configuration(database_url: str) -> Config:
    """Return Alembic's configuration for a database."""
    config = Config()
    location = _IN_THE_WHEEL if _IN_THE_WHEEL.is_dir() else _IN_THE_TREE
    config.set_main_option("script_location", str(location).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["database_url"] = database_url
    return config


def upgrade(database_url: str) -> None:
    """Run every migration that the database lacks; a second deployer waits for the first.

    Must be called where no event loop runs.
    """
    command.upgrade(configuration(database_url), "head")


def head_revision() -> str:
    """Return the revision that this release's code expects."""
    script = ScriptDirectory.from_config(configuration(""))
    head = script.get_current_head()
    assert head is not None
    return head
