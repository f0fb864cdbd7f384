"""Which addresses a customer may make the gateway call.

The tables are the IANA special-purpose registries of IPv4 and IPv6, multicast, and what is
deprecated but still routed somewhere. `ipaddress.is_global` is no guard: on Python 3.11 it lets
through multicast, NAT64 and 6to4 forms of private addresses, and more.
"""

import socket
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
)
from typing import Final, TypeAlias

Address: TypeAlias = IPv4Address | IPv6Address

_DENIED_V4: Final = tuple(
    IPv4Network(each)
    for each in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # shared by carriers
        "127.0.0.0/8",  # loopback
        "169.254.0.0/16",  # link-local, where clouds keep their metadata
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments
        "192.0.2.0/24",  # documentation
        "192.31.196.0/24",  # AS112
        "192.52.193.0/24",  # multicast tunnels
        "192.88.99.0/24",  # 6to4 relays, deprecated
        "192.168.0.0/16",  # private
        "192.175.48.0/24",  # AS112
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, broadcast
    )
)
# Everything outside is not global unicast: loopback, unique local, link- and site-local, multicast.
_UNICAST_V6: Final = IPv6Network("2000::/3")
_DENIED_V6: Final = tuple(
    IPv6Network(each)
    for each in (
        "2001::/23",  # protocol assignments, with Teredo and ORCHID
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4, deprecated
        "2620:4f:8000::/48",  # AS112
        "3fff::/20",  # documentation
    )
)
_NAT64: Final = IPv6Network("64:ff9b::/96")
_LAST_32_BITS: Final = 0xFFFFFFFF


def is_denied(address: Address) -> bool:
    """Say whether an address is one that customers' URLs must not lead to."""
    if isinstance(address, IPv4Address):
        return any(address in network for network in _DENIED_V4)
    embedded = _embedded_v4(address)
    if embedded is not None:
        return is_denied(embedded)
    return address not in _UNICAST_V6 or any(address in network for network in _DENIED_V6)


def is_loopback(address: Address) -> bool:
    """Say whether an address is this machine's loopback, in whatever form."""
    embedded = _embedded_v4(address) if isinstance(address, IPv6Address) else None
    return (embedded or address).is_loopback


def is_own(address: Address) -> bool:
    """Say whether an address is one of this machine's interfaces'; sends nothing.

    The kernel reaches its own addresses from themselves.
    """
    family = socket.AF_INET if isinstance(address, IPv4Address) else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((str(address), 9))
            return ip_address(probe.getsockname()[0].partition("%")[0]) == address
    except OSError:
        return False


def parse_literal(host: str) -> Address | None:
    """Return the address that a host is written as, in canonical form; None for a name.

    Raises:
        ValueError: The host is a number in another form, which resolvers read as an address.
    """
    try:
        address = ip_address(host)
    except ValueError:
        if _ends_in_a_number(host):
            raise ValueError("an address in an unusual form") from None
        return None
    if isinstance(address, IPv6Address) and address.scope_id is not None:
        raise ValueError("an address with a zone")
    return address


def _embedded_v4(address: IPv6Address) -> IPv4Address | None:
    """Return the IPv4 address that packets to a mapped or translated address end at."""
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address in _NAT64:
        return IPv4Address(int(address) & _LAST_32_BITS)
    return None


def _ends_in_a_number(host: str) -> bool:
    # As browsers judge it: `127.1`, `0x7f.1`, `0177.0.0.1` and `2130706433` are addresses.
    label = host.removesuffix(".").rpartition(".")[2].lower()
    if label.startswith("0x"):
        return all(c in "0123456789abcdef" for c in label[2:])
    return label.isdigit()
