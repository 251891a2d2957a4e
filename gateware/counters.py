"""What the machine counts: the names of its counters, in the order in which it gives them."""

__all__ = ["COUNTERS"]

COUNTERS = (
    "cycles",
    "steps",
    "exec_wait",  # EXEC stands at a WAIT and nothing runs in the array
    "exec_blocked",  # a tile's last step waits for the drain
    "exec_empty",  # EXEC has no instruction and nothing runs in the array
    "load_t_busy",
    "load_t_wait",
    "load_b_busy",
    "load_b_wait",
    "vector_busy",
    "drain_starved",  # the lanes wait for the array
    "drain_stalled",  # results wait for the lanes
    "memory_reads",
    "memory_writes",
    "fetch_stalled",
)
