"""The one error of this package."""

__all__ = ["UnitsError"]


class UnitsError(ValueError):
    """What is wrong, the value, and what to do, in one sentence."""
