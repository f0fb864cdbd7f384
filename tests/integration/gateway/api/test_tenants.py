"""Every route, walked with the key of a stranger who knows all the ids."""

import re

import pytest
from fastapi.routing import iter_route_contexts
from tests.support.api import problem
from tests.support.talk import wrote

# Lists and creations: what they show or make is the caller's own.
_NO_IDS = re.compile(
    r"^/v1/[a-z-]+(/verify-webhook|/enquiries|/redeliver|/logins|/retry-schedule)?$"
)
_PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")
_BOT = {"name": "Prices", "rules": [{"when": {"kind": "fallback"}}]}


async def _everything_of(api, caller):
    """Make one of each thing and return the ids by the names that paths have for them."""
    channel = await api.third_party(caller)
    conversation_id, contact_id, message_id = await wrote(
        api.database, caller.account_id, channel["id"]
    )
    agent = (await caller.post("/v1/agents", {"first_name": "Ann"})).json()
    team = (await caller.post("/v1/teams", {"name": "Sales"})).json()
    bot = (await caller.post("/v1/bots", _BOT)).json()
    department = (await caller.post("/v1/departments", {"name": "Sales"})).json()
    endpoint = (await caller.post("/v1/endpoints", {"name": "CRM", "url": api.hook.url})).json()
    delivery = (await caller.post(f"/v1/endpoints/{endpoint['id']}/test")).json()
    keys = (await caller.get(f"/v1/accounts/{caller.account_id}/api-keys")).json()["data"]
    login = (await caller.post("/v1/facebook/logins", {"meta_app_id": await api.meta_app()})).json()
    letter = "dlt_01kb2x5h8ve0xrn1y2z3a4b5c6"
    await api.rows(
        "INSERT INTO dead_letters (id, account_id, reason, stage, at)"
        " VALUES (:id, :account_id, 'poison', 'routing', now())",
        id=letter,
        account_id=caller.account_id,
    )
    media = "med_01kb2x5h8ve0xrn1y2z3a4b5c6"
    await api.rows(
        "INSERT INTO media (account_id, id, mime_type, size, sha256, path, created_at)"
        " VALUES (:account_id, :id, 'image/png', 1, 'x', 'x', now())",
        id=media,
        account_id=caller.account_id,
    )
    rerun = (await caller.post("/v1/dead-letters/redeliver")).json()
    enquiry = "enq_01kb2x5h8ve0xrn1y2z3a4b5c6"
    await api.rows(
        "INSERT INTO enquiries (account_id, id, channel_id, conversation_id, contact_id, status,"
        " opened_at, updated_at) VALUES (:account_id, :id, :channel_id, :conversation_id,"
        " :contact_id, 'open', now(), now())",
        account_id=caller.account_id,
        id=enquiry,
        channel_id=channel["id"],
        conversation_id=conversation_id,
        contact_id=contact_id,
    )
    return {
        "enquiry_id": enquiry,
        "account_id": caller.account_id,
        "key_id": keys[0]["id"],
        "channel_id": channel["id"],
        "conversation_id": conversation_id,
        "contact_id": contact_id,
        "message_id": message_id,
        "agent_id": agent["id"],
        "team_id": team["id"],
        "bot_id": bot["id"],
        "department_id": department["id"],
        "endpoint_id": endpoint["id"],
        "delivery_id": delivery["id"],
        "dead_letter_id": letter,
        "rerun_id": rerun["id"],
        "media_id": media,
        "login_id": login["id"],
    }


# Bodies that would do, so that nothing but the owner is wrong.
_BODIES = {
    ("PATCH", "/v1/channels/{channel_id}"): {"name": "stolen"},
    ("POST", "/v1/channels/{channel_id}/messages"): {
        "content": {"type": "text", "text": "x"},
        "recipient": {"source_contact_id": "visitor"},
    },
    ("POST", "/v1/channels/{channel_id}/test-message"): {
        "contact_id": "con_01kb2x5h8ve0xrn1y2z3a4b5c6"
    },
    ("POST", "/v1/conversations/{conversation_id}/messages"): {
        "content": {"type": "text", "text": "x"}
    },
    ("POST", "/v1/conversations/{conversation_id}/actions"): {"action": "typing_on"},
    ("POST", "/v1/messages/{message_id}/reactions"): {"reaction": "love"},
    ("PUT", "/v1/channels/{channel_id}/routing"): {
        "rule": "alternative",
        "destinations": [{"id": "agt_01kb2x5h8ve0xrn1y2z3a4b5c6"}],
    },
    ("POST", "/v1/channels/{channel_id}/routing/simulate"): {},
    ("POST", "/v1/channels/{channel_id}/routing/replay"): {
        "routing": {
            "rule": "alternative",
            "destinations": [{"id": "agt_01kb2x5h8ve0xrn1y2z3a4b5c6"}],
        },
        "from": "2026-03-01T00:00:00Z",
        "to": "2026-03-02T00:00:00Z",
    },
    ("POST", "/v1/enquiries/{enquiry_id}/accept"): {"agent_id": "agt_01kb2x5h8ve0xrn1y2z3a4b5c6"},
    ("POST", "/v1/enquiries/{enquiry_id}/reject"): {"agent_id": "agt_01kb2x5h8ve0xrn1y2z3a4b5c6"},
    ("POST", "/v1/enquiries/{enquiry_id}/transfer"): {
        "destination_id": "agt_01kb2x5h8ve0xrn1y2z3a4b5c6"
    },
    ("POST", "/v1/conversations/{conversation_id}/thread-control"): {"action": "take"},
    ("PATCH", "/v1/contacts/{contact_id}"): {"name": "stolen"},
    ("PATCH", "/v1/agents/{agent_id}"): {"first_name": "stolen"},
    ("PUT", "/v1/agents/{agent_id}/presence"): {"state": "active"},
    ("PATCH", "/v1/teams/{team_id}"): {"name": "stolen"},
    ("PATCH", "/v1/bots/{bot_id}"): {"name": "stolen"},
    ("PATCH", "/v1/departments/{department_id}"): {"name": "stolen"},
    ("PATCH", "/v1/endpoints/{endpoint_id}"): {"name": "stolen"},
    ("POST", "/v1/endpoints/{endpoint_id}/replay"): {
        "from": "2026-03-01T00:00:00Z",
        "to": "2026-03-02T00:00:00Z",
    },
    ("POST", "/v1/facebook/logins/{login_id}/connect"): {"pages": [{"page_id": "1"}]},
    ("POST", "/v1/accounts/{account_id}/api-keys"): {"name": "x", "scopes": ["read"]},
}


