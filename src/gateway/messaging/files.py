"""Lets files go that nobody may see any more: what lies in the media store is deleted outside."""

from collections.abc import Collection, Mapping
from typing import Final

from gateway.db.errands import NewErrand, set_errands
from gateway.db.media import Media
from gateway.db.unit_of_work import UnitOfWork

REMOVE_FILE: Final = "remove_file"
PATH: Final = "path"


async def remove_files(work: UnitOfWork, files: Collection[Media]) -> None:
    """Have the files of media deleted whose rows are deleted in this transaction."""
    for account_id in {file.account_id for file in files}:
        paths = {file.id: file.path for file in files if file.account_id == account_id}
        await remove_paths(work, account_id, paths)


async def remove_paths(work: UnitOfWork, account_id: str, paths: Mapping[str, str]) -> None:
    """Have files deleted that no row tells of, by the ids that their media had or would have."""
    errands = [
        NewErrand(
            account_id=account_id,
            kind=REMOVE_FILE,
            subject_id=media_id,
            due_at=work.now,
            data={PATH: path},
        )
        for media_id, path in paths.items()
    ]
    await set_errands(work, errands)
