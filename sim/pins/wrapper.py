"""The Verilog around a board's top: its pins by the names that the models know, and what the primitives share."""

from __future__ import annotations

import re
from collections.abc import Mapping

from sim.reference.errors import UserError

__all__ = ["WRAPPER", "wrapper"]

WRAPPER = "pins"
# Nobody is at the other end of the Ethernet wire, but its PHY gives its clocks (25 MHz).
ETHERNET = {"eth_mii_0__rx_clk__io": "phy_clock", "eth_mii_0__tx_clk__io": "phy_clock"}
TEXT = """`timescale 1ps / 1ps
import "DPI-C" function void pins_complain(input string what);

module {name} (
    input clk, input button, input rx, output tx, output [3:0] lamps, output ck, output [22:0] commands,
    output [1:0] dm, inout [15:0] dq, inout [1:0] dqs, input awake, output reg asleep
);
    reg [63:0] stirred = 64'd0, period = 64'd0;
    reg calibrated = 1'b0, phy_clock = 1'b0;
    reg [1:0] quarter = 2'd0;
    initial asleep = 1'b0;
    always @(posedge clk) begin
        quarter <= quarter + 2'd1;
        phy_clock <= quarter[1];
    end
    {constants}
    {top} board ({ports});
endmodule
"""


def wrapper(verilog: str, top: str, pins: Mapping[str, str], constants: str) -> str:
    """The wrapper of a top that has at least those pins; inputs beside them are 0, Ethernet's clocks run.

    Raises UserError for a top without one of the pins.
    """
    found = re.search(rf"^module {top}\s*\(([^;]*)\);", verilog, re.MULTILINE)
    names = [name.strip() for name in found[1].split(",")] if found else []
    missing = sorted(pins.keys() - set(names))
    if missing:
        raise UserError(f"The top of the board has no pin {missing[0]}: give one that hw.build writes for that board.")
    inputs = set(re.findall(r"^\s*input\s+(?:\[\d+:\d+\]\s+)?(\w+);", verilog, re.MULTILINE))
    joined = dict.fromkeys(inputs, "'0") | ETHERNET | dict(pins)
    ports = ", ".join(f".{name}({joined.get(name, '')})" for name in names)
    return TEXT.format(name=WRAPPER, top=top, ports=ports, constants=constants)
