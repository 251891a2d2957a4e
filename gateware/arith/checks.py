"""Range checks of constructor parameters. The sentences are for the person who has to change the value."""

__all__ = ["require_range"]


def require_range(owner: str, name: str, value: int, low: int, high: int | None = None) -> None:
    """Raise ValueError unless ``value`` is an integer in [``low``, ``high``] (no upper bound if ``high`` is None)."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{owner}: {name} must be an integer, not {value!r}; pass a whole number.")
    if value < low or (high is not None and value > high):
        rule = f"at least {low}" if high is None else f"between {low} and {high}"
        raise ValueError(f"{owner}: {name} must be {rule}, not {value}; change {name}.")
