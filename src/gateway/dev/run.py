"""`gateway dev`: start everything, play the demo, stay up until told to end."""

import asyncio
import tempfile
from pathlib import Path

from rich.console import Console
from rich.panel import Panel
from rich.table import Table

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
        console.print(_addresses(stack, key=None))
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
    console.print(_addresses(stack, key=key))
    return 0


def _addresses(stack: Stack, *, key: str | None) -> Panel:
    table = Table.grid(padding=(0, 2))
    table.add_row("API documentation", f"{stack.api_url}/docs")
    table.add_row("Chat as a visitor", f"{stack.sandbox_url}/chat/{PAGE_ID}?visitor={VISITOR}")
    table.add_row("Problems explained", f"{stack.api_url}/problems")
    table.add_row("Kafka", stack.kafka)
    table.add_row("All addresses and keys", str(stack.directory / "dev.json"))
    if key is not None:
        table.add_row("The demo account's key", key)
    table.add_row("Logs", str(stack.logs))
    return Panel(table, title="The gateway is running", expand=False)


def _leaves(group: BaseExceptionGroup[EmbeddedError]) -> list[BaseException]:
    leaves: list[BaseException] = []
    for error in group.exceptions:
        leaves += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return leaves
