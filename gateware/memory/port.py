"""The memory port: the one boundary between the machine and whatever holds its DRAM."""

from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from gateware.arith.checks import require_range
from gateware.config import BEAT_BITS, BEAT_BYTES

__all__ = ["MemoryPort", "ReadPort", "WritePort"]


class MemoryPort(wiring.Signature):
    """What a user of memory sees; a memory has the flipped one. The shape of LiteDRAM's native port.

    Commands are carried out in their order. A write takes the next word of ``wdata``, which may come before or after
    its command. Words of reads appear on ``rdata`` in the order of the reads. A read that is accepted after a write
    sees it. The user must take ``rdata`` at once, and so issues a read only if it has room for the word.

    Parameters
    ----------
    address_bits : int
        Bits of a beat address, 1 to 32.

    Members
    -------
    cmd : Out(stream)
        ``we``: write; ``address``: of a beat of 128 bits.
    wdata : Out(stream)
        ``data``, and ``mask``: bit i writes byte i.
    rdata : In(stream)
        A beat.
    """

    def __init__(self, address_bits: int) -> None:
        require_range("MemoryPort", "address_bits", address_bits, 1, 32)
        self.address_bits = address_bits
        super().__init__(
            {
                "cmd": Out(stream.Signature(data.StructLayout({"address": address_bits, "we": 1}))),
                "wdata": Out(stream.Signature(data.StructLayout({"data": BEAT_BITS, "mask": BEAT_BYTES}))),
                "rdata": In(stream.Signature(BEAT_BITS)),
            }
        )


class ReadPort(wiring.Signature):
    """A reader inside the machine: ``cmd`` asks for beats, ``valid`` with ``beat`` brings them in order, at any time.

    Parameters
    ----------
    address_bits : int
        Bits of a beat address.
    """

    def __init__(self, address_bits: int) -> None:
        self.address_bits = address_bits
        super().__init__({"cmd": Out(stream.Signature(address_bits)), "valid": In(1), "beat": In(BEAT_BITS)})


class WritePort(wiring.Signature):
    """A writer inside the machine: a stream of ``address``, ``data`` and ``mask`` (bit i writes byte i).

    Parameters
    ----------
    address_bits : int
        Bits of a beat address.
    """

    def __init__(self, address_bits: int) -> None:
        self.address_bits = address_bits
        beat = data.StructLayout({"data": BEAT_BITS, "mask": BEAT_BYTES, "address": address_bits})
        super().__init__({"beat": Out(stream.Signature(beat))})
