"""Compiles a model: layers, memory, operations, program."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from firmware.compiler.attention import lower_attention
from firmware.compiler.emit import Emitter
from firmware.compiler.errors import CompileError
from firmware.compiler.layers import Attention, Gelu, Layer, Matmul, Norm, Plan
from firmware.compiler.matching import match
from firmware.compiler.matmul import lower_exchanged, lower_matmul
from firmware.compiler.memory import Home, Memory
from firmware.compiler.operations import Operation
from firmware.compiler.ranges import check_ranges
from firmware.compiler.schedule import assemble, prefetched
from firmware.layout import LANES
from gateware.config import AcceleratorConfig
from sim.reference.graph import Graph

__all__ = ["Compiled", "compile_graph"]

AHEAD = 8  # EXEC and VEC operations that a load may be moved before
LOG_BEATS = 4
TOKEN_AND_GROUP = 1  # row groups that the head's operand has: the class token is in the first


@dataclass
class Compiled:
    """A program with everything around it.

    Parameters
    ----------
    words : the program
    program : its beat address
    initial : (beat address, bytes) that stand in memory before it starts
    homes : where each tensor is afterwards; a tensor may lie in several parts
    image, output : homes of what the host writes and reads
    marks : layer of each slot of the log; log : its beat address
    beats : of memory that all of it takes
    """

    words: npt.NDArray[np.uint32]
    program: int
    initial: list[tuple[int, npt.NDArray[np.uint8]]]
    homes: dict[str, tuple[Home, ...]]
    image: Home
    output: Home
    marks: tuple[str, ...]
    log: int
    beats: int
    operations: list[Operation] = field(repr=False)
    plan: Plan = field(repr=False)


def compile_graph(graph: Graph, config: AcceleratorConfig, image_side: int) -> Compiled:
    """The program that runs `graph` on a machine.

    Raises
    ------
    CompileError : a node or a size that the machine cannot run
    """
    plan = match(graph)
    check_ranges(plan, config)
    compiler = _Compiler(plan, config, image_side)
    for index, layer in enumerate(plan.layers):
        compiler.layer(layer, plan.layers[index + 1 :])
    return compiler.finish()


class _Compiler:
    def __init__(self, plan: Plan, config: AcceleratorConfig, image_side: int) -> None:
        self.plan, self.config = plan, config
        self.memory = Memory(config.address_bits)
        self.emitter = Emitter(config, self.memory)
        first = plan.layers[0]
        assert isinstance(first, Matmul)
        self.tokens = plan.tokens
        side = image_side // plan.patch
        image = self.memory.home(plan.image, side * side, first.weight.shape[1], 1)
        self.image = image
        self.homes: dict[str, tuple[Home, ...]] = {plan.image: (image,)}

    def layer(self, layer: Layer, later: list[Layer]) -> None:
        self.emitter.begin(layer.name)
        if isinstance(layer, Attention):
            qk, vt = self.homes[layer.source]
            output = self.memory.home(layer.name, self.tokens, vt.rows, 1)
            self.homes[layer.name] = (output,)
            lower_attention(self.emitter, layer, qk, vt, output)
        elif layer.only_token is not None:
            self._head(layer)
        elif later and isinstance(later[0], Attention) and later[0].source == layer.name:
            self._qkv(layer)
        else:
            self._matmul(layer, later)

    def _source(self, layer: Matmul) -> Home:
        if layer.patches:
            return self.image
        name = layer.source.source if isinstance(layer.source, Norm | Gelu) else layer.source
        homes = self.homes.get(name)
        if homes is None or len(homes) != 1:
            raise CompileError(f"{layer.name}: its operand {name} is not stored as one matrix.")
        return homes[0]

    def _matmul(self, layer: Matmul, later: list[Layer]) -> None:
        source, channels = self._source(layer), len(layer.weight)
        assert layer.rescale is not None
        size = layer.rescale.bits // 8
        if layer.token is not None:
            content = np.zeros((self.tokens, channels), np.int64)
            content[0] = layer.token
            output = self.memory.constant(layer.name, content, size)
        else:
            output = self.memory.home(layer.name, source.rows, channels, size)
        self.homes[layer.name] = (output,)
        skip = None
        if layer.residual is not None:
            if isinstance(layer.residual.skip, str):
                skip = self.homes[layer.residual.skip][0]
            else:
                rows = np.vstack([np.zeros((1, channels), np.int64), layer.residual.skip])
                skip = self.memory.constant(f"{layer.name}.skip", rows, 2)
            if skip.size != 2:
                raise CompileError(f"{layer.name}: the skip operand of a residual addition must have 16 bits.")
        gelu = any(
            isinstance(l, Matmul) and isinstance(l.source, Gelu) and l.source.source == layer.name for l in later
        )
        if gelu and output.rows > self.config.max_rows:
            raise CompileError(
                f"{layer.name}: {output.rows} rows before a ShiftGELU, and the machine keeps the maxima of "
                f"{self.config.max_rows}; enlarge max_rows in the configuration."
            )
        lower_matmul(self.emitter, layer, source, output, skip, (0, channels), gelu)

    def _qkv(self, layer: Matmul) -> None:
        """Q and K by rows of tokens, V by rows of channels."""
        source, channels = self._source(layer), len(layer.weight) // 3
        qk = self.memory.home(layer.name, source.rows, 2 * channels, 1)
        vt = self.memory.home(f"{layer.name}^T", channels, source.rows, 1, transposed=True, first_row=2 * channels)
        self.homes[layer.name] = (qk, vt)
        lower_matmul(self.emitter, layer, source, qk, None, (0, 2 * channels), False)
        lower_exchanged(self.emitter, layer, source, vt, (2 * channels, 3 * channels), -(-source.rows // LANES))

    def _head(self, layer: Matmul) -> None:
        """Classes by rows, from the row group of one token."""
        source = self._source(layer)
        if layer.only_token is None or layer.only_token >= LANES:
            raise CompileError(
                f"{layer.name}: only a token of the first {LANES} can be selected, not {layer.only_token}."
            )
        classes = len(layer.weight)
        output = self.memory.home(layer.name, classes, LANES, 4, transposed=True)
        self.homes[layer.name] = (output,)
        lower_exchanged(self.emitter, layer, source, output, (0, classes), TOKEN_AND_GROUP)

    def finish(self) -> Compiled:
        emitter = self.emitter
        emitter.begin("end")
        log = self.memory.reserve(LOG_BEATS * len(emitter.marks), "the log")
        operations = prefetched(emitter.operations, AHEAD)
        words = assemble(self.config, operations, log).words()
        program = self.memory.place(words.view(np.uint8), "the program")
        return Compiled(
            words,
            program,
            self.memory.initial,
            self.homes,
            self.image,
            self.homes[self.plan.output][0],
            tuple(emitter.marks),
            log,
            self.memory.next,
            operations,
            self.plan,
        )


def tensors_of(
    homes: Mapping[str, tuple[Home, ...]], memory: npt.NDArray[np.uint8]
) -> dict[str, npt.NDArray[np.int64]]:
    """Every stored tensor (rows, channels), out of the bytes of the whole memory."""
    found = {}
    for name, parts in homes.items():
        matrices = [part.read(memory) for part in parts]
        found[name] = np.concatenate(
            [m.T if part.transposed else m for part, m in zip(parts, matrices, strict=True)], axis=1
        )
    return found
