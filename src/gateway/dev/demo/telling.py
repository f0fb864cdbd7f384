"""How the demo tells what happens: a line each, who did what."""

from typing import Final

from rich.console import Console
from rich.text import Text

_COLOURS: Final = {
    "visitor": "cyan",
    "admin": "yellow",
    "agent": "green",
    "gateway": "magenta",
    "back end": "yellow",
    "third party": "blue",
}


class Teller:
    """Prints the lines."""

    def __init__(self, console: Console) -> None:
        """Take where to print."""
        self._console = console

    def __call__(self, who: str, what: str, detail: str = "") -> None:
        """Print one line."""
        line = Text(f"{who:>12}  ", style=f"bold {_COLOURS[who]}")
        line.append(what, style="default")
        if detail:
            line.append(f"  {detail}", style="dim")
        self._console.print(line, soft_wrap=True)

    def scene(self, title: str) -> None:
        """Print what the next lines are about."""
        self._console.print(Text(f"\n{'':>12}  {title}", style="bold"), soft_wrap=True)
