"""Whether a configuration can fit a part, before any tool runs: what follows from the sizes, and LUTs as measured."""

from __future__ import annotations

from dataclasses import dataclass

from gateware.config import BEAT_BITS, LANES, AcceleratorConfig
from hw.boards.parts import Part
from sim.reference.rounding import ceil_div

__all__ = ["Estimate", "estimate", "misfits"]

# 36 kbit: 1024 words of 32 bits (36 with parity). An ecp5's block is half of it.
DEPTH, WIDTH = 1024, 32
# Blocks of fixed size: GELU's tables 2, the link's slots 1, exponentials and the row map a half each.
FIXED = 4.0
NORM_DSP = {"xc7": 2, "ecp5": 4}  # LayerNorm's squares are wider than one of ecp5's multipliers


# LUT sites of the complete design: of none of the array's rows, and of each row. From `python -m hw.build` of arty_a7
# (11 rows) and arty_a7_100 (26) in lean, and of ulx3s_85f, whose rows are taken to be those of docs/units.md. On an xc7
# 1,600 are LiteEth's.
LUTS = {"xc7": (15_144, 195), "ecp5": (31_565, 520)}
# What official arithmetic adds: its units of docs/units.md, sharing sites as the whole design does.
OFFICIAL_LUTS = {"xc7": 1_580, "ecp5": 3_160}


# What crosses to an array of another clock (`gateware.clocking.execute`, synthesised alone).
CROSSING_LUTS = 25


@dataclass(frozen=True)
class Estimate:
    """LUT sites, DSP blocks, and block RAMs of 36 kbit."""

    lut: int
    dsp: int
    bram36: float


def _blocks(depth: int, width: int) -> int:
    """Block RAMs of a memory, half a block counting as one."""
    return ceil_div(depth, DEPTH) * ceil_div(width, WIDTH)


def estimate(config: AcceleratorConfig, part: Part) -> Estimate:
    """What a configuration takes on a part; within a tenth of what synthesis says of the presets."""
    operands = config.rows * _blocks(config.a_depth, WIDTH)  # elements of 9 bits use the parity
    operands += _blocks(config.b_depth, BEAT_BITS)
    constants = _blocks(config.const_depth, 64)
    # Rows that wait for their mean and variance, and each channel's bias and scale.
    norm = ceil_div(4 * config.ln_overlap, DEPTH) + 2 * _blocks(config.ln_channels, WIDTH)
    # Two blocks of scores, four to a word, rows and words at powers of two; and the rows' maxima.
    words = 2 << (config.rows - 1).bit_length() + (config.softmax_length // LANES - 1).bit_length()
    scores = ceil_div(words, DEPTH) + ceil_div(config.max_rows, DEPTH)
    dsp = config.array_dsp + (NORM_DSP[part.family] if config.dsp_in_layernorm else 0)
    base, row = LUTS[part.family]
    lut = base + row * config.rows + (OFFICIAL_LUTS[part.family] if config.packed_full_range else 0)
    lut += CROSSING_LUTS if config.pump > 1 else 0
    return Estimate(lut, dsp, operands + constants + norm + scores + FIXED)


def misfits(config: AcceleratorConfig, part: Part) -> list[str]:
    """A sentence for each resource of which the part surely has too few."""
    needed = estimate(config, part)
    sentences = []
    if needed.dsp > part.dsp:
        rows = (part.dsp - needed.dsp + config.array_dsp) * config.rows // config.array_dsp
        sentences.append(
            f"{config.name} needs {needed.dsp} DSPs and a {part.name} has {part.dsp}; set rows to {rows} or less."
        )
    # A tenth of tolerance: synthesis has the last word where it is close.
    if needed.bram36 > 1.1 * part.bram36:
        sentences.append(
            f"{config.name} needs about {needed.bram36:.0f} block RAMs of 36 kbit and a {part.name} has "
            f"{part.bram36:g}; lower a_depth ({config.a_depth}) or b_depth ({config.b_depth})."
        )
    if needed.lut > 1.1 * part.lut_limit:
        sentences.append(
            f"{config.name} needs about {needed.lut:,} LUTs, and no more than {part.lut_limit:,} of a "
            f"{part.name}'s {part.lut:,} should be used; set rows ({config.rows}) lower."
        )
    return sentences
