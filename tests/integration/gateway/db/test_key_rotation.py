"""Secrets move to the new key, bound to their rows as before."""

from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from tests.support.clock import FakeClock

from gateway.db.engine import create_engine
from gateway.db.key_rotation import rotate_keys
from gateway.db.secrets import KeyRing, UndecryptableError, generate_key
from gateway.db.unit_of_work import Database

OLD, NEW = generate_key("old"), generate_key("new")


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    engine = create_engine(database_url, pool_size=2, max_overflow=0, application_name="tests")
    yield engine
    await engine.dispose()


async def test_every_secret_is_under_the_new_key_afterwards(engine: AsyncEngine) -> None:
    old = KeyRing.from_text(OLD)
    both = KeyRing.from_text(f"{NEW},{OLD}")
    rows = {
        "app_secrets": [old.encrypt(each, row="meta_apps/1/app_secrets") for each in "ab"],
        "verify_token": old.encrypt("v", row="meta_apps/1/verify_token"),
        "page_access_token": old.encrypt("p", row="channels/chn_1/page_access_token"),
        "endpoint": both.encrypt("e", row="endpoints/ept_1/signing_secret"),
    }
    async with engine.begin() as connection:
        for statement in (
            (
                "INSERT INTO accounts (id, name, created_at, updated_at)"
                " VALUES ('acc_1', 'A', now(), now())"
            ),
            (
                "INSERT INTO meta_apps (app_id, name, app_secrets, verify_token, graph_version,"
                " created_at, updated_at)"
                " VALUES ('1', 'A', :app_secrets, :verify_token, 'v26.0', now(), now())"
            ),
            (
                "INSERT INTO channels (account_id, id, kind, name, status, source_id,"
                " page_access_token, connected_at, created_at, updated_at)"
                " VALUES ('acc_1', 'chn_1', 'messenger', 'C', 'active', '1', :page_access_token,"
                " now(), now(), now())"
            ),
            (
                "INSERT INTO endpoints (account_id, id, name, url, event_types, signing_secret,"
                " created_at, updated_at)"
                " VALUES ('acc_1', 'ept_1', 'E', 'https://x', '{*}', :endpoint, now(), now())"
            ),
        ):
            wanted = {name: value for name, value in rows.items() if f":{name}" in statement}
            await connection.execute(text(statement), wanted)

    assert await rotate_keys(Database(engine, clock=FakeClock(), keyring=both)) == 4
    assert await rotate_keys(Database(engine, clock=FakeClock(), keyring=both)) == 0

    new = KeyRing.from_text(NEW)
    async with engine.connect() as connection:
        app = (await connection.execute(text("SELECT * FROM meta_apps"))).one()
        channel = (await connection.execute(text("SELECT * FROM channels"))).one()
    opened = [new.decrypt(each, row="meta_apps/1/app_secrets") for each in app.app_secrets]
    assert opened == ["a", "b"]
    assert new.decrypt(app.verify_token, row="meta_apps/1/verify_token") == "v"
    row = "channels/chn_1/page_access_token"
    assert new.decrypt(channel.page_access_token, row=row) == "p"
    with pytest.raises(UndecryptableError):
        new.decrypt(channel.page_access_token, row="channels/chn_2/page_access_token")
