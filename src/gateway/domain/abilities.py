"""What a kind of channel cannot say, although the platform's other channels can.

Instagram: "Instagram Messaging" of the Messenger Platform, which has pages for the generic, product
and button templates, whose buttons open pages or send postbacks, and none for personas. Third
parties take texts and media: templates are drawn by Meta's apps.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from gateway.domain.channel import ChannelKind

_INSTAGRAM_TEMPLATES: Final = frozenset({"generic", "product", "button"})
_INSTAGRAM_BUTTONS: Final = frozenset({"web_url", "postback"})


@dataclass(frozen=True, slots=True)
class Inability:
    """What cannot be said: a JSON pointer within the content, and a sentence."""

    pointer: str
    detail: str


def inability(content: Mapping[str, Any], kind: ChannelKind) -> Inability | None:
    """Return what a kind of channel cannot say of a content as messages hold it; None: it can."""
    template = content.get("template")
    if template is None or kind is ChannelKind.MESSENGER:
        return None
    if kind is ChannelKind.THIRD_PARTY:
        return Inability(
            "/type", "Third-party channels take texts and media; templates are Meta's."
        )
    if template["template_type"] not in _INSTAGRAM_TEMPLATES:
        known = ", ".join(sorted(_INSTAGRAM_TEMPLATES))
        return Inability("/template/template_type", f"Instagram has these templates: {known}.")
    for pointer, button in _buttons(template):
        if button["type"] not in _INSTAGRAM_BUTTONS:
            known = ", ".join(sorted(_INSTAGRAM_BUTTONS))
            return Inability(f"/template{pointer}/type", f"Instagram has these buttons: {known}.")
    return None


def _buttons(template: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for number, button in enumerate(template.get("buttons") or ()):
        yield f"/buttons/{number}", button
    for place, element in enumerate(template.get("elements") or ()):
        for number, button in enumerate(element.get("buttons") or ()):
            yield f"/elements/{place}/buttons/{number}", button
