// The 7-series PLL. It looks at its input's period, its oscillator's range (800 to 1,600 MHz, grade -1) and locks after
// 100 microseconds, the most that DS181 allows. Edges stand at whole picoseconds, those of a common instant at the same.
//
// Its fast clocks rest while nothing in front of a serialiser changes, a whole period of the slowest clock at a time:
// they then would only repeat what they did in the period before. `pins.awake` keeps them going.
`timescale 1ps / 1ps

module PLLE2_ADV #(
    parameter BANDWIDTH = "OPTIMIZED", COMPENSATION = "ZHOLD", STARTUP_WAIT = "FALSE",
    parameter real CLKIN1_PERIOD = 0.0, CLKIN2_PERIOD = 0.0, REF_JITTER1 = 0.0, REF_JITTER2 = 0.0, CLKFBOUT_PHASE = 0.0,
    parameter real CLKOUT0_PHASE = 0.0, CLKOUT1_PHASE = 0.0, CLKOUT2_PHASE = 0.0,
    parameter real CLKOUT3_PHASE = 0.0, CLKOUT4_PHASE = 0.0, CLKOUT5_PHASE = 0.0,
    parameter real CLKOUT0_DUTY_CYCLE = 0.5, CLKOUT1_DUTY_CYCLE = 0.5, CLKOUT2_DUTY_CYCLE = 0.5,
    parameter real CLKOUT3_DUTY_CYCLE = 0.5, CLKOUT4_DUTY_CYCLE = 0.5, CLKOUT5_DUTY_CYCLE = 0.5,
    parameter integer CLKFBOUT_MULT = 5, DIVCLK_DIVIDE = 1,
    parameter integer CLKOUT0_DIVIDE = 1, CLKOUT1_DIVIDE = 1, CLKOUT2_DIVIDE = 1,
    parameter integer CLKOUT3_DIVIDE = 1, CLKOUT4_DIVIDE = 1, CLKOUT5_DIVIDE = 1
) (
    input CLKIN1, input CLKIN2, input CLKINSEL, input CLKFBIN, input RST, input PWRDWN,
    input DCLK, input DEN, input DWE, input [6:0] DADDR, input [15:0] DI, output [15:0] DO, output DRDY,
    output CLKFBOUT, output CLKOUT0, output CLKOUT1, output CLKOUT2, output CLKOUT3, output CLKOUT4, output CLKOUT5,
    output reg LOCKED
);
    localparam integer OUTPUTS = 6;
    localparam [63:0] LOCK_PS = 64'd100_000_000;
    localparam [63:0] INPUT_PS = $rtoi(1000.0 * CLKIN1_PERIOD + 0.5);
    localparam [63:0] REST_PERIODS = 64'd8;

    reg [OUTPUTS-1:0] clocks = 0;
    assign {CLKOUT5, CLKOUT4, CLKOUT3, CLKOUT2, CLKOUT1, CLKOUT0} = clocks;
    assign CLKFBOUT = CLKIN1;

    reg [63:0] divide [0:OUTPUTS-1];
    reg [63:0] phase [0:OUTPUTS-1];
    reg [63:0] step [0:OUTPUTS-1];    // half periods that are over
    reg [63:0] next [0:OUTPUTS-1];    // when the next edge is
    reg [63:0] slowest, soonest, input_edge = 0, good_since = 0, origin;
    reg running = 1'b0, regular, fresh;
    integer k;

    // When an output's edge is: half periods and degrees in units of the oscillator's period, in one division.
    function [63:0] edge_time(input [63:0] divider, input [63:0] half, input [63:0] degrees);
        edge_time = origin + INPUT_PS * DIVCLK_DIVIDE * divider * (half * 180 + degrees) / (360 * CLKFBOUT_MULT);
    endfunction

    initial begin
        LOCKED = 1'b0;
        divide[0] = CLKOUT0_DIVIDE; divide[1] = CLKOUT1_DIVIDE; divide[2] = CLKOUT2_DIVIDE;
        divide[3] = CLKOUT3_DIVIDE; divide[4] = CLKOUT4_DIVIDE; divide[5] = CLKOUT5_DIVIDE;
        phase[0] = $rtoi(CLKOUT0_PHASE); phase[1] = $rtoi(CLKOUT1_PHASE); phase[2] = $rtoi(CLKOUT2_PHASE);
        phase[3] = $rtoi(CLKOUT3_PHASE); phase[4] = $rtoi(CLKOUT4_PHASE); phase[5] = $rtoi(CLKOUT5_PHASE);
        slowest = 0;
        regular = 1'b1;
        // An output with a divider of 1 is one that nobody asked for: it would be the oscillator's clock.
        for (k = 0; k < OUTPUTS; k = k + 1) if (divide[k] > slowest) slowest = divide[k];
        for (k = 0; k < OUTPUTS; k = k + 1) if (divide[k] > 1 && slowest % divide[k] != 0) regular = 1'b0;
        if (INPUT_PS * DIVCLK_DIVIDE * 1600 < 1000000 * CLKFBOUT_MULT || INPUT_PS * DIVCLK_DIVIDE * 800 > 1000000 * CLKFBOUT_MULT)
            pins_complain("The PLL's oscillator is outside its 800 to 1,600 MHz.");
    end

    always @(posedge CLKIN1) begin
        if (RST || PWRDWN) begin
            good_since = $time;
            running = 1'b0;
            LOCKED = 1'b0;
        end else if (input_edge != 0 && ($time - input_edge > INPUT_PS + INPUT_PS / 100 || $time - input_edge < INPUT_PS - INPUT_PS / 100)) begin
            pins_complain("The PLL's input clock has another period than the PLL was told.");
            good_since = $time;
        end else begin
            if ($time - good_since >= LOCK_PS && !running) running = 1'b1;
            if ($time - good_since >= LOCK_PS + 20 * INPUT_PS) LOCKED = 1'b1;
        end
        input_edge = $time;
    end

    initial forever begin
        wait (running);
        origin = $time;
        fresh = 1'b0;
        for (k = 0; k < OUTPUTS; k = k + 1) begin
            step[k] = 0;
            next[k] = divide[k] > 1 ? edge_time(divide[k], 0, phase[k]) : ~64'd0;
        end
        while (running) begin
            soonest = ~64'd0;
            for (k = 0; k < OUTPUTS; k = k + 1) if (next[k] < soonest) soonest = next[k];
            if (soonest > $time) #(soonest - $time);
            if (fresh && soonest > pins.period) begin
                fresh = 1'b0;
                pins.asleep = regular && !pins.awake && $time - pins.stirred > REST_PERIODS * INPUT_PS;
                if (pins.asleep)
                    for (k = 0; k < OUTPUTS; k = k + 1)
                        if (divide[k] > 1 && divide[k] != slowest) begin
                            step[k] = step[k] + 2 * slowest / divide[k];
                            next[k] = edge_time(divide[k], step[k], phase[k]);
                        end
            end
            for (k = 0; k < OUTPUTS; k = k + 1)
                if (next[k] == $time) begin
                    clocks[k] = ~step[k][0];
                    if (divide[k] == slowest && !step[k][0]) begin
                        fresh = 1'b1;
                        pins.period = $time;
                    end
                    step[k] = step[k] + 1;
                    next[k] = edge_time(divide[k], step[k], phase[k]);
                end
        end
        clocks = 0;
    end
endmodule
