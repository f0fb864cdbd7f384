"""Media of Pages: uploaded to be sent by id, or sent by address."""

from collections.abc import Mapping
from typing import Any

from gateway.sandbox.access import caller_for_node
from gateway.sandbox.calls import Call
from gateway.sandbox.content import MEDIA_TYPES, Content, read_content
from gateway.sandbox.errors import GraphError
from gateway.sandbox.media import MediaType, Medium, Upload, size_limit, type_of
from gateway.sandbox.platform import Platform
from gateway.sandbox.world import Page


def upload_attachment(platform: Platform, call: Call) -> Mapping[str, Any]:
    """Answer `POST /{page}/message_attachments`: by address or as a file of the form."""
    caller = caller_for_node(platform.world, platform.timeline, call)
    message = call.mapping("message")
    if message is None:
        raise GraphError(100, message="(#100) The parameter message is required")
    content = read_content(message, uploaded=call.upload is not None)
    media = [each for each in content.attachments if each.get("type") in MEDIA_TYPES]
    if len(media) != 1 or content.text is not None:
        raise GraphError(100, 2018047)
    medium = _store(platform, caller.page, media[0], call.upload)
    return {"attachment_id": medium.medium_id}


def settle_media(
    platform: Platform, page: Page, content: Content, call: Call
) -> tuple[Content, str | None]:
    """Give every medium of a message its address.

    Returns the message and, where the sender asked to use a medium again, its new attachment id.
    Raises GraphError for an id that is unknown, another Page's, or older than 90 days.
    """
    reusable_id: str | None = None
    settled: list[dict[str, Any]] = []
    for attachment in content.attachments:
        if attachment.get("type") not in MEDIA_TYPES:
            _check_template_media(platform, page, attachment)
            settled.append(attachment)
            continue
        payload = attachment.get("payload")
        payload = payload if isinstance(payload, dict) else {}
        if call.upload is not None or payload.get("is_reusable") is True:
            medium = _store(platform, page, attachment, call.upload)
            reusable_id = medium.medium_id if payload.get("is_reusable") is True else None
            url = _address(medium, call)
        elif (medium_id := payload.get("attachment_id")) is not None:
            url = _address(_sendable(platform, page, medium_id), call)
        else:
            url = str(payload["url"])
        settled.append({"type": attachment["type"], "payload": {"url": url}})
    content.attachments = settled
    return content, reusable_id


def _check_template_media(platform: Platform, page: Page, attachment: Mapping[str, Any]) -> None:
    payload = attachment.get("payload")
    elements = payload.get("elements") if isinstance(payload, dict) else None
    for element in elements if isinstance(elements, list) else []:
        if isinstance(element, dict) and element.get("attachment_id"):
            _sendable(platform, page, str(element["attachment_id"]))


def _store(
    platform: Platform, page: Page, attachment: Mapping[str, Any], upload: Upload | None
) -> Medium:
    media_type: MediaType = attachment["type"]
    now = platform.timeline.now()
    if upload is None:
        url = str(attachment["payload"]["url"])
        return platform.world.media.put(media_type, page_id=page.page_id, now=now, url=url)
    if media_type not in ("file", type_of(upload.content_type)):
        raise GraphError(100, 2018047)
    if len(upload.content) > size_limit(media_type):
        raise GraphError(100, 2018109)
    return platform.world.media.put(media_type, page_id=page.page_id, now=now, upload=upload)


def _sendable(platform: Platform, page: Page, medium_id: str) -> Medium:
    medium = platform.world.media.sendable(
        medium_id, page_id=page.page_id, now=platform.timeline.now()
    )
    if medium is None:
        raise GraphError(100, 2018074)
    return medium


def _address(medium: Medium, call: Call) -> str:
    return medium.url or f"{call.base_url}media/{medium.medium_id}"
