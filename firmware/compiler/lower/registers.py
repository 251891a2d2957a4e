"""Registers of the engines, with names and types: checked against `gateware.isa.REGISTERS` when this is imported."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar, get_args, get_type_hints

from gateware.isa import (
    DST_BITS,
    Engine,
    LoadTarget,
    PostMode,
    Transform,
    loop_registers,
    register,
)

__all__ = [
    "ArrayRegisters",
    "Blocks",
    "Descriptor",
    "ExecuteRegisters",
    "GeluConfig",
    "Groups",
    "LoadConfig",
    "LoadRegisters",
    "Length",
    "OutputRegisters",
    "Post",
    "Registers",
    "ResidualRegisters",
    "ScoreRegisters",
    "Setting",
    "Shifts",
    "SkipRegisters",
    "SoftmaxRegisters",
    "Steps",
]

Setting = tuple[str, int | Mapping[str, int]]  # a register's name, its value or its fields


@dataclass(frozen=True)
class Fields:
    """Values of all fields of one register, by their names."""


@dataclass(frozen=True)
class Descriptor:
    """A load's source or destination.

    Parameters
    ----------
    base : of the first beat
    levels : steps and stride of each level, the innermost first
    """

    base: int
    levels: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Group:
    """Registers that are set together, in the order of the attributes. Those that are None are left as they are."""

    def settings(self) -> Iterator[Setting]:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, Fields):
                yield field.name.upper(), vars(value)
            elif isinstance(value, int):
                yield field.name.upper(), value


G = TypeVar("G", bound=type[Group])


def _of(engine: Engine) -> Callable[[G], G]:
    """Checks that the attributes of a group are registers of an engine, those of fields the fields of theirs."""

    def check(group: G) -> G:
        for name, hint in get_type_hints(group).items():
            kinds = [kind for kind in (hint, *get_args(hint)) if isinstance(kind, type)]
            if Descriptor in kinds:
                continue  # `loop_registers` makes their names
            fields = [one.name for kind in kinds if issubclass(kind, Fields) for one in dataclasses.fields(kind)]
            expected = [one.name for one in register(engine, name.upper()).fields]
            if fields != expected:
                raise TypeError(f"{group.__name__}.{name} has the fields {fields}, the register {expected}")
        return group

    return check


# Loads.


@dataclass(frozen=True, kw_only=True)
class LoadConfig(Fields):
    target: LoadTarget
    transform: Transform = Transform.IDENTITY
    row_limit: int = 0
    narrow: bool = False
    wide: bool = False
    low: bool = False


@dataclass(frozen=True, kw_only=True)
class Groups(Fields):
    groups: int
    channels: int


@dataclass(frozen=True, kw_only=True)
class GeluConfig(Fields):
    x0: int
    shift: int


@_of(Engine.LOADT)
@dataclass(frozen=True, kw_only=True)
class LoadRegisters(Group):
    """Of LOADT; LOADB has the descriptors and `config` alone."""

    source: Descriptor
    destination: Descriptor
    a_base: int | None = None
    a_block_stride: int | None = None
    config: LoadConfig
    max_group: int | None = None
    groups: Groups | None = None
    gelu_config: GeluConfig | None = None
    multiplier_lo: int | None = None
    multiplier_hi: int | None = None

    def settings(self) -> Iterator[Setting]:
        yield "SRC_BASE", self.source.base
        yield "DST_BASE", self.destination.base % (1 << DST_BITS)
        yield from loop_registers("SRC", self.source.levels).items()
        yield from loop_registers("DST", self.destination.levels).items()
        yield from super().settings()


# The array.


@dataclass(frozen=True, kw_only=True)
class Steps(Fields):
    k_steps: int
    halves: bool = False
    unsigned: bool = False


@dataclass(frozen=True, kw_only=True)
class Blocks(Fields):
    blocks: int
    rows_last: int


@dataclass(frozen=True, kw_only=True)
class Post(Fields):
    mode: PostMode
    to_scores: bool = False
    track_max: bool = False
    max_first: bool = False
    clamp_packed: bool = False
    scatter: bool = False
    int8: bool = False


@dataclass(frozen=True, kw_only=True)
class Shifts(Fields):
    branch: int
    skip: int


@_of(Engine.EXEC)
@dataclass(frozen=True, kw_only=True)
class ArrayRegisters(Group):
    """What is multiplied, and what is made of it."""

    a_base: int
    a_block_stride: int
    b_base: int
    b_tile_stride: int
    steps: Steps
    tiles: int
    blocks: Blocks
    post: Post
    const_base: int
    const_tile_stride: int


@_of(Engine.EXEC)
@dataclass(frozen=True, kw_only=True)
class OutputRegisters(Group):
    """Where results go in memory."""

    out_base: int
    out_slab: int
    out_row: int


@_of(Engine.EXEC)
@dataclass(frozen=True, kw_only=True)
class ScoreRegisters(Group):
    """Results are scores."""

    score_length: int


@_of(Engine.EXEC)
@dataclass(frozen=True, kw_only=True)
class ResidualRegisters(Group):
    """Factors of a residual's branch and skip."""

    branch_lo: int
    branch_hi: int
    skip_lo: int
    skip_hi: int
    shifts: Shifts


@_of(Engine.EXEC)
@dataclass(frozen=True, kw_only=True)
class SkipRegisters(Group):
    """Where the skip operand lies."""

    skip_base: int
    skip_slab: int
    skip_row: int


@dataclass(frozen=True)
class ExecuteRegisters:
    """Of EXEC: `array`, then the other groups in their order."""

    array: ArrayRegisters
    others: tuple[OutputRegisters | ScoreRegisters | ResidualRegisters | SkipRegisters, ...]

    def settings(self) -> Iterator[Setting]:
        for group in (self.array, *self.others):
            yield from group.settings()


# Shiftmax.


@dataclass(frozen=True, kw_only=True)
class Length(Fields):
    length: int


@_of(Engine.VEC)
@dataclass(frozen=True, kw_only=True)
class SoftmaxRegisters(Group):
    x0: int
    length: Length
    rows: int
    a_base: int
    a_low: int


Registers = LoadRegisters | ExecuteRegisters | SoftmaxRegisters
