"""Thread control between apps: pass, take, request, release, extend, and who has it."""

from collections.abc import Mapping
from typing import Any, Final

from gateway.sandbox.access import PageCaller, caller_for_node
from gateway.sandbox.calls import Call
from gateway.sandbox.errors import GraphError
from gateway.sandbox.platform import Platform
from gateway.sandbox.threads import Thread
from gateway.sandbox.world import INSTAGRAM_INBOX_APP_ID, PAGE_INBOX_APP_ID

INBOXES: Final = frozenset({PAGE_INBOX_APP_ID, INSTAGRAM_INBOX_APP_ID})
MAX_EXTENSION_SECONDS: Final = 7 * 24 * 60 * 60


def pass_control(platform: Platform, call: Call) -> Mapping[str, Any]:
    """Answer `POST /{page}/pass_thread_control`: only who has the thread, or nobody's, may pass."""
    caller, thread = _thread(platform, call)
    target = call.text("target_app_id")
    if target is None or (target not in platform.world.apps and target not in INBOXES):
        raise GraphError(100, 2018164)
    _must_control(platform, caller, thread)
    platform.exchange.hand_over(
        thread,
        "pass",
        actor=caller.app.app_id,
        new_owner=target,
        metadata=call.text("metadata"),
    )
    return {"success": True}


def take_control(platform: Platform, call: Call) -> Mapping[str, Any]:
    """Answer `POST /{page}/take_thread_control`: the thread is the caller's from now on."""
    caller, thread = _thread(platform, call)
    platform.exchange.hand_over(
        thread,
        "take",
        actor=caller.app.app_id,
        new_owner=caller.app.app_id,
        metadata=call.text("metadata"),
    )
    return {"success": True}


def request_control(platform: Platform, call: Call) -> Mapping[str, Any]:
    """Answer `POST /{page}/request_thread_control`: the present owner is told."""
    caller, thread = _thread(platform, call)
    platform.exchange.hand_over(
        thread,
        "request",
        actor=caller.app.app_id,
        new_owner=None,
        metadata=call.text("metadata"),
    )
    return {"success": True}


def release_control(platform: Platform, call: Call) -> Mapping[str, Any]:
    """Answer `POST /{page}/release_thread_control`: the thread is idle from now on."""
    caller, thread = _thread(platform, call)
    _must_control(platform, caller, thread)
    platform.exchange.hand_over(
        thread, "release", actor=caller.app.app_id, new_owner=None, metadata=None
    )
    return {"success": True}


def extend_control(platform: Platform, call: Call) -> Mapping[str, Any]:
    """Answer `POST /{page}/extend_thread_control`: `duration` seconds from now, 7 days at most."""
    caller, thread = _thread(platform, call)
    _must_control(platform, caller, thread)
    duration = call.text("duration")
    if duration is None or not duration.isdecimal():
        raise GraphError(100, message="(#100) Param duration must be a number of seconds")
    if int(duration) > MAX_EXTENSION_SECONDS:
        raise GraphError(100, message="(#100) Param duration must be at most seven days")
    thread.extend_control(platform.timeline.millis(), int(duration) * 1000)
    return {"success": True}


def thread_owner(platform: Platform, call: Call) -> Mapping[str, Any]:
    """Answer `GET /{page}/thread_owner?recipient=…`; no row for an idle thread."""
    caller = caller_for_node(platform.world, platform.timeline, call)
    recipient = call.text("recipient")
    thread = platform.world.thread_of(caller.page, recipient) if recipient else None
    if thread is None:
        raise GraphError(100, 2018001)
    owner = thread.owner(platform.timeline.millis())
    return {"data": [] if owner is None else [{"thread_owner": {"app_id": owner}}]}


def _thread(platform: Platform, call: Call) -> tuple[PageCaller, Thread]:
    caller = caller_for_node(platform.world, platform.timeline, call)
    recipient = call.mapping("recipient") or {}
    psid = recipient.get("id")
    thread = platform.world.thread_of(caller.page, str(psid)) if psid else None
    if thread is None:
        raise GraphError(100, 2018001)
    return caller, thread


def _must_control(platform: Platform, caller: PageCaller, thread: Thread) -> None:
    if thread.owner(platform.timeline.millis()) not in (None, caller.app.app_id):
        raise GraphError(10, 2018300)
