"""Which test shows that a broken contract is told; and of the others, why none does."""

__all__ = ["BY_A_NEIGHBOUR", "ELSEWHERE", "WITHIN"]

BY_A_NEIGHBOUR: dict[str, tuple[str, ...]] = {
    "Completion": (
        "an operation that gives scores ends after its beginning",
        "an operation that stores ends after its beginning",
        "operations are told in their order, each after its end",
    ),
    "LayerNorm": (
        "constants are written only while nothing is inside",
        "settings change only while nothing is inside",
    ),
    "MemoryAccess": (
        "a transfer begins when none is under way",
        "a transfer is given up only while it waits",
        "memory brings only what was asked for",
    ),
    "MemoryArbiter": ("memory brings only what was asked for",),
    "OperandA": (
        "an operation that writes a beat ends when it can be read",
        "an operation that writes a word ends when it can be read",
    ),
    "OperandB": (
        "an operation of the first writer ends when its beats can be read",
        "an operation of the second writer ends when its beats can be read",
    ),
    "PostProcessor": (
        "a row's branch is there when it is used",
        "a row's branch stays until it is used",
        "a row's term is there when it is used",
        "a row's term stays until it is used",
    ),
    "Receiver": ("only a packet that is there is released",),
    "ReciprocalDivider": ("the quotient fits its bits",),
    "ResidualRequests": (
        "a page is filled before it is handed out",
        "memory brings only what was asked for",
    ),
    "RowVariance": ("the sums of a group come after those of the group before have left",),
    "Semaphores": (
        "clear holds until all counts are 0",
        "one engine at a time waits for a semaphore",
    ),
    "ShiftGELU": ("settings change only while nothing is inside",),
    "Shiftmax": (
        "a row's maximum is used when all its scores count",
        "scores are written where no job works",
    ),
    "StepIssuer": ("no more tiles leave the drain's queue than were sent",),
    "StridedCounter": (
        "a descriptor begins after the one before",
        "a descriptor holds until its end",
    ),
    "StridedReader": (
        "a beat finds room in the queue",
        "memory brings only what was asked for",
    ),
    "SystolicArray": (
        "four unsigned elements of a row sum to no more than their products hold",
        "last steps are at least `rows` cycles apart",
    ),
    "TileIterator": (
        "an iteration starts after the end of the one before",
        "the matrix holds until the end of its iteration",
    ),
    "TileQueue": ("a row of the array finds room in the queue",),
    "Transforms": ("an operation begins when all row maxima of the one before have been asked for",),
    "Transmitter": (
        "an answer begins before the one before is sent, or after",
        "an answer ends when its last byte has been taken",
        "an answer is repeated when none is under way",
    ),
    "WriteBack": (
        "a result finds a place in the queue",
        "a row without a product meets none at the end",
    ),
}
"""Of each unit, the contracts that are broken by a neighbour who does anything (`test_broken_contracts`)."""

ELSEWHERE: dict[tuple[str, str], str] = {
    (
        "EventToSync",
        "events for the slower domain are two of the faster one's cycles apart",
    ): "tests/gateware/clocking/test_contracts.py",
    ("QueueToSync", "the queue has room for what comes"): "tests/gateware/clocking/test_contracts.py",
    ("StreamToFast", "an offer stays until it is taken"): "tests/gateware/clocking/test_contracts.py",
    ("Fetch", "LOG_BASE is set before the first MARK"): "tests/sim/emulator/test_program_order.py",
    ("RowMaxima", "a look-up counts every update before it"): "tests/gateware/engines/test_monitors.py",
}
"""Contracts that another test breaks, and which."""

WITHIN: dict[tuple[str, str], str] = {
    ("Accelerator", "a program begins when memory owes no answer"): "it waits for the arbiter before it begins",
    ("Accelerator", "a program ends when memory has taken all that it writes"): "it waits for the store before it ends",
    ("ConstantMemory", "a record finds room in the queue"): "it reads only while there is room for what is under way",
    ("ShiftGELU", "a table stays until its group has been looked up"): "it builds a table only in a place that is free",
    ("Shiftmax", "a row that begins has a place among the descriptors"): "it counts the rows inside, as many as places",
    ("Shiftmax", "a row's exponentials stay until they are used"): "it counts the rows inside, as many as places",
    ("Shiftmax", "a row's sum finds the division free"): "rows begin no faster than the division takes",
    ("StridedReader", "a beat's end finds room in the queue"): "it asks for a beat only where its end has room",
}
"""Contracts that nothing outside the unit can break, and what keeps them."""
