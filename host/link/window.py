"""Where each order of a call over the link stands: a window over numbered requests, and what must be sent again."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from gateware.link.packets import Answer, Command, Request, Status

__all__ = ["NOT_LOOKED_AT", "NUMBERS", "Order", "Run"]

NUMBERS = 256
FAR, QUESTIONS = 128, 64
"""Numbers of questions lie so far behind the oldest order without an answer, where none of its window can be, and are
taken in turns.
"""
NOT_LOOKED_AT = (Status.OUT_OF_ORDER, Status.WRONG_SESSION)


@dataclass(frozen=True)
class Order:
    """A request to be made: `Request` without session and number; ``expected``: bytes of the answer's payload."""

    command: Command
    address: int = 0
    payload: bytes = b""
    length: int | None = None
    expected: int | None = 0


class Run:
    """The orders of one call under their numbers: which have an answer, and which is to be sent next.

    Parameters
    ----------
    orders, session : of all of them
    first : the number of the first order

    Members
    -------
    answers : by place
    oldest : place of the first order without an answer
    setbacks : how often something was found lost
    """

    def __init__(self, orders: Sequence[Order], session: int, first: int) -> None:
        self.orders, self.session, self.first = orders, session, first
        self.answers: dict[int, Answer] = {}
        self.oldest = 0
        self.setbacks = 0
        self._sent = 0  # how many were sent ever
        self._again: deque[int] = deque()  # to be sent again, before others
        self._missed: set[int] = set()  # answers that were found missing since the last time-out
        self._gap = -1  # the request that the device said it lacks, and that has gone out again since
        self._refused = -1  # the last one that it did not look at for that
        self._questions = 0
        self._question: int | None = None  # the number of the one that was asked last, until it has its answer

    @property
    def unused(self) -> int:
        """A number that nothing was sent under; what follows it in time was sent later."""
        return (self.first + self._sent) % NUMBERS

    def may_send(self, window: int) -> bool:
        """Whether there is something to send with at most so many under way."""
        return bool(self._again) or self._sent < min(len(self.orders), self.oldest + window)

    def next_request(self) -> tuple[bool, Request]:
        """Whether it was sent before, and the request."""
        again = bool(self._again)
        place = self._again.popleft() if again else self._sent
        self._sent = max(self._sent, place + 1)
        order = self.orders[place]
        number = (self.first + place) % NUMBERS
        return again, Request(self.session, number, order.command, order.address, order.payload, order.length)

    @property
    def is_alone(self) -> bool:
        """Whether only the oldest order is under way."""
        return self._sent <= self.oldest + 1

    def question(self) -> Request:
        """A question that changes nothing, and that the device answers when it has handled all that was sent before."""
        self._question = (self.first + self.oldest + FAR + self._questions % QUESTIONS) % NUMBERS
        self._questions += 1
        return Request(self.session, self._question, Command.STATUS)

    def is_settled(self, answer: Answer) -> bool:
        """Whether it is the last question's answer: what has none is lost."""
        if answer.status != Status.OUT_OF_ORDER or answer.sequence != self._question:
            return False
        self._question = None
        return True

    def go_back(self) -> None:
        """Everything without an answer goes out again, in order: it was lost, or is all that is under way."""
        self.setbacks += 1
        self._send_again(self.oldest, self._sent)
        self._missed.clear()
        self._gap = -1

    def take(self, answer: Answer) -> bool:
        """Whether it answers something."""
        place = self._place(answer.sequence)
        if place is None:
            return False
        if answer.status in NOT_LOOKED_AT:
            # The device says so for every request behind a lost one; to go back once is enough. When it begins anew
            # with an earlier one, that is already of those that went out again: the lost one is lost again.
            following = self._place(answer.following)
            if following is not None and (following != self._gap or place <= self._refused):
                self._send_again(following, self._sent)
                self._gap = following
                self.setbacks += 1
            self._refused = place
            return False
        if place in self.answers:
            return False
        self.answers[place] = answer
        # Answers come in order: those that are missing before it are lost.
        missing = [
            earlier
            for earlier in range(self.oldest, place)
            if earlier not in self.answers and earlier not in self._missed
        ]
        self._missed.update(missing)
        self.setbacks += bool(missing)
        self._again.extend(missing)
        while self.oldest in self.answers:
            self.oldest += 1
        return True

    def _send_again(self, first: int, end: int) -> None:
        self._again = deque(place for place in range(first, end) if place not in self.answers)

    def _place(self, number: int) -> int | None:
        """Of a request that was sent and may be without an answer."""
        place = self.oldest + (number - self.first - self.oldest) % NUMBERS
        return place if place < self._sent else None
