"""The static estimate of a netlist's timing: how late the longest paths are, without place and route."""
