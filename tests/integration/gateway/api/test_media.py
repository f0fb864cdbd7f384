"""Files by REST: uploaded, described, downloaded, and refused."""

from datetime import timedelta

import pytest

from gateway.db.secrets import KeyRing, generate_key
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


class TestASignedAddress:
    async def test_opens_the_file_without_a_key_until_it_ends(self, api, store) -> None:
        caller = await api.account()
        media = (await _upload(api, caller)).json()
        assert media["url"].startswith(f"https://gateway.example/v1/media/{media['id']}/content?")
        opened = await api.client.get(media["url"])
        assert (opened.status_code, opened.content) == (200, PNG)
        assert opened.headers["Content-Type"] == "image/png"
        assert opened.headers["Content-Security-Policy"].startswith("sandbox")
        api.clock.advance(timedelta(seconds=3599))
        assert (await api.client.get(media["url"])).status_code == 200
        api.clock.advance(timedelta(seconds=1))
        assert (await api.client.get(media["url"])).status_code == 404

    async def test_opens_nothing_else_and_cannot_be_made(self, api, store) -> None:
        caller, other = await api.account(), await api.account()
        mine = (await _upload(api, caller)).json()
        theirs = (await _upload(api, other)).json()
        query = mine["url"].partition("?")[2]
        expires, _, signature = query.partition("&signature=")
        moment = int(expires.partition("=")[2])
        for path, forged in (
            (theirs["id"], query),
            (mine["id"], f"expires={moment + 1}&signature={signature}"),
            (mine["id"], f"expires={moment}&signature={signature[:-1]}"),
            (mine["id"], f"expires={moment}&signature="),
            (mine["id"], f"signature={signature}"),
            (mine["id"], f"expires=9999999999999&signature={signature}"),
            (mine["id"], f"expires=%D9%A3&signature={signature}"),
            (mine["id"], f"expires={moment}&signature=nokey.{signature}"),
            (mine["id"], f"expires={moment}&signature=a.%FF%E2%82"),
        ):
            answer = await api.client.get(f"/v1/media/{path}/content?{forged}")
            assert answer.status_code == 404, forged
        # Another account's address of the same file, as its messages would show it.
        link = api.database.links.link(other.account_id, mine["id"], now=api.clock.now())
        assert (await api.client.get(link)).status_code == 404
        # Without one, the key is asked for.
        assert (await api.client.get(f"/v1/media/{mine['id']}/content")).status_code == 401

    def test_of_a_key_that_is_rotated_out_is_void(self) -> None:
        old, new = generate_key("k1"), generate_key("k2")
        signature = KeyRing.from_text(old).sign("x", purpose="media-link")
        both = KeyRing.from_text(f"{new},{old}")
        assert both.has_signed("x", signature, purpose="media-link")
        assert not both.has_signed("x", signature, purpose="another")
        assert not KeyRing.from_text(new).has_signed("x", signature, purpose="media-link")


@pytest.mark.parametrize(
    ("asked", "status", "content", "span"),
    [
        ("bytes=0-3", 206, PNG[:4], f"bytes 0-3/{len(PNG)}"),
        ("bytes=100-", 206, PNG[100:], f"bytes 100-{len(PNG) - 1}/{len(PNG)}"),
        ("bytes=-8", 206, PNG[-8:], f"bytes {len(PNG) - 8}-{len(PNG) - 1}/{len(PNG)}"),
        ("bytes=4-9999", 206, PNG[4:], f"bytes 4-{len(PNG) - 1}/{len(PNG)}"),
        ("bytes=0-", 200, PNG, None),
        ("bytes=9999-", 416, b"", f"bytes */{len(PNG)}"),
        ("bytes=-0", 416, b"", f"bytes */{len(PNG)}"),
        ("bytes=5-4", 200, PNG, None),
        ("bytes=0-1,4-5", 200, PNG, None),
        ("lines=0-3", 200, PNG, None),
    ],
)
async def test_a_part_of_a_file(api, store, asked, status, content, span) -> None:
    caller = await api.account()
    media = (await _upload(api, caller)).json()
    part = await api.client.get(media["url"], headers={"Range": asked})
    assert (part.status_code, part.content) == (status, content)
    assert part.headers.get("Content-Range") == span


async def test_what_a_browser_might_run_is_only_for_saving(api, store) -> None:
    caller = await api.account()
    media = (await _upload(api, caller, content=b"<script>", mime="text/html")).json()
    opened = await api.client.get(media["url"])
    assert opened.headers["Content-Disposition"] == "attachment"
