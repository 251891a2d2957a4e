"""Memories by name, as commands take them."""

from __future__ import annotations

from dataclasses import fields, replace

from sim.emulator.profiles import LITEDRAM, PROFILES, MemoryProfile
from sim.emulator.random_memory import random_memory
from sim.reference.errors import UserError

__all__ = ["MEMORY_HELP", "MOST_SEED", "RANDOM", "memory_named", "memory_option"]

RANDOM = "random:"
MOST_SEED = (1 << 31) - 1
MEMORY_HELP = (
    f"one of {', '.join([*PROFILES, *LITEDRAM])}, or {RANDOM}SEED for a random timing; behind any but LiteDRAM's, "
    ",FIELD=VALUE changes the timing"
)


def memory_named(text: str) -> MemoryProfile:
    """The memory that a text names: a key of `PROFILES` or ``random:SEED``, and behind it any number of
    ``,FIELD=VALUE`` that change a field of `MemoryProfile`.

    Raises ValueError for another text.
    """
    name, *changes = text.split(",")
    if name in PROFILES:
        profile = PROFILES[name]
    elif name.startswith(RANDOM):
        seed = _number(name.removeprefix(RANDOM))
        if seed is None:
            raise ValueError(f"a random memory is {RANDOM}SEED with a SEED of 0 to {MOST_SEED}, not {name!r}.")
        profile = random_memory(seed)
    else:
        raise ValueError(f"memory must be one of {', '.join([*PROFILES, *LITEDRAM])} or {RANDOM}SEED, not {text!r}.")
    known = {field.name for field in fields(MemoryProfile)} - {"name"}
    values: dict[str, int] = {}
    for change in changes:
        field, _, written = change.partition("=")
        value = _number(written)
        if field not in known or field in values or value is None:
            raise ValueError(
                f"memory {text!r}: {change!r} changes no field of a memory's timing; write for instance "
                f"{name},read_latency=20."
            )
        values[field] = value
    return replace(profile, name=text, **values) if values else profile


def memory_option(text: str) -> str:
    """The text of ``--memory``, where it names a memory or one of `LITEDRAM`. Raises UserError for another text."""
    try:
        if text not in LITEDRAM:
            memory_named(text)
    except ValueError as error:
        raise UserError(f"--memory: {error}") from error
    return text


def _number(text: str) -> int | None:
    """A whole number of 0 to `MOST_SEED`; None for another text."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 10 and int(text) <= MOST_SEED else None
