"""The link: requests from a byte stream, carried out on memory, accelerator and control bus, and answered."""

from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from gateware.link.control_port import ControlPort
from gateware.link.executor import Executor
from gateware.link.machine_port import MachinePort
from gateware.link.memory_access import MemoryAccess
from gateware.link.packets import Identity
from gateware.link.peer_port import PeerPort
from gateware.link.receiver import Receiver
from gateware.link.transmitter import Transmitter
from gateware.memory.port import ReadPort, WritePort

__all__ = ["ByteStreams", "Link"]


class ByteStreams(wiring.Signature):
    """What goes over the line, as the device sees it.

    Members
    -------
    rx : In(stream of 8 bits)
        From the host. Not ready while two packets wait for the one before them.
    tx : Out(stream of 8 bits)
        To the host.
    """

    def __init__(self) -> None:
        super().__init__({"rx": In(stream.Signature(8)), "tx": Out(stream.Signature(8))})


class Link(wiring.Component):
    """The device's end of the link; docs/link.md says what it promises.

    A full write of 1,008 bytes takes some 1,200 cycles from a packet to the end of its answer if memory takes a beat at
    once; meanwhile the next packet comes in.

    Parameters
    ----------
    identity : Identity
        What it says of itself.
    address_bits : int
        Bits of a beat address.
    frame_timeout_bits : int
        A frame whose next byte takes longer than 2 to this many cycles is dropped.
    access_timeout_bits : int
        So long may memory take for a beat, and the control bus for a register.
    peer_bits : int
        As of `PeerPort`.

    Members
    -------
    link : Out(ByteStreams), peers : Out(PeerPort)
    read : Out(ReadPort), write : Out(WritePort)
    control : Out(ControlPort)
    machine : Out(MachinePort)
    """

    def __init__(
        self,
        identity: Identity,
        address_bits: int,
        frame_timeout_bits: int = 23,
        access_timeout_bits: int = 16,
        peer_bits: int = 0,
    ) -> None:
        self.receiver = Receiver(frame_timeout_bits, peer_bits)
        self.executor = Executor(identity, address_bits, access_timeout_bits, peer_bits)
        self.access = MemoryAccess(address_bits)
        super().__init__(
            {
                "link": Out(ByteStreams()),
                "peers": Out(PeerPort(peer_bits)),
                "read": Out(ReadPort(address_bits)),
                "write": Out(WritePort(address_bits)),
                "control": Out(ControlPort()),
                "machine": Out(MachinePort(address_bits, identity.counters)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.receiver = receiver = self.receiver
        m.submodules.executor = executor = self.executor
        m.submodules.access = access = self.access
        m.submodules.transmitter = transmitter = Transmitter()
        connect(m, flipped(self.link.rx), receiver.rx)
        connect(m, executor.packets, receiver.packets)
        connect(m, executor.answers, transmitter.answers)
        connect(m, executor.transfer, access.transfer)
        connect(m, transmitter.tx, flipped(self.link.tx))
        m.d.comb += [
            receiver.sender.eq(self.peers.sender),
            self.peers.receiver.eq(executor.peer),
            self.peers.length.eq(transmitter.length),
        ]
        connect(m, access.read, flipped(self.read))
        connect(m, access.write, flipped(self.write))
        connect(m, executor.control, flipped(self.control))
        connect(m, executor.machine, flipped(self.machine))
        return m
