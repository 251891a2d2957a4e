// What LiteEth's reset synchronisers are on a Xilinx: a flip-flop that PRE sets at once.
module FDPE #(parameter INIT = 1'b1) (output reg Q, input C, input CE, input D, input PRE);
  initial Q = INIT;
  always @(posedge C or posedge PRE)
    if (PRE) Q <= 1'b1;
    else if (CE) Q <= D;
endmodule
