"""A rescale lane against `Dyadic`: a value in every cycle, sums and both clamps."""

import random
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import RisingEdge

from gateware.postprocess.layouts import TERM_BITS, factor_layout, sum_layout
from sim.cocotb.bench import generator, parameters, start
from sim.cocotb.streams import pack, unpack
from sim.reference.rescale import Dyadic

LIMIT = 1 << (TERM_BITS - 1)
Addend = dict[str, int]


def random_factor(rng: random.Random, width: int, bits: int) -> tuple[int, int]:
    """A signed multiplier and a shift that brings products near 8, 16 or 20 bits, or anything."""
    few = rng.randrange(1, 256, 2) << rng.randrange(bits - 7)  # bits, so that small values give ties
    size = rng.choice([0, 1, (1 << bits) - 1, 1 << (bits - 1), rng.randrange(1 << bits), few])
    wanted = rng.choice([7, 8, 15, 16, TERM_BITS - 1, TERM_BITS])
    shift = max(0, rng.choice([width - 1 + bits - wanted + rng.randrange(-2, 3), 0, 127, rng.randrange(128)]))
    return size * rng.choice([1, -1]), shift


def random_value(rng: random.Random, width: int, multiplier: int, shift: int) -> int:
    """Extremes, anything, products that end in exactly a half or one bit more, and results at each clamp."""
    top = 1 << (width - 1)
    if rng.random() < 0.3 and multiplier and shift:
        spare = (multiplier & -multiplier).bit_length() - 1
        free = max(0, shift - 1 - spare)
        value = (rng.randrange(-8, 8) * 2 + 1 << free) + rng.choice([0, 1 << rng.randrange(free + 1)])
        if -top <= value < top:
            return value
    result = rng.choice([1 << 7, 1 << 15, LIMIT]) - rng.randrange(4)
    near = (result << shift) // max(1, abs(multiplier)) * rng.choice([1, -1])
    near += rng.randrange(-2, 3)
    return rng.choice([top - 1, -top, 0, -1, rng.randrange(-top, top), near if -top <= near < top else 1])


def rounded(value: int, multiplier: int, shift: int) -> int:
    return int(Dyadic(np.array(multiplier), np.array(shift)).apply(np.array(value)))


def term_over(value: int, multiplier: int, shift: int) -> bool:
    """The product's floor, before its sign is applied, is beyond a term's bits."""
    floor = value * abs(multiplier) >> shift
    return not -LIMIT <= floor < LIMIT


def random_addend(rng: random.Random) -> Addend:
    if rng.random() < 0.2:
        return {"value": rng.randrange(-LIMIT, LIMIT), "over": 1, "negative": rng.randrange(2)}
    value = rng.choice([0, 0, 1, -1, rng.randrange(-(1 << 16), 1 << 16), LIMIT, -LIMIT, rng.randrange(-LIMIT, LIMIT)])
    return {"value": value, "over": 0, "negative": rng.randrange(2)}


def expected(value: int, multiplier: int, shift: int, addend: Addend) -> tuple[int, bool, bool]:
    """The sum, whether it is too large for it, and then whether below."""
    if term_over(value, multiplier, shift):
        return 0, True, (value < 0) ^ (multiplier < 0)
    if addend["over"]:
        return 0, True, bool(addend["negative"])
    return rounded(value, multiplier, shift) + addend["value"], False, False


def clamped(total: tuple[int, bool, bool], narrow: bool, packed: bool) -> int:
    value, over, negative = total
    top = 1 << (7 if narrow else 15)
    least = -127 if narrow and packed else -top
    if over:
        return least if negative else top - 1
    return max(least, min(top - 1, value))


@cocotb.test()
async def every_cycle(dut: Any) -> None:
    settings = parameters()
    width, bits = settings["value_width"], settings["multiplier_bits"]
    latency, addend_latency = settings["latency"], settings["addend_latency"]
    rng = generator("lane")
    for name in ("value", "factor", "addend", "narrow", "packed"):
        getattr(dut, name).value = 0
    await start(dut, settings["cycles"] + 1000)
    cases: list[tuple[int, int, int, Addend]] = []
    seen = {True: 0, False: 0}
    for turn in range(settings["cycles"]):
        multiplier, shift = random_factor(rng, width, bits)
        cases.append((random_value(rng, width, multiplier, shift), multiplier, shift, random_addend(rng)))
        dut.value.value = cases[-1][0] & ((1 << width) - 1)
        dut.factor.value = pack(
            factor_layout(bits), {"magnitude": abs(multiplier), "negative": int(multiplier < 0), "shift": shift}
        )
        if turn >= addend_latency:
            dut.addend.value = pack(sum_layout(TERM_BITS + 1), cases[turn - addend_latency][3])
        narrow, packed = rng.random() < 0.5, rng.random() < 0.5
        dut.narrow.value, dut.packed.value = narrow, packed
        await RisingEdge(dut.clk)
        if turn < latency:
            continue
        case = cases[turn - latency]
        total = expected(*case)
        found = unpack(sum_layout(TERM_BITS + 2), int(dut.sum.value))
        seen[total[1]] += 1
        assert bool(found["over"]) == total[1], f"{case}: over"
        if total[1]:
            assert bool(found["negative"]) == total[2], f"{case}: direction"
        else:
            assert found["value"] == total[0], f"{case}: {found['value']}, not {total[0]}"
        q = int(dut.q.value)
        q -= (q >> 15) << 16
        assert q == clamped(total, narrow, packed), f"{case}, narrow {narrow}, packed {packed}"
    assert min(seen.values()) > settings["cycles"] // 20, seen
