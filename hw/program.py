"""Loads a bitstream into a board, with openFPGALoader."""

from __future__ import annotations

from pathlib import Path

from hw.toolchains.errors import ToolError
from hw.toolchains.process import find, run_tool

__all__ = ["program"]

SECONDS = 120.0


def program(bitstream: Path, loader_board: str, flash: bool = False, seconds: float = SECONDS) -> None:
    """Into the FPGA, or into the flash that it starts from.

    Raises ToolMissing, which says how to get openFPGALoader, and ToolError when the board does not answer.
    """
    if not bitstream.exists():
        raise ToolError(f"there is no bitstream {bitstream}; build it first.")
    loader = find(
        "openFPGALoader", variable="OPENFPGALOADER", remedy="install the package openfpgaloader of your distribution"
    )
    command = [loader, "-b", loader_board, *(["--write-flash"] if flash else []), bitstream.name]
    run_tool("program", command, bitstream.parent, [], seconds)
