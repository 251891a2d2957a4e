"""An emulated board as a process of its own: its link is a pseudo-terminal, a TCP port or a UDP port.

python -m sim.emulator.serve [--board BOARD] [--arithmetic NAME] [--tcp [HOST:]PORT | --udp [HOST:]PORT]
"""

from __future__ import annotations

import argparse
import os
import select
import signal
import socket
import sys
import tty
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Self

from gateware.config import ALIASES, PRESETS, ConfigError, config
from sim.emulator.emulation import Emulation
from sim.emulator.machine import emulated_machine
from sim.emulator.memories import MEMORY_HELP, memory_option
from sim.emulator.serve_udp import UdpLine, serve_datagrams
from sim.reference.errors import UserError, exit_status

__all__ = ["PtyLine", "TcpLine", "serve"]

SLICE = 5_000  # cycles between two looks at the line
IDLE_SECONDS = 0.05  # of waiting for bytes when the machine has nothing to do
CHUNK = 1 << 16
MOST_PORT = 65535


class Line(ABC):
    """Bytes to and from the user of the board."""

    name: str

    @abstractmethod
    def receive(self, seconds: float) -> bytes:
        """The bytes that have come, after at most that time."""

    @abstractmethod
    def send(self, content: bytes) -> None:
        """Bytes that nobody takes are lost, as on a cable."""

    @abstractmethod
    def close(self) -> None: ...

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class PtyLine(Line):
    """A pseudo-terminal; ``name`` is what a serial client opens."""

    def __init__(self) -> None:
        self._mine, self._theirs = os.openpty()
        tty.setraw(self._theirs)
        os.set_blocking(self._mine, False)
        self.name = os.ttyname(self._theirs)

    def receive(self, seconds: float) -> bytes:
        if not select.select([self._mine], [], [], seconds)[0]:
            return b""
        try:
            return os.read(self._mine, CHUNK)
        except OSError:  # the client has closed its end
            return b""

    def send(self, content: bytes) -> None:
        while content:
            try:
                content = content[os.write(self._mine, content) :]
            except BlockingIOError:
                if not select.select([], [self._mine], [], IDLE_SECONDS)[1]:
                    return
            except OSError:
                return

    def close(self) -> None:
        os.close(self._mine)
        os.close(self._theirs)


class TcpLine(Line):
    """A listening socket; one client at a time, others are turned away.

    Raises UserError if nobody can listen there.
    """

    def __init__(self, host: str, port: int) -> None:
        try:
            self._listener = socket.create_server((host, port))
        except OSError as error:
            raise UserError(f"--tcp: nobody can listen at {host}:{port} ({error}); choose another port.") from error
        self.name = "{}:{}".format(*self._listener.getsockname()[:2])
        self._client: socket.socket | None = None

    def receive(self, seconds: float) -> bytes:
        waiting = [self._listener, *([self._client] if self._client else [])]
        ready = select.select(waiting, [], [], seconds)[0]
        content = b""
        if self._client is not None and self._client in ready:
            try:
                content = self._client.recv(CHUNK)
            except OSError:
                content = b""
            if not content:
                self._hang_up()
        # After that: whoever comes as the one before leaves finds the place free.
        if self._listener in ready:
            self._greet()
        return content

    def _greet(self) -> None:
        client, _ = self._listener.accept()
        if self._client is None:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            client.settimeout(IDLE_SECONDS)
            self._client = client
        else:
            client.close()

    def send(self, content: bytes) -> None:
        if self._client is not None:
            try:
                self._client.sendall(content)
            except OSError:
                self._hang_up()

    def _hang_up(self) -> None:
        if self._client is not None:
            self._client.close()
        self._client = None

    def close(self) -> None:
        self._hang_up()
        self._listener.close()


def serve(emulation: Emulation, line: Line) -> None:
    """Runs the board, in no more time than it needs, until it is interrupted."""
    while True:
        busy = emulation.busy or emulation.unsent
        emulation.send(line.receive(0.0 if busy else IDLE_SECONDS))
        end = emulation.cycles + SLICE
        while emulation.cycles < end:
            emulation.run(end - emulation.cycles)
        if content := emulation.receive():
            line.send(content)


def run(arguments: argparse.Namespace) -> int:
    """Until it is interrupted."""
    try:
        machine = config(arguments.board, arguments.arithmetic)
    except ConfigError as error:
        raise UserError(f"{error}.") from error
    memory_option(arguments.memory)
    kind, line = opened_line(arguments)
    with line, emulated_machine(machine, arguments.memory) as board:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        print(f"{machine.name}, {machine.arithmetic.name}: --device {kind}:{line.name}", flush=True)
        try:
            if isinstance(line, UdpLine):
                serve_datagrams(board, line)
            else:
                serve(board, line)
        except KeyboardInterrupt:
            return 0
    return 0


def opened_line(arguments: argparse.Namespace) -> tuple[str, Line | UdpLine]:
    """The kind of device that opens it, and the line that was asked for."""
    if arguments.tcp is not None:
        return "tcp", TcpLine(*place("--tcp", arguments.tcp))
    if arguments.udp is not None:
        return "udp", UdpLine(*place("--udp", arguments.udp))
    return "serial", PtyLine()


def place(option: str, text: str) -> tuple[str, int]:
    """Host, by default this computer, and port."""
    host, _, port = text.rpartition(":")
    if not port.isdecimal() or int(port) > MOST_PORT:
        raise UserError(f"{option} takes PORT or HOST:PORT, a port of 0 to {MOST_PORT}, not {text!r}.")
    return host or "127.0.0.1", int(port)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    result = argparse.ArgumentParser(
        prog="python -m sim.emulator.serve", description="An emulated board that any client of its link can use."
    )
    known = ", ".join(sorted([*PRESETS, *ALIASES]))
    result.add_argument("--board", default="arty_a7_35", metavar="BOARD", help=f"one of {known}")
    result.add_argument(
        "--arithmetic", metavar="NAME", default="lean", help="lean, official, or a variant (default: %(default)s)"
    )
    result.add_argument("--memory", default="arty_a7", metavar="PROFILE", help=MEMORY_HELP)
    where = result.add_mutually_exclusive_group()
    where.add_argument("--tcp", metavar="[HOST:]PORT", help="listen there (port 0: any), instead of a pseudo-terminal")
    where.add_argument("--udp", metavar="[HOST:]PORT", help="the same for UDP, as a board on Ethernet does")
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; 2 when the input is bad."""
    return exit_status(lambda: run(parser().parse_args(arguments)))


if __name__ == "__main__":
    sys.exit(main())
