"""Fills the big tables with rows as they look after months: one large account and many small ones.

Rows come from `generate_series`, so that a million of each takes a minute or two. Six rows in ten
are the large account's, as are one conversation with a tenth of all its messages, a channel that
has been silent for long, a held target with a long queue, and lanes with a failing head.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import asyncpg

# The names that operations ask for; the rest is numbered.
LARGE: Final = "acc_000000"
# An account with little else than channels, and how many.
MANY: Final = "acc_many"
MANY_CHANNELS: Final = 10_000
DAYS: Final = 10
BIG_TABLES: Final = (
    "contacts",
    "conversations",
    "messages",
    "enquiries",
    "enquiry_figures",
    "offers",
    "timeline_entries",
    "events",
    "deliveries",
    "delivery_attempts",
    "dead_letters",
    "inbox",
    "parked",
    "parked_keys",
    "pending_marks",
    "timers",
    "idempotency_keys",
)


@dataclass(frozen=True, slots=True)
class Extent:
    """How many rows there are, and when they were written.

    Attributes:
        rows: Of each big table, or twice as many.
        now: The moment at which the last ones were written.
    """

    rows: int
    now: datetime

    @property
    def accounts(self) -> int:
        """How many accounts there are, the large one among them."""
        return max(10, self.rows // 1000)

    @property
    def channels(self) -> int:
        """How many channels there are; the first fifth are the large account's."""
        return max(20, self.rows // 500)

    @property
    def began(self) -> datetime:
        """When the first rows were written."""
        return self.now - timedelta(days=DAYS)


# Row n of most tables is about conversation n: of the large account in six cases of ten, and on
# one of its channels, of which the first is the liveliest and the last was silent since long.
_FUNCTIONS: Final = """
CREATE FUNCTION pg_temp.k(prefix text, n bigint) RETURNS text LANGUAGE sql IMMUTABLE
  AS $$ SELECT prefix || '_' || lpad(n::text, 9, '0') $$;
CREATE FUNCTION pg_temp.acc(n bigint) RETURNS text LANGUAGE sql IMMUTABLE
  AS $$ SELECT 'acc_' || lpad((CASE WHEN n % 10 < 6 THEN 0
                               ELSE 1 + n % ({accounts} - 1) END)::text, 6, '0') $$;
CREATE FUNCTION pg_temp.chn(n bigint) RETURNS text LANGUAGE sql IMMUTABLE
  AS $$ SELECT pg_temp.k('chn', CASE
    WHEN n % 10 >= 6 THEN {large_channels} + n % ({accounts} - 1)
    WHEN n < {rows} / 50 THEN {large_channels} - 1
    WHEN n % 3 = 0 THEN 0
    ELSE n % ({large_channels} - 1) END) $$;
CREATE FUNCTION pg_temp.at(n bigint) RETURNS timestamptz LANGUAGE sql STABLE
  AS $$ SELECT '{began}'::timestamptz + n * interval '{step} microseconds' $$;
CREATE FUNCTION pg_temp.sh(key text) RETURNS smallint LANGUAGE sql IMMUTABLE
  AS $$ SELECT (hashtext(key) & 255)::smallint $$;
"""

_SMALL: Final = """
INSERT INTO accounts (id, name, created_at, updated_at)
SELECT 'acc_' || lpad(n::text, 6, '0'), 'Account ' || n, '{began}', '{began}'
FROM generate_series(0, {accounts} - 1) AS n;
INSERT INTO meta_apps (app_id, name, app_secrets, verify_token, graph_version, created_at,
                       updated_at)
VALUES ('400500600', 'App', ARRAY['\\x00'::bytea], '\\x00', 'v25.0', '{began}', '{began}');
INSERT INTO channels (account_id, id, kind, name, status, source_id, meta_app_id, connected_at,
                      created_at, updated_at, holds_source, freed_at, routing)
SELECT CASE WHEN n < {large_channels} THEN '{large}'
            ELSE 'acc_' || lpad((1 + (n - {large_channels}) % ({accounts} - 1))::text, 6, '0') END,
       pg_temp.k('chn', n), 'messenger', 'Channel ' || n,
       CASE WHEN n % 20 = 7 THEN 'suspended' ELSE 'active' END, pg_temp.k('page', n), '400500600',
       '{began}', '{began}', '{began}', true, NULL,
       jsonb_build_object('rule', 'alternative', 'destinations',
         jsonb_build_array(jsonb_build_object('id', pg_temp.k('agt', n % 200))))
FROM generate_series(0, {channels} + {accounts}) AS n;
-- Former owners: their sources wait for somebody else.
INSERT INTO channels (account_id, id, kind, name, status, source_id, meta_app_id, connected_at,
                      created_at, updated_at, holds_source, freed_at)
SELECT '{large}', pg_temp.k('chx', n), 'messenger', 'Former ' || n, 'deleted',
       pg_temp.k('gone', n), '400500600', '{began}', '{began}', '{began}', false, '{now}'
FROM generate_series(0, 99) AS n;
INSERT INTO agents (account_id, id, first_name, presence, created_at, updated_at)
SELECT '{large}', pg_temp.k('agt', n), 'Ada', 'active', '{began}', '{began}'
FROM generate_series(0, 199) AS n;
INSERT INTO endpoints (account_id, id, name, url, event_types, signing_secret, created_at,
                       updated_at)
SELECT CASE WHEN n < 20 THEN '{large}'
            ELSE 'acc_' || lpad((1 + n % ({accounts} - 1))::text, 6, '0') END,
       pg_temp.k('ept', n), 'Endpoint', 'https://example.com/' || n,
       ARRAY['gateway.message.received.v1'], '\\x00', '{began}', '{began}'
FROM generate_series(0, {accounts}) AS n;
INSERT INTO feed_counters (account_id, next_position)
SELECT 'acc_' || lpad(n::text, 6, '0'), 3 * {rows} FROM generate_series(0, {accounts} - 1) AS n;
INSERT INTO partition_owners (topic, partition, epoch, next_offset, caught_up_at, owned)
SELECT 'gateway.inbound.v1', n, 1, 1, '{now}', true FROM generate_series(0, 63) AS n;
-- The app is at its limit: every account would like to send more than it may, by four senders.
INSERT INTO app_limits (app_id, usage_percent, told_at, rate, felt, decided_at)
VALUES ('400500600', 85, '{now}', 100, 200, '{now}');
INSERT INTO app_demands (app_id, account_id, process_id, wanted, made, noted_at)
SELECT '400500600', 'acc_' || lpad(n::text, 6, '0'), 'sender-' || m, 10, 1, '{now}'
FROM generate_series(0, {accounts} - 1) AS n, generate_series(1, 4) AS m;
INSERT INTO target_paces (account_id, target_id, usage_percent, decided_at)
SELECT account_id, id, 10, '{now}' FROM channels;
-- Who has more Pages than anybody, of which each lives by one administrator's login.
INSERT INTO accounts (id, name, created_at, updated_at)
VALUES ('{many}', 'Many', '{began}', '{began}');
INSERT INTO channels (account_id, id, kind, name, status, source_id, meta_app_id, page_id,
                      page_name, connected_by, connected_at, created_at, updated_at)
SELECT '{many}', pg_temp.k('chm', n), 'messenger', 'Shop ' || n,
       CASE WHEN n % 100 = 7 THEN 'degraded' ELSE 'active' END, pg_temp.k('shop', n), '400500600',
       pg_temp.k('shop', n), 'Page of shop ' || n, '700' || n / 500, '{began}', '{began}', '{began}'
FROM generate_series(0, {many_channels} - 1) AS n;
UPDATE shards
SET owner = 'sender-1', epoch = 1, expires_at = '{now}'::timestamptz + interval '1 day';
"""

_BIG: Final = {
    "contacts": """
INSERT INTO contacts (account_id, id, channel_id, source_contact_id, name, first_name, blocked_at,
                      created_at, updated_at)
SELECT pg_temp.acc(n), pg_temp.k('con', n), pg_temp.chn(n), pg_temp.k('p', n),
       'Name ' || md5(n::text), 'Ada', CASE WHEN n % 1000 = 0 THEN pg_temp.at(n) END,
       pg_temp.at(n), pg_temp.at(n)
FROM generate_series(0, {rows} - 1) AS n
""",
    "conversations": """
INSERT INTO conversations (account_id, id, channel_id, contact_id, next_seq, inbound_partition,
                           enquiry_id, last_inbound_at, last_action_at, last_message_at, created_at)
SELECT pg_temp.acc(n), pg_temp.k('cnv', n), pg_temp.chn(n), pg_temp.k('con', n), 10, n % 64,
       pg_temp.k('enq', n), pg_temp.at(n), pg_temp.at(n), pg_temp.at(n), pg_temp.at(n)
FROM generate_series(0, {rows} - 1) AS n
""",
    # One in and one out of each conversation; the large account's first has a tenth of all.
    "messages": """
INSERT INTO messages (account_id, id, channel_id, conversation_id, enquiry_id, sequence, direction,
                      author_kind, content, status, automation_cause, source_message_id,
                      platform_at, occurred_at, accepted_at, sent_at)
SELECT pg_temp.acc(c), pg_temp.k('msg', n), pg_temp.chn(c), pg_temp.k('cnv', c),
       pg_temp.k('enq', c), n, d, CASE WHEN d = 'inbound' THEN 'contact' ELSE 'agent' END,
       jsonb_build_object('type', 'text', 'text', md5(n::text)),
       CASE WHEN d = 'inbound' THEN 'received' WHEN n % 40 = 3 OR n % 4000 = 1 THEN 'delivered'
            WHEN n % 200 = 5 THEN 'accepted' ELSE 'read' END,
       CASE WHEN d = 'outbound' AND n % 10 = 5 THEN 'welcome:' || n END, pg_temp.k('m', n),
       CASE WHEN d = 'outbound' THEN pg_temp.at(n / 2) END, pg_temp.at(n / 2), pg_temp.at(n / 2),
       CASE WHEN d = 'outbound' THEN pg_temp.at(n / 2) END
FROM generate_series(0, 2 * {rows} - 1) AS n
CROSS JOIN LATERAL (SELECT CASE WHEN n / 2 % 10 = 0 THEN 0 ELSE n / 2 END AS c,
                           CASE WHEN n % 2 = 0 THEN 'inbound' ELSE 'outbound' END AS d) AS x
""",
    # Some hundred live ones of the large account, and a line outside.
    "enquiries": """
INSERT INTO enquiries (account_id, id, channel_id, conversation_id, contact_id, status,
                       destination, agent_id, handled_by, queued_at, opened_at, entered_at,
                       closed_at, updated_at)
SELECT pg_temp.acc(n), pg_temp.k('enq', n), pg_temp.chn(n), pg_temp.k('cnv', n),
       pg_temp.k('con', n), s,
       CASE WHEN s IN ('open', 'missed') THEN NULL
            ELSE jsonb_build_object('id', pg_temp.k('agt', n % 200), 'kind', 'agent') END,
       CASE WHEN s IN ('closed', 'ongoing') THEN pg_temp.k('agt', n % 200) END,
       CASE WHEN s IN ('closed', 'ongoing') THEN 'agent' END,
       CASE WHEN s = 'open' AND n % 10 < 5 THEN pg_temp.at(n) END, pg_temp.at(n),
       CASE WHEN s = 'open' AND n % 10 < 5 THEN NULL ELSE pg_temp.at(n) END,
       CASE WHEN s = 'closed' THEN pg_temp.at(n) + interval '1 hour' END, pg_temp.at(n)
FROM generate_series(0, {rows} - 1) AS n
CROSS JOIN LATERAL (SELECT CASE WHEN n >= {rows} - {rows} / 500 THEN
    CASE n % 4 WHEN 0 THEN 'open' WHEN 1 THEN 'open' WHEN 2 THEN 'ongoing' ELSE 'offered' END
  WHEN n % 50 = 0 THEN 'missed' ELSE 'closed' END AS s) AS x
""",
    "enquiry_figures": """
INSERT INTO enquiry_figures (account_id, opened_at, enquiry_id, entered_at, waiting, handling,
                             missed, status, channel_id, destination_id, agent_id)
SELECT account_id, opened_at, id, entered_at, CASE WHEN entered_at IS NOT NULL THEN 1000 END,
       gateway_milliseconds(closed_at - opened_at), status = 'missed', status, channel_id,
       destination ->> 'id', agent_id
FROM enquiries
""",
    "offers": """
INSERT INTO offers (account_id, id, enquiry_id, agent_id, destination_id, status, created_at)
SELECT pg_temp.acc(n), pg_temp.k('off', n), pg_temp.k('enq', n), pg_temp.k('agt', n % 200),
       pg_temp.k('agt', n % 200),
       CASE WHEN n >= {rows} - {rows} / 500 AND n % 4 = 3 THEN 'pending' ELSE 'accepted' END,
       pg_temp.at(n)
FROM generate_series(0, {rows} - 1) AS n
""",
    "timeline_entries": """
INSERT INTO timeline_entries (account_id, enquiry_id, sequence, at, type, actor, data)
SELECT pg_temp.acc(n / 2), pg_temp.k('enq', n / 2), n, pg_temp.at(n / 2),
       CASE WHEN n % 2 = 0 THEN 'opened' ELSE 'closed' END, '{{"kind": "system"}}', '{{}}'
FROM generate_series(0, 2 * {rows} - 1) AS n
""",
    # All but the last few hundred are published.
    "events": """
INSERT INTO events (created_at, id, account_id, channel_id, conversation_id, enquiry_id, type, key,
                    sequence, source, occurred_at, data, shard, position)
SELECT pg_temp.at(n / 2), pg_temp.k('evt', n), pg_temp.acc(n / 2), pg_temp.chn(n / 2),
       pg_temp.k('cnv', n / 2), pg_temp.k('enq', n / 2), 'gateway.message.received.v1',
       pg_temp.k('cnv', n / 2), n, '/accounts/x', pg_temp.at(n / 2),
       jsonb_build_object('message', jsonb_build_object('text', md5(n::text), 'more',
         repeat(md5(n::text), 8))),
       pg_temp.sh(pg_temp.k('cnv', n / 2)), CASE WHEN n < 2 * {rows} - {rows} / 500 THEN n + 1 END
FROM generate_series(0, 2 * {rows} - 1) AS n
""",
    # Settled but for five in a hundred: the newest wait their turn, a held target has a long
    # queue, some calls run, some outcomes are waited for, some lanes have a failing head.
    "deliveries": """
INSERT INTO deliveries (id, account_id, shard, target_kind, target_id, lane, kind, channel_id,
                        conversation_id, message_id, event_id, event_created_at, status, ready,
                        holds_lane, holds_until, due_at, held_at, attempt, epoch, call_started_at,
                        call_ends_by, created_at, settled_at)
SELECT pg_temp.k('dlv', n), pg_temp.acc(n), pg_temp.sh(t), CASE WHEN e THEN 'endpoint' ELSE 'page'
       END, t, pg_temp.k('cnv', n), CASE WHEN e THEN 'event' ELSE 'message' END, pg_temp.chn(n),
       pg_temp.k('cnv', n), CASE WHEN e THEN NULL ELSE pg_temp.k('msg', 2 * n + 1) END,
       CASE WHEN e THEN pg_temp.k('evt', 2 * n) END, CASE WHEN e THEN pg_temp.at(n) END, s,
       s <> 'pending' OR n % 4 > 0, s IN ('pending', 'sending', 'uncertain'),
       CASE WHEN s = 'pending' AND n % 4 = 1 THEN '{now}'::timestamptz + interval '1 minute' END,
       CASE WHEN s IN ('pending', 'uncertain') AND NOT h THEN '{now}'::timestamptz END,
       CASE WHEN h THEN '{now}'::timestamptz END, CASE WHEN s = 'pending' THEN 0 ELSE 1 END, 1,
       CASE WHEN s <> 'pending' THEN pg_temp.at(n) END,
       CASE WHEN s <> 'pending' THEN pg_temp.at(n) + interval '16 seconds' END, pg_temp.at(n),
       CASE WHEN s IN ('delivered', 'failed') THEN pg_temp.at(n) END
FROM generate_series(0, {rows} - 1) AS n
CROSS JOIN LATERAL (SELECT n % 20 = 7 AND n > {rows} / 2 AS h, n % 2 = 0 AS e) AS w
CROSS JOIN LATERAL (SELECT CASE WHEN h THEN 'chn_000000007' WHEN NOT e THEN pg_temp.chn(n)
    WHEN n % 10 < 6 THEN pg_temp.k('ept', n / 10 % 20)
    ELSE pg_temp.k('ept', 20 + n % ({accounts} - 20 + 1)) END AS t,
  CASE WHEN h THEN 'pending' WHEN n < {rows} - {rows} / 40 THEN
      CASE WHEN n % 30 = 0 THEN 'failed' ELSE 'delivered' END
    WHEN n % 100 = 11 THEN 'uncertain' WHEN n % 100 = 13 THEN 'sending' ELSE 'pending' END AS s
  ) AS x
""",
    "delivery_attempts": """
INSERT INTO delivery_attempts (delivery_id, attempt, account_id, at, status, milliseconds, outcome)
SELECT pg_temp.k('dlv', n), 1, pg_temp.acc(n), pg_temp.at(n), 200, 50, 'succeeded'
FROM generate_series(0, {rows} - 1) AS n
""",
    "dead_letters": """
INSERT INTO dead_letters (id, account_id, reason, stage, record_value, delivery_id, at,
                          published_at)
SELECT pg_temp.k('dlt', n), CASE WHEN n % 3 > 0 THEN '{large}' END,
       CASE WHEN n % 1000 = 1 THEN 'poison' WHEN n % 2 = 0 THEN 'schedule-ended' ELSE
         'parked-expired' END, CASE WHEN n % 2 = 0 THEN 'sender' ELSE 'routing' END,
       convert_to(repeat(md5(n::text), 8), 'UTF8'),
       CASE WHEN n % 2 = 0 THEN pg_temp.k('dlv', n) END, pg_temp.at(n),
       CASE WHEN n < {rows} - {rows} / 500 THEN pg_temp.at(n) END
FROM generate_series(0, {rows} - 1) AS n
""",
    "inbox": """
INSERT INTO inbox (event_id, original_hash, received_at)
SELECT 'evt_' || md5(n::text), decode(md5(n::text), 'hex'), pg_temp.at(n)
FROM generate_series(0, {rows} - 1) AS n
""",
    "parked": """
INSERT INTO parked (kind, source_id, contact_id, event_id, owner_account_id, owner_channel_id,
                    record_headers, record_value, record_partition, original_hash, arrived_at,
                    parked_at, expires_at)
SELECT 'messenger', pg_temp.k('gone', n % 100), pg_temp.k('p', n / 5), 'evt_p' || n, NULL, NULL,
       '{{}}', convert_to(repeat(md5(n::text), 8), 'UTF8'), n % 64, decode(md5(n::text), 'hex'),
       pg_temp.at(n), pg_temp.at(n), '{now}'::timestamptz + n * interval '1 millisecond'
FROM generate_series(1, {rows}) AS n
""",
    "parked_keys": """
INSERT INTO parked_keys (kind, source_id, contact_id)
SELECT DISTINCT kind, source_id, contact_id FROM parked
""",
    "pending_marks": """
INSERT INTO pending_marks (account_id, channel_id, source_message_id, kind, at, expires_at)
SELECT pg_temp.acc(n), pg_temp.chn(n), 'unknown_' || n, 'read', pg_temp.at(n),
       pg_temp.at(n) + interval '1 day'
FROM generate_series(0, {rows} - 1) AS n
""",
    # Half are due now, of a kind that waits for something else.
    "timers": """
INSERT INTO timers (account_id, id, shard, kind, conversation_id, subject_id, due_at)
SELECT pg_temp.acc(n), pg_temp.k('tmr', n), pg_temp.sh(pg_temp.k('cnv', n)), 'intermission',
       pg_temp.k('cnv', n), pg_temp.k('enq', n),
       '{now}'::timestamptz + (n - {rows} / 100) * interval '10 milliseconds'
FROM generate_series(0, {rows} - 1) AS n
""",
    "idempotency_keys": """
INSERT INTO idempotency_keys (scope, route, key, request_hash, state, status, body, created_at)
SELECT pg_temp.acc(n), 'POST /v1/messages', md5(n::text), decode(md5(n::text), 'hex'), 'done', 202,
       convert_to(repeat(md5(n::text), 8), 'UTF8'), pg_temp.at(n)
FROM generate_series(0, {rows} - 1) AS n
""",
}

_OTHER_INDEXES: Final = """
SELECT i.indexrelid::regclass::text AS name, pg_get_indexdef(i.indexrelid) AS definition
FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
WHERE c.relname = ANY($1) AND NOT EXISTS
  (SELECT 1 FROM pg_constraint k WHERE k.conindid = i.indexrelid)
"""


async def fill(connection: asyncpg.Connection, extent: Extent) -> None:
    """Fill a freshly migrated database, as its superuser, and gather statistics."""
    values = {
        "rows": extent.rows,
        "accounts": extent.accounts,
        "channels": extent.channels,
        "large_channels": extent.channels // 5,
        "large": LARGE,
        "many": MANY,
        "many_channels": MANY_CHANNELS,
        "began": extent.began.isoformat(),
        "now": extent.now.isoformat(),
        "step": int(timedelta(days=DAYS) / timedelta(microseconds=1)) // extent.rows,
    }
    # Foreign keys hold by construction; to check each would take longer than all the rest.
    await connection.execute("SET session_replication_role = replica")
    await connection.execute("SET maintenance_work_mem = '512MB'")
    await connection.execute(
        "SELECT gateway_make_event_days($1::timestamptz::date, $2)".replace(
            "$1", f"'{extent.began.isoformat()}'"
        ).replace("$2", str(DAYS + 2))
    )
    await connection.execute(_FUNCTIONS.format(**values))
    await connection.execute(_SMALL.format(**values))
    indexes = await connection.fetch(_OTHER_INDEXES, list(BIG_TABLES))
    for index in indexes:
        await connection.execute(f"DROP INDEX {index['name']}")
    for statement in _BIG.values():
        await connection.execute(statement.format(**values), timeout=300)
    for index in indexes:
        definition = index["definition"].replace(" ON ONLY ", " ON ")
        await connection.execute(definition, timeout=300)
    await connection.execute("SET session_replication_role = origin")
    await connection.execute("VACUUM (ANALYZE)", timeout=300)
    await connection.execute("CHECKPOINT", timeout=300)
