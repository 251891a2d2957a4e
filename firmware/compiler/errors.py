"""What a model can fail on."""

from sim.reference.errors import UserError

__all__ = ["CompileError", "MemoryFull"]


class CompileError(UserError):
    """A node that this machine cannot run: the message names it, the limit and the remedy."""


class MemoryFull(CompileError):
    """The board's memory cannot hold the model."""
