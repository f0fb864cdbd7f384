"""What a person sees of a login: plain pages that work without JavaScript, on any screen."""

from collections.abc import Sequence
from html import escape
from typing import Final
from urllib.parse import urlencode, urlsplit

from starlette.responses import HTMLResponse

from gateway.api.logins.connecting import PageResult
from gateway.api.logins.resources import GrantedPageResource, LoginResource
from gateway.http.pages import page

_WHY_MISSING: Final = (
    ("You have no role on it.", "Ask somebody who manages the Page to give you one, or to log in."),
    ("It is not published.", "Publish it in the Page's settings on Facebook."),
    ("It belongs to another Facebook account.", "Log out of Facebook, then begin again."),
    ("It was not ticked.", "Ask again, choose “Edit settings”, and tick it."),
)
_IN_YOUR_HANDS: Final = (
    '<p class="soft actions">Only the Pages that you connect are used. You can take our access '
    "back at any time: on Facebook, under Settings, Business Integrations.</p>"
)
_FORM_STYLE: Final = """
.eyebrow { color: var(--soft); font-size: .9rem; margin: 0 0 .5rem; }
.actions { margin: 1.25rem 0; }
form { margin: 1.5rem 0 0; }
.pages { list-style: none; margin: 1rem 0; padding: 0; border: 1px solid var(--line);
  border-radius: 10px; background: var(--card); }
.pages li { padding: 1rem 1.1rem; border-top: 1px solid var(--line); }
.pages li:first-child { border-top: 0; }
.pages label { display: block; font-weight: 600; }
.pages .name { font-weight: 400; margin: .5rem 0 0 1.9rem; }
.pages p { margin: .25rem 0 0; }
input[type=checkbox] { inline-size: 1.15rem; block-size: 1.15rem; margin: 0 .5rem 0 0;
  vertical-align: -.15rem; accent-color: var(--accent); }
input[type=text] { display: block; inline-size: 100%; max-inline-size: 24rem; font: inherit;
  color: inherit; background: var(--paper); border: 1px solid var(--soft); border-radius: 8px;
  padding: .5rem .7rem; margin-top: .2rem; }
button, .button { display: inline-block; font: inherit; font-weight: 600; border: 0;
  border-radius: 8px; padding: .65rem 1.2rem; background: #0b57b8; color: #fff; cursor: pointer;
  text-decoration: none; }
.second { background: transparent; color: var(--accent); border: 1px solid var(--line); }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
.note { border: 1px solid var(--line); border-inline-start: 4px solid var(--accent);
  border-radius: 8px; padding: .8rem 1rem; margin: 1rem 0; background: var(--card); }
.note p { margin: .2rem 0; }
.bad { border-inline-start-color: #b3261e; }
.pages .result { display: grid; grid-template-columns: 1.9rem 1fr; }
.mark { font-weight: 700; color: #1a7f37; }
.mark.no { color: #b3261e; }
@media (prefers-color-scheme: dark) { .mark { color: #57c878; } .mark.no { color: #ff8a80; } }
details { margin: 1.25rem 0; }
summary { cursor: pointer; color: var(--accent); }
"""


def choosing_page(login: LoginResource, *, owner: str, form_token: str) -> HTMLResponse:
    """Return the page on which a person chooses Pages and names their channels.

    `owner` is whom the Pages are connected for, as on the pages below.
    """
    title, lead = _what_now(login)
    pages = ""
    if login.pages:
        boxes = "".join(_page_item(each) for each in login.pages)
        pages = f'<ul class="pages">{boxes}</ul>'
    if _is_connectable(login):
        pages = (
            f'<form method="post" action="/oauth/facebook/logins/{login.id}/connect">'
            f'<input type="hidden" name="form_token" value="{escape(form_token)}">'
            f'{pages}<button type="submit">Connect</button></form>{_IN_YOUR_HANDS}'
        )
    body = f"<p>{escape(lead)}</p>{_notices(login)}{pages}{_why_missing(login)}"
    return _page(title, body, owner=owner)


def results_page(
    login: LoginResource, results: Sequence[PageResult], *, owner: str
) -> HTMLResponse:
    """Return the page that tells what became of the Pages that were chosen."""
    connected = sum(each.channel is not None for each in results)
    names = {each.page_id: each.name for each in login.pages}
    items = "".join(_result_item(each, names.get(each.page_id, each.page_id)) for each in results)
    if connected == len(results):
        title = "Your Page is connected" if connected == 1 else "Your Pages are connected"
    elif connected:
        title = "Some Pages are connected"
    else:
        title = "No Page was connected"
    back = (
        '<p class="actions"><a class="button second" '
        f'href="/oauth/facebook/logins/{login.id}/pages">Choose other Pages</a></p>'
    )
    more = back if _is_connectable(login) else ""
    close = "<p>You can close this window.</p>" if login.return_url is None else ""
    body = f'<ul class="pages">{items}</ul>{close}{more}'
    return _page(title, body, owner=owner)


