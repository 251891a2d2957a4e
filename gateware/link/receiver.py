"""From bytes of the line to checked packets in block RAM."""

from amaranth.hdl import Array, Cat, Module, Mux, Signal
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out

from gateware.arith.checks import require_range
from gateware.contracts import require
from gateware.link.framing import DELIMITER, LONGEST_RUN
from gateware.link.packets import CRC_BYTES, MAX_PACKET, PACKET_CRC, REQUEST

__all__ = ["SLOT_BYTES", "PacketPort", "Receiver"]

SLOT_BYTES = 1024
LEAST = REQUEST.size + CRC_BYTES


class PacketPort(wiring.Signature):
    """Packets as their user sees them, one at a time.

    Parameters
    ----------
    peer_bits : int
        As of `PeerPort`.

    Members
    -------
    present : In(1)
        There is a packet.
    length : In(11)
        Its bytes, the CRC among them.
    address : Out(10), byte : In(8)
        The packet's byte at ``address`` one cycle ago.
    peer : In(peer_bits)
        From whom it is.
    release : Out(1)
        The packet is not needed any more. ``byte`` is of the next one two cycles later.
    """

    def __init__(self, peer_bits: int = 0) -> None:
        super().__init__(
            {
                "present": In(1),
                "length": In(range(SLOT_BYTES + 1)),
                "peer": In(peer_bits),
                "address": Out(range(SLOT_BYTES)),
                "byte": In(8),
                "release": Out(1),
            }
        )


class Receiver(wiring.Component):
    """Takes frames apart, one byte a cycle, and hands on those whose CRC is right; the next one fills meanwhile.

    A packet is there from the second cycle after its delimiter on, until it is released. Everything else leaves no
    trace: a frame with a wrong CRC, one that ends inside a run, that has fewer than 14 or more than 1,022 bytes, or
    whose next byte comes later than 2 to ``timeout_bits`` cycles.

    Parameters
    ----------
    timeout_bits : int
        2 to 32.
    peer_bits : int
        As of `PeerPort`.

    Members
    -------
    rx : In(stream of 8 bits)
        Not ready while two packets wait.
    sender : In(peer_bits)
        From whom the packet is whose delimiter is taken.
    packets : In(PacketPort)
    """

    def __init__(self, timeout_bits: int = 23, peer_bits: int = 0) -> None:
        require_range("Receiver", "timeout_bits", timeout_bits, 2, 32)
        self.timeout_bits, self.peer_bits = timeout_bits, peer_bits
        super().__init__(
            {
                "rx": In(stream.Signature(8)),
                "sender": In(peer_bits),
                "packets": In(PacketPort(peer_bits)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        packets = self.packets
        m.submodules.crc = crc = PACKET_CRC(8).create()
        m.submodules.ram = ram = memory.Memory(shape=8, depth=2 * SLOT_BYTES, init=[])
        writer, reader = ram.write_port(), ram.read_port()
        filling, full = Signal(), Signal(2)  # the slot that is filled, and those that hold a packet
        count = Signal(range(SLOT_BYTES + 1))  # stops where the slot is full, which is more than any packet has
        run, owed = Signal(8), Signal()  # bytes that the run still has; whether it stands for a zero at its end
        begun, idle = Signal(), Signal(self.timeout_bits)
        taken, is_code, end, store, drop = Signal(), Signal(), Signal(), Signal(), Signal()
        value = Signal(8)
        m.d.comb += [
            self.rx.ready.eq(~full.bit_select(filling, 1)),
            taken.eq(self.rx.valid & self.rx.ready),
            end.eq(taken & (self.rx.payload == DELIMITER)),
            is_code.eq(run == 0),
            store.eq(taken & ~end & (~is_code | owed)),
            value.eq(Mux(is_code, 0, self.rx.payload)),
            drop.eq(begun & idle.all() & ~taken),
        ]
        with m.If(taken & ~end):
            m.d.sync += begun.eq(1)
            with m.If(is_code):
                m.d.sync += [run.eq(self.rx.payload - 1), owed.eq(self.rx.payload != LONGEST_RUN + 1)]
            with m.Else():
                m.d.sync += run.eq(run - 1)
        m.d.sync += idle.eq(Mux(taken | ~begun | ~self.rx.ready, 0, idle + 1))

        m.d.comb += [
            writer.addr.eq(Cat(count[:-1], filling)),
            writer.data.eq(value),
            writer.en.eq(store & ~count[-1]),
            crc.data.eq(value),
            crc.valid.eq(store & ~drop),
            crc.start.eq(end | drop),
        ]
        with m.If(store & ~count[-1]):
            m.d.sync += count.eq(count + 1)
        # The delimiter's cycle, and none after it, belongs to the old frame.
        with m.If(end | drop):
            m.d.sync += [count.eq(0), run.eq(0), owed.eq(0), begun.eq(0)]
        good = Signal()
        m.d.comb += good.eq(end & is_code & crc.match_detected & (count >= LEAST) & (count <= MAX_PACKET))
        self._elaborate_slots(m, reader, count, good, filling, full)
        require(m, platform, self, "only a packet that is there is released", ~packets.release | packets.present)
        return m

    def _elaborate_slots(
        self, m: Module, reader: "memory.ReadPort", count: Signal, good: Signal, filling: Signal, full: Signal
    ) -> None:
        """A ``good`` packet is handed on, and the other slot filled."""
        packets, reading = self.packets, Signal()
        lengths = [Signal(range(SLOT_BYTES + 1), name=f"length_{slot}") for slot in range(2)]
        peers = [Signal(self.peer_bits, name=f"peer_{slot}") for slot in range(2)]
        for slot in range(2):
            with m.If(good & (filling == slot)):
                m.d.sync += [full[slot].eq(1), lengths[slot].eq(count), peers[slot].eq(self.sender)]
            with m.If(packets.release & (reading == slot)):
                m.d.sync += full[slot].eq(0)
        m.d.sync += [filling.eq(filling ^ good), reading.eq(reading ^ packets.release)]
        m.d.comb += [
            packets.present.eq(full.bit_select(reading, 1)),
            packets.length.eq(Array(lengths)[reading]),
            packets.peer.eq(Array(peers)[reading]),
            reader.addr.eq(Cat(packets.address, reading)),
            packets.byte.eq(reader.data),
        ]
