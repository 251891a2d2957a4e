"""The machine as standard cells and memory macros: netlist, area, simulation models, and a layout flow's inputs."""
