"""What a cell of a netlist takes of a part."""

__all__ = ["BLOCK_RAM", "DSP", "FF", "FREE", "LUT"]

# LUTs that are memories or shift registers are LUTs. A block RAM is 36 kbit on xc7, 18 on ecp5.
LUT = {
    **{f"LUT{inputs}": 1 for inputs in range(1, 7)},
    "INV": 1,
    "SRL16E": 1,
    "SRLC32E": 1,
    "RAM32X1S": 1,
    "RAM64X1S": 1,
    "RAM32X1D": 2,
    "RAM64X1D": 2,
    "RAM128X1S": 2,
    "RAM128X1D": 4,
    "RAM256X1S": 4,
    "RAM256X1D": 8,
    "RAM32M": 4,
    "RAM64M": 4,
    # ECP5: a carry cell is two LUT4s; a 16 x 4 memory takes three slices, one of them for its write port.
    "CCU2C": 2,
    "TRELLIS_DPR16X4": 6,
}
FF = dict.fromkeys(("FDRE", "FDSE", "FDCE", "FDPE", "FDRE_1", "LDCE", "LDPE", "TRELLIS_FF"), 1)
DSP = dict.fromkeys(("DSP48E1", "MULT18X18D"), 1)
BLOCK_RAM = {"RAMB36E1": 1.0, "RAMB18E1": 0.5, "DP16KD": 1.0, "PDPW16KD": 1.0}
# Parts of slices that come with the LUTs, wires and buffers, and Yosys's own notes.
FREE = frozenset(
    {"CARRY4", "MUXF7", "MUXF8", "PFUMX", "L6MUX21", "GND", "VCC", "VLO", "VHI", "BUFG", "IBUF", "OBUF", "$scopeinfo"}
)
