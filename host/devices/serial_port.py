"""The devices `serial` and `tcp`: a board on a serial port, or one that a process on the network stands in for."""

from __future__ import annotations

from serial.tools import list_ports

from host.command.errors import HostError
from host.devices.linked import ConnectedDevice
from host.link.connection import Connection
from host.link.transport import BAUD, SerialTransport, SocketTransport

__all__ = ["known_ports", "serial_device", "tcp_device"]

LEAST_BAUD = 1200
TCP_TIMEOUT = 0.5
"""Seconds until a request goes out again: TCP loses nothing, but an emulated board is as slow as its computer."""
# USB vendor and product, board, and which of the chip's ports (its location's last figure) is the UART.
BOARDS = {
    (0x0403, 0x6010): ("Arty A7", "1"),
    (0x0403, 0x6015): ("ULX3S", None),
}


def known_ports() -> list[tuple[str, str]]:
    """(port, board) of the boards that are plugged in, by their USB ids."""
    found = []
    for port in list_ports.comports():
        board, interface = BOARDS.get((port.vid, port.pid), (None, None))
        if board is not None and (interface is None or (port.location or "").endswith(f".{interface}")):
            found.append((port.device, board))
    return sorted(found)


def serial_device(argument: str) -> ConnectedDevice:
    """`PORT[,baud=N]`; without a port the only known board that is plugged in.

    Raises
    ------
    HostError : there is no such port or option, no board or several, or nothing answers
    """
    port, *options = argument.split(",")
    baud = BAUD
    for option in options:
        name, _, value = option.partition("=")
        if name != "baud" or not value.isdecimal() or int(value) < LEAST_BAUD:
            raise HostError(
                f"A serial port has no option {option!r}: write serial:PORT, or serial:PORT,baud=N with N at least "
                f"{LEAST_BAUD}."
            )
        baud = int(value)
    if not port:
        ports = known_ports()
        if len(ports) != 1:
            there = ", ".join(f"{name} ({board})" for name, board in ports) or "none"
            raise HostError(f"One known board is expected on USB, and there is {there}: name its port, serial:PORT.")
        port = ports[0][0]
    return ConnectedDevice(f"serial:{argument}", Connection(SerialTransport(port, baud)))


def tcp_device(argument: str) -> ConnectedDevice:
    """`HOST:PORT`.

    Raises
    ------
    HostError : the argument is none, or nothing answers
    """
    host, _, port = argument.rpartition(":")
    if not host or not port.isdecimal():
        raise HostError(f"The device tcp takes HOST:PORT, not {argument!r}.")
    return ConnectedDevice(f"tcp:{argument}", Connection(SocketTransport(host, int(port)), TCP_TIMEOUT))
