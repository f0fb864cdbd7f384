"""Pages for people: plain HTML in one look, without anything from elsewhere."""

from html import escape
from typing import Final

from starlette.responses import HTMLResponse

STYLE: Final = """
:root { color-scheme: light dark; --ink: #1c2430; --soft: #5b6675; --line: #dfe4ea;
  --paper: #fbfcfd; --card: #fff; --accent: #0b63ce; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6eaf0; --soft: #9aa6b5; --line: #2c3541;
  --paper: #12171e; --card: #1a212b; --accent: #6cb0ff; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.6 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main { max-width: 50rem; margin: 0 auto; padding: 3rem 1.25rem 5rem; }
h1 { font-size: 1.7rem; line-height: 1.25; margin: 0 0 .5rem; }
h2 { font-size: 1rem; margin: 2rem 0 .25rem; color: var(--soft); font-weight: 600; }
p { margin: .4rem 0; }
a { color: var(--accent); text-decoration: none; }
a:hover { text-decoration: underline; }
code { font: .9em ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; padding: .1em .35em;
  background: color-mix(in srgb, var(--accent) 10%, transparent); border-radius: 4px; }
.soft { color: var(--soft); }
.list { list-style: none; margin: 2rem 0 0; padding: 0; border: 1px solid var(--line);
  border-radius: 10px; background: var(--card); overflow: hidden; }
.list li { display: grid; grid-template-columns: 3.5rem 1fr; gap: .25rem 1rem;
  padding: .8rem 1.1rem; border-top: 1px solid var(--line); }
.list li:first-child { border-top: 0; }
.status { font-variant-numeric: tabular-nums; color: var(--soft); }
"""


def page(
    title: str, body: str, *, status: int = 200, style: str = "", forms: bool = False
) -> HTMLResponse:
    """Return a page; `body` is HTML whose text was escaped.

    `style` is added to the look that all pages share; `forms` lets its forms be sent to us.
    """
    policy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'"
    targets = "'self'" if forms else "'none'"
    return HTMLResponse(
        "<!doctype html>"
        f'<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{STYLE}{style}</style></head><body><main>{body}</main></body></html>",
        status_code=status,
        headers={
            "Content-Security-Policy": f"{policy}; form-action {targets}; frame-ancestors 'none'",
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cache-Control": "no-store",
        },
    )


def prose(text: str) -> str:
    """Return a sentence as HTML, with what stands in back-quotes as code."""
    pieces = text.split("`")
    return "".join(
        f"<code>{escape(piece)}</code>" if odd else escape(piece)
        for odd, piece in zip((n % 2 for n in range(len(pieces))), pieces, strict=True)
    )
