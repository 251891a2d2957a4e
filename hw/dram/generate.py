"""LiteDRAM's generator, run in a process of its own; what it makes is kept by content under build/dram."""

from __future__ import annotations

import importlib.metadata
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from firmware.dram.initialisation import Initialisation
from hw.dram.generated import initialisation_of
from hw.dram.settings import DramError, DramSettings
from hw.kept import kept

__all__ = ["Core", "generate", "instance_name"]

PACKAGES = ("litedram", "litex", "litescope", "migen")
SECONDS = 300
GENERATOR = ("-m", "litedram.gen")
FAST_CLOCK_SOURCE = Path(__file__).with_name("fast_clock.py")
FAST_CLOCK = (str(FAST_CLOCK_SOURCE),)


@dataclass(frozen=True)
class Core:
    """A generated controller.

    Parameters
    ----------
    module : name of the Verilog module
    verilog : its file's path
    initialisation : what brings the memory up
    settings : what it was made for
    simulation : with a memory model instead of a PHY
    """

    module: str
    verilog: Path
    initialisation: Initialisation
    settings: DramSettings
    simulation: bool


def instance_name(settings: DramSettings, simulation: bool) -> str:
    """Name of the controller's module and of its file."""
    return f"litedram_{settings.name}{'_fast' if settings.fast_clock else ''}{'_model' if simulation else ''}"


def _versions() -> str:
    try:
        return " ".join(f"{name}={importlib.metadata.version(name)}" for name in PACKAGES)
    except importlib.metadata.PackageNotFoundError as error:
        raise DramError(f"{error.name} is not installed; run `pip install -e '.[boards]'`.") from None


def _corrected(text: str, settings: DramSettings) -> str:
    """The generator's Verilog: the same for the same settings, and with the data bus as what it is."""
    # The header has the date and the time: the same controller would have another content every second.
    text = re.sub(r"^// (Date|Auto-generated).*\n", "", text, flags=re.MULTILINE)
    # Some assignments are there once for each command phase, all the same: several drivers of one wire, to a tool.
    text = re.sub(r"^(assign .*\n)\1+", r"\1", text, flags=re.MULTILINE)
    # The ports of a single-data-rate memory come out as inputs, although tristate buffers drive them.
    return re.sub(r"\binput( +wire +\[\d+:0\] +sdram_dq\b)", r"inout\1", text)


def generate(settings: DramSettings, simulation: bool = False) -> Core:
    """The controller of `settings`; the first call takes about two seconds, later ones find the files.

    Parameters
    ----------
    settings : DramSettings
    simulation : bool
        With LiteDRAM's memory model in place of the PHY.

    Raises
    ------
    DramError
        When LiteDRAM is not installed or the generator fails.
    """
    name = instance_name(settings, simulation)
    config = json.dumps(settings.generator(simulation), indent=1)
    content = f"{name} {config} {_versions()}".encode() + Path(__file__).read_bytes()
    generator = FAST_CLOCK if settings.fast_clock else GENERATOR
    if settings.fast_clock:
        content += FAST_CLOCK_SOURCE.read_bytes()

    def make(partial: Path) -> None:
        _run(partial, name, config, simulation, generator)
        source = partial / "out" / "gateware" / f"{name}.v"
        (partial / f"{name}.v").write_text(_corrected(source.read_text(), settings))
        shutil.copy(partial / "out" / "csr.json", partial / "csr.json")
        shutil.copy(partial / "out" / "software" / "include" / "generated" / "sdram_phy.h", partial)
        shutil.rmtree(partial / "out")

    folder = kept("dram", name, content, make)
    csr, header = (folder / "csr.json").read_text(), (folder / "sdram_phy.h").read_text()
    initialisation = initialisation_of(csr, header, settings.memory_mhz)
    return Core(name, folder / f"{name}.v", initialisation, settings, simulation)


def _run(folder: Path, name: str, config: str, simulation: bool, generator: Sequence[str]) -> None:
    (folder / "config.yml").write_text(config)  # JSON is YAML
    command = [sys.executable, *generator, "--no-compile", "--name", name, "--output-dir", "out"]
    command += ["--sim"] if simulation else []
    try:
        done = subprocess.run(
            [*command, "config.yml"], cwd=folder, capture_output=True, text=True, timeout=SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise DramError(f"LiteDRAM's generator did not end within {SECONDS} s for {name}; try again.") from None
    # With --sim the generator wants to go on to a C++ simulation of its own and fails at that when all is written.
    complete = not done.returncode or (simulation and "tapcfg" in done.stderr)
    if not complete or not (folder / "out" / "gateware" / f"{name}.v").exists():
        last = (done.stderr.strip() or done.stdout.strip() or "it said nothing").splitlines()[-1]
        raise DramError(f"LiteDRAM's generator failed for {name}: {last}; run `pip install -e '.[boards]'` again.")
