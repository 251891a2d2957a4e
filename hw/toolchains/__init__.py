"""The programs that turn a design into a netlist and a bitstream, one module each."""
