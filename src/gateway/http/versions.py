"""Versions of things that people edit: ETag out, If-Match in."""

import re
from typing import Annotated, Final

from fastapi import Depends, Header
from starlette.responses import Response

from gateway.errors import VersionMismatchError

_STRONG_TAG: Final = re.compile(r'"([^"]*)"')


class Precondition:
    """What `If-Match` says, if it was sent."""

    def __init__(
        self,
        if_match: Annotated[
            str | None,
            Header(
                alias="If-Match",
                max_length=1000,
                description='`"<version>"`: change it only if this is still its version.',
            ),
        ] = None,
    ) -> None:
        self._tags = None if if_match is None else set(_STRONG_TAG.findall(if_match))
        self._any = if_match is not None and if_match.strip() == "*"

    def check(self, version: int) -> None:
        """Pass where the present version is one that the caller names, or it names none.

        Raises:
            VersionMismatchError: It is another.
        """
        if self._tags is None or self._any or str(version) in self._tags:
            return
        raise VersionMismatchError(f"The present version is {version}.", extra={"version": version})


IfMatch = Annotated[Precondition, Depends(Precondition)]


def tag_version(response: Response, version: int) -> None:
    """Tell the version in the answer's header, too."""
    response.headers["ETag"] = f'"{version}"'
