"""FQ-ViT's Log-Int-Softmax, in place of Shiftmax's division and second product: only leading bits decide."""

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from gateware.arith.checks import require_range
from gateware.arith.delay import delayed
from gateware.arith.multiplier import Multiplier
from gateware.softmax.output import RowOutput

__all__ = ["MAGNITUDE_BITS", "LogRowOutput", "RowMagnitude"]

HEAD_BITS = 11  # as many as three mantissas have
LENGTH_BITS = 5
MAGNITUDE_BITS = HEAD_BITS - 1 + LENGTH_BITS
LEAST_TRIPLE_BITS = 8  # a mantissa of I-BERT's exponential is at least 44, so three are 8 to 11 bits


class RowMagnitude(wiring.Component):
    """The length of a row's sum, and the bits behind its leading one, by as many steps as the length may vary.

    ``latency`` cycles from the transfer of a sum to the valid of its magnitude; a sum as often, where it is taken at
    once.

    Parameters
    ----------
    total_bits : int
        Bits of a sum. One with the upper bit set counts as ``2^(total_bits - 1)``.
    least_bits : int
        Every sum is at least 2 to this.

    Members
    -------
    i : In(stream, total_bits)
    o : Out(stream, MAGNITUDE_BITS)
        The ten bits behind the leading one, lowest first, then the number of bits.

    Raises
    ------
    ValueError
        For a width out of range.
    """

    def __init__(self, total_bits: int, least_bits: int) -> None:
        require_range("RowMagnitude", "total_bits", total_bits, HEAD_BITS, (1 << LENGTH_BITS) - 1)
        require_range("RowMagnitude", "least_bits", least_bits, 0, total_bits - 1)
        self.total_bits = total_bits
        self.steps = max(total_bits - 1 - least_bits, 1)
        self.latency = self.steps + 1
        super().__init__({"i": In(stream.Signature(total_bits)), "o": Out(stream.Signature(MAGNITUDE_BITS))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        value = Signal(self.total_bits, reset_less=True)
        length = Signal(LENGTH_BITS, reset_less=True)
        left = Signal(range(self.steps + 1))
        valid = Signal()
        m.d.comb += [
            self.i.ready.eq((left == 0) & (~valid | self.o.ready)),
            self.o.valid.eq(valid),
            self.o.payload.eq(Cat(value[-HEAD_BITS:-1], length)),
        ]
        with m.If(self.o.ready):
            m.d.sync += valid.eq(0)
        with m.If(left != 0):
            m.d.sync += left.eq(left - 1)
            with m.If(~value[-1]):
                m.d.sync += [value.eq(value << 1), length.eq(length - 1)]
            with m.If(left == 1):
                m.d.sync += valid.eq(1)
        with m.Elif(self.i.valid & self.i.ready):
            saturated = self.i.payload[-1]
            m.d.sync += [
                value.eq(Mux(saturated, Const(1 << (self.total_bits - 1)), self.i.payload)),
                length.eq(self.total_bits),
                left.eq(self.steps),
            ]
        return m


class LogRowOutput(RowOutput):
    """``2^(bits - 1 - q)`` with ``1.5 * 2^(q - 1) <= total / e < 1.5 * 2^q``; rates and members as of `RowOutput`.

    ``q`` is the difference of the lengths of 4 * total and of three mantissas, less the shift, and one more where the
    total's leading bits are not below those of three mantissas.

    Source: FQ-ViT's Log-Int-Softmax; `sim.reference.log_softmax`.

    Parameters
    ----------
    rows, max_length, mantissa_bits : int
    bits : int
        8 to 16, of a probability; more than 8 make two words.
    """

    STAGES = 4

    def __init__(self, rows: int, max_length: int, mantissa_bits: int, bits: int) -> None:
        require_range("LogRowOutput", "mantissa_bits", mantissa_bits, 6, HEAD_BITS - 2)
        super().__init__(rows, max_length, mantissa_bits, MAGNITUDE_BITS, bits, half_up=False)

    def _multipliers(self) -> list[Multiplier]:
        return []

    def _arithmetic_latency(self) -> int:
        return self.STAGES

    def _probability(self, m: Module, index: int, factor: Value, advance: Value) -> Value:
        exponential = self.exponentials[index]
        magnitude = delayed(m, factor, 2, f"magnitude_{index}", enable=advance)
        head, length = Cat(magnitude[: HEAD_BITS - 1], Const(1, 1)), magnitude[HEAD_BITS - 1 :]

        triple = Signal(HEAD_BITS, name=f"triple_{index}", reset_less=True)
        shift = delayed(m, exponential.shift, 2, f"shift_{index}", enable=advance)
        nothing = delayed(m, exponential.mantissa == 0, 3, f"nothing_{index}", enable=advance)
        aligned = Signal(HEAD_BITS, name=f"aligned_{index}", reset_less=True)
        extra = Signal(2, name=f"extra_{index}", reset_less=True)
        q = Signal(signed(7), name=f"q_{index}", reset_less=True)
        result = Signal(self.bits - 1, name=f"result_{index}", reset_less=True)
        # How many bits more than the fewest three mantissas have.
        found = Mux(triple[-1], 3, Mux(triple[-2], 2, Mux(triple[-3], 1, 0)))
        largest = (1 << (self.bits - 1)) - 1
        powers = Array([Const(largest)] + [Const(1 << (self.bits - 1 - place)) for place in range(1, self.bits)])
        with m.If(advance):
            m.d.sync += [
                triple.eq(exponential.mantissa + (exponential.mantissa << 1)),
                aligned.eq(Array([triple << places for places in (3, 2, 1, 0)])[found]),
                extra.eq(found),
                q.eq(length + 2 - LEAST_TRIPLE_BITS - extra - shift + (head >= aligned)),
                result.eq(Mux(nothing | (q > self.bits - 1), 0, powers[Mux(q < 0, 0, q)])),
            ]
        return result
