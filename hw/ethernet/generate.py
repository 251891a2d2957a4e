"""LiteEth's core, composed in a process of its own; what it makes is kept by content under build/ethernet."""

from __future__ import annotations

import importlib.metadata
import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from gateware.link.datagrams import UDP_PORT
from hw.ethernet.settings import EthernetError, EthernetSettings
from hw.kept import kept

__all__ = ["Core", "generate"]

PACKAGES = ("liteeth", "litex", "migen")
NAME = "liteeth_udp"
SECONDS = 300
ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Core:
    """A generated core.

    Parameters
    ----------
    module : name of the Verilog module
    verilog : its file's path
    settings : what it was made for
    """

    module: str
    verilog: Path
    settings: EthernetSettings


def _versions() -> str:
    try:
        return " ".join(f"{name}={importlib.metadata.version(name)}" for name in PACKAGES)
    except importlib.metadata.PackageNotFoundError as error:
        raise EthernetError(
            f"{error.name} is not installed; run `pip install -e '.[boards]'`, or build with --no-ethernet."
        ) from None


def generate(settings: EthernetSettings, clock_hz: int) -> Core:
    """The core for a board's addresses and the machine's clock; the first call takes two seconds, later ones find it.

    Raises
    ------
    EthernetError
        When LiteEth is not installed or cannot be composed.
    """
    wanted = {
        "name": NAME,
        "mac": settings.mac_number,
        "ip": settings.ip_number,
        "port": UDP_PORT,
        "clock_hz": clock_hz,
    }
    text = json.dumps(wanted, indent=1)
    own = b"".join((Path(__file__).parent / name).read_bytes() for name in ("generate.py", "composition.py"))

    def make(folder: Path) -> None:
        (folder / "settings.json").write_text(text)
        _compose(folder)
        file = folder / f"{NAME}.v"
        # The header has the date, and the state of whatever folder it was made in.
        file.write_text(re.sub(r"^// (Date|LiteX sha1|Auto-generated).*\n", "", file.read_text(), flags=re.M | re.I))

    folder = kept("ethernet", NAME, f"{text} {_versions()}".encode() + own, make)
    return Core(NAME, folder / f"{NAME}.v", settings)


def _compose(folder: Path) -> None:
    command = [sys.executable, "-m", "hw.ethernet.composition", str(folder / "settings.json"), str(folder)]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise EthernetError(f"LiteEth's core was not composed within {SECONDS} s; try again.") from None
    if done.returncode or not (folder / f"{NAME}.v").exists():
        last = (done.stderr.strip() or done.stdout.strip() or "it said nothing").splitlines()[-1]
        raise EthernetError(f"LiteEth's core cannot be composed: {last}; run `pip install -e '.[boards]'` again.")
