"""The command line: roles, and what operators do by hand."""

from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated, Literal

import typer
from pydantic import SecretStr, ValidationError
from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from gateway.operators import commands
from gateway.settings import Settings

app = typer.Typer(
    help="The channel gateway: webhooks in, ordered events on Kafka, replies that leave once.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
)
app.add_typer(commands)


def main() -> None:
    """Run a command."""
    app()


@app.command()
def api() -> None:
    """Serve webhooks and the REST API."""
    from gateway.serving import run  # noqa: PLC0415 - each role loads what it needs

    run(_settings())


@app.command()
def routing() -> None:
    """Give inbound events their effects, publish events, fire timers."""
    (role,) = entry_points(group="gateway.roles", name="routing")
    role.load()(_settings())


@app.command()
def sender() -> None:
    """Send what must leave: to Graph, to third parties, to endpoints."""
    from gateway.sender.process import run  # noqa: PLC0415 - each role loads what it needs

    run(_settings())


@app.command()
def migrate() -> None:
    """Bring the database to this release's schema."""
    from gateway.db.migrate import head_revision, upgrade  # noqa: PLC0415 - slow to load

    upgrade(_settings().database_url.get_secret_value())
    typer.echo(f"The schema is at {head_revision()}.")


@app.command()
def sandbox() -> None:
    """Serve a sandbox of Meta; SANDBOX_… in the environment says how."""
    from gateway.sandbox.server import run  # noqa: PLC0415 - not part of any role
    from gateway.sandbox.settings import SandboxSettings  # noqa: PLC0415 - not part of any role

    run(SandboxSettings(), on_ready=lambda address: typer.echo(f"The sandbox is at {address}."))


@app.command()
def dev(
    data_dir: Annotated[
        Path | None, typer.Option(help="Keep everything there; without it, nothing is kept.")
    ] = None,
    api_port: Annotated[
        int | None, typer.Option(help="Of the API; without it, a free one.")
    ] = None,
    *,
    no_demo: Annotated[bool, typer.Option("--no-demo", help="Play no conversation.")] = False,
    exit_after_demo: Annotated[
        bool, typer.Option("--exit-after-demo", help="End when the conversation has been played.")
    ] = False,
    broker: Annotated[
        Literal["embedded", "apache"], typer.Option(help="`apache` needs Java and Maven.")
    ] = "embedded",
) -> None:
    """Start everything on this machine, with a sandbox of Meta and a demo conversation."""
    from gateway.dev.run import run  # noqa: PLC0415 - not part of any role

    raise typer.Exit(
        run(
            data_dir=data_dir,
            api_port=api_port,
            demo=not no_demo,
            exit_after_demo=exit_after_demo,
            broker=broker,
        )
    )


@app.command()
def settings() -> None:
    """Print every setting with its value, secrets masked."""
    present = _settings()
    console = Console(highlight=False)
    for name, field in Settings.model_fields.items():
        line = Text(name.upper(), style="bold")
        line.append(f"={_shown(getattr(present, name))}", style="cyan")
        console.print(line, soft_wrap=True)
        console.print(Padding(field.description or "", (0, 4)), style="dim")


def _shown(value: object) -> str:
    match value:
        case SecretStr():
            return "(set)" if value.get_secret_value() else "(not set)"
        case tuple():
            return ",".join(map(str, value))
        case bool():
            return str(value).lower()
        case _:
            return str(value)


def _settings() -> Settings:
    try:
        return Settings()
    except ValidationError as error:
        for fault in error.errors():
            name = "_".join(map(str, fault["loc"])).upper() or "The settings"
            typer.echo(f"{name}: {fault['msg']}", err=True)
        raise typer.Exit(2) from None
