"""What the FPGAs of the boards have."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["LFE5U_85F", "XC7A100T", "XC7A35T", "Part"]


@dataclass(frozen=True)
class Part:
    """An FPGA.

    Parameters
    ----------
    name : as in reports
    family : xc7 or ecp5
    device : the part as the tools call it, with package and speed
    lut, ff, dsp : how many of each; LUTs of six inputs on xc7, four on ecp5
    bram36 : block memories of 36 kbit; an ecp5's two of 18 kbit count as one
    lut_share : the most that a design should take of the LUTs, so that it can be routed
    bitstream_bytes : least and most bytes of a whole bitstream
    idcode : the part's JTAG identification, as it stands in a bitstream
    """

    name: str
    family: str
    device: str
    lut: int
    ff: int
    dsp: int
    bram36: float
    bitstream_bytes: tuple[int, int]
    idcode: int
    lut_share: float = 0.85

    @property
    def lut_limit(self) -> int:
        """The most LUTs that a design should take."""
        return int(self.lut * self.lut_share)


# The Arty's machine with Ethernet takes 87 % of this part's LUTs, since its delay lines are shift registers in LUTs.
XC7A35T = Part(
    "XC7A35T", "xc7", "xc7a35ticsg324-1L", 20_800, 41_600, 90, 50, (2_192_000, 2_193_000), 0x0362D093, lut_share=0.88
)
XC7A100T = Part("XC7A100T", "xc7", "xc7a100ticsg324-1L", 63_400, 126_800, 240, 135, (3_825_000, 3_827_000), 0x03631093)
# Compressed bitstreams are shorter than whole ones, by as much as the design is empty.
LFE5U_85F = Part("LFE5U-85F", "ecp5", "LFE5U-85F-6BG381C", 83_640, 83_640, 156, 104, (100_000, 2_500_000), 0x41113043)
