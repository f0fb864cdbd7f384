"""What each problem means and what to do about it: for programs as JSON, for people as pages."""

from html import escape
from typing import Any, Final

from fastapi import APIRouter, Request
from pydantic import Field
from starlette.responses import JSONResponse, Response

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


class ProblemTypeResource(Resource):
    """One kind of problem."""

    slug: str = Field(examples=["messaging-window-closed"])
    type: str = Field(examples=["/problems/messaging-window-closed"])
    title: str
    status: int
    cause: str
    remedy: str


class ProblemTypes(Resource):
    """All kinds of problems."""

    data: list[ProblemTypeResource]


@router.get("", response_model=ProblemTypes, responses=_PAGES)
async def list_problems(request: Request) -> Response:
    """List every kind of problem, with its cause and its remedy; a page for browsers."""
    if _wants_page(request):
        return page("Problems", _index())
    return JSONResponse({"data": [_document(kind) for kind in ALL_PROBLEM_TYPES]})


@router.get("/{slug}", response_model=ProblemTypeResource, responses=_PAGES)
async def explain_problem(slug: str, request: Request) -> Response:
    """Explain one kind of problem; a page for browsers."""
    kind = _BY_SLUG.get(slug)
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
    items = "".join(
        f'<li><span class="status">{kind.status}</span>'
        f'<span><a href="{escape(kind.type)}">{escape(kind.title)}</a><br>'
        f'<span class="soft">{escape(kind.slug)}</span></span></li>'
        for kind in sorted(ALL_PROBLEM_TYPES, key=lambda kind: (kind.status, kind.slug))
    )
    return (
        "<h1>Problems</h1>"
        '<p class="soft">Whatever the gateway refuses, it says so as one of these '
        f"({prose('`application/problem+json`')}), with a sentence about the case at hand.</p>"
        f'<ul class="list">{items}</ul>'
    )


def _explained(kind: ProblemType) -> str:
    return (
        '<p><a href="/problems">All problems</a></p>'
        f"<h1>{escape(kind.title)}</h1>"
        f"<p>{prose(f'`{kind.slug}`')} <span class='soft'>status {kind.status}</span></p>"
        f"<h2>Why it happens</h2><p>{prose(kind.cause)}</p>"
        f"<h2>What to do</h2><p>{prose(kind.remedy)}</p>"
    )
