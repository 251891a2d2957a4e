// Behaviour of the 7-series primitives that the board's top uses, after UG471, UG472 and DS181.
// Times are picoseconds. What they stand on outside of themselves is in `pins`, the wrapper that sim.pins.design writes:
//   pins.stirred     when an input of a serialiser last changed; the PLL's fast clocks rest some cycles later
//   pins.calibrated  a delay controller has its clock and was reset
`timescale 1ps / 1ps

module BUFG(output O, input I);
    assign O = I;
endmodule

module IBUF(output O, input I);
    assign O = I;
endmodule

module OBUF(output O, input I);
    assign O = I;
endmodule

module OBUFT(output O, input I, input T);
    assign O = T ? 1'bz : I;
endmodule

module OBUFDS(output O, output OB, input I);
    assign O = I;
    assign OB = ~I;
endmodule

module IOBUF(inout IO, output O, input I, input T);
    assign IO = T ? 1'bz : I;
    assign O = IO;
endmodule

module IOBUFDS(inout IO, inout IOB, output O, input I, input T);
    assign IO = T ? 1'bz : I;
    assign IOB = T ? 1'bz : ~I;
    assign O = IO;
endmodule

module FDCE #(parameter INIT = 1'b0) (output reg Q, input C, input CE, input CLR, input D);
    initial Q = INIT;
    always @(posedge C or posedge CLR)
        if (CLR) Q <= 1'b0;
        else if (CE) Q <= D;
endmodule

module FDPE #(parameter INIT = 1'b1) (output reg Q, input C, input CE, input PRE, input D);
    initial Q = INIT;
    always @(posedge C or posedge PRE)
        if (PRE) Q <= 1'b1;
        else if (CE) Q <= D;
endmodule

// The frequency of the reference clock and the length of the reset are looked at (190 to 210 MHz, 52 ns).
module IDELAYCTRL(input REFCLK, input RST, output RDY);
    reg [63:0] edge_at = 0, reset_at = 0;
    reg good = 1'b0, was_reset = 1'b0;
    assign RDY = good & was_reset & ~RST;
    always @(RDY) pins.calibrated = RDY;
    always @(RST)
        if (RST) reset_at = $time;
        else if ($time - reset_at >= 52000) was_reset = 1'b1;
        else pins_complain("The delay controller's reset is shorter than 52 ns.");
    always @(posedge REFCLK) begin
        if (!good && edge_at != 0 && $time - edge_at >= 4762 && $time - edge_at <= 5263) good = 1'b1;
        edge_at = $time;
    end
endmodule

// 31 steps of a 64th of the reference clock's period. The delay at step 0 is on the board's account (sim.pins.wires).
module IDELAYE2 #(
    parameter CINVCTRL_SEL = "FALSE", DELAY_SRC = "IDATAIN", HIGH_PERFORMANCE_MODE = "TRUE", IDELAY_TYPE = "VARIABLE",
    parameter PIPE_SEL = "FALSE", SIGNAL_PATTERN = "DATA",
    parameter integer IDELAY_VALUE = 0,
    parameter real REFCLK_FREQUENCY = 200.0
) (
    input C, input CE, input CINVCTRL, input [4:0] CNTVALUEIN, input DATAIN, input IDATAIN, input INC, input LD,
    input LDPIPEEN, input REGRST, output [4:0] CNTVALUEOUT, output reg DATAOUT
);
    localparam integer STEP_FS = $rtoi(1.0e9 / (64.0 * REFCLK_FREQUENCY));
    reg [4:0] step = IDELAY_VALUE[4:0];
    reg [63:0] delay = 1;
    assign CNTVALUEOUT = step;
    always @(posedge C) begin
        if (LD) step = IDELAY_VALUE[4:0];
        else if (CE) step = INC ? step + 5'd1 : step - 5'd1;
        delay = 1 + (pins.calibrated ? step * STEP_FS / 1000 : 0);
    end
    // Every change is on its way by itself: several may be inside at a time.
    always @(IDATAIN)
        fork
            automatic reg level = IDATAIN;
            begin
                #(delay);
                DATAOUT = level;
            end
        join_none
endmodule

// 8 bits each period of CLKDIV, two each of CLK. D1 appears four periods of CLK after the edge of CLKDIV that takes it,
// or as much later as CLK is behind CLKDIV (UG471, table 3-11). Behind the edge, half a word waits for its turn.
module OSERDESE2 #(
    parameter DATA_RATE_OQ = "DDR", DATA_RATE_TQ = "BUF", SERDES_MODE = "MASTER",
    parameter integer DATA_WIDTH = 8, TRISTATE_WIDTH = 1
) (
    input CLK, input CLKDIV, input RST, input OCE, input TCE,
    input D1, input D2, input D3, input D4, input D5, input D6, input D7, input D8,
    input T1, input T2, input T3, input T4,
    output reg OQ, output OFB, output TQ, output TFB
);
    reg [7:0] taken = 8'd0, waiting = 8'd0, word = 8'd0;
    reg [8:0] seen = 9'd0;
    reg [1:0] position = 2'd0;
    reg divided = 1'b0;
    assign TQ = T1;
    assign OFB = OQ;
    initial begin
        OQ = 1'b0;
        if (DATA_RATE_OQ != "DDR" || DATA_RATE_TQ != "BUF" || DATA_WIDTH != 8)
            pins_complain("A serialiser is not in the mode that the model knows, DDR with eight bits.");
    end
    always @(posedge CLKDIV) begin
        taken <= RST ? 8'd0 : {D8, D7, D6, D5, D4, D3, D2, D1};
        seen <= {T1, D8, D7, D6, D5, D4, D3, D2, D1};
        if (RST || seen != {T1, D8, D7, D6, D5, D4, D3, D2, D1}) pins.stirred = $time;
    end
    always @(posedge CLK or negedge CLK)
        if (CLK) begin
            if (CLKDIV && !divided) begin
                position = 2'd0;
                word = waiting;
            end else position = position + 2'd1;
            if (position == 2'd2) waiting = taken;
            OQ <= RST ? 1'b0 : word[{position, 1'b0}];
        end else begin
            divided = CLKDIV;
            OQ <= RST ? 1'b0 : word[{position, 1'b1}];
        end
endmodule

// 8 bits each period of CLKDIV. A word begins with the sample at the second rising edge of CLK after an edge of CLKDIV,
// ends eight samples later, and is at Q from the next edge of CLKDIV on; Q8 came first. This alignment is the one at
// which an Arty's controller finds its eyes (docs/pins.md).
module ISERDESE2 #(
    parameter DATA_RATE = "DDR", INTERFACE_TYPE = "NETWORKING", IOBDELAY = "IFD", SERDES_MODE = "MASTER",
    parameter integer DATA_WIDTH = 8, NUM_CE = 1
) (
    input CLK, input CLKB, input CLKDIV, input CLKDIVP, input RST, input CE1, input CE2, input BITSLIP,
    input D, input DDLY, input OFB, input OCLK, input OCLKB, input DYNCLKDIVSEL, input DYNCLKSEL,
    input SHIFTIN1, input SHIFTIN2,
    output O, output Q1, output Q2, output Q3, output Q4, output Q5, output Q6, output Q7, output Q8,
    output SHIFTOUT1, output SHIFTOUT2
);
    reg [7:0] samples = 8'd0, word = 8'd0, shown = 8'd0;
    reg [1:0] position = 2'd0;
    reg divided = 1'b0;
    assign O = DDLY;
    assign {Q1, Q2, Q3, Q4, Q5, Q6, Q7, Q8} = shown;
    initial
        if (DATA_RATE != "DDR" || DATA_WIDTH != 8 || INTERFACE_TYPE != "NETWORKING" || IOBDELAY != "IFD")
            pins_complain("A deserialiser is not in the mode that the model knows, networking, DDR with eight bits.");
    always @(posedge CLK or negedge CLK) begin
        samples = {DDLY, samples[7:1]};
        if (CLK) position = CLKDIV && !divided ? 2'd0 : position + 2'd1;
        else begin
            divided = CLKDIV;
            if (position == 2'd1) word = samples;
        end
    end
    always @(posedge CLKDIV) shown <= RST ? 8'd0 : word;
endmodule
