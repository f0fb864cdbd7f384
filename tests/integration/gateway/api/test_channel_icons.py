"""The picture by which people know a channel."""

import hashlib

import pytest
from tests.support.api import problem
from tests.support.pictures import jpeg, png


@pytest.fixture
async def acme(api):
    return await api.account()


@pytest.fixture
async def path(api, acme):
    return f"/v1/channels/{(await api.third_party(acme))['id']}"


async def _put(caller, path, content, mime_type="image/png", **headers):
    given = {"Content-Type": mime_type, **headers}
    return await caller.call("PUT", f"{path}/icon", content=content, headers=given)


async def test_it_is_kept_given_back_replaced_and_taken_away(api, acme, path):
    problem(await acme.get(f"{path}/icon"), "not-found", 404)
    assert (await acme.get(path)).json()["icon"] is None
    for content, mime_type in ((png(), "image/png"), (jpeg(), "image/jpeg")):
        put = await _put(acme, path, content, mime_type)
        assert put.status_code == 200, put.text
        assert put.json()["icon"] == {
            "mime_type": mime_type,
            "size": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
        }
        assert put.headers["etag"] == f'"{put.json()["version"]}"'
        assert (await acme.get(path)).json() == put.json()
        got = await acme.get(f"{path}/icon")
        assert (got.status_code, got.content) == (200, content)
        assert got.headers["content-type"] == mime_type
        assert got.headers["x-content-type-options"] == "nosniff"
    assert (await acme.delete(f"{path}/icon")).status_code == 204
    assert (await acme.delete(f"{path}/icon")).status_code == 204
    problem(await acme.get(f"{path}/icon"), "not-found", 404)
    changed = [
        data["channel"] for _, data in await api.events(types=["gateway.channel.updated.v1"])
    ]
    assert [channel["icon"] and channel["icon"]["mime_type"] for channel in changed] == [
        "image/png",
        "image/jpeg",
        None,
    ]
    assert [channel["version"] for channel in changed] == [2, 3, 4]
    assert await api.rows("SELECT * FROM channel_icons") == []


@pytest.mark.parametrize(
    ("content", "mime_type", "slug", "status"),
    [
        (png(padding=1_048_576 - len(png())), "image/png", None, 200),
        (png(padding=1_048_577 - len(png())), "image/png", "body-too-large", 413),
        (png(), "image/jpeg", "unsupported-media-type", 415),
        (jpeg(), "image/png", "unsupported-media-type", 415),
        (png(), "image/gif", "unsupported-media-type", 415),
        (png(), "", "unsupported-media-type", 415),
        (b"<svg/>", "image/png", "unsupported-media-type", 415),
        (b"{}", "application/json", "unsupported-media-type", 415),
        (b"", "image/png", "unsupported-media-type", 415),
    ],
)
async def test_what_is_taken_for_a_picture(acme, path, content, mime_type, slug, status):
    answer = await _put(acme, path, content, mime_type)
    if slug is None:
        assert answer.status_code == status, answer.text
    else:
        problem(answer, slug, status)
        problem(await acme.get(f"{path}/icon"), "not-found", 404)


async def test_a_body_without_a_length_is_counted_as_it_comes(acme, path):
    async def endless():
        while True:
            yield b"0" * 65_536

    problem(await _put(acme, path, endless()), "body-too-large", 413)


async def test_only_who_may_and_on_what_lives(api, acme, path):
    await _put(acme, path, png())
    reader = await api.key(acme.account_id, ["read"])
    problem(await _put(reader, path, png()), "insufficient-scope", 403)
    problem(await reader.delete(f"{path}/icon"), "insufficient-scope", 403)
    assert (await reader.get(f"{path}/icon")).content == png()
    stale = await _put(acme, path, jpeg(), "image/jpeg", **{"If-Match": '"1"'})
    problem(stale, "version-mismatch", 412)
    assert (await acme.get(f"{path}/icon")).content == png()
    stranger = await api.account("Stranger")
    problem(await stranger.get(f"{path}/icon"), "not-found", 404)
    problem(await _put(stranger, path, png()), "not-found", 404)
    problem(await stranger.delete(f"{path}/icon"), "not-found", 404)
    await acme.delete(path)
    assert (await acme.get(f"{path}/icon")).content == png()
    problem(await _put(acme, path, png()), "channel-deleted", 409)
    problem(await acme.delete(f"{path}/icon"), "channel-deleted", 409)
