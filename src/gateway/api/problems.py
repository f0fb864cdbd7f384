"""What each problem means and what to do about it: for programs as JSON, for people as pages.

So are the reasons for which messages fail, which no request meets.
"""

from html import escape
from typing import Any, Final

from fastapi import APIRouter, Request
from pydantic import Field
from starlette.responses import JSONResponse, Response

from gateway.api.failure_reasons import OWN_REASONS, find_failure_reason, meta_reasons
from gateway.errors import NotAcceptableError, NotFoundError
from gateway.http.admission import refuse_unacceptable
from gateway.http.pages import page, prose
from gateway.http.problems import ALL_PROBLEM_TYPES, ProblemType
from gateway.http.schemas import Resource

router = APIRouter(prefix="/problems", tags=["Problems"])

_HTML: Final = "text/html"
_PAGES: Final[dict[int | str, dict[str, Any]]] = {
    200: {"content": {_HTML: {"schema": {"type": "string"}}}}
}
_BY_SLUG: Final = {kind.slug: kind for kind in ALL_PROBLEM_TYPES}
_FAILURES: Final = (*OWN_REASONS, *meta_reasons())


class ProblemTypeResource(Resource):
    """One kind of problem, or one reason for which messages fail."""

    slug: str = Field(
        description="The last part of a problem's `type`; of a message that failed, `error.code`.",
        examples=["messaging-window-closed", "meta-190-463"],
    )
    type: str = Field(examples=["/problems/messaging-window-closed"])
    title: str
    status: int = Field(
        description="Of the answer; for what only messages fail by, 502, or 409 if we left off."
    )
    cause: str
    remedy: str


class ProblemTypes(Resource):
    """All kinds of problems."""

    data: list[ProblemTypeResource]


@router.get("", response_model=ProblemTypes, responses=_PAGES)
async def list_problems(request: Request) -> Response:
    """List what requests are refused for, then what else messages fail by; a page for browsers."""
    if _wants_page(request):
        return page("Problems", _index())
    return JSONResponse({"data": [_document(kind) for kind in (*ALL_PROBLEM_TYPES, *_FAILURES)]})


@router.get("/{slug}", response_model=ProblemTypeResource, responses=_PAGES)
async def explain_problem(slug: str, request: Request) -> Response:
    """Explain one kind of problem, or any `error.code` of a message; a page for browsers.

    An error of Meta's is explained by its code and subcode, else by its code alone.
    """
    kind = _BY_SLUG.get(slug) or find_failure_reason(slug)
    if kind is None:
        raise NotFoundError("There is no such kind of problem.")
    if _wants_page(request):
        return page(kind.title, _explained(kind))
    return JSONResponse(_document(kind))


def _wants_page(request: Request) -> bool:
    # A client that says nothing, or anything, is a program.
    if _HTML not in request.headers.get("accept", ""):
        return False
    try:
        refuse_unacceptable(request, [_HTML])
    except NotAcceptableError:
        return False
    return True


def _document(kind: ProblemType) -> dict[str, str | int]:
    return {
        "slug": kind.slug,
        "type": kind.type,
        "title": kind.title,
        "status": kind.status,
        "cause": kind.cause,
        "remedy": kind.remedy,
    }


def _index() -> str:
    refusals = sorted(ALL_PROBLEM_TYPES, key=lambda kind: (kind.status, kind.slug))
    return (
        "<h1>Problems</h1>"
        '<p class="soft">Whatever the gateway refuses, it says so as one of these '
        f"({prose('`application/problem+json`')}), with a sentence about the case at hand.</p>"
        f'<ul class="list">{"".join(_item(kind, str(kind.status)) for kind in refusals)}</ul>'
        "<h2>What else messages fail by</h2>"
        f'<p class="soft">It is the {prose("`error.code`")} of a message that failed.</p>'
        f'<ul class="list">{"".join(_item(kind, "") for kind in _FAILURES)}</ul>'
    )


def _item(kind: ProblemType, status: str) -> str:
    words = kind.slug if status else f"{kind.slug}: {kind.cause}"
    return (
        f'<li><span class="status">{status}</span>'
        f'<span><a href="{escape(kind.type)}">{escape(kind.title)}</a><br>'
        f'<span class="soft">{escape(words)}</span></span></li>'
    )


def _explained(kind: ProblemType) -> str:
    return (
        '<p><a href="/problems">All problems</a></p>'
        f"<h1>{escape(kind.title)}</h1>"
        f"<p>{prose(f'`{kind.slug}`')} <span class='soft'>{_met(kind)}</span></p>"
        f"<h2>Why it happens</h2><p>{prose(kind.cause)}</p>"
        f"<h2>What to do</h2><p>{prose(kind.remedy)}</p>"
    )


def _met(kind: ProblemType) -> str:
    return f"status {kind.status}" if kind.slug in _BY_SLUG else "why a message failed"
