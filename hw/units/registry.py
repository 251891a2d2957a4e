"""Which units there are, and how each is made for a configuration."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

from amaranth.lib import wiring

from gateware.array.grid import SystolicArray
from gateware.config import AcceleratorConfig
from gateware.gelu.shiftgelu import ShiftGELU
from gateware.layernorm.layernorm import LayerNorm
from gateware.postprocess.postprocessor import PostProcessor
from gateware.softmax.shiftmax import Shiftmax
from hw.units.errors import UnitsError

__all__ = ["BOARDS", "UNITS", "Unit", "select"]

BOARDS = {"xc7": "arty_a7_35", "ecp5": "ulx3s_85f"}  # part -> the preset that its units are made for


@dataclass(frozen=True)
class Unit:
    """A unit: what makes it, the parts it is meant for, and whether it is one of the array's candidates."""

    make: Callable[[AcceleratorConfig], wiring.Component]
    parts: tuple[str, ...] = tuple(BOARDS)
    array: bool = False


def _array(config: AcceleratorConfig) -> SystolicArray:
    return SystolicArray(
        config.rows,
        config.columns,
        config.pack,
        x_width=config.x_width,
        acc_width=config.acc_width,
        packed_full_range=config.packed_full_range,
    )


def _layernorm(config: AcceleratorConfig) -> LayerNorm:
    return LayerNorm(
        config.ln_channels,
        config.multiplier_bits,
        config.ln_overlap,
        product_style="plain" if config.dsp_in_layernorm else "lut",
        l1=config.arithmetic.layernorm == "l1",
    )


def _shiftmax(config: AcceleratorConfig) -> Shiftmax:
    return Shiftmax(
        config.rows, config.softmax_length, config.arithmetic, config.probability_bits, config.softmax_x0_bits
    )


UNITS: dict[str, Unit] = {
    "array_11x2": Unit(lambda config: _array(dataclasses.replace(config, rows=11)), ("xc7",), array=True),
    "array_10x2": Unit(lambda config: _array(dataclasses.replace(config, rows=10)), ("xc7",), array=True),
    "array_9x4": Unit(lambda config: _array(dataclasses.replace(config, rows=9)), ("ecp5",), array=True),
    "layernorm": Unit(_layernorm),
    "shiftmax": Unit(_shiftmax),
    "shiftgelu": Unit(lambda config: ShiftGELU(config.arithmetic)),
    "postprocessor": Unit(lambda config: PostProcessor(config.rows, config.acc_width, config.multiplier_bits)),
}


def select(names: list[str], part: str | None) -> list[tuple[str, str]]:
    """(unit, part) of every synthesis that is asked for: all units and all parts where none is named.

    Raises UnitsError for an unknown unit or part, and for a unit that is not meant for the part.
    """
    if part is not None and part not in BOARDS:
        raise UnitsError(f"unknown part '{part}'; choose one of {', '.join(BOARDS)}")
    for name in names:
        if name not in UNITS:
            raise UnitsError(f"unknown unit '{name}'; choose one of {', '.join(UNITS)}")
        if part is not None and part not in UNITS[name].parts:
            raise UnitsError(f"{name} is not made for {part}; choose {' or '.join(UNITS[name].parts)}")
    return [
        (name, candidate)
        for candidate in ([part] if part else BOARDS)
        for name in (names or UNITS)
        if candidate in UNITS[name].parts
    ]
