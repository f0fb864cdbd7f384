"""What Graph tells a person's token: who they are, and which Pages they may connect."""

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode

from gateway.sandbox.access import PersonCaller, person_caller
from gateway.sandbox.calls import Call
from gateway.sandbox.errors import GraphError, missing_object
from gateway.sandbox.fields import Wanted, parse_fields, project
from gateway.sandbox.platform import Platform
from gateway.sandbox.slices import number_of
from gateway.sandbox.world import Page, World


def list_accounts(platform: Platform, call: Call) -> Mapping[str, Any]:
    """Answer `GET /me/accounts`: the granted Pages that the person has a role on, a page at a time.

    Pages that a business owns may be missing there, although they are granted.
    """
    caller = _caller(platform, call)
    if "pages_show_list" not in caller.scopes:
        raise GraphError(10, message="(#10) This call requires the 'pages_show_list' permission")
    listed = [
        page
        for page in _granted_pages(platform.world, caller)
        if page.page_id not in caller.person.unlisted
    ]
    start = number_of(call, "after", 0)
    end = start + min(
        number_of(call, "limit", caller.person.accounts_page_size),
        caller.person.accounts_page_size,
    )
    wanted = parse_fields(call.text("fields") or "access_token,category,name,id,tasks")
    data = [_shown(platform.world, caller, page, wanted) for page in listed[start:end]]
    if not data:
        return {"data": []}
    paging: dict[str, Any] = {"cursors": {"before": str(start), "after": str(end)}}
    if end < len(listed):
        # Meta repeats the token in this address.
        again = {"access_token": caller.token.value, "limit": str(end - start), "after": str(end)}
        paging["next"] = f"{call.base_url}{call.version}/me/accounts?{urlencode(again)}"
    return {"data": data, "paging": paging}


def list_businesses(platform: Platform, call: Call) -> Mapping[str, Any]:
    """Answer `GET /me/businesses`: those that own a granted Page."""
    caller = _caller(platform, call)
    _needs_businesses(caller)
    pages = _granted_pages(platform.world, caller)
    ids = dict.fromkeys(page.business_id for page in pages if page.business_id is not None)
    return {"data": [{"id": each, "name": f"Business {each}"} for each in ids]}


def list_owned_pages(platform: Platform, call: Call) -> Mapping[str, Any]:
    """Answer `GET /{business}/owned_pages`: its Pages among those that were granted."""
    caller = person_caller(platform.world, platform.timeline, call)
    _needs_businesses(caller)
    wanted = parse_fields(call.text("fields") or "name,id")
    owned = [
        page for page in _granted_pages(platform.world, caller) if page.business_id == call.path[0]
    ]
    if not owned:
        raise missing_object(call.path[0], call.method)
    return {"data": [_shown(platform.world, caller, page, wanted) for page in owned]}


def read_as_person(platform: Platform, call: Call) -> Mapping[str, Any]:
    """Answer `GET /{id}` with a person's token: themselves, or a Page that was granted."""
    caller = person_caller(platform.world, platform.timeline, call)
    node = call.path[0]
    if node in ("me", caller.person.user_id):
        known: dict[str, Callable[[Wanted], Any]] = {
            "id": lambda _: caller.person.user_id,
            "name": lambda _: caller.person.name,
        }
        return project("User", known, parse_fields(call.text("fields") or "id,name"))
    for page in _granted_pages(platform.world, caller):
        if page.page_id == node:
            wanted = parse_fields(call.text("fields") or "id,name")
            return _shown(platform.world, caller, page, wanted)
    raise missing_object(node, call.method)


def _caller(platform: Platform, call: Call) -> PersonCaller:
    caller = person_caller(platform.world, platform.timeline, call)
    if call.path[0] not in ("me", caller.person.user_id):
        raise missing_object(call.path[0], call.method)
    return caller


def _needs_businesses(caller: PersonCaller) -> None:
    if "business_management" not in caller.scopes:
        raise GraphError(
            10, message="(#10) This call requires the 'business_management' permission"
        )


def _granted_pages(world: World, caller: PersonCaller) -> list[Page]:
    granted = caller.person.granted(caller.app.app_id).page_ids
    return [
        world.pages[page_id]
        for page_id in caller.person.pages
        if page_id in granted and page_id in world.pages
    ]


def _shown(
    world: World, caller: PersonCaller, page: Page, wanted: Mapping[str, Wanted]
) -> dict[str, Any]:
    known: dict[str, Callable[[Wanted], Any]] = {
        "id": lambda _: page.page_id,
        "name": lambda _: page.name,
        "category": lambda _: "Company",
        "category_list": lambda _: [{"id": "2200", "name": "Company"}],
        "access_token": lambda _: world.page_token_of(caller.person, caller.token, page).value,
        "tasks": lambda _: list(caller.person.pages[page.page_id]),
        "is_published": lambda _: page.published,
        "business": lambda _: page.business_id and {"id": page.business_id, "name": page.name},
        "instagram_business_account": lambda _: page.instagram_id and {"id": page.instagram_id},
    }
    return project("Page", known, wanted)
