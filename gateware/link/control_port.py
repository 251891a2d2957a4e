"""The control port: 32-bit registers outside the machine, such as those that bring up a DRAM controller."""

from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["ControlPort"]


class ControlPort(wiring.Signature):
    """What an initiator of the Wishbone bus (B4, classic cycles) sees; the other side has the flipped one.

    A transfer lasts from ``cyc`` and ``stb`` (always the same) to the first cycle with ``ack`` or ``err``. All four
    bytes are always meant: where a target has ``sel``, it is constant.

    Members
    -------
    adr : Out(30)
        Of a word of 32 bits.
    dat_w : Out(32), we : Out(1)
        To be written.
    cyc, stb : Out(1)
    dat_r : In(32), ack : In(1), err : In(1)
        The target's answer.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "adr": Out(30),
                "dat_w": Out(32),
                "we": Out(1),
                "cyc": Out(1),
                "stb": Out(1),
                "dat_r": In(32),
                "ack": In(1),
                "err": In(1),
            }
        )
