"""`gateway dev`: start everything, play the demo, stay up until told to end."""

import asyncio
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

from gateway.dev.demo import PAGE_ID, VISITOR, Demo, DemoFailedError
from gateway.dev.stack import Stack
from gateway.embedded import EmbeddedError, ending_signals


def run(
    *,
    data_dir: Path | None,
    api_port: int | None,
    demo: bool,
    exit_after_demo: bool,
    broker: str,
) -> int:
    """Run until Ctrl-C or SIGTERM, or until the demo's end where that was asked; the exit code."""
    console = Console(highlight=False)
    with tempfile.TemporaryDirectory(prefix="gateway-dev-") as scratch:
        Path(scratch).chmod(0o711)
        directory = (data_dir or Path(scratch)).resolve()
        stack = Stack(directory=directory, api_port=api_port, broker=broker)
        try:
            return asyncio.run(_run(stack, console, demo=demo, exit_after_demo=exit_after_demo))
        except* EmbeddedError as errors:
            for error in _leaves(errors):
                console.print(f"[bold red]{error}[/]")
        return 1


async def _run(stack: Stack, console: Console, *, demo: bool, exit_after_demo: bool) -> int:
    async with stack.supervisor:
        with ending_signals(stack.supervisor.hurry) as ending:
            async with asyncio.TaskGroup() as group:
                wanting_end = group.create_task(ending.wait())
                playing = group.create_task(_play(stack, console, demo=demo))
                await asyncio.wait({wanting_end, playing}, return_when=asyncio.FIRST_COMPLETED)
                if wanting_end.done():
                    playing.cancel()
                    return 0
                if not exit_after_demo and playing.result() == 0:
                    console.print("Everything is up. Ctrl-C ends it.", style="dim")
                    await ending.wait()
                wanting_end.cancel()
                return playing.result()


async def _play(stack: Stack, console: Console, *, demo: bool) -> int:
    with console.status("Starting PostgreSQL, Kafka, the sandbox and the three roles …"):
        await stack.start()
    if not demo:
        _show_addresses(stack, console, key=None)
        return 0
    try:
        key = await Demo(
            console=console,
            api_url=stack.api_url,
            sandbox_url=stack.sandbox_url,
            admin_key=stack.identity.admin_key,
            app_id=stack.identity.app_id,
        ).play()
    except DemoFailedError as error:
        console.print(f"[bold red]The demo stopped:[/] {error}\nLogs: {stack.logs}")
        return 1
    _show_addresses(stack, console, key=key)
    return 0


def _show_addresses(stack: Stack, console: Console, *, key: str | None) -> None:
    rows = {
        "API documentation": f"{stack.api_url}/docs",
        "Chat as a visitor": f"{stack.sandbox_url}/chat/{PAGE_ID}?visitor={VISITOR}",
        "Problems explained": f"{stack.api_url}/problems",
        "Kafka": stack.kafka,
        "Addresses and keys": str(stack.directory / "dev.json"),
        "Logs": str(stack.logs),
    }
    if key is not None:
        rows["The demo's API key"] = key
    console.rule("The gateway is running")
    for name, value in rows.items():
        line = Text(f"{name:>20}  ", style="bold")
        line.append(value, style="cyan")
        # An address that is cut at the terminal's edge is of no use.
        console.print(line, soft_wrap=True)


def _leaves(group: BaseExceptionGroup[EmbeddedError]) -> list[BaseException]:
    leaves: list[BaseException] = []
    for error in group.exceptions:
        leaves += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return leaves
