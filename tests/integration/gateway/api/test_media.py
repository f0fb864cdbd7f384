"""Files by REST: uploaded, described, downloaded, and refused."""

import pytest

from gateway.media_store import MediaStore

PNG = b"\x89PNG\r\n\x1a\n" + b"0" * 100


@pytest.fixture
def store(api, tmp_path) -> None:
    api.app.state.media = MediaStore.at("", data_dir=str(tmp_path))


async def _upload(api, caller, name="a.png", content=PNG, mime="image/png", **headers):
    return await api.client.post(
        "/v1/media",
        files={"file": (name, content, mime)},
        headers={"Authorization": f"Bearer {caller.key}", **headers},
    )


async def test_a_file_is_described_and_given_back(api, store) -> None:
    caller, stranger = await api.account(), await api.account()
    made = await _upload(api, caller)
    assert made.status_code == 201, made.text
    media = made.json()
    assert (media["mime_type"], media["name"], media["size"]) == ("image/png", "a.png", len(PNG))
    assert (await caller.get(f"/v1/media/{media['id']}")).json() == media
    content = await caller.get(f"/v1/media/{media['id']}/content")
    assert (content.status_code, content.content) == (200, PNG)
    assert content.headers["X-Content-Type-Options"] == "nosniff"
    for path in ("", "/content"):
        assert (await stranger.get(f"/v1/media/{media['id']}{path}")).status_code == 404


async def test_the_same_idempotency_key_uploads_once(api, store) -> None:
    caller = await api.account()
    key = {"Idempotency-Key": "one"}
    first, again = await _upload(api, caller, **key), await _upload(api, caller, **key)
    assert first.json() == again.json()
    assert again.headers["Idempotency-Replayed"] == "true"
    other = await _upload(api, caller, content=PNG + b"1", **key)
    assert other.status_code == 422


@pytest.mark.parametrize(
    ("content", "mime", "status"),
    [
        (b"GIF89a", "image/png", 422),
        (b"MZ", "image/exe", 422),
        (b"", "image/png", 422),
        (b"\xff\xd8\xff" + b"0" * 8_000_000, "image/jpeg", 413),
        (b"%PDF-" + b"0" * 25_100_000, "application/pdf", 413),
    ],
)
async def test_what_is_no_media_is_refused(api, store, content, mime, status) -> None:
    caller = await api.account()
    answer = await _upload(api, caller, content=content, mime=mime)
    assert answer.status_code == status, answer.text


async def test_a_body_that_is_no_multipart_is_a_415(api, store) -> None:
    caller = await api.account()
    assert (await caller.post("/v1/media", {"file": "x"})).status_code == 415
