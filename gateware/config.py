"""The accelerator's configuration: one frozen object from which gateware, compiler and emulator derive their sizes."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gateware.isa import SEMAPHORE_BITS
from sim.reference.arithmetic import LEAN, Arithmetic, preset
from sim.reference.nonlinear import integer_softmax

__all__ = [
    "BEAT_BITS",
    "BEAT_BYTES",
    "LANES",
    "LANE_BITS",
    "LANE_BYTES",
    "PRESETS",
    "PROBABILITY_BITS",
    "UNSIGNED_BITS",
    "AcceleratorConfig",
    "ConfigError",
    "changed",
    "config",
    "in_halves",
    "settings",
]

LANES = 4  # rows in a row group, columns in an output tile: what makes a beat an operand of either kind
LANE_BYTES = 4  # of a row in a beat
LANE_BITS = 8 * LANE_BYTES
BEAT_BYTES = LANES * LANE_BYTES  # a transfer of the memory port, a word of the B buffer
BEAT_BITS = 8 * BEAT_BYTES

PROBABILITY_BITS = (16, 8)  # what a model's graph may ask of Shiftmax: a ViT's, a Swin's
UNSIGNED_BITS = 10  # probabilities of so many bits take all nine bits of an element in A, unsigned
MACHINE_PROBABILITY_BITS = (8, 9, UNSIGNED_BITS, 16)  # what Shiftmax can write in a machine
PACKED_SUM = 65535  # the largest magnitude of a dot-4's lower sum where two products share a multiplier


class ConfigError(ValueError):
    """A configuration that no machine can be built from; the message names the parameter, the rule and the value."""


def in_halves(bits: int) -> bool:
    """Whether a probability of so many bits takes two words of A: up to ten bits fit in one, as nine unsigned."""
    return bits > UNSIGNED_BITS


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ConfigError(message)


@dataclass(frozen=True)
class AcceleratorConfig:
    """Sizes of one accelerator.

    Parameters
    ----------
    name: preset name, part of the fingerprint's text only.
    arithmetic: the integer arithmetic (`sim.reference.arithmetic`), from which all widths derive.
    rows, columns, pack: grid of `rows x columns` dot-4 elements with `pack` output columns each; `columns * pack` is 4.
    acc_width: accumulator bits.
    pump: clock cycles of the array in one of the machine, 1 or 2 (docs/pump.md).
    a_depth: lane words a bank of the A buffer. b_depth: beats of the B buffer.
    const_depth: channels in the constant memory. ln_channels: most channels of a LayerNorm row.
    ln_overlap: longest row of which LayerNorm collects one group's sums while it normalises another's; groups of longer
        rows, up to twice that, come one after the other.
    softmax_length: most scores of a row.
    max_rows: rows whose maxima are known, and entries of the row map, a power of two: row r has place r modulo it.
    softmax_x0_bits: most bits of |x0|, the scores' scale as Shiftmax knows it.
    official_softmax_bits: of the probabilities in an arithmetic that leaves them to the model: 16 for ViT, 8 for Swin.
    queue_depth: words an engine's instruction queue.
    address_bits: beat address bits of the memory port: the board's memory holds 2 to this many beats of 16 bytes.
    watchdog_bits: a program in which nothing moves for 2 to this many cycles is stopped.
    clock_mhz: the machine's clock on the board. memory_bits: that its memory carries in a cycle of that clock, for the
        cost model alone.
    dsp_in_layernorm: LayerNorm's two squares use DSP multipliers.
    """

    name: str
    arithmetic: Arithmetic = LEAN
    rows: int = 11
    columns: int = 2
    pack: int = 2
    acc_width: int = 26
    a_depth: int = 2048
    b_depth: int = 3072
    const_depth: int = 1024
    ln_channels: int = 1536
    ln_overlap: int = 768
    softmax_length: int = 256
    softmax_x0_bits: int = 10
    official_softmax_bits: int = 16
    max_rows: int = 1024
    queue_depth: int = 64
    address_bits: int = 24
    watchdog_bits: int = 16
    clock_mhz: float = 100.0
    memory_bits: int = 128
    dsp_in_layernorm: bool = True
    pump: int = 1

    def __post_init__(self) -> None:
        _require(
            self.arithmetic.integer_only,
            f"the arithmetic must be of integers alone, and {self.arithmetic.name} is floating point in part",
        )
        _require(
            self.probability_bits in MACHINE_PROBABILITY_BITS,
            f"softmax_bits must be 8, 9, 10 or 16 in a machine, not {self.probability_bits}",
        )
        _require(self.pack in (1, 2), f"pack must be 1 or 2, not {self.pack}")
        _require(
            self.columns * self.pack == LANES,
            f"columns * pack must be {LANES}, so that a beat serves either operand, not {self.columns * self.pack}",
        )
        _require(self.pump in (1, 2), f"pump must be 1 or 2, not {self.pump}")
        _require(4 <= self.rows <= 64, f"rows must be 4 to 64, not {self.rows}")
        _require(24 <= self.acc_width <= 32, f"acc_width must be 24 to 32 bits, not {self.acc_width}")
        least_of = {"a_depth": 64, "b_depth": 64, "const_depth": 16, "ln_channels": 16, "max_rows": 16}
        for field, least in least_of.items():
            value = getattr(self, field)
            _require(value >= least, f"{field} must be at least {least}, not {value}")
        _require(self.a_depth <= 1 << 16 and self.b_depth <= 1 << 16, "a_depth and b_depth must be at most 65536")
        _require(
            self.softmax_length % LANES == 0 and 16 <= self.softmax_length <= 1024,
            f"softmax_length must be a multiple of {LANES} from 16 to 1024, not {self.softmax_length}",
        )
        _require(
            self.ln_channels <= 2 * self.ln_overlap,
            f"ln_channels must be at most twice ln_overlap ({self.ln_overlap}), not {self.ln_channels}",
        )
        _require(not self.max_rows & self.max_rows - 1, f"max_rows must be a power of two, not {self.max_rows}")
        _require(
            self.official_softmax_bits in PROBABILITY_BITS,
            f"official_softmax_bits must be 8 (Swin) or 16 (ViT), not {self.official_softmax_bits}",
        )
        if self.pack == 2 and 8 < self.probability_bits <= UNSIGNED_BITS:
            softmax = integer_softmax(self.arithmetic, (1 << self.softmax_x0_bits) - 1, self.probability_bits)
            reached = softmax.most_of(LANES) * -self.arithmetic.packed_min
            _require(
                reached <= PACKED_SUM,
                f"four probabilities of {self.probability_bits} bits of a row, times {self.arithmetic.packed_min}, may "
                f"reach {reached}, and two products that share a multiplier hold {PACKED_SUM}; take softmax_bits 8 or "
                "9 in the arithmetic, or pack=1 with columns=4",
            )
        _require(8 <= self.memory_bits <= 128, f"memory_bits must be 8 to 128, not {self.memory_bits}")
        _require(0 < self.clock_mhz < math.inf, f"clock_mhz must be a positive number, not {self.clock_mhz}")
        _require(16 <= self.address_bits <= 24, f"address_bits must be 16 to 24, not {self.address_bits}")

    @property
    def multiplier_bits(self) -> int:
        """Magnitude bits of a dyadic multiplier (the machine carries a sign beside them)."""
        return self.arithmetic.multiplier_bits

    @property
    def a_width(self) -> int:
        """Bits of an element in the A buffer: a ninth one is for probabilities of more than 8 bits, or their halves."""
        return 8 if self.probability_bits == 8 else 9

    @property
    def x_width(self) -> int:
        """Bits of an element of the array's shared operand: a tenth one is the sign where A's nine may be unsigned."""
        return self.a_width + self.unsigned_probabilities

    @property
    def unsigned_probabilities(self) -> bool:
        """Whether probabilities take all nine bits of an element in A, so that their product must read it unsigned."""
        return self.probability_bits == UNSIGNED_BITS

    @property
    def probability_bits(self) -> int:
        """Bits of the probabilities that Shiftmax writes."""
        return self.arithmetic.softmax_bits or self.official_softmax_bits

    @property
    def packed_full_range(self) -> bool:
        """Whether the packed operand may be -128 (official arithmetic) and the array needs the exact carry recovery."""
        return self.arithmetic.packed_min == -128

    @property
    def macs_per_cycle(self) -> int:
        """Multiply-accumulates of a full array in a cycle of the machine."""
        return self.rows * self.columns * self.pack * 4 * self.pump

    @property
    def array_domain(self) -> str:
        """The clock domain of the array and of what feeds it."""
        return "sync" if self.pump == 1 else "fast"

    @property
    def array_dsp(self) -> int:
        """DSP multipliers of the array."""
        return self.rows * self.columns * 4

    @property
    def fingerprint(self) -> int:
        """32 bits that identify what a program depends on: every field but the name and those of the board."""
        fields = dataclasses.asdict(self)
        del fields["name"], fields["clock_mhz"], fields["memory_bits"]
        if self.pump == 1:
            del fields["pump"]  # machines of one clock are older than the number
        fields["semaphores"] = 1 << SEMAPHORE_BITS  # no choice of a configuration, but part of the text from the start
        text = json.dumps(fields, sort_keys=True, default=str)
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "little")

    def with_arithmetic(self, arithmetic: Arithmetic) -> AcceleratorConfig:
        """The same machine for another arithmetic."""
        return dataclasses.replace(self, arithmetic=arithmetic)

    def with_probabilities(self, bits: int) -> AcceleratorConfig:
        """The same machine for a model whose graph has probabilities of so many bits (`ModelShape.softmax_bits`): the
        same object where the arithmetic settles their width itself.
        """
        return self if self.arithmetic.softmax_bits else dataclasses.replace(self, official_softmax_bits=bits)


PRESETS: dict[str, AcceleratorConfig] = {
    c.name: c
    for c in (
        AcceleratorConfig("arty_a7_35"),
        AcceleratorConfig(
            "arty_a7_100",
            rows=26,
            a_depth=1024,
            b_depth=8192,
            ln_channels=2048,
            ln_overlap=1536,
            softmax_length=1024,
        ),
        AcceleratorConfig(
            "ulx3s_85f", rows=9, columns=4, pack=1, b_depth=4096, address_bits=21, clock_mhz=55.0, memory_bits=16
        ),
        AcceleratorConfig("asic", rows=16, columns=4, pack=1, b_depth=4096, ln_overlap=1536, dsp_in_layernorm=False),
        AcceleratorConfig(
            "tiny",
            rows=4,
            a_depth=512,
            b_depth=512,
            const_depth=512,
            ln_channels=128,
            ln_overlap=64,
            softmax_length=64,
            max_rows=128,
        ),
    )
}
ALIASES = {"arty_a7": "arty_a7_35"}

TRUTHS = {"1": True, "True": True, "0": False, "False": False}


def changed(base: AcceleratorConfig, settings: Sequence[str]) -> AcceleratorConfig:
    """The configuration with other numbers, each written NAME=VALUE. Raises ConfigError for one that cannot be."""
    numbers = {name: type(value) for name, value in _numbers(base).items()}
    changes: dict[str, Any] = {}
    for text in settings:
        name, _, value = text.partition("=")
        if name not in numbers:
            raise ConfigError(f"--set {text} names no number of the configuration; write for instance --set rows=10")
        try:
            changes[name] = TRUTHS[value] if numbers[name] is bool else numbers[name](value)
        except (KeyError, ValueError):
            raise ConfigError(f"--set {text} gives no number; write for instance --set rows=10") from None
    return dataclasses.replace(base, **changes)


def settings(machine: AcceleratorConfig) -> tuple[str, ...]:
    """What the configuration has other than the preset of its name, as `changed` takes it."""
    base = PRESETS.get(machine.name, machine)
    return tuple(f"{name}={value}" for name, value in _numbers(machine).items() if value != _numbers(base)[name])


def _numbers(config: AcceleratorConfig) -> dict[str, int | float]:
    values = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
    return {name: value for name, value in values.items() if isinstance(value, (int, float))}


def config(name: str, arithmetic: str | None = None) -> AcceleratorConfig:
    """The preset of that name (or alias), for `arithmetic` when given. Raises ConfigError for an unknown name."""
    key = ALIASES.get(name, name)
    if key not in PRESETS:
        raise ConfigError(
            f"unknown board or configuration '{name}'; choose one of {', '.join(sorted([*PRESETS, *ALIASES]))}"
        )
    try:
        return PRESETS[key] if arithmetic is None else PRESETS[key].with_arithmetic(preset(arithmetic))
    except ConfigError:
        raise
    except ValueError as error:
        raise ConfigError(str(error)) from error
