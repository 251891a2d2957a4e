"""The state while layers are lowered: the machine's buffers and memory, and the operations so far."""

from __future__ import annotations

from firmware.compiler.fuse.layers import Norm
from firmware.compiler.lower.array import ArrayOperations
from firmware.compiler.lower.constants import ConstantLoads
from firmware.compiler.lower.operands import OperandLoads
from firmware.compiler.lower.operations import Operations
from firmware.compiler.place.memory import Memory
from firmware.compiler.place.ring import Ring
from gateware.config import AcceleratorConfig

__all__ = ["Emitter"]


class Emitter:
    """Appends operations of all kinds to one program.

    Parameters
    ----------
    config : the machine
    memory : DRAM
    norms : all of the model, in order

    Attributes
    ----------
    operations : all so far
    a, b, channels : what is taken of the A buffer, the B buffer and the constant memory
    constants, operands, array : append loads of constants, loads of tensors, and what is computed
    """

    def __init__(self, config: AcceleratorConfig, memory: Memory, norms: list[Norm]) -> None:
        self.config, self.memory, self.operations = config, memory, Operations()
        self.a, self.b = Ring(config.a_depth, "A"), Ring(config.b_depth, "B")
        self.channels = Ring(config.const_depth, "constants")
        self.constants = ConstantLoads(config, memory, self.channels, self.operations, norms)
        self.operands = OperandLoads(config, self.operations, self.constants)
        self.array = ArrayOperations(config, memory, self.operations)
