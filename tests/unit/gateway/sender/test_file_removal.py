"""Files of which nothing tells any more go; twice does no harm."""

import io
from datetime import UTC, datetime

import pytest

from gateway.db.errands import Errand
from gateway.media_store import MediaStore
from gateway.sender.duties import Done
from gateway.sender.file_removal import FileRemoval


async def test_a_file_is_deleted_once_and_for_all(tmp_path):
    store = MediaStore.at("", data_dir=str(tmp_path))
    path = await store.put("acc_1", "med_1", io.BytesIO(b"picture"))
    errand = Errand(
        account_id="acc_1",
        id="ern_1",
        shard=0,
        kind="remove_file",
        conversation_id=None,
        subject_id="med_1",
        due_at=datetime(2026, 3, 2, tzinfo=UTC),
        version=1,
        run=1,
        attempt=1,
        data={"path": path},
    )
    for _ in range(2):
        assert isinstance(await FileRemoval(lambda: store).run(errand), Done)
    with pytest.raises(FileNotFoundError):
        await anext(store.read(path))
    assert [each for each in tmp_path.rglob("*") if each.is_file()] == []
