"""What can go wrong with a tool."""

__all__ = ["ToolError", "ToolMissing"]


class ToolError(RuntimeError):
    """A tool failed, hung or wrote nothing: which one, and where its log is, in one sentence."""


class ToolMissing(RuntimeError):
    """A tool is not installed: which one, and how to get it, in one sentence."""
