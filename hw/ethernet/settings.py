"""What a board's Ethernet is: its addresses."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from gateware.link.datagrams import HOST_BITS
from sim.reference.errors import UserError

__all__ = ["DEFAULT_IP", "DEFAULT_MAC", "EthernetError", "EthernetSettings", "address", "hardware_address"]

DEFAULT_IP = "192.168.1.50"
DEFAULT_MAC = "02:69:76:69:74:01"
"""Locally administered, of no maker: two boards on one network need two."""
LOCAL, GROUP = 1 << 41, 1 << 40  # bits of a hardware address


class EthernetError(UserError):
    """What is wrong with an address, the value, and what to do, in one sentence."""


def address(text: str) -> int:
    """An IPv4 address of one board. Raises EthernetError."""
    try:
        found = ipaddress.IPv4Address(text)
    except ValueError:
        raise EthernetError(f"--ip takes an address such as {DEFAULT_IP}, not {text!r}.") from None
    last = int(found) % (1 << HOST_BITS)
    if found.is_multicast or found.is_loopback or found.is_unspecified or last in (0, (1 << HOST_BITS) - 1):
        raise EthernetError(
            f"--ip must be the address of one board, whose last byte is 1 to {(1 << HOST_BITS) - 2}, not {text}: "
            "choose a free one of the own network."
        )
    return int(found)


def hardware_address(text: str) -> int:
    """A MAC address of one board. Raises EthernetError."""
    if not re.fullmatch(r"[0-9a-fA-F]{2}([:-][0-9a-fA-F]{2}){5}", text):
        raise EthernetError(f"--mac takes six bytes such as {DEFAULT_MAC}, not {text!r}.")
    found = int(text.replace(":", "").replace("-", ""), 16)
    if found & GROUP or not found:
        raise EthernetError(
            f"--mac must be the address of one board, and {text} is of many or none: try {DEFAULT_MAC}."
        )
    return found


@dataclass(frozen=True)
class EthernetSettings:
    """A board's addresses.

    Parameters
    ----------
    ip, mac : as text

    Raises EthernetError.
    """

    ip: str = DEFAULT_IP
    mac: str = DEFAULT_MAC

    def __post_init__(self) -> None:
        address(self.ip)
        hardware_address(self.mac)

    @property
    def ip_number(self) -> int:
        """32 bits, the first byte highest."""
        return address(self.ip)

    @property
    def mac_number(self) -> int:
        """48 bits, the first byte highest."""
        return hardware_address(self.mac)
