"""Compiles a model: layers, memory, operations, program."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from firmware.compiler.attention import lower_attention
from firmware.compiler.cost import in_order_of_start
from firmware.compiler.emit import Emitter
from firmware.compiler.errors import CompileError
from firmware.compiler.layers import Gelu, Layer, Matmul, Norm, Plan
from firmware.compiler.matching import match
from firmware.compiler.matmul import lower_matmul
from firmware.compiler.memory import Home, Memory
from firmware.compiler.operations import Operation
from firmware.compiler.ranges import check_ranges
from firmware.compiler.schedule import assemble
from gateware.config import AcceleratorConfig
from gateware.isa import LOG_BEATS
from sim.reference.graph import Graph

__all__ = ["Compiled", "compile_graph"]


@dataclass
class Compiled:
    """A program with everything around it.

    Parameters
    ----------
    words : the program
    program : its beat address
    initial : (beat address, bytes) that stand in memory before it starts
    homes : where each tensor is afterwards
    image, output : homes of what the host writes and reads
    alternate_program, alternate_image : beat addresses of the same program for an image at another place, so that one
        image can be written while the other is in use
    marks : layer of each slot of the log; log : its beat address
    beats : of memory that all of it takes
    """

    words: npt.NDArray[np.uint32]
    program: int
    initial: list[tuple[int, npt.NDArray[np.uint8]]]
    homes: dict[str, Home]
    image: Home
    output: Home
    alternate_program: int
    alternate_image: int
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
        norms = [one.source for one in plan.layers if isinstance(one, Matmul) and isinstance(one.source, Norm)]
        self.emitter = Emitter(config, self.memory, norms)
        first = plan.layers[0]
        assert isinstance(first, Matmul)
        self.tokens = plan.tokens
        side = image_side // plan.patch
        image = self.memory.home(plan.image, side * side, first.weight.shape[1], 1)
        self.image = image
        self.homes: dict[str, Home] = {plan.image: image}

    def layer(self, layer: Layer, later: list[Layer]) -> None:
        self.emitter.begin(layer.name)
        if isinstance(layer, Matmul):
            self._matmul(layer, later)
            return
        qkv = self.homes[layer.source]
        output = self.homes[layer.name] = self.memory.home(layer.name, self.tokens, qkv.columns // 3, 1)
        lower_attention(self.emitter, layer, qkv, output)

    def _source(self, layer: Matmul) -> Home:
        if layer.patches:
            return self.image
        name = layer.source.source if isinstance(layer.source, Norm | Gelu) else layer.source
        return self.homes[name]

    def _matmul(self, layer: Matmul, later: list[Layer]) -> None:
        source, channels = self._source(layer), len(layer.weight)
        size = 4 if layer.rescale is None else layer.rescale.bits // 8
        token = layer.only_token
        rows = (0, source.rows) if token is None else (token, token + 1)
        if layer.token is not None:
            content = np.zeros((self.tokens, channels), np.int64)
            content[0] = layer.token
            output = self.memory.constant(layer.name, content, size)
        elif token:
            raise CompileError(f"{layer.name}: only the first token can be selected, not token {token}.")
        else:
            output = self.memory.home(layer.name, rows[1] - rows[0], channels, size)
        self.homes[layer.name] = output
        skip = None
        if layer.residual is not None:
            if isinstance(layer.residual.skip, str):
                skip = self.homes[layer.residual.skip]
            else:
                constant = np.vstack([np.zeros((1, channels), np.int64), layer.residual.skip])
                skip = self.memory.constant(f"{layer.name}.skip", constant, 2)
            if skip.size != 2:
                raise CompileError(f"{layer.name}: the skip operand of a residual addition must have 16 bits.")
        gelu = any(
            isinstance(one, Matmul) and isinstance(one.source, Gelu) and one.source.source == layer.name
            for one in later
        )
        if gelu and output.rows > self.config.max_rows:
            raise CompileError(
                f"{layer.name}: {output.rows} rows before a ShiftGELU, and the machine keeps the maxima of "
                f"{self.config.max_rows}; enlarge max_rows in the configuration."
            )
        lower_matmul(self.emitter, layer, source, rows, output, skip, gelu, self._operand_words(later))

    def _operand_words(self, later: list[Layer]) -> int:
        """Words of A that all rows of the next layer take, if it is one that loads rows of tokens."""
        if not later or not isinstance(later[0], Matmul) or later[0].only_token is not None:
            return 0
        return -(-self.tokens // self.config.rows) * -(-later[0].weight.shape[1] // 4)

    def _with_image_at(self, base: int, operation: Operation) -> Operation:
        """The operation, for an image that lies elsewhere."""
        if all(access.space != self.image.name for access in operation.accesses):
            return operation
        source = operation.registers["SRC_BASE"]
        assert isinstance(source, int)
        registers = {**operation.registers, "SRC_BASE": source - self.image.base + base}
        return dataclasses.replace(operation, registers=registers)

    def finish(self) -> Compiled:
        emitter = self.emitter
        emitter.begin("end")
        log = self.memory.reserve(LOG_BEATS * len(emitter.marks), "the log")
        operations = in_order_of_start(self.config, emitter.operations)
        words = assemble(self.config, operations, log).words()
        program = self.memory.place(words.view(np.uint8), "the program")
        other_image = self.memory.reserve(self.image.beats, "another image")
        moved = [self._with_image_at(other_image, operation) for operation in operations]
        other = assemble(self.config, moved, log).words()
        other_program = self.memory.place(other.view(np.uint8), "the program for another image")
        return Compiled(
            words,
            program,
            self.memory.initial,
            self.homes,
            self.image,
            self.homes[self.plan.output],
            other_program,
            other_image,
            tuple(emitter.marks),
            log,
            self.memory.next,
            operations,
            self.plan,
        )


def tensors_of(homes: Mapping[str, Home], memory: npt.NDArray[np.uint8]) -> dict[str, npt.NDArray[np.int64]]:
    """Every stored tensor (rows, channels), out of the bytes of the whole memory."""
    return {name: home.read(memory) for name, home in homes.items()}
