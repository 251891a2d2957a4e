"""Compiles a model: layers, memory, operations, program."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from firmware.compiler.compiled import Compiled
from firmware.compiler.errors import CompileError, MemoryFull
from firmware.compiler.fuse.fusion import match
from firmware.compiler.fuse.layers import Attention, Gelu, Layer, Matmul, Mean, Norm, Plan
from firmware.compiler.fuse.ranges import check_ranges
from firmware.compiler.lower.attention import lower_attention
from firmware.compiler.lower.emit import Emitter
from firmware.compiler.lower.matmul import Product, lower_rows
from firmware.compiler.lower.mean import lower_mean
from firmware.compiler.lower.operations import Operation
from firmware.compiler.place.lifetimes import last_uses
from firmware.compiler.place.maps import PARITIES, in_planes, map_rows, plane_pitch, plane_rows
from firmware.compiler.place.memory import Memory
from firmware.compiler.place.output import Destination
from firmware.compiler.schedule.cost import in_order_of_start
from firmware.compiler.schedule.dependencies import assemble, dependencies
from firmware.program.allocation import Allocation
from gateware.config import BEAT_BYTES, LANES, AcceleratorConfig
from gateware.isa import LOG_BEATS
from sim.reference.graph import Graph
from sim.reference.rounding import IntArray

__all__ = ["compile_graph"]


def compile_graph(graph: Graph, config: AcceleratorConfig, image_side: int) -> Compiled:
    """The program that runs `graph` on a machine.

    Every tensor has a place of its own, so that all can be read after a frame; only where memory cannot hold them do
    those that nobody needs any more give theirs away (`Compiled.overwritten`).

    Raises
    ------
    CompileError : a node or a size that the machine cannot run
    """
    plan = match(graph)
    check_ranges(plan, config)
    try:
        return _Compiler(plan, config, image_side, shares=False).compiled()
    except MemoryFull:
        return _Compiler(plan, config, image_side, shares=True).compiled()


class _Compiler:
    def __init__(self, plan: Plan, config: AcceleratorConfig, image_side: int, shares: bool) -> None:
        self.plan, self.config = plan, config
        self.last_uses = last_uses(plan) if shares else {}
        self.memory = Memory(config.address_bits)
        norms = [one.source for one in plan.layers if isinstance(one, Matmul) and isinstance(one.source, Norm)]
        self.emitter = Emitter(config, self.memory, norms)
        first = plan.layers[0]
        assert isinstance(first, Matmul)
        side = image_side // plan.patch
        image = self.memory.allocate(plan.image, side * side, first.weight.shape[1], 1)
        self.image = image
        self.allocations: dict[str, Allocation] = {plan.image: image}
        self.orders: dict[str, IntArray] = {}
        self.tables: dict[str, tuple[IntArray, int]] = {}

    def compiled(self) -> Compiled:
        """All layers, in order."""
        layers = self.plan.layers
        done = 0
        while done < len(layers):
            before = done
            done += self._mlp(done) or self._layer(layers[done], layers[done + 1 :])
            for name in [name for name, last in self.last_uses.items() if before <= last < done]:
                self.memory.give_back(self.allocations[name])
        return self._finish()

    def _layer(self, layer: Layer, later: list[Layer]) -> int:
        """One layer; returns 1."""
        self.emitter.begin(layer.name)
        if isinstance(layer, Matmul):
            product, rows = self._product(layer, later)
            lower_rows(self.emitter, product, self._source(layer), rows, self._operand_words(later))
        elif isinstance(layer, Attention):
            self._attention(layer)
        else:
            source = self.allocations[layer.source]
            self.allocations[layer.name] = self.memory.allocate(layer.name, 1, 2 * source.columns, 1)
            lower_mean(self.emitter, layer.name, source, self.allocations[layer.name])
        return 1

    def _mlp(self, index: int) -> int:
        """The two layers around a ShiftGELU, in turns, where the machine keeps the maxima of fewer rows than there are;
        returns 2, or 0 where they are lowered one after the other.
        """
        first, second = self.plan.layers[index], (*self.plan.layers, None)[index + 1]
        if not (isinstance(first, Matmul) and isinstance(second, Matmul) and isinstance(second.source, Gelu)):
            return 0
        rows, most = self._source(first).rows, self.config.max_rows
        if rows <= most:
            return 0
        # Half of them, so that one part's layers overlap; whole blocks of whole row groups.
        unit = math.lcm(LANES, self.config.rows)
        part = max(most // 2 // unit * unit, LANES)
        later = self.plan.layers[index + 2 :]
        products: dict[str, Product] = {}
        for start in range(0, rows, part):
            span = (start, min(rows, start + part))
            for layer in (first, second):
                self.emitter.begin(layer.name)
                if layer.name not in products:
                    products[layer.name], _ = self._product(layer, [second] if layer is first else later)
                reserve = self._operand_words(later) if layer is second and span[1] == rows else 0
                lower_rows(
                    self.emitter, products[layer.name], self._source(layer), span, reserve, final=span[1] == rows
                )
        return 2

    def _table(self, key: str, rows: IntArray) -> tuple[IntArray, int]:
        """A table for the row map: a beat a row; one that is there already serves again."""
        if key not in self.tables:
            words = np.zeros((len(rows), BEAT_BYTES // 4), "<u4")
            words[:, 0] = rows
            self.tables[key] = rows, self.memory.place(words.reshape(-1).view(np.uint8), key)
        return self.tables[key]

    def _attention(self, layer: Attention) -> None:
        qkv, windows = self.allocations[layer.source], layer.windows
        rows = qkv.rows if windows is None else windows.side**2
        output = self.allocations[layer.name] = self.memory.allocate(layer.name, rows, qkv.columns // 3, 1)
        scatter = None
        if windows is not None:
            self.orders[layer.name] = windows.map_rows
            scatter = self._table(f"map {windows.side}, rolled by {windows.shift}", windows.gather)
        lower_attention(self.emitter, layer, qkv, output, scatter)

    def _source(self, layer: Matmul) -> Allocation:
        if layer.patches:
            return self.image
        name = layer.source.source if isinstance(layer.source, Norm | Gelu) else layer.source
        return self.allocations[name]

    def _destination(self, layer: Matmul, rows: int) -> Destination:
        """The home of a layer of so many rows, and its rows' places."""
        channels, side, last, windows = len(layer.weight), layer.side, self.plan.last_side, layer.windows
        if layer.tokens is not None:
            content = np.zeros((self.plan.tokens, channels), np.int64)
            content[: len(layer.tokens)] = layer.tokens
            return Destination(self.memory.constant(layer.name, content, layer.size))
        if side is None or last is None:
            return Destination(self.memory.allocate(layer.name, rows, channels, layer.size))
        order = map_rows(side, last)
        if isinstance(layer.source, Norm | Gelu):
            self.orders[layer.source.name] = order
        if layer.inner is not None:
            self.orders[layer.inner] = order if layer.inner_windows is None else layer.inner_windows.map_rows
        if windows is not None:
            self.orders[layer.name] = windows.rows
            home = self.memory.allocate(layer.name, windows.count * windows.pitch, channels, layer.size)
            return Destination(home, self._table(f"windows of {side}, rolled by {windows.shift}", windows.scatter))
        if layer.merges and in_planes(side):
            self.orders[layer.name], pitch = plane_rows(side, last), plane_pitch(side)
            home = self.memory.allocate(layer.name, PARITIES * pitch, channels, layer.size)
            return Destination(home, planes=((side // 2) ** 2, pitch))
        self.orders[layer.name] = order
        home = self.memory.allocate(layer.name, rows, channels, layer.size)
        return Destination(home, self._table(f"map {side}", order) if layer.from_raster else None)

    def _product(self, layer: Matmul, later: list[Layer]) -> tuple[Product, tuple[int, int]]:
        """A layer with its homes, and the rows that it takes."""
        source = self._source(layer)
        merged = isinstance(layer.source, Norm) and layer.source.side
        rows = (0, 1 if layer.joined else layer.first_rows or (merged**2 if merged else source.rows))
        destination = self._destination(layer, rows[1] - rows[0])
        self.allocations[layer.name] = destination.home
        skip = None
        if layer.residual is not None:
            if isinstance(layer.residual.skip, str):
                skip = self.allocations[layer.residual.skip]
            else:
                assert layer.tokens is not None
                constant = np.vstack([np.zeros_like(layer.tokens), layer.residual.skip])
                skip = self.memory.constant(f"{layer.name}.skip", constant, 2)
            if skip.size != 2:
                raise CompileError(f"{layer.name}: the skip operand of a residual addition must have 16 bits.")
        gelu = any(
            isinstance(one, Matmul) and isinstance(one.source, Gelu) and one.source.source == layer.name
            for one in later
        )
        return Product(self.emitter, layer, destination, skip, gelu), rows

    def _operand_words(self, later: list[Layer]) -> int:
        """Words of A that all rows of the next layer take, if it is one that loads rows of tokens."""
        if not later or not isinstance(later[0], Matmul) or later[0].first_rows or later[0].joined:
            return 0
        rows = self.plan.tokens if later[0].side is None else later[0].side ** 2
        return -(-rows // self.config.rows) * -(-later[0].weight.shape[1] // 4)

    def _with_image_at(self, base: int, operation: Operation) -> Operation:
        """The operation, for an image that lies elsewhere."""
        if all(access.space != self.image.name for access in operation.accesses):
            return operation
        source = operation.registers["SRC_BASE"]
        assert isinstance(source, int)
        registers = {**operation.registers, "SRC_BASE": source - self.image.base + base}
        return dataclasses.replace(operation, registers=registers)

    def _finish(self) -> Compiled:
        emitter = self.emitter
        emitter.begin("end")
        means = {layer.name for layer in self.plan.layers if isinstance(layer, Mean)}  # with what is no tensor between
        tensors = {name: home for name, home in self.allocations.items() if name not in means}
        overwritten = tuple(name for name in tensors if name in self.memory.overwritten)
        log = self.memory.reserve(LOG_BEATS * len(emitter.marks), "the log")
        operations = in_order_of_start(self.config, emitter.operations)
        steps = dependencies(operations)
        words = assemble(self.config, operations, log, steps).words()
        program = self.memory.place(words.view(np.uint8), "the program")
        other_image = self.memory.reserve(self.image.beats, "another image")
        moved = [self._with_image_at(other_image, operation) for operation in operations]
        other = assemble(self.config, moved, log, steps).words()
        other_program = self.memory.place(other.view(np.uint8), "the program for another image")
        return Compiled(
            words,
            program,
            self.memory.initial,
            {name: home for name, home in tensors.items() if name not in overwritten},
            overwritten,
            self.image,
            self.allocations[self.plan.output],
            other_program,
            other_image,
            tuple(emitter.marks),
            log,
            self.memory.next,
            self.orders,
            operations,
            self.plan,
        )
