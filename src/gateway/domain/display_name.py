"""The name that stands before an agent's words on the wire."""


def display_name_of(
    name_format: str | None, *, first_name: str, last_name: str | None, display_name: str | None
) -> str | None:
    """Return the name that a channel's `display_name_format` shows of an agent; None: no name.

    An agent without a display name is shown by first and last name.
    """
    full = " ".join(part for part in (first_name, last_name) if part)
    match name_format:
        case "first_name":
            return first_name
        case "first_and_last_name":
            return full
        case "display_name":
            return display_name or full
        case _:
            return None


def with_name(text: str, display_name: str | None) -> str:
    """Return a text as it goes over the wire."""
    return before_text(display_name) + text


def before_text(display_name: str | None) -> str:
    """Return what stands before an agent's words; it counts against the channel's text limit."""
    return "" if display_name is None else f"{display_name}: "
