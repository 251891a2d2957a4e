"""The row map: the matrix row to which each row of an operation goes, where rows are not stored in sequence."""

from amaranth.hdl import Module, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from gateware.contracts import NUMBER_BITS, Shared, reads, writes
from gateware.isa import ROW_MAP_BITS

__all__ = ["RowMap", "row_map_write_port"]


def row_map_write_port(rows: int) -> memory.WritePort.Signature:
    """The write port of a row map of that many entries."""
    return memory.WritePort.Signature(addr_width=(rows - 1).bit_length(), shape=ROW_MAP_BITS)


class RowMap(wiring.Component):
    """One matrix row a row, in block RAM; row r has the place r modulo ``rows``.

    Parameters
    ----------
    rows : int
        Entries, a power of two.

    Members
    -------
    write : Out(row_map_write_port(rows))
    row : In, target : Out(ROW_MAP_BITS)
        A row, and one cycle later its entry.

    Attributes
    ----------
    used, number, write_number : Signal
        Where contracts are watched: ``row`` is asked for, and by which operation; the operation of ``write``.
    """

    def __init__(self, rows: int) -> None:
        self.rows, self.address_bits = rows, (rows - 1).bit_length()
        self.used, self.number, self.write_number = Signal(), Signal(NUMBER_BITS), Signal(NUMBER_BITS)
        super().__init__(
            {
                "write": Out(row_map_write_port(rows)),
                "row": In(self.address_bits),
                "target": Out(ROW_MAP_BITS),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.ram = ram = memory.Memory(
            shape=ROW_MAP_BITS, depth=self.rows, init=[], attrs={"ram_style": "block"}
        )
        reader = ram.read_port()
        connect(m, flipped(self.write), ram.write_port())
        m.d.comb += [
            reader.addr.eq(self.row),
            self.target.eq(reader.data),
        ]
        shared = Shared("row map", self.rows)
        reads(m, platform, shared, "EXEC", self.used, self.number, self.row)
        writes(m, platform, shared, "LOADB", self.write.en, self.write_number, self.write.addr)
        return m
