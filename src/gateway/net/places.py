"""Reads the URLs that customers enter, by the same parser that is used to call them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import httpx

from gateway.errors import AddressNotAllowedError, FieldFault, InvalidFieldsError

_MAX_URL: Final = 2048
_MAX_PORT: Final = 65535
_MAX_HOST: Final = 253
_LABEL: Final = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_AUTHORITY: Final = re.compile(r"[^/?#]*//([^/?#]*)")
# What a lenient resolver may take for an IPv4 address, with a port.
_NUMBERS: Final = re.compile(r"\d[0-9a-fA-FxX]*(\.[0-9a-fA-FxX]+)*\.?(:\d*)?")
_DEFAULT_PORTS: Final[Mapping[str, int]] = {"https": 443, "http": 80}


@dataclass(frozen=True, slots=True, kw_only=True)
class EgressPolicy:
    """Where calls may go."""

    ports: frozenset[int]
    # The loopback, plain http and any port: laptops and tests.
    allow_loopback: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """Where a URL leads: what is dialled, and what is asked for there."""

    scheme: str
    host: str
    port: int
    target: str

    @property
    def origin(self) -> str:
        """What connections are kept by."""
        return f"{self.scheme}://{self.host}:{self.port}"

    @property
    def host_header(self) -> str:
        """The value of `Host`."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"


# Of a few thousand targets, the same over and over.
@lru_cache(maxsize=4096)
def read_place(url: str, policy: EgressPolicy, *, pointer: str) -> Place:
    """Return where a URL leads.

    Raises:
        InvalidFieldsError: It is no URL, has another scheme, user information or no host.
        AddressNotAllowedError: Its port is not allowed.
    """
    try:
        parsed = httpx.URL(url) if len(url) <= _MAX_URL else None
    except (httpx.InvalidURL, ValueError):
        parsed = None
    authority = _AUTHORITY.match(url)
    if parsed is None and authority is not None and _NUMBERS.fullmatch(authority[1]):
        raise not_allowed(pointer, "The host is an address in an unusual form.")
    if parsed is None:
        raise _invalid(pointer, "It is not a URL that the gateway can call.")
    schemes = ("https", "http") if policy.allow_loopback else ("https",)
    if parsed.scheme not in schemes:
        raise _invalid(pointer, "It must be an https URL.")
    if authority is None or "@" in authority[1]:
        raise _invalid(pointer, "It must not hold a user name or password.")
    host = parsed.raw_host.decode("ascii").removesuffix(".")
    if not _is_host(host):
        raise _invalid(pointer, "It must name a host.")
    port = _DEFAULT_PORTS[parsed.scheme] if parsed.port is None else parsed.port
    any_port = policy.allow_loopback and 0 < port <= _MAX_PORT
    if port not in policy.ports and not any_port:
        ports = ", ".join(str(each) for each in sorted(policy.ports))
        raise not_allowed(pointer, f"Only the ports {ports} may be called.")
    return Place(parsed.scheme, host, port, parsed.raw_path.decode("ascii"))


def not_allowed(pointer: str, detail: str) -> AddressNotAllowedError:
    """Return the refusal of an address that leads where the gateway must not go."""
    return AddressNotAllowedError(
        detail, faults=[FieldFault(pointer, "address-not-allowed", detail)]
    )


def _is_host(host: str) -> bool:
    if ":" in host:
        return True
    return len(host) <= _MAX_HOST and all(_LABEL.fullmatch(each) for each in host.split("."))


def _invalid(pointer: str, detail: str) -> InvalidFieldsError:
    return InvalidFieldsError(detail, faults=[FieldFault(pointer, "invalid-url", detail)])
