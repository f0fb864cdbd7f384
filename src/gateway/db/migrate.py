"""Brings a database to the schema that this release needs."""

from alembic import command
from alembic.config import Config

from gateway.db.revisions import Revisions, migrations


def configuration(database_url: str) -> Config:
    """Return Alembic's configuration for a database."""
    config = Config()
    config.set_main_option("script_location", str(migrations()).replace("%", "%%"))
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
    return Revisions.of_this_release().head
