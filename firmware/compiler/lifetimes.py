"""Which layer is the last to read a tensor: from then on its place in memory can be another's."""

from __future__ import annotations

from collections.abc import Iterator

from firmware.compiler.layers import Attention, Gelu, Layer, Matmul, Norm, Plan

__all__ = ["last_uses"]


def last_uses(plan: Plan) -> dict[str, int]:
    """For each tensor whose place may be given away, the index of the last layer that reads it.

    Not among them: the image, which the host writes while the program runs; the result; what has constants in it from
    the start; and a Swin's maps, whose rows between the windows nobody writes.
    """
    own = {layer.name for layer in plan.layers if _all_its_own(layer)} - {plan.output}
    return {name: index for index, layer in enumerate(plan.layers) for name in _operands(layer) if name in own}


def _all_its_own(layer: Layer) -> bool:
    """Whether a layer writes every row of its tensor."""
    if isinstance(layer, Matmul):
        return layer.tokens is None and layer.side is None
    return isinstance(layer, Attention) and layer.windows is None


def _operands(layer: Layer) -> Iterator[str]:
    """The tensors that a layer reads."""
    if isinstance(layer, Matmul):
        yield layer.source.source if isinstance(layer.source, Norm | Gelu) else layer.source
        if layer.residual is not None and isinstance(layer.residual.skip, str):
            yield layer.residual.skip
    else:
        yield layer.source
