"""Tells the postprocessor what to do with each tile, before its rows come."""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from gateware.engines.execute.hand_over import back_registers
from gateware.engines.execute.tile_iterator import TileIterator, iteration_layout
from gateware.postprocess.layouts import tile_job_layout

__all__ = ["TileDispatch"]


class TileDispatch(wiring.Component):
    """A job for the postprocessor and a request for constants, of each tile of an operation in turn.

    A tile takes at least one cycle. The job and the request of a tile wait for each other, and not for earlier ones.

    Parameters
    ----------
    rows : int
        Rows of a tile.
    address_bits : int
        Of a channel in the constant memory.

    Members
    -------
    begin : In(1), operation : In(back_registers()), results : In(iteration_layout())
        As of `HandOver`.
    job : Out(stream of tile_job_layout(rows))
    constants : Out(stream)
        The channel of the tile's first column.
    """

    def __init__(self, rows: int, address_bits: int) -> None:
        self.rows, self.address_bits = rows, address_bits
        super().__init__(
            {
                "begin": In(1),
                "operation": In(back_registers()),
                "results": In(iteration_layout()),
                "job": Out(stream.Signature(tile_job_layout(rows))),
                "constants": Out(stream.Signature(address_bits)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.tiles = tiles = TileIterator(self.rows)
        operation, job, channel = self.operation, self.job.payload, Signal(self.address_bits)
        m.d.comb += [
            tiles.iteration.eq(self.results),
            tiles.start.eq(self.begin),
            job.mode.eq(operation.post.mode),
            job.clamp_packed.eq(operation.post.clamp_packed),
            job.int8.eq(operation.post.int8),
            job.rows.eq(tiles.at.rows),
            self.constants.payload.eq(channel),
        ]
        told = []
        for port in (self.job, self.constants):
            sent = Signal(name="sent")
            m.d.comb += port.valid.eq(tiles.at.valid & ~sent)
            m.d.sync += sent.eq((sent | (port.valid & port.ready)) & ~tiles.step)
            told.append(sent | port.ready)
        m.d.comb += tiles.step.eq(tiles.at.valid & told[0] & told[1])
        with m.If(tiles.step):
            m.d.sync += channel.eq(channel + operation.const_tile_stride)
            with m.If(tiles.at.last_tile):
                m.d.sync += channel.eq(operation.const_base)
        with m.If(self.begin):
            m.d.sync += channel.eq(operation.const_base)
        return m
