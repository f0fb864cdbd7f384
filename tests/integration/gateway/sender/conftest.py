import pytest
from tests.support.sending import Outbox


@pytest.fixture
async def outbox(database_url):
    async with Outbox.open(database_url) as outbox:
        yield outbox
