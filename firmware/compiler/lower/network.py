"""Lowers the layers of a network, one after the other or alternately."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from firmware.compiler.fuse.layers import Attention, Gelu, Joined, Layer, Matmul, Mean, Norm
from firmware.compiler.lower.attention import lower_attention
from firmware.compiler.lower.emitter import Emitter
from firmware.compiler.lower.matmul import MatmulOperations
from firmware.compiler.lower.mean import lower_mean
from firmware.compiler.lower.streaming import lower_rows
from firmware.compiler.place.placement import Placement
from firmware.compiler.span import Span
from gateware.config import LANES
from sim.reference.rounding import ceil_div

__all__ = ["lower_network"]


def lower_network(placement: Placement, emitter: Emitter, last_uses: Mapping[str, int]) -> None:
    """All layers, in order.

    Parameters
    ----------
    placement : of the tensors, which it allocates
    emitter : of the operations
    last_uses : of tensors whose places may be given away, the index of the last layer that reads each
    """
    _Network(placement, emitter).lower(last_uses)


class _Network:
    def __init__(self, placement: Placement, emitter: Emitter) -> None:
        self.placement, self.emitter, self.layers = placement, emitter, placement.plan.layers
        self.config = emitter.config

    def lower(self, last_uses: Mapping[str, int]) -> None:
        done = 0
        while done < len(self.layers):
            before = done
            done += self._mlp(done) or self._layer(done)
            for name, last in last_uses.items():
                if before <= last < done:
                    self.placement.memory.give_back(self.placement.allocations[name])

    def _layer(self, index: int) -> int:
        """Lowers one layer; returns 1, the number of layers that are done."""
        layer, later = self.layers[index], self.layers[index + 1 :]
        self.emitter.operations.begin(layer.name)
        match layer:
            case Matmul():
                operand, rows = self.placement.operand(layer), Span(0, self.placement.operand_rows(layer))
                lower_rows(self._matmul(layer, later), operand, rows, self._operand_words(later))
            case Attention():
                qkv = self.placement.allocations[layer.source]
                lower_attention(self.emitter, layer, qkv, self.placement.attention(layer))
            case Mean():
                source = self.placement.allocations[layer.source]
                lower_mean(self.emitter, layer, source, self.placement.mean(layer))
        return 1

    def _mlp(self, index: int) -> int:
        """The two layers around a ShiftGELU, in turns, where the machine keeps the maxima of fewer rows than there are;
        returns 2, or 0 where they are lowered one after the other.
        """
        match self.layers[index : index + 2]:
            case [Matmul() as first, Matmul(operand=Gelu()) as second]:
                rows = self.placement.operand(first).rows
                if rows <= self.config.max_rows:
                    return 0
            case _:
                return 0
        later = self.layers[index + 2 :]
        matmuls: dict[str, MatmulOperations] = {}
        for part in Span(0, rows).parts(self._rows_in_turn()):
            final = part.stop == rows
            for layer in (first, second):
                self.emitter.operations.begin(layer.name)
                if layer.name not in matmuls:
                    matmuls[layer.name] = self._matmul(layer, [second] if layer is first else later)
                reserve = self._operand_words(later) if layer is second and final else 0
                lower_rows(matmuls[layer.name], self.placement.operand(layer), part, reserve, final)
        return 2

    def _rows_in_turn(self) -> int:
        """Half of the rows whose maxima the machine keeps, so that one part's layers overlap; whole blocks of whole row
        groups.
        """
        unit = math.lcm(LANES, self.config.rows)
        return max(self.config.max_rows // 2 // unit * unit, LANES)

    def _matmul(self, layer: Matmul, later: Sequence[Layer]) -> MatmulOperations:
        """A layer, with the places of its result and of the residual that it adds."""
        output, skip = self.placement.matmul(layer), self.placement.skip(layer)
        before_gelu = any(
            isinstance(one, Matmul) and isinstance(one.operand, Gelu) and one.operand.tensor == layer.name
            for one in later
        )
        return MatmulOperations(self.emitter, layer, output, skip, before_gelu)

    def _operand_words(self, later: Sequence[Layer]) -> int:
        """Words of A that all rows of the next layer take, if it is one that loads rows of tokens."""
        match later:
            case [Matmul(operand=Joined() | Norm(first_rows=int())), *_]:
                return 0
            case [Matmul() as following, *_]:
                rows = self.placement.plan.tokens if following.map is None else following.map.side**2
                return ceil_div(rows, self.config.rows) * ceil_div(following.weight.shape[1], LANES)
            case _:
                return 0
