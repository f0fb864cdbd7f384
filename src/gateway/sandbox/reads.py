"""What Graph tells: Pages, people, conversations, messages."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from gateway.sandbox.access import PageCaller, caller_for_node, page_caller
from gateway.sandbox.calls import Call
from gateway.sandbox.errors import GraphError, missing_object
from gateway.sandbox.fields import Wanted, parse_fields, project
from gateway.sandbox.people import PAGE_TASKS, Person
from gateway.sandbox.personas import read_persona
from gateway.sandbox.platform import Platform
from gateway.sandbox.slices import DEFAULT_LIMIT, MAX_LIMIT, slice_of
from gateway.sandbox.threads import Thread, Utterance
from gateway.sandbox.world import Page

READABLE_MESSAGES: Final = 20


def read_node(platform: Platform, call: Call) -> Mapping[str, Any]:
    """Answer `GET /{id}`: a Page, a person, a conversation, a message or a persona."""
    caller = page_caller(platform.world, platform.timeline, call)
    node = call.path[0]
    if node == "me" or caller.page.owns(node):
        person = platform.world.people.get(caller.token.user_id or "")
        return _read_page(caller, person, call)
    if node in caller.page.personas:
        return read_persona(caller.page, node)
    if node.startswith("t_"):
        return _conversation(_conversation_of(platform, caller, node, call), caller, call)
    if (thread := platform.world.thread_of(caller.page, node)) is not None:
        return _read_person(thread, call)
    thread, said = _message_of(platform, caller.page, call)
    if said not in thread.newest(READABLE_MESSAGES):
        raise GraphError(9000001)
    return _message(thread, said, caller.page, _wanted(call, "id,created_time"))


def list_conversations(platform: Platform, call: Call) -> Mapping[str, Any]:
    """Answer `GET /{page}/conversations`, the latest first, or one person's with `user_id`."""
    caller = caller_for_node(platform.world, platform.timeline, call)
    _may_read(caller)
    instagram = call.text("platform") == "instagram"
    threads = [
        thread
        for thread in platform.world.threads_of_page(caller.page)
        if thread.instagram is instagram
        and call.text("user_id") in (None, thread.psid)
        and thread.utterances
    ]
    chosen, paging = slice_of(threads, call)
    data = [_conversation(thread, caller, call) for thread in chosen]
    return {"data": data, "paging": paging} if data else {"data": []}


def list_messages(platform: Platform, call: Call) -> Mapping[str, Any]:
    """Answer `GET /{conversation}/messages`, the newest first."""
    caller = page_caller(platform.world, platform.timeline, call)
    thread = _conversation_of(platform, caller, call.path[0], call)
    chosen, paging = slice_of(thread.newest(len(thread.utterances))[::-1], call)
    wanted = _wanted(call, "id,created_time")
    return {"data": _messages(thread, chosen, caller.page, wanted), "paging": paging}


def _read_page(caller: PageCaller, person: Person | None, call: Call) -> Mapping[str, Any]:
    page = caller.page
    tasks = PAGE_TASKS if person is None else person.pages[page.page_id]
    known: dict[str, Callable[[Wanted], Any]] = {
        "id": lambda _: page.page_id,
        "name": lambda _: page.name,
        "access_token": lambda _: caller.token.value,
        "category": lambda _: "Company",
        "tasks": lambda _: list(tasks),
        "link": lambda _: f"https://www.facebook.com/{page.page_id}",
        "is_published": lambda _: page.published,
        "business": lambda _: page.business_id and {"id": page.business_id, "name": page.name},
        "picture": lambda _: {
            "data": {"url": f"{call.base_url}avatars/{page.page_id}.svg", "is_silhouette": False}
        },
        "messaging_feature_status": lambda _: {"hop_v2": True, "msgr_multi_app": True},
        "instagram_business_account": lambda _: page.instagram_id and {"id": page.instagram_id},
    }
    answer = project("Page", known, _wanted(call, "id,name"))
    # Meta tells none of these; the sandbox does, beside what was asked for, so that a diagnosis can
    # show them without a message that fails.
    told = {
        "restricted": page.restricted,
        "messages_allowed": page.messages_allowed,
        "under_review": page.under_review,
    }
    return {**answer, **told}


def _read_person(thread: Thread, call: Call) -> Mapping[str, Any]:
    wanted = _wanted(call, "first_name,last_name,profile_pic")
    if not thread.profile_readable:
        return {}
    psid = thread.psid
    name = f"{thread.first_name} {thread.last_name}"
    known: dict[str, Callable[[Wanted], Any]] = {
        "id": lambda _: psid,
        "first_name": lambda _: thread.first_name,
        "last_name": lambda _: thread.last_name,
        "name": lambda _: name,
        "profile_pic": lambda _: f"{call.base_url}avatars/{psid}.svg",
        "locale": lambda _: thread.locale,
        "timezone": lambda _: 0,
        "gender": lambda _: None,
    }
    if thread.instagram:
        known["username"] = lambda _: f"{thread.first_name}.{thread.last_name}".lower()
    return project("User", known, wanted)


