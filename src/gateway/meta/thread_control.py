"""Calls that move a thread between apps, and what their refusals say.

Shapes: `POST /{page}/{take,pass,request,release}_thread_control` of Conversation Routing, which
took the place of the Handover Protocol and kept its calls.
"""

from dataclasses import dataclass
from typing import Any, Final, Literal

Action = Literal["take", "pass", "request", "release"]

# By the last part of `meta-<code>[-<subcode>]`: another app, or a lead flow, controls the thread.
_OWNED_ELSEWHERE: Final = frozenset({"2018300", "2018321"})
_WRONG_TARGET: Final = "2018164"


@dataclass(frozen=True, slots=True)
class ThreadControl:
    """What is to happen to a thread. `target_app_id`: who gets it, where it is passed."""

    action: Action
    target_app_id: str | None = None
    metadata: str | None = None

    @property
    def edge(self) -> str:
        """The last part of the call's address."""
        return f"{self.action}_thread_control"


def control_body(control: ThreadControl, contact_id: str) -> dict[str, Any]:
    """Return the body of a call."""
    body: dict[str, Any] = {"recipient": {"id": contact_id}}
    if control.target_app_id is not None:
        body["target_app_id"] = control.target_app_id
    if control.metadata is not None and control.action != "release":
        body["metadata"] = control.metadata
    return body


def says_owned_elsewhere(code: str) -> bool:
    """Say whether a refusal means that the thread is not ours to move."""
    return code.rpartition("-")[2] in _OWNED_ELSEWHERE


def says_wrong_target(code: str) -> bool:
    """Say whether a refusal means that there is no such app to pass the thread to."""
    return code.rpartition("-")[2] == _WRONG_TARGET
