"""The machines of the fuzz: a fixed list, so that each is built once and then found again."""

from __future__ import annotations

import random
from dataclasses import dataclass

from gateware.config import AcceleratorConfig, changed, config

__all__ = ["BASE", "MACHINES", "Choice", "choice", "of_board", "takes"]

BASE = "tiny"
LEAST_ROWS, MOST_ROWS = 4, 12
MACHINES = 2 * (MOST_ROWS - LEAST_ROWS + 1)  # every number of rows with one element and with two a product


@dataclass(frozen=True)
class Choice:
    """A machine as `Case` has it."""

    board: str
    arithmetic: str
    settings: tuple[str, ...]

    def machine(self) -> AcceleratorConfig:
        """Its configuration."""
        return changed(config(self.board, self.arithmetic), self.settings)


def choice(number: int, pump: int = 1) -> Choice:
    """Machine number 0 to `MACHINES` - 1: `tiny` as it is, then others of its size, rows and arithmetics in turn.

    `pump` : clock cycles of its array in one of the machine
    """
    clocks = () if pump == 1 else (f"pump={pump}",)
    if number == 0:
        return Choice(BASE, "lean", clocks)
    draw = random.Random(f"machine {number}")
    rows = LEAST_ROWS + number % (MOST_ROWS - LEAST_ROWS + 1)
    again = number // (MOST_ROWS - LEAST_ROWS + 1)
    pack = 2 - number % 2  # their number is odd: the second time the other pack
    lean = ("lean", "lean:softmax_bits=8", "lean:softmax_bits=9")[number // 3 % 3]
    arithmetic = (lean, "official", "official")[(number + again) % 3]
    norm = draw.choice((96, 128, 192))
    settings = {
        "rows": rows,
        "pack": pack,
        "columns": 4 // pack,
        "acc_width": draw.choice((24, 26, 32)),
        "a_depth": draw.choice((256, 320, 512, 1000)),
        "b_depth": draw.choice((384, 640, 1000)),
        "const_depth": draw.choice((256, 320, 500)),
        "ln_channels": norm,
        "ln_overlap": draw.choice((norm // 2, norm)),
        "softmax_length": draw.choice((64, 68, 100)),
        "softmax_x0_bits": draw.choice((8, 10)),
        "max_rows": draw.choice((32, 64, 128)),
        "queue_depth": draw.choice((16, 32, 64)),
        "address_bits": draw.choice((16, 18, 21, 24)),
        "dsp_in_layernorm": draw.randint(0, 1),
    }
    if arithmetic == "official":
        settings["official_softmax_bits"] = (16, 8)[number // 3 % 2]
    base = config(BASE, arithmetic)
    others = tuple(f"{name}={value}" for name, value in settings.items() if value != getattr(base, name))
    return Choice(BASE, arithmetic, others + clocks)


def of_board(board: str, pump: int | None = None) -> list[Choice]:
    """A board's machines, for each arithmetic and, where the model settles them, each width of probabilities."""
    bits = config(board).official_softmax_bits
    clocks = () if pump in (None, config(board).pump) else (f"pump={pump}",)
    other = (f"official_softmax_bits={24 - bits}", *clocks)
    return [Choice(board, "lean", clocks), Choice(board, "official", clocks), Choice(board, "official", other)]


def takes(machine: AcceleratorConfig, softmax_bits: int) -> bool:
    """Whether a machine has what networks with such probabilities need (`ModelShape.softmax_bits`)."""
    return bool(machine.arithmetic.softmax_bits) or machine.official_softmax_bits == softmax_bits
