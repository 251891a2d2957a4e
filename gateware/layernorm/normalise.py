"""Second pass of I-LayerNorm: two elements of one row a cycle, normalised and rescaled."""

from amaranth.hdl import Cat, EnableInserter, Module, Mux, Shape, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from gateware.arith.delay import delay_line, delayed
from gateware.arith.dyadic import channel_write_port, dyadic_layout
from gateware.arith.multiplier import Multiplier
from gateware.layernorm.constants import PairMemory
from gateware.layernorm.root import FACTOR_BITS, RESULT
from gateware.layernorm.round import NormRoundShift
from gateware.layernorm.variance import MEAN_BITS

__all__ = ["RowNormaliser"]

Y = signed(17)
NORMALISED = signed(33)
PAIR_DELAY = 3  # of `PairMemory`


class RowNormaliser(wiring.Component):
    """``clamp(RNE(((((u - mean) * f) >> 1) + bias) * m / 2^e))`` of pairs of channels, one pair a cycle.

    The first product plus twice the bias is one multiply-add: the bias does not touch the bit that the shift drops.
    ``|y * f| < 2^31`` always, as ``y^2 <= v`` and ``f <= (2^31 - 1) / floor(sqrt(v))``.

    Parameters
    ----------
    channels : int
        Entries of the constant memories, even.
    multiplier_bits : int
        Magnitude bits of m.
    product_style : str
        Style of the first product: ``"lut"``, or ``"plain"``, which infers a DSP block with its adder. The top bit of f
        is added outside, so that 17 x 25 signed bits suffice.

    Attributes
    ----------
    latency : int
        Enabled cycles from ``valid`` to ``out_valid``.

    Members
    -------
    write : Out(channel_write_port(channels, multiplier_bits))
        Of the constant memories.
    wide : In(1)
        Results have 16 bits, not 8.
    en : In(1)
        Everything advances while this is high.
    valid, row, last : In
        A pair of that row enters; it is the last pair of the rows.
    results : In
        Mean and factor of the four rows, in the cycles of ``valid``.
    u0, u1 : In
        The pair, one enabled cycle after ``valid``.
    out_valid, q0, q1 : Out
        The results of a pair.
    active : Out(1)
        A pair is in the pipeline.
    """

    def __init__(self, channels: int, multiplier_bits: int, product_style: str = "lut") -> None:
        self.channels, self.multiplier_bits, self.product_style = channels, multiplier_bits, product_style
        super().__init__(
            {
                "write": Out(channel_write_port(channels, multiplier_bits)),
                "wide": In(1),
                "en": In(1),
                "valid": In(1),
                "row": In(2),
                "last": In(1),
                "results": In(data.ArrayLayout(RESULT, 4)),
                "u0": In(16),
                "u1": In(16),
                "out_valid": Out(1),
                "q0": Out(signed(16)),
                "q1": Out(signed(16)),
                "active": Out(1),
            }
        )
        self.products = [
            Multiplier(FACTOR_BITS, Y.width, False, True, style="lut", enable=True)
            for _ in range(2 if product_style == "lut" else 0)
        ]
        self.rescalers = [Multiplier(NORMALISED.width, multiplier_bits + 1, style="lut", enable=True) for _ in range(2)]
        self.rescale_latency = self.rescalers[0].latency
        self.normalised_at = PAIR_DELAY + (self.products[0].latency if self.products else 1) + 1
        self.latency = self.normalised_at + self.rescale_latency + NormRoundShift.latency

    def elaborate(self, platform: object) -> Module:
        m = Module()
        pipeline = Module()

        valid = delay_line(pipeline, self.valid, self.latency, "valid", reset=True)
        row = delay_line(pipeline, self.row, self.normalised_at, "row")
        last = delay_line(pipeline, self.last, self.normalised_at, "last")
        pipeline.d.comb += [self.out_valid.eq(valid[-1]), self.active.eq(Cat(*valid[1:]).any())]

        biases, scales = self._elaborate_constants(m, valid, row, last)
        # The row's mean and factor are taken as the pair enters: the next rows' may come in the cycle after.
        mean, factor = Signal(MEAN_BITS), Signal(FACTOR_BITS)
        with pipeline.Switch(self.row):
            for index in range(4):
                with pipeline.Case(index):
                    pipeline.d.comb += [mean.eq(self.results[index].mean), factor.eq(self.results[index].factor)]
        mean_2 = delayed(pipeline, mean, 2, "mean")
        factor_3 = delayed(pipeline, factor, 3, "factor")

        channels = (
            (self.u0, biases.even, scales.even, self.q0),
            (self.u1, biases.odd, scales.odd, self.q1),
        )
        for index, (element, bias, constants, result) in enumerate(channels):
            name = str(index)
            u_2 = Signal(16, name=f"u{name}_2", reset_less=True)  # the block RAM's output register
            y_3 = Signal(Y, name=f"y{name}_3", reset_less=True)
            pipeline.d.sync += [u_2.eq(element), y_3.eq(u_2 - mean_2)]
            normalised = self._normalised(m, pipeline, index, y_3, factor_3, bias)
            m.submodules[f"rescaler{name}"] = rescaler = self.rescalers[index]
            m.submodules[f"round{name}"] = rounder = NormRoundShift(rescaler.p_shape.width)
            shift = delayed(pipeline, constants.shift, self.rescale_latency, f"shift{name}")
            m.d.comb += [
                rescaler.en.eq(self.en),
                rescaler.a.eq(normalised),
                rescaler.b.eq(constants.multiplier),
                rounder.en.eq(self.en),
                rounder.p.eq(rescaler.p),
                rounder.shift.eq(shift),
                rounder.wide.eq(self.wide),
                result.eq(rounder.q),
            ]
        m.submodules.pipeline = EnableInserter(self.en)(pipeline)
        return m

    def _elaborate_constants(
        self, m: Module, valid: list[Signal], row: list[Signal], last: list[Signal]
    ) -> tuple[PairMemory, PairMemory]:
        """Biases arrive where the product is added to, multipliers and shifts where the second product starts."""
        m.submodules.biases = biases = PairMemory(signed(32), self.channels)
        m.submodules.scales = scales = PairMemory(dyadic_layout(self.multiplier_bits), self.channels)
        bias_at = self.normalised_at - PAIR_DELAY - (1 if self.products else 2)
        for memory, entry in ((biases, bias_at), (scales, self.normalised_at - PAIR_DELAY)):
            m.d.comb += [
                memory.write.en.eq(self.write.en),
                memory.write.addr.eq(self.write.addr),
                memory.en.eq(self.en),
                memory.valid.eq(valid[entry]),
                memory.row.eq(row[entry]),
                memory.last.eq(last[entry]),
            ]
        m.d.comb += [
            biases.write.data.eq(self.write.data.bias),
            scales.write.data.multiplier.eq(self.write.data.multiplier),
            scales.write.data.shift.eq(self.write.data.shift),
        ]
        return biases, scales

    def _normalised(self, m: Module, pipeline: Module, index: int, y: Value, factor: Value, bias: Value) -> Value:
        """``((y * factor) >> 1) + bias`` at `normalised_at`."""
        name = str(index)
        total = Signal(signed(NORMALISED.width + 1), name=f"total{name}", reset_less=True)
        if self.products:
            m.submodules[f"product{name}"] = product = self.products[index]
            m.d.comb += [product.en.eq(self.en), product.a.eq(factor), product.b.eq(y)]
            pipeline.d.sync += total.eq(product.p[:32].as_signed() + (bias << 1))
        else:
            lower = FACTOR_BITS - 1
            partial = Signal(signed(Y.width + lower), name=f"product{name}", reset_less=True)
            addend = Signal(Shape(total.shape().width, True), name=f"addend{name}", reset_less=True)
            pipeline.d.sync += [
                partial.eq(y * factor[:lower]),
                addend.eq((bias << 1) + Mux(factor[lower], y << lower, 0)),
                total.eq(partial + addend),
            ]
        return total[1:].as_signed()
