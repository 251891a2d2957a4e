"""The device `udp`: a board on the own network, or an emulated one that another process serves."""

from __future__ import annotations

from gateware.link.datagrams import UDP_PORT
from host.command.errors import HostError
from host.devices.linked import ConnectedDevice
from host.link.connection import Connection
from host.link.device_info import configuration_name
from host.link.udp import FoundBoard, UdpTransport, found_boards

__all__ = ["SEARCH_SECONDS", "UDP_TIMEOUT", "described_board", "udp_device"]

UDP_TIMEOUT = 0.25
"""Seconds until a request goes out again: a board answers within a millisecond, an emulated one takes some hundred."""
SEARCH_SECONDS = 0.3
MOST_PORT = 65535


def described_board(board: FoundBoard) -> str:
    """A found board in a few words."""
    if board.identity is None:
        return "another version of the link's protocol"
    return configuration_name(board.identity.fingerprint) or f"fingerprint {board.identity.fingerprint:08x}"


def udp_device(argument: str) -> ConnectedDevice:
    """`HOST[:PORT]`; without a host the only board that answers on the own network.

    Raises
    ------
    HostError : the argument is none, there is no board or several, no way there, or nothing answers
    """
    host, colon, port = argument.partition(":")
    if colon and not (host and port.isdecimal() and 0 < int(port) <= MOST_PORT):
        raise HostError(f"The device udp takes HOST or HOST:PORT, a port of 1 to {MOST_PORT}, not {argument!r}.")
    if not host:
        boards = found_boards(SEARCH_SECONDS)
        if len(boards) != 1:
            there = ", ".join(f"{board.host} ({described_board(board)})" for board in boards) or "none"
            raise HostError(f"One board is expected on the own network, and there is {there}: name it, udp:HOST.")
        host = boards[0].host
    transport = UdpTransport(host, int(port) if port else UDP_PORT)
    return ConnectedDevice(f"udp:{argument}" if argument else "udp", Connection(transport, UDP_TIMEOUT))
