"""What the emulator finds among a component's ports, and the C++ header that tells the engine."""

from dataclasses import dataclass

from amaranth.hdl import Shape
from amaranth.lib.wiring import Flow

from gateware.contracts import Access, Shared

__all__ = ["Tap", "check_ports", "design_header", "link_present", "scalar_ports", "taps"]

# name -> width (None: any up to 64) of what a component must have; "in" is into the component
REQUIRED: dict[str, tuple[str, int | None]] = {"busy": ("out", 1)}
# The port to the C++ memory; a component that brings a memory of its own (`sim.emulator.litedram`) has none.
MEMORY: dict[str, tuple[str, int | None]] = {
    "memory__cmd__payload": ("out", None),
    "memory__cmd__valid": ("out", 1),
    "memory__cmd__ready": ("in", 1),
    "memory__wdata__payload": ("out", 144),
    "memory__wdata__valid": ("out", 1),
    "memory__wdata__ready": ("in", 1),
    "memory__rdata__payload": ("in", 128),
    "memory__rdata__valid": ("in", 1),
    "memory__rdata__ready": ("out", 1),
}
OPTIONAL: dict[str, tuple[str, int | None]] = {
    "start": ("in", 1),
    "program": ("in", None),
    "error": ("out", None),
}
LINK: dict[str, tuple[str, int | None]] = {
    "link__rx__payload": ("in", 8),
    "link__rx__valid": ("in", 1),
    "link__rx__ready": ("out", 1),
    "link__tx__payload": ("out", 8),
    "link__tx__valid": ("out", 1),
    "link__tx__ready": ("in", 1),
}
# What `sim.watched` adds.
VIOLATION: dict[str, tuple[str, int | None]] = {"violation": ("out", 16), "program_begins": ("out", 1)}
TAP, ACCESS = "tap_", "access_"


@dataclass(frozen=True)
class Tap:
    """A stream that is only watched: `tap_NAME` with `payload` of `width` bits and `valid`."""

    name: str
    width: int

    @property
    def words(self) -> int:
        """32-bit words of a recorded payload."""
        return (self.width + 31) // 32


def _flat(component: object) -> dict[str, tuple[str, int]]:
    """Name in Verilog -> direction and width of every port."""
    signature = getattr(component, "signature", None)
    if signature is None:
        raise ValueError(
            f"{type(component).__name__} has no signature, so its ports are unknown; "
            "give an amaranth.lib.wiring.Component."
        )
    ports = {}
    for path, member, _value in signature.flatten(component):
        name = "__".join(str(part) for part in path)
        ports[name] = ("in" if member.flow == Flow.In else "out", Shape.cast(member.shape).width)
    return ports


def _check(component: object, ports: dict[str, tuple[str, int]], wanted: dict[str, tuple[str, int | None]]) -> None:
    for name, (direction, width) in wanted.items():
        found = ports.get(name)
        most = width or 64
        if found is None or found[0] != direction or (found[1] > most if width is None else found[1] != width):
            size = f"of {width} bits" if width else "of up to 64 bits"
            has = f"one of {found[1]} bits, {found[0]}" if found else "none"
            raise ValueError(
                f"{type(component).__name__}: the emulator needs the port {name} {size}, {direction}, "
                f"and there is {has}."
            )


def taps(component: object) -> list[Tap]:
    """The component's taps, in the order of its signature."""
    ports = _flat(component)
    found = []
    for name, (_, width) in ports.items():
        if name.startswith(TAP) and name.endswith("__payload"):
            stream = name.removesuffix("__payload")
            _check(component, ports, {name: ("out", width), f"{stream}__valid": ("out", 1)})
            found.append(Tap(stream.removeprefix(TAP), width))
    return found


def link_present(component: object) -> bool:
    """Whether the component has the byte stream of a link, or part of it."""
    return any(name in LINK for name in _flat(component))


def scalar_ports(component: object) -> tuple[list[str], list[str]]:
    """Inputs and outputs, of up to 64 bits, that have no meaning to the emulator: settings, states, counters."""
    known = {*REQUIRED, *MEMORY, *OPTIONAL, *LINK, *VIOLATION}
    inputs: list[str] = []
    outputs: list[str] = []
    for name, (direction, width) in _flat(component).items():
        if name not in known and not name.startswith((TAP, ACCESS)) and width <= 64:
            (inputs if direction == "in" else outputs).append(name)
    return inputs, outputs


def cpp_name(name: str) -> str:
    """Verilator's C++ name of a port: it spells the second of two underscores as a code."""
    return name.replace("__", "___05F")


def _own_memory(component: object) -> bool:
    return getattr(component, "verilog_sources", None) is not None


def check_ports(component: object) -> None:
    """Raises ValueError for a component that lacks a port, or has one of another shape."""
    ports = _flat(component)
    _check(component, ports, REQUIRED)
    if not _own_memory(component):
        _check(component, ports, MEMORY)
    _check(component, ports, {name: rule for name, rule in OPTIONAL.items() if name in ports})
    if link_present(component):
        _check(component, ports, LINK)


def _accesses(shared: list[Shared], accesses: list[tuple[int, Access]]) -> str:
    return "".join(
        f" ACCESS({ACCESS}{number}, {number}, {shared.index(access.memory)}, {int(access.write)})"
        for number, access in accesses
    )


def design_header(component: object, prefix: str) -> str:
    """The C++ header with what the engine must know of a component. Raises ValueError for one that lacks a port."""
    check_ports(component)
    ports, own_memory, link = _flat(component), _own_memory(component), link_present(component)
    inputs, outputs = scalar_ports(component)
    accesses: list[Access] = getattr(component, "accesses", [])
    shared = list(dict.fromkeys(access.memory for access in accesses))
    # What is read in a cycle is what was there before it.
    in_turn = sorted(enumerate(accesses), key=lambda numbered: numbered[1].write)
    lines = [
        "// Ports of the design, as macros for engine.cpp.",
        "#pragma once",
        f'#include "{prefix}.h"',
        f"using Design = {prefix};",
        f"#define HAS_MEMORY {int(not own_memory)}",
        f"#define ROW_BYTES {getattr(component, 'row_bytes', 0)}ull",
        f"#define ADDRESS_BITS {0 if own_memory else ports['memory__cmd__payload'][1] - 1}",
        f"#define HAS_START {int('start' in ports)}",
        f"#define HAS_PROGRAM {int('program' in ports)}",
        f"#define HAS_ERROR {int('error' in ports)}",
        f"#define HAS_LINK {int(link)}",
        f"#define HAS_CONTRACTS {int('violation' in ports)}",
        f"#define PUMP {getattr(component, 'pump', 1)}",
        "#define FOR_EACH_TAP(TAP)"
        + "".join(f" TAP({cpp_name(TAP + tap.name)}, {tap.words})" for tap in taps(component)),
        "#define FOR_EACH_SHARED_MEMORY(MEMORY)"
        + "".join(f" MEMORY({memory.words}ull, {memory.lanes})" for memory in shared),
        "#define FOR_EACH_ACCESS(ACCESS)" + _accesses(shared, in_turn),
        "#define FOR_EACH_FAST_ACCESS(ACCESS)"
        + _accesses(shared, [(number, access) for number, access in in_turn if access.domain == "fast"]),
        "#define FOR_EACH_INPUT(INPUT)" + "".join(f" INPUT({cpp_name(name)})" for name in inputs),
        "#define FOR_EACH_OUTPUT(OUTPUT)" + "".join(f" OUTPUT({cpp_name(name)})" for name in outputs),
    ]
    return "\n".join(lines) + "\n"
