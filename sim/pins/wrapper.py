"""The Verilog around a board's top: its pins by the names that the models know, and what the primitives share."""

from __future__ import annotations

import re

from sim.reference.errors import UserError

__all__ = ["WRAPPER", "wrapper"]

WRAPPER = "pins"
# What the model drives or looks at, by the names of amaranth-boards. Each of the first ones must be there.
ARTY = {
    "clk100_0__io": "clk",
    "rst_0__io": "~button",
    "uart_0__rx__io": "rx",
    "uart_0__tx__io": "tx",
    "ddr3_0__clk__p": "ck",
    "ddr3_0__rst__io": "commands[0]",
    "ddr3_0__clk_en__io": "commands[1]",
    "ddr3_0__cs__io": "commands[2]",
    "ddr3_0__ras__io": "commands[3]",
    "ddr3_0__cas__io": "commands[4]",
    "ddr3_0__we__io": "commands[5]",
    "ddr3_0__ba__io": "commands[8:6]",
    "ddr3_0__a__io": "commands[22:9]",
    "ddr3_0__dm__io": "dm",
    "ddr3_0__dq__io": "dq",
    "ddr3_0__dqs__p": "dqs",
    **{f"led_{index}__io": f"lamps[{index}]" for index in range(4)},
}
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
    {top} board ({ports});
endmodule
"""


def wrapper(verilog: str, top: str) -> str:
    """The wrapper of an Arty's top, with or without Ethernet. Raises UserError for a top without the Arty's pins."""
    found = re.search(rf"^module {top}\s*\(([^;]*)\);", verilog, re.MULTILINE)
    names = [name.strip() for name in found[1].split(",")] if found else []
    missing = sorted(ARTY.keys() - set(names))
    if missing:
        raise UserError(f"The top of the board has no pin {missing[0]}: give an Arty's, as hw.build writes it.")
    inputs = set(re.findall(r"^\s*input\s+(?:\[\d+:\d+\]\s+)?(\w+);", verilog, re.MULTILINE))
    idle = dict.fromkeys(inputs, "'0") | ARTY | ETHERNET
    ports = [f".{name}({idle.get(name, '')})" for name in names]
    return TEXT.format(name=WRAPPER, top=top, ports=", ".join(ports))
