"""What the link needs of the accelerator."""

from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from gateware.isa import ErrorCode

__all__ = ["MachinePort"]


class MachinePort(wiring.Signature):
    """The accelerator as the link sees it; the members are those of `gateware.accelerator.Accelerator`.

    Parameters
    ----------
    address_bits : int
        Bits of a beat address.
    counters : int
        How many there are.

    Members
    -------
    start : Out(1), program : Out(address_bits)
        Run the program at that beat address.
    stop : Out(1)
    busy : In(1), error : In(ErrorCode), counters : In(32) x counters
    """

    def __init__(self, address_bits: int, counters: int) -> None:
        super().__init__(
            {
                "start": Out(1),
                "stop": Out(1),
                "program": Out(address_bits),
                "busy": In(1),
                "error": In(ErrorCode),
                "counters": In(32).array(counters),
            }
        )