def routes_of(app):
    for context in iter_route_contexts(app.routes):
        path = context.path_format
        if path is None or not path.startswith("/v1/"):
            continue
        for method in sorted(context.methods or ()):
            yield method, path


async def test_a_stranger_finds_nothing_and_changes_nothing(api):
    acme, stranger = await api.account(), await api.account("Stranger")
    ids = await _everything_of(api, acme)
    tables = [
        row["name"]
        for row in await api.rows(
            "SELECT relname AS name FROM pg_class WHERE relkind IN ('r', 'p')"
            " AND relnamespace = 'public'::regnamespace AND NOT relispartition"
            " AND relname NOT IN ('shards', 'alembic_version')"
        )
    ]
    before = {name: await api.rows(f"SELECT * FROM {name} ORDER BY 1::text") for name in tables}
    walked = 0
    for method, path in routes_of(api.app):
        if _NO_IDS.match(path):
            continue
        names = _PLACEHOLDER.findall(path)
        if names[0] == "app_id" or path == "/v1/accounts/{account_id}":
            answer = await stranger.call(method, path.format(**ids, app_id="1"), json={})
            problem(answer, "forbidden", 403)
            continue
        body = _BODIES.get((method, path))
        answer = await stranger.call(method, path.format(**ids), json=body)
        problem(answer, "not-found", 404)
        walked += 1
    assert walked > 48
    after = {name: await api.rows(f"SELECT * FROM {name} ORDER BY 1::text") for name in tables}
    assert after == before


async def test_a_stranger_lists_nothing(api):
    acme, stranger = await api.account(), await api.account("Stranger")
    await _everything_of(api, acme)
    listed = 0
    for method, path in routes_of(api.app):
        # The schedule is the instance's, and the same for everybody.
        if method != "GET" or not _NO_IDS.match(path) or path.endswith("/retry-schedule"):
            continue
        answer = await stranger.get(path)
        if answer.status_code == 403:
            assert path in ("/v1/accounts", "/v1/meta-apps")
            continue
        # A report without groups has a row of all, and counts nobody else's.
        assert [row for row in answer.json()["data"] if row.get("count") != 0] == [], path
        listed += 1
    assert listed >= 7


@pytest.mark.parametrize(
    ("method", "path", "body", "pointer"),
    [
        (
            "POST",
            "/v1/agents",
            {"first_name": "x", "channel_ids": ["{channel_id}"]},
            "/channel_ids/0",
        ),
        (
            "PATCH",
            "/v1/channels/{mine}",
            {"link": {"mode": "external_endpoint", "endpoint_id": "{endpoint_id}"}},
            "/link/endpoint_id",
        ),
        (
            "PATCH",
            "/v1/channels/{mine}",
            {"link": {"mode": "bot", "bot_id": "{bot_id}"}},
            "/link/bot_id",
        ),
        ("PATCH", "/v1/channels/{mine}", {"department_id": "{department_id}"}, "/department_id"),
        ("POST", "/v1/teams", {"name": "x", "agent_ids": ["{agent_id}"]}, "/agent_ids/0"),
        (
            "POST",
            "/v1/conversations/{my_conversation}/messages",
            {
                "content": {"type": "text", "text": "x"},
                "author": {"kind": "agent", "id": "{agent_id}"},
            },
            "/author/id",
        ),
        (
            "POST",
            "/v1/conversations/{my_conversation}/messages",
            {"content": {"type": "text", "text": "x"}, "reply_to": "{message_id}"},
            "/reply_to",
        ),
        (
            "POST",
            "/v1/conversations/{my_conversation}/messages",
            {"content": {"type": "image", "media_id": "{media_id}"}},
            "/content/media_id",
        ),
        (
            "POST",
            "/v1/channels/{mine}/messages",
            {"content": {"type": "text", "text": "x"}, "recipient": {"contact_id": "{contact_id}"}},
            "/recipient/contact_id",
        ),
    ],
)
async def test_what_belongs_to_a_stranger_cannot_be_referred_to(api, method, path, body, pointer):
    acme, stranger = await api.account(), await api.account("Stranger")
    ids = await _everything_of(api, acme)
    mine = await api.third_party(stranger)
    my_conversation, _, _ = await wrote(api.database, stranger.account_id, mine["id"])
    ids |= {"mine": mine["id"], "my_conversation": my_conversation}
    answer = await stranger.call(method, path.format(**ids), json=_filled(body, ids))
    refused = problem(answer, "validation-failed", 422)
    assert [fault["pointer"] for fault in refused["errors"]] == [pointer]


def _filled(body, ids):
    if isinstance(body, dict):
        return {name: _filled(value, ids) for name, value in body.items()}
    if isinstance(body, list):
        return [_filled(value, ids) for value in body]
    return body.format(**ids) if isinstance(body, str) else body