def _conversation(thread: Thread, caller: PageCaller, call: Call) -> dict[str, Any]:
    page = caller.page
    known: dict[str, Callable[[Wanted], Any]] = {
        "id": lambda _: thread.conversation_id,
        "updated_time": lambda _: _time(thread.last_activity_at),
        "link": lambda _: f"/{thread.source_id}/inbox/{thread.conversation_id}/",
        "message_count": lambda _: len(thread.utterances),
        "unread_count": lambda _: sum(
            said.author == "visitor" and said.tick != "seen" for said in thread.utterances.values()
        ),
        "can_reply": lambda _: True,
        "participants": lambda _: {"data": [_person(thread), _page_party(thread, page)]},
        "senders": lambda _: {"data": [_person(thread), _page_party(thread, page)]},
        "messages": lambda wanted: {
            "data": _messages(
                thread,
                thread.newest(min(wanted.limit or DEFAULT_LIMIT, MAX_LIMIT))[::-1],
                page,
                wanted.fields or parse_fields("id,created_time"),
            )
        },
    }
    return project("UnifiedThread", known, _wanted(call, "id,link,updated_time"))


def _messages(
    thread: Thread, chosen: list[Utterance], page: Page, wanted: Mapping[str, Wanted]
) -> list[dict[str, Any]]:
    """Return messages as Graph shows them: of all but the newest 20, it tells only id and time."""
    readable = {said.mid for said in thread.newest(READABLE_MESSAGES)}
    return [
        _message(thread, said, page, wanted)
        if said.mid in readable
        else {"id": said.mid, "created_time": _time(said.at)}
        for said in chosen
    ]


def _message(
    thread: Thread, said: Utterance, page: Page, wanted: Mapping[str, Wanted]
) -> dict[str, Any]:
    person, party = _person(thread), _page_party(thread, page)
    by_page = said.author == "page"
    known: dict[str, Callable[[Wanted], Any]] = {
        "id": lambda _: said.mid,
        "created_time": lambda _: _time(said.at),
        "from": lambda _: party if by_page else person,
        "to": lambda _: {"data": [person if by_page else party]},
        "message": lambda _: said.text or "",
        "attachments": lambda _: _attachments(said),
        "reply_to": lambda _: said.reply_to and {"mid": said.reply_to},
        "tags": lambda _: {"data": [{"name": "sent" if by_page else "inbox"}]},
    }
    return project("Message", known, wanted)


def _attachments(said: Utterance) -> dict[str, Any] | None:
    if not said.attachments:
        return None
    data = []
    for number, attachment in enumerate(said.attachments):
        payload = attachment.get("payload")
        url = payload.get("url") if isinstance(payload, dict) else None
        shown: dict[str, Any] = {"id": f"{said.mid}:{number}", "name": attachment.get("type")}
        if url is not None:
            shown["image_data" if attachment.get("type") == "image" else "file_url"] = (
                {"url": url} if attachment.get("type") == "image" else url
            )
        data.append(shown)
    return {"data": data}


def _conversation_of(
    platform: Platform, caller: PageCaller, conversation_id: str, call: Call
) -> Thread:
    _may_read(caller)
    for thread in platform.world.threads_of_page(caller.page):
        if thread.conversation_id == conversation_id:
            return thread
    raise missing_object(conversation_id, call.method)


def _message_of(platform: Platform, page: Page, call: Call) -> tuple[Thread, Utterance]:
    mid = call.path[0]
    for thread in platform.world.threads_of_page(page):
        if (said := thread.utterances.get(mid)) is not None:
            return thread, said
    raise missing_object(mid, call.method)


def _may_read(caller: PageCaller) -> None:
    caller.needs(
        "pages_read_engagement",
        code=10,
        message="(#10) This endpoint requires the 'pages_read_engagement' permission",
    )


def _person(thread: Thread) -> dict[str, str]:
    name = f"{thread.first_name} {thread.last_name}"
    return {"name": name, "email": f"{thread.psid}@facebook.com", "id": thread.psid}


def _page_party(thread: Thread, page: Page) -> dict[str, str]:
    email = f"{thread.source_id}@facebook.com"
    return {"name": page.name, "email": email, "id": thread.source_id}


def _wanted(call: Call, default: str) -> dict[str, Wanted]:
    return parse_fields(call.text("fields") or default)


def _time(millis: int) -> str:
    moment = datetime.fromtimestamp(millis / 1000, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S+0000")
