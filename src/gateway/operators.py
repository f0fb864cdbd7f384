"""What operators do by hand: accounts, keys, dead letters, diagnoses, rotation of keys at rest.

All but the last speak to a running gateway's REST API, so that there is one way to do a thing. They
print one JSON object a line. Roles start through the same command line, so what only these need
is loaded when one of them is run.
"""

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Annotated, Any, Final
from urllib.parse import urlencode

import typer

from gateway.clock import SystemClock
from gateway.settings import Settings

if TYPE_CHECKING:
    import httpx

    from gateway.db.secrets import KeyRing

_SECONDS: Final = 30.0
_CHECK_FAILED: Final = 3
_MOMENTS: Final = ["%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d"]
_PAGE: Final = 200

ApiUrl = Annotated[str, typer.Option(help="Of the gateway; without it, PUBLIC_URL.")]
Key = Annotated[
    str,
    typer.Option(envvar="GATEWAY_API_KEY", help="An API key; without one, GATEWAY_ADMIN_KEY."),
]

Reason = Annotated[str, typer.Option(help="Only for this reason.")]
Stage = Annotated[str, typer.Option(help="Only of this stage.")]
Since = Annotated[str, typer.Option("--from", help="Only set aside then or later (RFC 3339).")]
Until = Annotated[str, typer.Option("--to", help="Only set aside earlier (RFC 3339).")]
OfEndpoint = Annotated[str, typer.Option(help="Only deliveries to this endpoint.")]

accounts = typer.Typer(help="Accounts of this instance.", no_args_is_help=True)
keys = typer.Typer(help="API keys of an account.", no_args_is_help=True)
commands = typer.Typer()
commands.add_typer(accounts, name="accounts")
commands.add_typer(keys, name="keys")


@accounts.command("list")
def list_accounts(api_url: ApiUrl = "", key: Key = "") -> None:
    """List the accounts."""
    _show(_pages("/v1/accounts", api_url, key))


@accounts.command("create")
def create_account(name: str, api_url: ApiUrl = "", key: Key = "") -> None:
    """Make an account."""
    _show([_call("POST", "/v1/accounts", api_url, key, {"name": name})])


@keys.command("list")
def list_keys(account_id: str, api_url: ApiUrl = "", key: Key = "") -> None:
    """List an account's keys, without their secrets."""
    _show(_pages(f"/v1/accounts/{account_id}/api-keys", api_url, key))


@keys.command("create")
def create_key(
    account_id: str,
    name: Annotated[str, typer.Option(help="What it is for.")],
    scope: Annotated[list[str], typer.Option(help="read, write, send or admin; repeatable.")],
    api_url: ApiUrl = "",
    key: Key = "",
) -> None:
    """Make a key and show its secret, this once."""
    body = {"name": name, "scopes": scope}
    _show([_call("POST", f"/v1/accounts/{account_id}/api-keys", api_url, key, body)])


@keys.command("revoke")
def revoke_key(account_id: str, key_id: str, api_url: ApiUrl = "", key: Key = "") -> None:
    """End a key at once."""
    _call("DELETE", f"/v1/accounts/{account_id}/api-keys/{key_id}", api_url, key)


@commands.command("dead-letters")
def list_dead_letters(
    reason: Reason = "",
    stage: Stage = "",
    since: Since = "",
    until: Until = "",
    endpoint: OfEndpoint = "",
    api_url: ApiUrl = "",
    key: Key = "",
) -> None:
    """List what was set aside: the instance's, or with an account's key the account's."""
    wanted = _filter(reason=reason, stage=stage, since=since, until=until, endpoint=endpoint)
    _show(_pages("/v1/dead-letters", api_url, key, **wanted))


@commands.command()
def redeliver(
    name: Annotated[str, typer.Argument(metavar="ID", help="Of a delivery or a dead letter.")] = "",
    *,
    every: Annotated[
        bool, typer.Option("--all", help="All dead letters that were not done again yet.")
    ] = False,
    reason: Reason = "",
    stage: Stage = "",
    since: Since = "",
    until: Until = "",
    endpoint: OfEndpoint = "",
    api_url: ApiUrl = "",
    key: Key = "",
) -> None:
    """Do a delivery, or what a dead letter holds, again; or all dead letters of a filter.

    Those of a filter go in the background; what is shown tells where to look for how far they are.
    """
    wanted = _filter(reason=reason, stage=stage, since=since, until=until, endpoint=endpoint)
    if bool(name) == (every or bool(wanted)):
        raise typer.BadParameter("Give an id, or a filter, or --all.", param_hint="ID")
    if not name:
        _show([_call("POST", "/v1/dead-letters/redeliver", api_url, key, wanted)])
        return
    kind = "deliveries" if name.startswith("dlv_") else "dead-letters"
    _show([_call("POST", f"/v1/{kind}/{name}/redeliver", api_url, key)])


