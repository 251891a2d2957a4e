"""The units that state contracts, small, and beside each what it is told that is no port of its own."""

from collections.abc import Callable, Sequence

from amaranth.hdl import Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from gateware.arith.divider import ReciprocalDivider
from gateware.array.grid import SystolicArray
from gateware.config import config
from gateware.contracts import Ended
from gateware.control.semaphores import Semaphores
from gateware.engines.execute.completion import Completion
from gateware.engines.execute.issue import StepIssuer
from gateware.engines.execute.residual_fetch import ResidualFetch
from gateware.engines.execute.tile_iterator import TileIterator
from gateware.engines.execute.tile_queue import TileQueue
from gateware.engines.load.transforms import Transforms
from gateware.gelu.shiftgelu import ShiftGELU
from gateware.layernorm.layernorm import LayerNorm
from gateware.layernorm.variance import RowVariance
from gateware.link.memory_access import MemoryAccess
from gateware.link.receiver import Receiver
from gateware.link.transmitter import Transmitter
from gateware.memory.arbiter import MemoryArbiter
from gateware.memory.operand_a import OperandA
from gateware.memory.operand_b import OperandB
from gateware.memory.reader import StridedReader
from gateware.memory.strides import StridedCounter
from gateware.postprocess.kept_rows import watch_rows
from gateware.postprocess.lanes import RescaleLanes
from gateware.postprocess.write_back import WriteBack
from gateware.softmax.shiftmax import Shiftmax
from sim.reference.arithmetic import LEAN

__all__ = ["UNITS"]

Made = tuple[wiring.Component, Sequence[Value]]


class KeptRows(wiring.Component):
    """What PostProcessor states of a row that waits for its second pass, with the two passes outside."""

    writes: In(1)
    uses: In(1)
    into: In(2)
    out_of: In(2)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.sync += Signal(name="any").eq(1)
        for name in ("branch", "term"):
            watch_rows(m, platform, "PostProcessor", name, 4, (self.writes, self.into), (self.uses, self.out_of))
        return m


def told(endings: Sequence[Ended]) -> list[Value]:
    return [signal for ending in endings for signal in (ending.told, ending.number)]


def operand_a() -> Made:
    unit = OperandA(4, 16, 8)
    return unit, [*told(unit.ended), unit.beat_number, unit.word_number]


def operand_b() -> Made:
    unit = OperandB(16)
    return unit, [*told(unit.ended), *unit.numbers]


def shiftmax() -> wiring.Component:
    return Shiftmax(rows=4, max_length=16, arithmetic=LEAN, bits=10, x0_bits=10)


UNITS: dict[str, Callable[[], wiring.Component | Made]] = {
    "Completion": Completion,
    "LayerNorm": lambda: LayerNorm(max_channels=16, multiplier_bits=16),
    "MemoryAccess": lambda: MemoryAccess(8),
    "MemoryArbiter": lambda: MemoryArbiter(8, 2, 2, burst=4, in_flight=4),
    "OperandA": operand_a,
    "OperandB": operand_b,
    "PostProcessor": KeptRows,
    "Receiver": lambda: Receiver(6),
    "ReciprocalDivider": lambda: ReciprocalDivider(31, 31, 16),
    "ResidualRequests": lambda: ResidualFetch(4, 8),
    "RowVariance": lambda: RowVariance(20, 30, 4),
    "Semaphores": lambda: Semaphores(2, 2),
    "ShiftGELU": lambda: ShiftGELU(LEAN),
    "Shiftmax": shiftmax,
    "StepIssuer": lambda: StepIssuer(4, 4),
    "StridedCounter": lambda: StridedCounter(8, 2),
    "StridedReader": lambda: StridedReader(2, 8, 4),
    "SystolicArray": lambda: SystolicArray(rows=3, columns=1, pack=2, x_width=10),
    "TileIterator": lambda: TileIterator(4),
    "TileQueue": lambda: TileQueue(4, 24),
    "Transforms": lambda: Transforms(config("tiny")),
    "Transmitter": Transmitter,
    "WriteBack": lambda: WriteBack(4, RescaleLanes(4, 26, 16), 4),
}
"""By their names."""
