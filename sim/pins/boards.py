"""Which boards can be simulated at their pins, and what each needs around its top."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hw.boards.arty_a7 import ArtyA7
from hw.boards.board import Board
from hw.boards.ulx3s import Ulx3s85F
from hw.dram.settings import ARTY_A7 as ARTY_MEMORY
from hw.dram.settings import ULX3S as ULX3S_MEMORY
from sim.pins.delays import ARTY_A7, ULX3S, Delays
from sim.reference.errors import UserError

__all__ = ["BOARDS", "HERE", "BoardModel", "model_of"]

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class BoardModel:
    """A board's surroundings.

    Parameters
    ----------
    board : what hw.build builds
    primitives : Verilog of its FPGA's
    defines : for the C++ of the board, which choose chip and oscillator
    pins : name of each pin of the top to what the wrapper joins it with; each must be there
    constants : of the wrapper's outputs that this memory does not have, as Verilog
    delays : of the wires
    memory_bytes : of the chip
    """

    board: type[Board]
    primitives: tuple[Path, ...]
    defines: tuple[str, ...]
    pins: Mapping[str, str]
    constants: str
    delays: Delays
    memory_bytes: int


def _common(memory: str) -> dict[str, str]:
    """Pins that both boards call the same, but for the memory's name."""
    return {
        "uart_0__rx__io": "rx",
        "uart_0__tx__io": "tx",
        f"{memory}_0__clk_en__io": "commands[1]",
        f"{memory}_0__cs__io": "commands[2]",
        f"{memory}_0__ras__io": "commands[3]",
        f"{memory}_0__cas__io": "commands[4]",
        f"{memory}_0__we__io": "commands[5]",
        f"{memory}_0__dq__io": "dq",
        **{f"led_{index}__io": f"lamps[{index}]" for index in range(4)},
    }


BOARDS = {
    ArtyA7.name: BoardModel(
        ArtyA7,
        (HERE / "models" / "xc7.v", HERE / "models" / "xc7_pll.v"),
        (),
        {
            **_common("ddr3"),
            "clk100_0__io": "clk",
            "rst_0__io": "~button",
            "ddr3_0__clk__p": "ck",
            "ddr3_0__rst__io": "commands[0]",
            "ddr3_0__ba__io": "commands[8:6]",
            "ddr3_0__a__io": "commands[22:9]",
            "ddr3_0__dm__io": "dm",
            "ddr3_0__dqs__p": "dqs",
        },
        "",
        ARTY_A7,
        ARTY_MEMORY.bytes,
    ),
    Ulx3s85F.name: BoardModel(
        Ulx3s85F,
        (HERE / "models" / "ecp5.v",),
        ("-DBOARD_SDRAM",),
        {
            **_common("sdram"),
            "clk25_0__io": "clk",
            "button_fire_0__io": "button",
            "sdram_0__clk__io": "ck",
            "sdram_0__ba__io": "commands[7:6]",
            "sdram_0__a__io": "commands[21:9]",
            "sdram_0__dqm__io": "dm",
        },
        "assign commands[0] = 1'b1, commands[8] = 1'b0, commands[22] = 1'b0; assign dqs = awake ? 2'bzz : 2'b00;",
        ULX3S,
        ULX3S_MEMORY.bytes,
    ),
}


def model_of(name: str) -> BoardModel:
    """Of the board of that name. Raises UserError for another."""
    if name not in BOARDS:
        raise UserError(f"There is no model of the pins of {name}; choose one of {', '.join(BOARDS)}.")
    return BOARDS[name]