@commands.command()
def diagnose(
    channel_id: Annotated[str, typer.Argument(metavar="CHANNEL")],
    api_url: ApiUrl = "",
    key: Key = "",
) -> None:
    """Look into a channel: what may keep it from working, what was seen, and what to do.

    The channel's state comes first, then one check a line. Needs a key of the channel's account.
    Ends with 3 where a check failed.
    """
    found = _call("GET", f"/v1/channels/{channel_id}/diagnosis", api_url, key)
    checks = found.pop("checks")
    _show([found, *checks])
    if any(each["result"] == "failed" for each in checks):
        raise typer.Exit(_CHECK_FAILED)


@commands.command()
def replay(
    since: Annotated[
        datetime, typer.Option("--from", formats=_MOMENTS, help="Arrived then or later.")
    ],
    until: Annotated[datetime, typer.Option("--to", formats=_MOMENTS, help="Arrived earlier.")],
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count, change nothing.")] = False,
) -> None:
    """Put messages that an older release normalised into this one's words, from the inbound topic.

    Their content alone is changed. Times without an offset are UTC.
    """
    (command,) = entry_points(group="gateway.commands", name="replay")
    begins, ends = (
        each if each.tzinfo is not None else each.replace(tzinfo=UTC) for each in (since, until)
    )
    if ends <= begins:
        raise typer.BadParameter("It has to be later than --from.", param_hint="--to")
    command.load()(Settings(), since=begins, until=ends, dry_run=dry_run)


@commands.command("rotate-keys")
def rotate_keys() -> None:
    """Re-encrypt all secrets under the first of ENCRYPTION_KEYS; the roles run on meanwhile."""
    from gateway.db.secrets import KeyRing, UndecryptableError  # noqa: PLC0415 - slow to load

    settings = Settings()
    try:
        keyring = KeyRing.from_text(settings.encryption_keys.get_secret_value())
        rotated = asyncio.run(_rotate(settings, keyring))
    except (ValueError, UndecryptableError) as error:
        raise typer.BadParameter(str(error), param_hint="ENCRYPTION_KEYS") from None
    typer.echo(f"{rotated} secrets are under the key {keyring.current_key_id} now.")


async def _rotate(settings: Settings, keyring: "KeyRing") -> int:
    from gateway.db.engine import create_engine  # noqa: PLC0415 - slow to load
    from gateway.db.key_rotation import rotate_keys as rotate  # noqa: PLC0415 - slow to load
    from gateway.db.unit_of_work import Database  # noqa: PLC0415 - slow to load

    engine = create_engine(
        settings.database_url.get_secret_value(),
        pool_size=1,
        max_overflow=0,
        application_name="gateway-rotate-keys",
    )
    try:
        return await rotate(Database(engine, clock=SystemClock(), keyring=keyring))
    finally:
        await engine.dispose()


def _filter(*, reason: str, stage: str, since: str, until: str, endpoint: str) -> dict[str, str]:
    """Return what is named of a filter, as the API calls it."""
    given = {
        "reason": reason,
        "stage": stage,
        "from": since,
        "to": until,
        "endpoint_id": endpoint,
    }
    return {name: value for name, value in given.items() if value}


def _pages(path: str, api_url: str, key: str, **wanted: str) -> Iterator[dict[str, Any]]:
    cursor: str | None = None
    while True:
        after = {"cursor": cursor} if cursor else {}
        query = urlencode({"limit": _PAGE, **wanted, **after})
        page = _call("GET", f"{path}?{query}", api_url, key)
        yield from page["data"]
        cursor = page["next_cursor"]
        if cursor is None:
            return


def _call(
    method: str, path: str, api_url: str, key: str, body: dict[str, Any] | None = None
) -> dict[str, Any]:
    import httpx  # noqa: PLC0415 - no role needs it for this

    settings = Settings()
    bearer = key or settings.gateway_admin_key.get_secret_value()
    try:
        answer = httpx.request(
            method,
            (api_url or settings.public_url).rstrip("/") + path,
            json=body,
            headers={"Authorization": f"Bearer {bearer}"},
            timeout=_SECONDS,
        )
    except httpx.HTTPError as error:
        typer.echo(f"The gateway cannot be reached: {type(error).__name__}.", err=True)
        raise typer.Exit(1) from None
    if answer.is_error:
        typer.echo(_refusal(answer), err=True)
        raise typer.Exit(1)
    return dict(answer.json()) if answer.content else {}


def _refusal(answer: "httpx.Response") -> str:
    try:
        problem = answer.json()
    except ValueError:
        return f"The gateway answered {answer.status_code}."
    return f"{problem.get('title')}: {problem.get('detail')}"


def _show(rows: Iterator[dict[str, Any]] | list[dict[str, Any]]) -> None:
    for row in rows:
        typer.echo(json.dumps(row, ensure_ascii=False))
