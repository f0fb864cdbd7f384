"""The media store over a folder and over S3: the same promises."""

import io
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from gateway.media_store import MediaStore

pytestmark = [pytest.mark.integration, pytest.mark.enable_socket]

SIZE = 24_000_000


@pytest.fixture(scope="module")
def s3_address() -> Iterator[str]:
    # Imported late: it takes a second, which other tests need not wait for.
    from moto.server import ThreadedMotoServer  # noqa: PLC0415

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(params=["folder", "s3"])
async def store(
    request: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[MediaStore]:
    if request.param == "folder":
        yield MediaStore.at("", data_dir=str(tmp_path))
        return
    # As an operator sets them: the store reads the usual names.
    import boto3  # noqa: PLC0415

    address = request.getfixturevalue("s3_address")
    for name, value in {
        "AWS_ENDPOINT_URL": address,
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": "eu-central-1",
    }.items():
        monkeypatch.setenv(name, value)
    client = boto3.client("s3", endpoint_url=address)
    client.create_bucket(
        Bucket="media", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
    )
    yield MediaStore.at("s3://media/files", data_dir="")
    listed = client.list_objects_v2(Bucket="media").get("Contents", [])
    assert all(each["Key"].startswith("files/acc_1/") for each in listed)
    for each in listed:
        client.delete_object(Bucket="media", Key=each["Key"])
    client.delete_bucket(Bucket="media")


async def read(store: MediaStore, path: str, **span: int) -> bytes:
    return b"".join([part async for part in store.read(path, **span)])


async def test_what_was_put_is_read_whole_and_in_part_until_it_is_deleted(
    store: MediaStore,
) -> None:
    content = bytes(range(256)) * 100
    path = await store.put("acc_1", "med_1", io.BytesIO(content))
    assert await read(store, path) == content
    assert await read(store, path, start=10, end=20) == content[10:20]
    # Again, as after a crash between the store and the database.
    assert await store.put("acc_1", "med_1", io.BytesIO(b"new")) == path
    assert await read(store, path) == b"new"
    await store.delete(path)
    await store.delete(path)
    with pytest.raises(FileNotFoundError):
        await read(store, path)


async def test_an_empty_file(store: MediaStore) -> None:
    path = await store.put("acc_1", "med_2", io.BytesIO(b""))
    assert await read(store, path) == b""


class Zeros(io.RawIOBase):
    """A large file that nobody holds."""

    left = SIZE
    largest = 0

    def seek(self, offset: int, whence: int = 0) -> int:
        self.left = SIZE
        return 0

    def read(self, size: int = -1) -> bytes:
        self.largest = max(self.largest, size if size >= 0 else SIZE)
        taken = min(size, self.left)
        self.left -= taken
        return bytes(taken)


async def test_a_large_file_is_never_in_memory_whole(store: MediaStore) -> None:
    file: Any = Zeros()
    path = await store.put("acc_1", "med_3", file)
    assert file.largest < SIZE / 4
    size = largest = 0
    async for part in store.read(path):
        size += len(part)
        largest = max(largest, len(part))
    assert size == SIZE
    assert largest < SIZE / 4
