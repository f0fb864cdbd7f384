"""Lets files go that nobody may see any more: what lies in the media store is deleted outside."""

from collections.abc import Collection
from typing import Final

from gateway.db.errands import NewErrand, set_errands
from gateway.db.media import Media
from gateway.db.unit_of_work import UnitOfWork

REMOVE_FILE: Final = "remove_file"
PATH: Final = "path"


async def remove_files(work: UnitOfWork, files: Collection[Media]) -> None:
    """Have the files of media deleted whose rows are deleted in this transaction."""
    errands = [
        NewErrand(
            account_id=file.account_id,
            kind=REMOVE_FILE,
            subject_id=file.id,
            due_at=work.now,
            data={PATH: file.path},
        )
        for file in files
    ]
    await set_errands(work, errands)
