"""What LOADT does to beats between memory and a buffer: nothing, LayerNorm, or ShiftGELU."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from gateware.arith.dyadic import channel_write_port
from gateware.config import BEAT_BITS, LANES, AcceleratorConfig
from gateware.contracts import require
from gateware.control.sequencer import register_layout
from gateware.gelu.shiftgelu import ShiftGELU
from gateware.isa import Engine, Transform
from gateware.layernorm.layernorm import LayerNorm
from gateware.memory.reader import ReadBeat
from gateware.stream.register import HalfRateRegister

__all__ = ["Transforms"]


class Transforms(wiring.Component):
    """Carries each beat of a LOADT operation through the unit that its CONFIG names.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    job, start : In
        Registers of the operation at ``i``; ``start`` in the cycle before its first beat.
    i : In(stream of ReadBeat), o : Out(stream of 128 bits)
    constants : Out(channel_write_port(config.ln_channels, config.multiplier_bits))
        LayerNorm's.
    group : Out(stream), maxima : In(stream of 4 x signed(8))
        The row groups whose maxima ShiftGELU needs; then the maxima of each.
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        self.config = config
        self.layernorm = LayerNorm(
            config.ln_channels,
            config.multiplier_bits,
            config.ln_overlap,
            product_style="plain" if config.dsp_in_layernorm else "lut",
            l1=config.arithmetic.layernorm == "l1",
        )
        self.gelu = ShiftGELU(config.arithmetic)
        group_bits = (config.max_rows - 1).bit_length() - 2
        super().__init__(
            {
                "job": In(register_layout(Engine.LOADT)),
                "start": In(1),
                "i": In(stream.Signature(ReadBeat)),
                "o": Out(stream.Signature(BEAT_BITS)),
                "constants": Out(channel_write_port(config.ln_channels, config.multiplier_bits)),
                "group": Out(stream.Signature(group_bits)),
                "maxima": In(stream.Signature(data.ArrayLayout(signed(8), LANES))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.layernorm, m.submodules.gelu = norm, gelu = self.layernorm, self.gelu
        # Neither unit gives more than a beat in four cycles.
        m.submodules.norm_out = norm_out = HalfRateRegister(BEAT_BITS)
        m.submodules.gelu_out = gelu_out = HalfRateRegister(BEAT_BITS)
        connect(m, norm.o, norm_out.i)
        connect(m, gelu.o, gelu_out.i)
        connect(m, flipped(self.constants), norm.constants)
        job = self.job
        kind = job.config.transform
        multiplier = Signal(gelu.multiplier.shape())
        m.d.comb += [
            multiplier.eq(Cat(job.multiplier_lo, job.multiplier_hi).as_signed()),
            norm.channels.eq(job.groups.channels),
            norm.narrow.eq(job.config.narrow),
            norm.wide.eq(job.config.wide),
            norm.low.eq(job.config.low),
            gelu.channels.eq(job.groups.channels),
            gelu.x0.eq(job.gelu_config.x0),
            gelu.shift.eq(Mux(job.gelu_config.shift[7], 127, job.gelu_config.shift)),
            gelu.multiplier.eq(multiplier),
            norm.i.payload.eq(self.i.payload.beat),
            gelu.i.payload.eq(self.i.payload.beat),
            gelu.maxima.payload.eq(self.maxima.payload),
            gelu.maxima.valid.eq(self.maxima.valid),
            self.maxima.ready.eq(gelu.maxima.ready),
        ]
        with m.Switch(kind):
            with m.Case(Transform.LAYERNORM):
                m.d.comb += [
                    norm.i.valid.eq(self.i.valid),
                    self.i.ready.eq(norm.i.ready),
                    self.o.payload.eq(norm_out.o.payload),
                    self.o.valid.eq(norm_out.o.valid),
                    norm_out.o.ready.eq(self.o.ready),
                ]
            with m.Case(Transform.SHIFTGELU):
                m.d.comb += [
                    gelu.i.valid.eq(self.i.valid),
                    self.i.ready.eq(gelu.i.ready),
                    self.o.payload.eq(gelu_out.o.payload),
                    self.o.valid.eq(gelu_out.o.valid),
                    gelu_out.o.ready.eq(self.o.ready),
                ]
            with m.Default():
                m.d.comb += [
                    self.o.payload.eq(self.i.payload.beat),
                    self.o.valid.eq(self.i.valid),
                    self.i.ready.eq(self.o.ready),
                ]

        self._elaborate_groups(m, platform, kind)
        return m

    def _elaborate_groups(self, m: Module, platform: object, kind: Value) -> None:
        """ShiftGELU's row groups, asked for as fast as it takes them."""
        job, left = self.job, Signal(10)
        m.d.comb += self.group.valid.eq(left != 0)
        begins = self.start & (kind == Transform.SHIFTGELU)
        text = "an operation begins when all row maxima of the one before have been asked for"
        require(m, platform, self, text, ~(begins & (left != 0)))
        with m.If(self.start & (kind == Transform.SHIFTGELU)):
            m.d.sync += [left.eq(job.groups.groups), self.group.payload.eq(job.max_group)]
        with m.Elif(self.group.valid & self.group.ready):
            m.d.sync += [left.eq(left - 1), self.group.payload.eq(self.group.payload + 1)]
