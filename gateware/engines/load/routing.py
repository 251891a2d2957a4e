"""Where loaded beats are written: the operands' buffers, the channels' constants, the row map."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from gateware.arith.dyadic import channel_write_port
from gateware.config import LANE_BYTES, LANES, AcceleratorConfig
from gateware.engines.execute.row_map import row_map_write_port
from gateware.engines.load.loader import loaded_layout
from gateware.isa import Constants, Engine, LoadTarget, Transform
from gateware.memory.operand_a import K_BITS, beat_write_layout
from gateware.memory.operand_b import beat_store_layout

__all__ = ["LoadRouting"]


class LoadRouting(wiring.Component):
    """Gives each beat of either load to the target that its operation names, in the same cycle.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    t, b : In(stream of loaded_layout(engine))
        From LOADT and LOADB.
    operand_a : Out(stream of beat_write_layout(a_depth))
    operand_b : Out(stream of beat_store_layout(b_depth)) x 2
        From LOADT and from LOADB.
    constants, layernorm : In(channel_write_port)
        Of EXEC's constants and of LayerNorm's.
    row_map : In(row_map_write_port(max_rows))
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        assert LANES == 4  # a beat is read as it stands by either operand
        super().__init__(
            {
                "t": In(stream.Signature(loaded_layout(Engine.LOADT))),
                "b": In(stream.Signature(loaded_layout(Engine.LOADB))),
                "operand_a": Out(stream.Signature(beat_write_layout(config.a_depth))),
                "operand_b": Out(stream.Signature(beat_store_layout(config.b_depth))).array(2),
                "constants": In(channel_write_port(config.const_depth, config.multiplier_bits)),
                "layernorm": In(channel_write_port(config.ln_channels, config.multiplier_bits)),
                "row_map": In(row_map_write_port(config.max_rows)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        self._elaborate_t(m)
        self._elaborate_b(m)
        self._elaborate_tables(m)
        return m

    def _elaborate_t(self, m: Module) -> None:
        loaded, config, to_a = self.t.payload, self.t.payload.registers.config, Signal()
        a, b = self.operand_a, self.operand_b[0]
        m.d.comb += [
            to_a.eq(config.target == LoadTarget.A),
            a.payload.beat.eq(loaded.beat),
            a.payload.k.eq(loaded.address[:K_BITS]),
            a.payload.row.eq(loaded.address[K_BITS:].as_signed()),
            a.payload.row_limit.eq(config.row_limit),
            a.payload.base.eq(loaded.registers.a_base),
            a.payload.stride.eq(loaded.registers.a_block_stride),
            a.valid.eq(self.t.valid & to_a),
            b.payload.beat.eq(loaded.beat),
            b.payload.address.eq(loaded.address),
            b.valid.eq(self.t.valid & ~to_a),
            self.t.ready.eq((to_a & a.ready) | (~to_a & b.ready)),
        ]

    def _elaborate_b(self, m: Module) -> None:
        loaded, config, to_b = self.b.payload, self.b.payload.registers.config, Signal()
        b = self.operand_b[1]
        m.d.comb += [
            to_b.eq(config.target == LoadTarget.B),
            b.payload.beat.eq(Mux(config.transform == Transform.TRANSPOSE, _transposed(loaded.beat), loaded.beat)),
            b.payload.address.eq(loaded.address),
            b.valid.eq(self.b.valid & to_b),
            self.b.ready.eq(b.ready | ~to_b),
        ]

    def _elaborate_tables(self, m: Module) -> None:
        """LOADB's targets that always take a beat."""
        loaded, target = self.b.payload, self.b.payload.registers.config.target
        record, shift = Constants(loaded.beat), Signal(7)
        m.d.comb += shift.eq(_saturated(record.shift))
        for wanted, port in ((LoadTarget.CONSTANTS, self.constants), (LoadTarget.LAYERNORM, self.layernorm)):
            m.d.comb += [
                port.en.eq(self.b.valid & (target == wanted)),
                port.addr.eq(loaded.address),
                port.data.bias.eq(record.bias),
                port.data.multiplier.eq(record.multiplier),
                port.data.shift.eq(shift),
            ]
        m.d.comb += [
            self.row_map.en.eq(self.b.valid & (target == LoadTarget.ROW_MAP)),
            self.row_map.addr.eq(loaded.address),
            self.row_map.data.eq(loaded.beat),
        ]


def _transposed(beat: Value) -> Value:
    """The 4 x 4 bytes of a beat, lanes for bytes: V as it is stored becomes the operand V^T."""
    return Cat(beat.word_select(LANE_BYTES * lane + byte, 8) for byte in range(LANE_BYTES) for lane in range(LANES))


def _saturated(shift: Value) -> Value:
    """A shift of 8 bits in 7: beyond 127 the result is 0 either way."""
    return Cat(bit | shift[7] for bit in shift[:7])
