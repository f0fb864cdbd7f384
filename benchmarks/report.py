"""Writes the table and the plot of `docs/benchmarks.md` from what is kept in `build/bench.json`."""

import re
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any, Final

from benchmarks import figures

_DOCS: Final = Path(__file__).resolve().parent.parent / "docs"
_PAGE: Final = _DOCS / "benchmarks.md"
_PLOT: Final = _DOCS / "benchmarks.svg"
_BEGIN: Final = "<!-- written by `python -m benchmarks report` -->"
_END: Final = "<!-- end of what was written -->"

# What was asked for: the figure, what it is, at least or at most, and what is aimed at.
_WANTED: Final = (
    ("ingress.ratio.throughput", "Ingress: throughput, of the bare application's", ">", 0.40, 0.55),
    ("ingress.ratio.cpu", "Ingress: bare application's CPU time, of ours", ">", 0.40, 0.55),
    ("ingress.ours.p99", "Ingress: p99 at 64 connections", "<", 50, 20),
    ("ingress.channels.memory_more", "Ingress: memory for 10,000 channels more", "<", 64, 16),
    ("routing.events_per_second", "Routing: mixed events", ">", 1000, 3000),
    ("routing.apache_kafka.events_per_second", "Routing: on Apache Kafka", ">", 1000, 3000),
    ("timers.lateness.most", "Timers: 10,000 within a minute, the latest", "<", 1, 0.3),
    ("timers.one_account.lateness.most", "Timers: the same of one account", "<", 1, 0.3),
    ("sending.sends_per_second", "Sending: messages to a Graph that takes 50 ms", ">", 500, 1500),
    ("sending.many_targets.sends_per_second", "Sending: the same to 10,000 Pages", ">", 500, 1500),
    ("hanging.1_per_cent.p99_more", "Sending: p99 more while 1 % of targets hang", "<", 5, 1),
    ("hanging.5_per_cent.p99_more", "Sending: p99 more while 5 % of targets hang", "<", 5, 1),
    ("backlog.p99_more", "Sending: p99 more while a million drain", "<", 5, 1),
    ("backlog.with_room.p99_more", "Sending: the same at a quarter of the load", "<", 5, 1),
    ("backlog.with_room.p99_more_than_alone", "Sending: the same, than alone", "<", 5, 1),
    ("backlog.memory", "Memory of sender with 1,000,000 to send", "<", 256, 200),
    ("latency.accept_to_graph.p99", "Idle: from 202 to the call to Graph, p99", "<", 100, 30),
    ("latency.webhook_to_event.p99", "Idle: from webhook to public event, p99", "<", 150, 50),
    ("reports.longest", "Reports on 1,000,000 enquiries: the longest", "<", 1000, 500),
    ("reports.lists.p99", "Lists of 1,000,000 enquiries: p99", "<", 50, 20),
    ("memory.api.after_300000", "Memory of api after 300,000 events", "<", 200, 120),
    ("memory.routing.after_300000", "Memory of routing after 300,000 events", "<", 200, 120),
    ("memory.sender.after_300000", "Memory of sender after 300,000 events", "<", 200, 120),
)

_WIDTH: Final = 760
_ROW: Final = 30
_LABELS: Final = 350
_BARS: Final = 270
_MOST: Final = 2.0
_LEGEND: Final = "Longer is better; the dashed line is the aim; the width is twice what was wanted."

Figures = Mapping[str, Mapping[str, Any]]


def main(_words: Sequence[str]) -> None:
    """Write both, in place of what was there."""
    kept = figures.kept()
    _PLOT.write_text(_plot(kept["figures"]))
    written = "\n\n".join(
        [_BEGIN, _machine(kept["machine"]), _wanted(kept["figures"]), _all(kept["figures"]), _END]
    )
    page = _PAGE.read_text()
    pattern = re.compile(f"{re.escape(_BEGIN)}.*{re.escape(_END)}", re.DOTALL)
    if not pattern.search(page):
        raise SystemExit(f"{_PAGE} has no place for the table: {_BEGIN} … {_END}")
    _PAGE.write_text(pattern.sub(lambda _match: written, page))
    print(f"Written: {_PAGE} and {_PLOT}")


def _machine(machine: Mapping[str, str]) -> str:
    rows = [f"| {name} | {value} |" for name, value in machine.items()]
    return "\n".join(["| measured on | |", "|---|---|", *rows])


def _wanted(kept: Figures) -> str:
    rows = [
        f"| {what} | {_sign(kind)} {least:g} | {_sign(kind)} {aim:g} | {_text(kept[name])} |"
        for name, what, kind, least, aim in _WANTED
        if name in kept
    ]
    return "\n".join(["| what | wanted | aimed at | measured |", "|---|---|---|---|", *rows])


def _all(kept: Figures) -> str:
    rows = [f"| `{name}` | {_text(figure)} |" for name, figure in kept.items()]
    return "\n".join(["| figure | value |", "|---|---|", *rows])


def _sign(kind: str) -> str:
    return "≥" if kind == ">" else "≤"


def _text(figure: Mapping[str, Any]) -> str:
    value, unit = figure["value"], figure["unit"]
    number = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return number if unit == "ratio" else f"{number} {unit}"


def _plot(kept: Figures) -> str:
    """Return a drawing: each figure as a share of what was wanted, the better the longer."""
    wanted = [each for each in _WANTED if each[0] in kept]
    height = _ROW * (len(wanted) + 2)
    scale = _BARS / _MOST
    size = f'width="{_WIDTH}" height="{height}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="13">',
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    for row, (name, what, kind, least, aim) in enumerate(wanted):
        value = kept[name]["value"]
        margin = value / least if kind == ">" else least / value if value > 0 else _MOST
        aimed = aim / least if kind == ">" else least / aim
        top = _ROW * row + 8
        colour = "#2f7d4f" if margin >= 1 else "#b8442c"
        length = min(margin, _MOST) * scale
        parts += [
            f'<text x="{_LABELS - 8}" y="{top + 14}" text-anchor="end">{escape(what)}</text>',
            f'<rect x="{_LABELS}" y="{top}" width="{length:.0f}" height="18" fill="{colour}"/>',
            f'<text x="{_LABELS + length + 6:.0f}" y="{top + 14}">{_text(kept[name])}</text>',
        ]
        if aimed <= _MOST:
            at = _LABELS + aimed * scale
            parts.append(
                f'<line x1="{at:.0f}" x2="{at:.0f}" y1="{top - 2}" y2="{top + 20}" stroke="#777"'
                ' stroke-dasharray="3 2"/>'
            )
    at, bottom = _LABELS + scale, _ROW * len(wanted) + 4
    parts += [
        f'<line x1="{at:.0f}" x2="{at:.0f}" y1="0" y2="{bottom}" stroke="black"/>',
        f'<text x="{at:.0f}" y="{bottom + 18}" text-anchor="middle">wanted</text>',
        f'<text x="{_LABELS}" y="{bottom + 36}" fill="#555">{_LEGEND}</text>',
        "</svg>",
    ]
    return "\n".join(parts) + "\n"
