"""Benches of single units: a runner for cocotb on the generated Verilog, and drivers and monitors of streams."""
