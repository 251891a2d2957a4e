"""Places of a plan's tensors, and the orders of their rows."""

from __future__ import annotations

import numpy as np

from firmware.compiler.errors import CompileError
from firmware.compiler.fuse.layers import (
    Attention,
    Joined,
    Map,
    Matmul,
    Mean,
    Norm,
    Patches,
    Plan,
    Transformed,
    Windows,
)
from firmware.compiler.place.maps import PARITIES, WindowRows, in_planes, map_rows, plane_pitch, plane_rows
from firmware.compiler.place.memory import Memory
from firmware.compiler.place.output import OutputPlacement, Planes, RowTable
from firmware.program.allocation import Allocation
from gateware.config import BEAT_BYTES
from sim.reference.rounding import IntArray

__all__ = ["Placement"]

WORD_BYTES = 4
SKIP_BYTES = 2  # of a value of a residual's skip


class Placement:
    """Allocates what layers write, one layer after the other.

    Parameters
    ----------
    plan : the layers
    memory : what everything is allocated in
    image_side : pixels

    Attributes
    ----------
    allocations : of every tensor so far
    orders : of tensors whose rows lie in another order than the reference's: the row of each
    """

    def __init__(self, plan: Plan, memory: Memory, image_side: int) -> None:
        self.plan, self.memory = plan, memory
        first = plan.layers[0]
        assert isinstance(first, Matmul) and isinstance(first.operand, Patches)
        side = image_side // plan.patch
        self.image = memory.allocate(plan.image, side * side, first.weight.shape[1], 1)
        self.allocations: dict[str, Allocation] = {plan.image: self.image}
        self.orders: dict[str, IntArray] = {}
        self._tables: dict[str, RowTable] = {}

    def operand(self, layer: Matmul) -> Allocation:
        """The operand that a matmul loads."""
        return self.allocations[layer.operand.tensor]

    def operand_rows(self, layer: Matmul) -> int:
        """How many rows a matmul multiplies: those that its operand, as it is loaded, has."""
        match layer.operand:
            case Joined():
                return 1
            case Norm(first_rows=int() as first):
                return first
            case Norm(merged_side=int() as side):
                return side**2
            case _:
                return self.operand(layer).rows

    def matmul(self, layer: Matmul) -> OutputPlacement:
        """Allocates a matmul's result."""
        output = self._sequence(layer) if layer.map is None else self._map(layer, layer.map)
        self.allocations[layer.name] = output.allocation
        return output

    def skip(self, layer: Matmul) -> Allocation | None:
        """What a matmul's result is added to.

        Raises
        ------
        CompileError : it has not 16 bits
        """
        if layer.residual is None:
            return None
        if isinstance(layer.residual.skip, str):
            skip = self.allocations[layer.residual.skip]
        else:
            front = np.zeros((0, len(layer.weight)), np.int64) if layer.front is None else layer.front
            constant = np.vstack([np.zeros_like(front), layer.residual.skip])
            skip = self.memory.constant(f"{layer.name}.skip", constant, SKIP_BYTES)
        if skip.size != SKIP_BYTES:
            raise CompileError(f"{layer.name}: the skip operand of a residual addition must have 16 bits.")
        return skip

    def attention(self, layer: Attention) -> OutputPlacement:
        """Allocates attention's result; its operand's rows are window by window where there are windows."""
        qkv, windows = self.allocations[layer.source], layer.windows
        rows = qkv.rows if windows is None else windows.side**2
        allocation = self.memory.allocate(layer.name, rows, qkv.columns // 3, 1)
        self.allocations[layer.name] = allocation
        if windows is None:
            return OutputPlacement(allocation)
        placed = self._windows(windows)
        self.orders[layer.name] = placed.map_rows
        return OutputPlacement(allocation, self._table(f"map {windows.side}, rolled by {windows.shift}", placed.gather))

    def mean(self, layer: Mean) -> Allocation:
        """Allocates a mean's result: a row of pairs."""
        source = self.allocations[layer.source]
        self.allocations[layer.name] = self.memory.allocate(layer.name, 1, 2 * source.columns, 1)
        return self.allocations[layer.name]

    def _sequence(self, layer: Matmul) -> OutputPlacement:
        rows, channels = self.operand_rows(layer), len(layer.weight)
        if layer.front is None:
            return OutputPlacement(self._allocated(layer, rows))
        content = np.zeros((len(layer.front) + rows, channels), np.int64)
        content[: len(layer.front)] = layer.front
        return OutputPlacement(self.memory.constant(layer.name, content, layer.size))

    def _map(self, layer: Matmul, rows: Map) -> OutputPlacement:
        assert self.plan.last_side is not None
        side, last = rows.side, self.plan.last_side
        order = map_rows(side, last)
        if isinstance(layer.operand, Transformed):
            self.orders[layer.operand.name] = order
        if layer.residual is not None:
            joined = layer.residual.branch_windows
            self.orders[layer.residual.branch] = order if joined is None else self._windows(joined).map_rows
        if rows.windows is not None:
            placed = self._windows(rows.windows)
            self.orders[layer.name] = placed.rows
            allocation = self._allocated(layer, rows.windows.count * placed.pitch)
            name = f"windows of {side}, rolled by {rows.windows.shift}"
            return OutputPlacement(allocation, self._table(name, placed.scatter))
        if rows.merges and in_planes(side):
            self.orders[layer.name], pitch = plane_rows(side, last), plane_pitch(side)
            allocation = self._allocated(layer, PARITIES * pitch)
            return OutputPlacement(allocation, planes=Planes((side // 2) ** 2, pitch))
        self.orders[layer.name] = order
        allocation = self._allocated(layer, self.operand_rows(layer))
        return OutputPlacement(allocation, self._table(f"map {side}", order) if rows.from_raster else None)

    def _allocated(self, layer: Matmul, rows: int) -> Allocation:
        """A place for a matmul's result. The host reads an output while the next frame runs: it shares no place."""
        alone = layer.name in self.plan.outputs
        return self.memory.allocate(layer.name, rows, len(layer.weight), layer.size, alone=alone)

    def _windows(self, windows: Windows) -> WindowRows:
        assert self.plan.last_side is not None
        return WindowRows(windows, self.plan.last_side)

    def _table(self, key: str, rows: IntArray) -> RowTable:
        """The table, which is shared if there is an equal one already."""
        if key not in self._tables:
            words = np.zeros((len(rows), BEAT_BYTES // WORD_BYTES), "<u4")
            words[:, 0] = rows
            self._tables[key] = RowTable(rows, self.memory.place(words.reshape(-1).view(np.uint8), key))
        return self._tables[key]
