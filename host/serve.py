"""A page in the browser: drop a picture or use the camera, and see what the device says, and what it took.

    python -m host.serve [--device DEVICE] [--bind ADDRESS] [--port N] PROGRAM

The page's address is printed; Ctrl-C ends it. Only this computer's browsers are served unless `--bind` says otherwise.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import ipaddress
import signal
import sys
from pathlib import Path

from aiohttp import web

from host.command.errors import HostError, reason, run_command
from host.devices.registry import DEFAULT_DEVICE, DEVICES
from host.page.application import application
from host.page.shared_device import SharedDevice

DEFAULT_PORT = 8000
MOST_PORT = 65535


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(prog="python -m host.serve", description="Serves a page that labels pictures.")
    made.add_argument("--device", default=DEFAULT_DEVICE, help=f"{', '.join(sorted(DEVICES))} (default: %(default)s)")
    made.add_argument(
        "--bind", default="127.0.0.1", metavar="ADDRESS", help="address to listen at (default: %(default)s)"
    )
    made.add_argument("--port", type=int, default=DEFAULT_PORT, metavar="N", help="0: any (default: %(default)s)")
    made.add_argument("program", type=Path, metavar="PROGRAM", help="the file that the device runs")
    return made


def is_local(address: str) -> bool:
    """Whether only this computer reaches it.

    Raises
    ------
    HostError : it is no address
    """
    if address == "localhost":
        return True
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError as error:
        raise HostError(f"--bind takes an address of this computer, such as 127.0.0.1, not {address!r}.") from error


async def serve(options: argparse.Namespace) -> None:
    """Serves until it is cancelled. Raises HostError."""
    local = is_local(options.bind)
    if not 0 <= options.port <= MOST_PORT:
        raise HostError(f"--port must be 0 to {MOST_PORT}, not {options.port}.")
    async with SharedDevice(options.device, options.program) as device:
        runner = web.AppRunner(application(device, local=local), access_log=None)
        await runner.setup()
        try:
            try:
                await web.TCPSite(runner, options.bind, options.port).start()
            except OSError as error:
                where = f"{options.bind}, port {options.port}"
                raise HostError(f"Nobody can listen at {where} ({reason(error)}): choose another --port.") from error
            host = f"[{options.bind}]" if ":" in options.bind else options.bind
            print(f"http://{host}:{runner.addresses[0][1]}", flush=True)
            if not local:
                print("Whoever reaches this computer can use the device.", file=sys.stderr)
            await asyncio.Event().wait()
        finally:
            await runner.cleanup()


def run(options: argparse.Namespace) -> int:
    """The command's body; returns the exit status."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with contextlib.suppress(KeyboardInterrupt):  # its ordinary end
        asyncio.run(serve(options))
    return 0


def main(arguments: list[str] | None = None) -> int:
    """The command; returns the exit status."""
    options = parser().parse_args(arguments)
    return run_command(lambda: run(options))


if __name__ == "__main__":
    sys.exit(main())
