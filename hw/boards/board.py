"""What a board is to the build."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from gateware.config import AcceleratorConfig, config
from hw.boards.design import Design
from hw.boards.parts import Part
from hw.ethernet.settings import EthernetSettings

__all__ = ["Board", "BoardError"]


class BoardError(ValueError):
    """A board or a configuration that cannot be built: what is wrong, the value, what to do, in one sentence."""


class Board(ABC):
    """One class a board.

    Attributes
    ----------
    name : as on the command line
    part : its FPGA, or None for an ASIC
    preset : the accelerator's configuration that is meant for it
    toolchains : that can build it, the preferred one first
    loader : openFPGALoader's name of the board
    clocks : MHz among which `--clock auto` chooses, the fastest first
    has_ethernet : whether it has a PHY that the build can use
    ethernet : its addresses; None: nothing on its Ethernet
    baud : bits a second of its UART; None: as its configuration has it in `gateware.link.uart.BOARD_BAUD`
    """

    name: ClassVar[str]
    part: ClassVar[Part | None]
    preset: ClassVar[str]
    toolchains: ClassVar[tuple[str, ...]]
    loader: ClassVar[str | None] = None
    summary: ClassVar[str] = ""
    clocks: ClassVar[tuple[float, ...]] = ()

    has_ethernet: ClassVar[bool] = False

    def __init__(
        self,
        configuration: AcceleratorConfig | None = None,
        ethernet: EthernetSettings | None = None,
        baud: int | None = None,
    ) -> None:
        self.config = config(self.preset) if configuration is None else configuration
        self.ethernet, self.baud = ethernet, baud

    @abstractmethod
    def design(self) -> Design:
        """The whole machine on this board: everything that the tools need. Raises BoardError, DramError."""
