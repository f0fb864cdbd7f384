"""What Meta tells of a person who wrote to a Page.

`GET /{psid}` of the Graph API: an object, an empty one, or an error where the person or Meta keeps
it to themselves. The picture is left out: its address dies within days.
"""

from typing import Any, Final
from urllib.parse import quote

from gateway.contracts.canonical import scrub
from gateway.domain.channel import ChannelKind
from gateway.meta.errors import GraphFault
from gateway.meta.graph import PageAccess
from gateway.meta.graph_calls import GraphCalls, GraphRefusedError

_MAX_NAME: Final = 255
_FIELDS: Final = {
    ChannelKind.MESSENGER: "first_name,last_name",
    ChannelKind.INSTAGRAM: "name,username",
}
# The token, or what it may read, is at fault, whoever is asked for.
_OF_THE_PAGE: Final = frozenset({3, 10, 102, 190, 200, 2018247})


class ProfilesForbiddenError(Exception):
    """With this token nobody's profile can be read for now."""


class Profiles:
    """Reads profiles."""

    def __init__(self, graph: GraphCalls) -> None:
        self._graph = graph

    async def read(
        self, access: PageAccess, kind: ChannelKind, source_contact_id: str
    ) -> dict[str, str]:
        """Return a contact's `name`, `first_name` and `last_name`, as far as Meta tells them.

        Raises:
            ProfilesForbiddenError: The Page's token may not read profiles.
            UpstreamFailedError: Graph did not answer, or not sensibly.
        """
        path = f"{access.version}/{quote(source_contact_id, safe='')}"
        query = {"fields": _FIELDS[kind], "appsecret_proof": access.proof}
        try:
            answer = await self._graph.call("GET", path, query=query, token=access.token)
        except GraphRefusedError as error:
            if _is_of_the_page(error.fault):
                raise ProfilesForbiddenError from error
            return {}
        return _profile_of(answer)


def _is_of_the_page(fault: GraphFault) -> bool:
    return fault.code in _OF_THE_PAGE


def _profile_of(answer: dict[str, Any]) -> dict[str, str]:
    told = {
        name: text
        for name in ("name", "first_name", "last_name", "username")
        if (text := _text(answer.get(name)))
    }
    username = told.pop("username", None)
    full = " ".join(told[part] for part in ("first_name", "last_name") if part in told)
    name = told.get("name") or full or username
    return told | ({"name": name[:_MAX_NAME]} if name else {})


def _text(value: object) -> str | None:
    return str(scrub(value)).strip()[:_MAX_NAME] if isinstance(value, str) else None
