"""The whole machine: the accelerator, and the link as a guest on its memory port."""

from amaranth.hdl import Module, Mux
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from gateware.accelerator import Accelerator
from gateware.config import BEAT_BYTES, AcceleratorConfig
from gateware.counters import COUNTERS
from gateware.isa import ErrorCode
from gateware.link.control_port import ControlPort
from gateware.link.link import ByteStreams, Link
from gateware.link.packets import MAX_PAYLOAD, PROTOCOL_VERSION, WINDOW, Identity
from gateware.link.peer_port import PeerPort
from gateware.memory.port import MemoryPort
from gateware.taps import tap_layouts, tap_members

__all__ = ["Machine", "identity"]


def identity(config: AcceleratorConfig, memory_bytes: int) -> Identity:
    """What a machine of that configuration says of itself."""
    return Identity(
        version=PROTOCOL_VERSION,
        max_payload=MAX_PAYLOAD,
        fingerprint=config.fingerprint,
        memory_beats=memory_bytes // BEAT_BYTES,
        clock_khz=round(1000 * config.clock_mhz),
        counters=len(COUNTERS),
        window=WINDOW,
    )


class Machine(wiring.Component):
    """Everything but clocks, pins and the memory behind the port. Everything is done over the link.

    Images and programs come in over the link while a program runs: the link's beats go between the accelerator's.

    Parameters
    ----------
    config : AcceleratorConfig
    memory_bytes : int or None
        Size of the memory, a multiple of 1,024; all that the address reaches by default.
    observed : bool
        Have ports for a simulation that goes past the link: the accelerator's `start`, `stop`, `program` and
        `counters`, and `taps.tap_layouts`.
    peer_bits : int
        As of `PeerPort`: 0 where only one partner can be at the other end of the link.

    Members
    -------
    link : Out(ByteStreams)
        ``rx`` and ``tx``, for a UART or anything else that carries bytes.
    peers : Out(PeerPort)
    memory : Out(MemoryPort)
    control : Out(ControlPort)
        Registers outside the machine.
    busy : Out(1), error : Out(ErrorCode)
        The accelerator's, for lamps and simulations.

    Attributes
    ----------
    pump : int
        The configuration's: 2 where the domain ``fast`` needs a clock, twice that of ``sync`` with aligned edges.
    """

    def __init__(
        self,
        config: AcceleratorConfig,
        memory_bytes: int | None = None,
        observed: bool = False,
        peer_bits: int = 0,
    ) -> None:
        self.pump = config.pump
        self.accelerator, self._observed = Accelerator(config, taps=observed), observed
        self._taps = tuple(tap_layouts(config)) if observed else ()
        size = BEAT_BYTES << config.address_bits if memory_bytes is None else memory_bytes
        self.link_unit = Link(identity(config, size), config.address_bits, peer_bits=peer_bits)
        super().__init__(
            {
                "link": Out(ByteStreams()),
                "peers": Out(PeerPort(peer_bits)),
                "memory": Out(MemoryPort(config.address_bits)),
                "control": Out(ControlPort()),
                "busy": Out(1),
                "error": Out(ErrorCode),
                **(_observed_members(config) if observed else {}),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.accelerator = accelerator = self.accelerator
        m.submodules.link = link = self.link_unit
        connect(m, link.read, accelerator.read)
        connect(m, link.write, accelerator.write)
        connect(m, accelerator.memory, flipped(self.memory))
        connect(m, link.link, flipped(self.link))
        connect(m, link.peers, flipped(self.peers))
        connect(m, link.control, flipped(self.control))
        start, stop, program = link.machine.start, link.machine.stop, link.machine.program
        if self._observed:
            program = Mux(self.start, self.program, program)
            start, stop = start | self.start, stop | self.stop
            m.d.comb += [shown.eq(counter) for shown, counter in zip(self.counters, accelerator.counters, strict=True)]
            for name in self._taps:
                connect(m, getattr(accelerator, name), flipped(getattr(self, name)))
        m.d.comb += [
            accelerator.start.eq(start),
            accelerator.stop.eq(stop),
            accelerator.program.eq(program),
            link.machine.busy.eq(accelerator.busy),
            link.machine.error.eq(accelerator.error),
            self.busy.eq(accelerator.busy),
            self.error.eq(accelerator.error),
        ]
        for shown, counter in zip(link.machine.counters, accelerator.counters, strict=True):
            m.d.comb += shown.eq(counter)
        return m


def _observed_members(config: AcceleratorConfig) -> dict[str, wiring.Member]:
    return {
        "start": In(1),
        "stop": In(1),
        "program": In(config.address_bits),
        "counters": Out(32).array(len(COUNTERS)),
        **tap_members(config),
    }
