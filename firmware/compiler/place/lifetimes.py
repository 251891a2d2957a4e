"""The last layer that reads each tensor. Afterwards another tensor can take its place in memory."""

from __future__ import annotations

from collections.abc import Iterator

from firmware.compiler.fuse.layers import Attention, Layer, Matmul, Plan

__all__ = ["last_uses"]


def last_uses(plan: Plan) -> dict[str, int]:
    """For each tensor whose place may be given away, the index of the last layer that reads it.

    Not among them: the image, which the host writes while the program runs; the outputs; and what has constants in it
    from the start. Rows that a map has beyond its tokens may then hold anything, as they may from the start.
    """
    own = {
        layer.name
        for layer in plan.layers
        if isinstance(layer, Attention) or (isinstance(layer, Matmul) and layer.front is None)
    } - set(plan.outputs)
    return {name: index for index, layer in enumerate(plan.layers) for name in _operands(layer) if name in own}


def _operands(layer: Layer) -> Iterator[str]:
    """The tensors that a layer reads."""
    if isinstance(layer, Matmul):
        yield layer.operand.tensor
        if layer.residual is not None and isinstance(layer.residual.skip, str):
            yield layer.residual.skip
    else:
        yield layer.source
