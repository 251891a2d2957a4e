"""Proves from the weights that every number of a model fits its width in the machine."""

from __future__ import annotations

import numpy as np

from firmware.compiler.errors import CompileError
from firmware.compiler.fuse.layers import Attention, Matmul, Norm, Plan
from gateware.config import AcceleratorConfig

__all__ = ["check_ranges"]

LARGEST = 128  # magnitude of an int8 operand
HALVES = 257  # times that: of an operand in two bytes


def check_ranges(plan: Plan, config: AcceleratorConfig) -> None:
    """Checks every accumulator, with its bias, for every operand that can come.

    Raises
    ------
    CompileError : one does not fit; the message names the layer
    """
    limit = 1 << (config.acc_width - 1)
    for layer in plan.layers:
        if isinstance(layer, Matmul):
            if (np.abs(layer.weight) > 127).any():
                raise CompileError(f"{layer.name}: weights must be -127 to 127; quantise again.")
            accumulator = np.abs(layer.weight).sum(axis=1) * LARGEST
            if isinstance(layer.operand, Norm) and layer.operand.wide:
                accumulator = accumulator * HALVES
            bias = np.zeros(1, np.int64) if layer.bias is None else np.abs(layer.bias)
            _check(layer.name, int(accumulator.max()), limit, "an accumulator", config)
            _check(layer.name, int((accumulator + bias).max()), 2 * limit, "an accumulator with its bias", config)
        elif isinstance(layer, Attention):
            _check_attention(plan, layer, limit, config)


def _check_attention(plan: Plan, layer: Attention, limit: int, config: AcceleratorConfig) -> None:
    source = next(one for one in plan.layers if isinstance(one, Matmul) and one.name == layer.source)
    width = len(source.weight) // 3 // layer.heads
    _check(layer.scores_name, width * LARGEST * LARGEST, limit, "a score's accumulator", config)
    tokens = plan.tokens if layer.windows is None else layer.windows.tokens
    _check(
        layer.name, layer.softmax.most_of(tokens) * LARGEST, limit, "an accumulator of probabilities times V", config
    )
    if config.probability_bits != layer.softmax.bits:
        raise CompileError(
            f"{layer.softmax_name}: needs probabilities of {layer.softmax.bits} bits, but the machine makes "
            f"{config.probability_bits}; leave official_softmax_bits to the "
            "compiler, or take another arithmetic."
        )


def _check(name: str, magnitude: int, limit: int, what: str, config: AcceleratorConfig) -> None:
    if magnitude >= limit:
        raise CompileError(
            f"{name}: {what} may reach {magnitude}, beyond the machine's {limit - 1}; enlarge acc_width "
            f"({config.acc_width} bits) in the configuration."
        )
