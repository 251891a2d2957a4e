"""I-LayerNorm with its rescale, for a stream of groups of four rows."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from gateware.arith.checks import require_range
from gateware.arith.dyadic import channel_write_port
from gateware.config import BEAT_BITS
from gateware.contracts import require, require_held, watched
from gateware.layernorm.constants import constant_values
from gateware.layernorm.l1 import L1Statistics
from gateware.layernorm.l1_divisions import DIVISION_CYCLES
from gateware.layernorm.lanes import LanePacker, LaneUnpacker
from gateware.layernorm.normalise import RowNormaliser
from gateware.layernorm.root import RESULT, RowRoot, root_cycles
from gateware.layernorm.sums import RowSums
from gateware.layernorm.variance import ROW_CYCLES, RowVariance
from gateware.memory.rowbuffer import RowBuffer

__all__ = ["LayerNorm", "constant_values"]

STYLES = ("lut", "plain")
L1_CYCLES = 4 * DIVISION_CYCLES
HANDOVER_CYCLES = 12  # from a group's last pair to its last sum, and into the second pass


class LayerNorm(wiring.Component):
    """Groups of four rows in, the same groups normalised, rescaled and clamped out.

    ``mean = RNE(sum I / C)``, ``y = I - mean``, ``v = sum y^2``, ``k`` by exactly ten iterations from 2^16,
    ``f = (2^31 - 1) // k``, ``clamp(RNE((((y * f) >> 1) + bias) * m / 2^e))``: what `ILayerNorm` of
    `sim.reference.layernorm` and a `Rescale` after it compute.

    Three groups are on their way at a time: the sums of one are collected (two elements a cycle), the roots of the one
    before are extracted, the one before that is normalised (two elements a cycle). A group of C channels takes
    ``max(2 * C, root_cycles)`` cycles; its first beat leaves about ``2 * C + root_cycles`` cycles after its first came.

    Source: I-ViT, Eq. 14 to 16 and Algorithm 3.

    Parameters
    ----------
    max_channels : int
        Longest row, and entries of the constant memory: a multiple of 4, 8 to 4096. The row buffer holds two groups.
    multiplier_bits : int
        Magnitude bits of the rescale's multiplier, 12 to 31 (`Arithmetic.multiplier_bits`).
    overlap : int or None
        Longest row of which the row buffer holds two groups, at least half of ``max_channels``; all by default. Groups
        of longer rows come one after the other: about ``4 * C + root_cycles`` cycles each.
    square_style, product_style : str
        How the two squares, and the two products with f, are made: ``"lut"``, or ``"plain"`` for two DSP blocks.
    l1 : bool
        Fully-8bit's L1 form: the deviation is the sum of the magnitudes. There are no squares and no root in it, and a
        pass and a row buffer more, because the magnitudes are those of differences from the mean.

    Attributes
    ----------
    root_cycles : int
        Cycles that a group's statistics need between the two passes, at most; the bound where C is small.

    Members
    -------
    channels : In
        C, a multiple of 4, 4 to ``max_channels``.
    narrow : In(1)
        Input beats are ``[4 rows][4 channels int8]``; else ``[4 rows][2 channels int16]``. Lane l, bits 32l and up, is
        row l; the lower channel has the lower bits. Beats of a group come in the order of the channels.
    wide, low : In(1)
        Results have 16 bits, not 8; their high bytes leave, or with ``low`` their low bytes less 128: two passes over
        the same rows give an operand in two halves. Output beats are ``[4 rows][4 channels int8]``.
    busy : Out(1)
        Something is on its way. `channels`, `narrow`, `wide`, `low` and the constants may change only while this is
        low, and no beat is offered in the same cycle.
    constants : Out(channel_write_port(max_channels, multiplier_bits))
        Of a channel's constants, as `constant_values` gives them.
    i : In(stream, 128)
        Beats in. Rows that are padding may hold anything.
    o : Out(stream, 128)
        Beats out. ``o.ready`` stops the second pass in the same cycle, so it should be a register's output.

    Raises
    ------
    ValueError
        For a parameter out of range.
    """

    def __init__(
        self,
        max_channels: int,
        multiplier_bits: int = 16,
        overlap: int | None = None,
        *,
        square_style: str = "lut",
        product_style: str = "plain",
        l1: bool = False,
    ) -> None:
        require_range("LayerNorm", "max_channels", max_channels, 8, 4096)
        require_range("LayerNorm", "multiplier_bits", multiplier_bits, 12, 31)
        if max_channels % 4:
            raise ValueError(f"LayerNorm: max_channels must be a multiple of 4, not {max_channels}; round it up.")
        for name, style in (("square_style", square_style), ("product_style", product_style)):
            if style not in STYLES:
                raise ValueError(f"LayerNorm: {name} must be lut or plain, not {style!r}; choose one of them.")
        self.overlap = max_channels if overlap is None else min(overlap, max_channels)
        if 2 * self.overlap < max_channels or self.overlap % 2:
            raise ValueError(
                f"LayerNorm: overlap must be even and at least half of max_channels ({max_channels}), not {overlap}."
            )
        self.max_channels, self.multiplier_bits = max_channels, multiplier_bits
        self.square_style, self.product_style = square_style, product_style
        size = (max_channels - 1).bit_length()
        # u = I + 2^15 lies in 0..65535: |u - mean| <= 2^15 on average, so v <= C * 2^30.
        self.sum_bits, self.v_bits = 16 + size, 30 + size
        self.half_bits = (max_channels // 2).bit_length()
        self.l1 = l1
        statistics = L1_CYCLES if l1 else 4 * ROW_CYCLES + root_cycles(self.v_bits)
        self.root_cycles = statistics + HANDOVER_CYCLES
        super().__init__(
            {
                "channels": In(range(max_channels + 1)),
                "narrow": In(1),
                "wide": In(1),
                "low": In(1),
                "busy": Out(1),
                "constants": Out(channel_write_port(max_channels, multiplier_bits)),
                "i": In(stream.Signature(BEAT_BITS)),
                "o": Out(stream.Signature(BEAT_BITS)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.unpacker = unpacker = LaneUnpacker()
        m.submodules.rows = rows = RowBuffer(32, 4 * self.overlap)
        m.submodules.normaliser = normaliser = RowNormaliser(
            self.max_channels, self.multiplier_bits, self.product_style
        )
        m.submodules.packer = packer = LanePacker()
        connect(m, flipped(self.i), unpacker.i)
        connect(m, packer.o, flipped(self.o))
        connect(m, flipped(self.constants), normaliser.write)

        half = self.channels[1:]
        last_pair = Signal(self.half_bits)
        m.d.sync += last_pair.eq(half - 1)
        m.d.comb += unpacker.narrow.eq(self.narrow)

        statistics, here = (
            self._measured_twice(m, rows, unpacker, half)
            if self.l1
            else self._measured_once(m, rows, unpacker, half, last_pair)
        )

        # Second pass: four rows' results, then the words of those rows in the order in which they came.
        results = Signal(data.ArrayLayout(RESULT, 4), reset_less=True)
        reading, enable, leaving = Signal(), Signal(), Signal()
        out_row, out_pair = Signal(2), Signal(self.half_bits)
        out_last = Signal()
        m.d.comb += [
            enable.eq(~packer.stall),
            out_last.eq(out_pair == last_pair),
            leaving.eq(reading & enable & out_last & (out_row == 3)),
            statistics.ready.eq(~reading | leaving),
            rows.read.eq(reading & enable),
            normaliser.en.eq(enable),
            normaliser.valid.eq(reading),
            normaliser.row.eq(out_row),
            normaliser.last.eq(out_last),
            normaliser.results.eq(results),
            Cat(normaliser.u0, normaliser.u1).eq(rows.data),
            normaliser.wide.eq(self.wide),
            packer.wide.eq(self.wide),
            packer.low.eq(self.low),
            packer.valid.eq(normaliser.out_valid),
            packer.q0.eq(normaliser.q0),
            packer.q1.eq(normaliser.q1),
            self.busy.eq(unpacker.o.valid | here | (rows.level != 0) | normaliser.active | self.o.valid),
        ]
        with m.If(rows.read):
            m.d.sync += out_row.eq(out_row + 1)
            with m.If(out_row == 3):
                m.d.sync += out_pair.eq(out_pair + 1)
        with m.If(leaving):
            m.d.sync += [reading.eq(0), out_pair.eq(0)]
        with m.If(statistics.valid & statistics.ready):
            m.d.sync += [results.eq(statistics.payload), reading.eq(1)]
        if watched(platform):
            self._watch(m, platform)
        return m

    def _watch(self, m: Module, platform: object) -> None:
        """Settings and constants stay while channels are inside, which are counted: `busy` costs a simulation more."""
        channels = Signal(range(4 * self.max_channels))
        enter, leave = self.i.valid & self.i.ready, self.o.valid & self.o.ready
        m.d.sync += channels.eq(channels + Mux(enter, Mux(self.narrow, 4, 2), 0) - Mux(leave, 4, 0))
        inside = (channels != 0) | self.i.valid
        settings = Cat(self.channels, self.narrow, self.wide, self.low)
        require_held(m, platform, self, "settings change only while nothing is inside", settings, inside)
        require(m, platform, self, "constants are written only while nothing is inside", ~(self.constants.en & inside))

    def _measured_once(
        self, m: Module, rows: RowBuffer, unpacker: LaneUnpacker, half: Value, last_pair: Signal
    ) -> tuple[stream.Interface, Value]:
        """I-LayerNorm's statistics, from the sums of one pass."""
        m.submodules.sums = sums = RowSums(self.sum_bits, self.v_bits, self.half_bits, self.square_style)
        m.submodules.variance = variance = RowVariance(self.sum_bits, self.v_bits, self.half_bits)
        m.submodules.root = root = RowRoot(self.v_bits)
        connect(m, variance.o, root.i)
        m.d.comb += [sums.half.eq(half), variance.half.eq(half)]

        # First pass: words go to the row buffer and, at the same time, into the sums. The last pair of a group waits
        # until the sums of the group before have left, as its own follow.
        row, pair = Signal(2), Signal(self.half_bits)
        at_last, claimed, accepted = Signal(), Signal(), Signal()
        payload = unpacker.o.payload
        m.d.comb += [
            at_last.eq(pair == last_pair),
            unpacker.o.ready.eq(rows.writable & ~(at_last & (row == 0) & claimed)),
            accepted.eq(unpacker.o.valid & unpacker.o.ready),
            rows.write.eq(accepted),
            rows.word.eq(Cat(payload.u0, payload.u1)),
            sums.valid.eq(accepted),
            sums.first.eq(pair == 0),
            sums.last.eq(at_last),
            sums.u0.eq(payload.u0),
            sums.u1.eq(payload.u1),
            variance.sums_valid.eq(sums.sums_valid),
            variance.total.eq(sums.total),
            variance.squares.eq(sums.squares),
        ]
        with m.If(variance.done):
            m.d.sync += claimed.eq(0)
        with m.If(accepted):
            m.d.sync += row.eq(row + 1)
            with m.If(at_last & (row == 0)):
                m.d.sync += claimed.eq(1)
            with m.If(row == 3):
                m.d.sync += pair.eq(pair + 1)
                with m.If(at_last):
                    m.d.sync += pair.eq(0)
        return root.o, Const(0)

    def _measured_twice(
        self, m: Module, rows: RowBuffer, unpacker: LaneUnpacker, half: Value
    ) -> tuple[stream.Interface, Value]:
        """The L1 form's, whose deviations need the mean: words wait for it in front of the row buffer."""
        m.submodules.front = front = L1Statistics(self.max_channels, 4 * self.overlap)
        connect(m, unpacker.o, front.i)
        word = front.word
        m.d.comb += [
            front.half.eq(half),
            word.ready.eq(rows.writable),
            rows.write.eq(word.valid & word.ready),
            rows.word.eq(Cat(word.payload.u0, word.payload.u1)),
        ]
        return front.o, front.busy