def denied_page(login: LoginResource, *, owner: str) -> HTMLResponse:
    """Return the page for who declined."""
    return _page(
        "Nothing was connected",
        "<p>You did not let us use your Pages, so nothing has changed.</p>"
        f"{_again(login, 'Log in again')}",
        owner=owner,
    )


def failed_page(login: LoginResource, *, owner: str, status: int) -> HTMLResponse:
    """Return the page for a login that went wrong, with what to do about it."""
    error = login.error
    detail = error.detail if error else "Something went wrong."
    remedy = error.remedy if error else "Try again."
    return _page(
        "The login did not work",
        f'<div class="note bad"><p>{escape(detail)}</p><p>{escape(remedy)}</p></div>'
        f"{_again(login, 'Try again')}",
        owner=owner,
        status=status,
    )


def over_page(*, status: int = 400) -> HTMLResponse:
    """Return the page for a browser that comes with what holds no more, or never did.

    It tells nothing of whether there is such a login.
    """
    return _page(
        "This login cannot go on",
        "<p>It was used already, its ten minutes are over, or it was begun in another browser.</p>"
        "<p>Go back to where you came from and begin again.</p>",
        status=status,
    )


def returning(return_url: str, login_id: str) -> str:
    """Return the address that a browser goes back to, with the login in it."""
    joint = "&" if urlsplit(return_url).query else "?"
    base, hash_mark, fragment = return_url.partition("#")
    return f"{base}{joint}{urlencode({'login_id': login_id})}{hash_mark}{fragment}"


def _what_now(login: LoginResource) -> tuple[str, str]:
    """Return the title of the page to choose on, and a sentence that says what it is about."""
    if not login.pages:
        return (
            "No Page was granted",
            "Facebook let us see none of your Pages, so there is nothing to connect yet.",
        )
    if _is_connectable(login):
        return (
            "Choose the Pages to connect",
            "Each becomes a channel: messages to it come in, and answers are sent in its name.",
        )
    if login.missing_permissions:
        return (
            "Not everything was granted",
            "Until what is named below is granted, none of these Pages can be connected.",
        )
    if login.channel_id is not None:
        return "Access is renewed", "The channels of the Pages below work with the new access."
    return "No further Page can be connected", "Each Page below says why."


def _is_connectable(login: LoginResource) -> bool:
    return any(each.connectable for each in login.pages)


def _page(title: str, body: str, *, owner: str = "", status: int = 200) -> HTMLResponse:
    eyebrow = ""
    if owner:
        eyebrow = f'<p class="eyebrow">Facebook Pages for <strong>{escape(owner)}</strong></p>'
    return page(
        title,
        f"{eyebrow}<h1>{escape(title)}</h1>{body}",
        status=status,
        style=_FORM_STYLE,
        forms=True,
    )


def _page_item(each: GrantedPageResource) -> str:
    page_id, name = escape(each.page_id), escape(each.name)
    if not each.connectable:
        return f'<li><strong>{name}</strong><p class="soft">{escape(each.reason or "")}</p></li>'
    return (
        f'<li><label><input type="checkbox" name="page_id" value="{page_id}" checked> {name}'
        f'</label><label class="name">Name of the channel'
        f'<input type="text" name="name_{page_id}" value="{name}" maxlength="200"></label></li>'
    )


def _result_item(each: PageResult, name: str) -> str:
    if each.channel is not None:
        return (
            '<li class="result"><span class="mark" aria-hidden="true">✓</span>'
            f"<div><strong>{escape(name)}</strong> is connected as {escape(each.channel.name)}."
            "</div></li>"
        )
    problem = each.problem or {}
    return (
        '<li class="result"><span class="mark no" aria-hidden="true">✗</span>'
        f"<div><strong>{escape(name)}</strong> is not connected."
        f'<p class="soft">{escape(str(problem.get("detail", "")))}</p></div></li>'
    )


def _notices(login: LoginResource) -> str:
    notices = ""
    for missing in login.missing_permissions:
        notices += (
            f'<div class="note bad"><p>Missing: <strong>{escape(missing.name)}</strong> '
            f"(<code>{escape(missing.permission)}</code>)</p><p>{escape(missing.remedy)}</p></div>"
        )
    for lost in login.lost:
        notices += (
            f'<div class="note bad"><p><strong>{escape(lost.name)}</strong> was connected and is '
            f"not among the Pages that you granted now.</p><p>{escape(lost.remedy)}</p></div>"
        )
    if login.missing_permissions or login.lost:
        notices += _again(login, "Ask again", first=not _is_connectable(login))
    return notices


def _why_missing(login: LoginResource) -> str:
    reasons = "".join(
        f"<li><strong>{escape(why)}</strong> {escape(remedy)}</li>" for why, remedy in _WHY_MISSING
    )
    shown = " open" if not login.pages else ""
    return (
        f"<details{shown}><summary>A Page is missing?</summary><ul>{reasons}</ul>"
        f"{_again(login, 'Ask again')}</details>"
    )


def _again(login: LoginResource, label: str, *, first: bool = False) -> str:
    look = "button" if first else "button second"
    return (
        f'<p class="actions"><a class="{look}" href="/oauth/facebook/logins/{login.id}?again=1">'
        f"{escape(label)}</a></p>"
    )
