"""The whole machine: the accelerator, the link, and the memory port that they share."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import Out, connect, flipped

from gateware.accelerator import Accelerator
from gateware.config import AcceleratorConfig
from gateware.core import COUNTERS
from gateware.link.control_port import ControlPort
from gateware.link.link import ByteStreams, Link
from gateware.link.packets import MAX_PAYLOAD, PROTOCOL_VERSION, WINDOW, Identity
from gateware.memory.port import BEAT_BYTES, MemoryPort
from gateware.memory.share import MemoryShare

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

    Members
    -------
    link : Out(ByteStreams)
        ``rx`` and ``tx``, for a UART or anything else that carries bytes.
    memory : Out(MemoryPort)
    control : Out(ControlPort)
        Registers outside the machine.
    busy : Out(1), error : Out(4)
        The accelerator's, for lamps and simulations.
    """

    def __init__(self, config: AcceleratorConfig, memory_bytes: int | None = None) -> None:
        self.accelerator = Accelerator(config)
        size = BEAT_BYTES << config.address_bits if memory_bytes is None else memory_bytes
        self.link_unit = Link(identity(config, size), config.address_bits)
        self.address_bits = config.address_bits
        super().__init__(
            {
                "link": Out(ByteStreams()),
                "memory": Out(MemoryPort(config.address_bits)),
                "control": Out(ControlPort()),
                "busy": Out(1),
                "error": Out(4),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.accelerator = accelerator = self.accelerator
        m.submodules.link = link = self.link_unit
        m.submodules.share = share = MemoryShare(self.address_bits)
        connect(m, accelerator.memory, share.machine)
        connect(m, link.read, share.read)
        connect(m, link.write, share.write)
        connect(m, share.memory, flipped(self.memory))
        connect(m, link.link, flipped(self.link))
        connect(m, link.control, flipped(self.control))
        m.d.comb += [
            accelerator.start.eq(link.machine.start),
            accelerator.stop.eq(link.machine.stop),
            accelerator.program.eq(link.machine.program),
            link.machine.busy.eq(accelerator.busy),
            link.machine.error.eq(accelerator.error),
            self.busy.eq(accelerator.busy),
            self.error.eq(accelerator.error),
        ]
        for shown, counter in zip(link.machine.counters, accelerator.counters, strict=True):
            m.d.comb += shown.eq(counter)
        return m
