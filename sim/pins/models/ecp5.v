// Behaviour of the ECP5 primitives that the board's top uses, after Lattice's FPGA-TN-02200 and the library's reference.
// Times are picoseconds.
`timescale 1ps / 1ps

module IB(input I, output O);
    assign O = I;
endmodule

module OBZ(input I, input T, output O);
    assign O = T ? 1'bz : I;
endmodule

module TRELLIS_IO #(parameter DIR = "INPUT") (inout B, input I, input T, output O);
    generate
        if (DIR == "INPUT") assign O = B;
        else if (DIR == "OUTPUT") assign B = I;
        else begin
            assign B = T ? 1'bz : I;
            assign O = B;
        end
    endgenerate
endmodule

module FD1S3AX(input CK, input D, output reg Q);
    initial Q = 1'b0;
    always @(posedge CK) Q <= D;
endmodule

module FD1S3BX(input CK, input D, input PD, output reg Q);
    initial Q = 1'b1;
    always @(posedge CK or posedge PD)
        if (PD) Q <= 1'b1;
        else Q <= D;
endmodule

module OFS1P3BX(input D, input SP, input SCLK, input PD, output reg Q);
    initial Q = 1'b1;
    always @(posedge SCLK)
        if (PD) Q <= 1'b1;
        else if (SP) Q <= D;
endmodule

module OFS1P3DX(input D, input SP, input SCLK, input CD, output reg Q);
    initial Q = 1'b0;
    always @(posedge SCLK or posedge CD)
        if (CD) Q <= 1'b0;
        else if (SP) Q <= D;
endmodule

module IFS1P3BX(input D, input SP, input SCLK, input PD, output reg Q);
    initial Q = 1'b1;
    always @(posedge SCLK)
        if (PD) Q <= 1'b1;
        else if (SP) Q <= D;
endmodule

module IFS1P3DX(input D, input SP, input SCLK, input CD, output reg Q);
    initial Q = 1'b0;
    always @(posedge SCLK or posedge CD)
        if (CD) Q <= 1'b0;
        else if (SP) Q <= D;
endmodule

// D0 from a rising edge on, D1 from the falling one, both taken at a rising edge: half a period and two later.
module ODDRX1F(input D0, input D1, input SCLK, input RST, output reg Q);
    reg first = 1'b0, second = 1'b0, first_next = 1'b0, second_next = 1'b0;
    initial Q = 1'b0;
    always @(posedge SCLK or negedge SCLK)
        if (SCLK) begin
            Q <= RST ? 1'b0 : first_next;
            second <= second_next;
            first_next <= D0;
            second_next <= D1;
        end else Q <= RST ? 1'b0 : second;
endmodule

// Feedback is taken from CLKOP, so the oscillator runs at CLKOP's clock times its divider. It locks after 15 ms at most;
// here after 100 us. The phase of CLKOS is what its coarse and fine setting have more than CLKOP's.
module EHXPLLL #(
    parameter PLLRST_ENA = "DISABLED", INTFB_WAKE = "DISABLED", STDBY_ENABLE = "DISABLED", DPHASE_SOURCE = "DISABLED",
    parameter FEEDBK_PATH = "CLKOP", CLKOP_ENABLE = "ENABLED", CLKOS_ENABLE = "DISABLED",
    parameter integer CLKI_DIV = 1, CLKFB_DIV = 1, CLKOP_DIV = 8, CLKOP_CPHASE = 0, CLKOP_FPHASE = 0,
    parameter integer CLKOS_DIV = 8, CLKOS_CPHASE = 0, CLKOS_FPHASE = 0
) (
    input CLKI, input CLKFB, input RST, input STDBY, input ENCLKOP, input ENCLKOS, input PHASESEL0, input PHASESEL1,
    input PHASEDIR, input PHASESTEP, input PHASELOADREG, input PLLWAKESYNC,
    output reg CLKOP, output reg CLKOS, output reg LOCK
);
    localparam [63:0] LOCK_PS = 64'd100_000_000;
    localparam [63:0] LATER = (CLKOS_CPHASE - CLKOP_CPHASE) * 8 + CLKOS_FPHASE - CLKOP_FPHASE;  // eighths of a period
    reg [63:0] input_edge = 0, period = 0, good_since = 0, origin;
    reg running = 1'b0;
    reg [63:0] count, later;

    initial begin
        CLKOP = 1'b0;
        CLKOS = 1'b0;
        LOCK = 1'b0;
        if (FEEDBK_PATH != "CLKOP" || CLKOS_DIV != CLKOP_DIV || LATER >= 8 * CLKOP_DIV)
            pins_complain("The PLL is not in the mode that the model knows.");
    end

    always @(posedge CLKI) begin
        if (RST || input_edge == 0 || (period != 0 && $time - input_edge != period)) begin
            good_since = $time;
            running = 1'b0;
            LOCK = 1'b0;
        end else if ($time - good_since >= LOCK_PS) begin
            if (!running && (CLKOP_DIV * CLKFB_DIV * 1000000 < 400 * period * CLKI_DIV || CLKOP_DIV * CLKFB_DIV * 1000000 > 800 * period * CLKI_DIV))
                pins_complain("The PLL's oscillator is outside its 400 to 800 MHz.");
            running = 1'b1;
            LOCK = $time - good_since >= LOCK_PS + 20 * period;
        end
        if (input_edge != 0) period = $time - input_edge;
        input_edge = $time;
    end

    // Edge n stands n half periods behind the origin, whole picoseconds.
    initial forever begin
        wait (running);
        origin = $time;
        count = 0;
        while (running) begin
            CLKOP = ~count[0];
            count = count + 1;
            #(origin + count * period * CLKI_DIV / (2 * CLKFB_DIV) - $time);
        end
        CLKOP = 1'b0;
    end
    initial later = 0;
    always @(CLKOP)
        fork
            automatic reg level = CLKOP;
            begin
                #(1 + period * CLKI_DIV * LATER / (CLKFB_DIV * 8 * CLKOP_DIV));
                CLKOS = level;
            end
        join_none
endmodule
