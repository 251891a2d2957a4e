"""Memories of an ASIC: a wrapper module for each shape, which a user fills with the macros of a process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from amaranth.hdl import ClockSignal, Const, Instance, Module, Shape, Value
from amaranth.lib import memory

__all__ = ["LEAST_BITS", "AsicPlatform", "Wrapper", "behavioural"]

LEAST_BITS = 2048  # a smaller memory is cheaper in flip-flops than as a macro with its periphery


@dataclass(frozen=True, order=True)
class Wrapper:
    """A memory's shape: one write port, and read ports whose word is there a cycle after the address.

    Parameters
    ----------
    depth, width : words and bits of a word
    reads : read ports
    """

    depth: int
    width: int
    reads: int

    @property
    def name(self) -> str:
        """The module's name."""
        return f"memory_{self.depth}x{self.width}_1w{self.reads}r"

    @property
    def address_bits(self) -> int:
        return max(1, (self.depth - 1).bit_length())

    @property
    def bits(self) -> int:
        """What it holds."""
        return self.depth * self.width


def wrapper_of(found: memory.Memory) -> Wrapper | None:
    """The wrapper that a memory wants; None where flip-flops are right.

    Those are memories that are read without a clock, that start with contents, or that are small.
    """
    width = Shape.cast(found.shape).width
    clocked = all(port.domain == "sync" for port in (*found.read_ports, *found.write_ports))
    plain = len(found.write_ports) == 1 and not any(port.transparent_for for port in found.read_ports)
    plain = plain and len(found.write_ports[0].en) == 1 and len(found.read_ports) > 0
    if not (clocked and plain) or any(found.init) or found.depth * width < LEAST_BITS:
        return None
    return Wrapper(found.depth, width, len(found.read_ports))


class AsicPlatform:
    """What Amaranth asks how a memory is built; remembers the wrappers that were used."""

    def __init__(self) -> None:
        self.wrappers: set[Wrapper] = set()

    def get_memory(self, found: memory.Memory) -> Any:
        """A wrapper's instance, or Amaranth's own memory, which synthesis turns into flip-flops."""
        wrapper = wrapper_of(found)
        if wrapper is None:
            return found.elaborate(None)
        self.wrappers.add(wrapper)
        (writer,) = found.write_ports
        ports: dict[str, Any] = {
            "i_clk": ClockSignal("sync"),
            "i_write_enable": writer.en,
            "i_write_address": _address(writer.addr),
            "i_write_data": Value.cast(writer.data),
        }
        for index, reader in enumerate(found.read_ports):
            ports[f"i_read{index}_enable"] = reader.en
            ports[f"i_read{index}_address"] = _address(reader.addr)
            ports[f"o_read{index}_data"] = Value.cast(reader.data)
        m = Module()
        m.submodules.macro = Instance(wrapper.name, **ports)
        return m


def _address(address: Value) -> Value:
    return address if len(address) else Const(0, 1)


def behavioural(wrapper: Wrapper) -> str:
    """Verilog of a wrapper for simulation.

    A macro's contents are unknown until written, and so is what it gives for a word that is written in the same cycle;
    the model starts with ones and gives the complement of what it writes, so that a design which counts on either is
    found out.
    """
    last, top = wrapper.width - 1, wrapper.address_bits - 1
    ports = [
        "input wire clk",
        "input wire write_enable",
        f"input wire [{top}:0] write_address",
        f"input wire [{last}:0] write_data",
    ]
    body = []
    for index in range(wrapper.reads):
        ports += [
            f"input wire read{index}_enable",
            f"input wire [{top}:0] read{index}_address",
            f"output reg [{last}:0] read{index}_data",
        ]
        body += [
            "  always @(posedge clk)",
            f"    if (read{index}_enable)",
            f"      read{index}_data <= write_enable && write_address == read{index}_address",
            f"        ? ~write_data : words[read{index}_address];",
        ]
    return "\n".join(
        [
            f"// {wrapper.depth} words of {wrapper.width} bits: one write port, {wrapper.reads} read port(s).",
            "// A model for simulation: replace the body by macros of your process.",
            f"module {wrapper.name} (",
            ",\n".join(f"  {port}" for port in ports),
            ");",
            f"  reg [{last}:0] words [0:{wrapper.depth - 1}];",
            "  integer word;",
            "  initial for (word = 0; word < "
            + f"{wrapper.depth}; word = word + 1) words[word] = {{{wrapper.width}{{1'b1}}}};",
            "  always @(posedge clk)",
            "    if (write_enable) words[write_address] <= write_data;",
            *body,
            "endmodule",
            "",
        ]
    )
