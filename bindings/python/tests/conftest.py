"""A cluster in one process: a master, and one thread per member."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import pytest

import seaway

T = TypeVar("T")

#: Seconds. Nothing here takes nearly as long; it is where a hang becomes a failure.
BOUND = 40.0


@pytest.fixture
def master() -> Iterator[seaway.Master]:
    with seaway.Master() as running:
        yield running


@pytest.fixture
def solo(master: seaway.Master) -> Iterator[seaway.Communicator]:
    """The only member of a run."""
    with join(master) as comm:
        yield comm


def join(master: seaway.Master, **arguments: Any) -> seaway.Communicator:
    arguments.setdefault("timeout", BOUND)
    return seaway.Communicator(master.join, listen="127.0.0.1:0", **arguments)


class Thread(threading.Thread):
    """A thread whose result or exception `result` gives."""

    def __init__(self, body: Callable[[], Any]) -> None:
        super().__init__(daemon=True)
        self._body = body
        self._value: Any = None
        self._error: BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            self._value = self._body()
        except BaseException as error:
            self._error = error

    def result(self) -> Any:
        self.join(BOUND)
        assert not self.is_alive(), "a thread of the cluster hangs"
        if self._error is not None:
            raise self._error
        return self._value


def together(*bodies: Callable[[], T]) -> list[T]:
    """Runs each in a thread of its own; what they return, in order. Raises what one of them raised."""
    threads = [Thread(body) for body in bodies]
    return [thread.result() for thread in threads]


def cluster(master: seaway.Master, size: int, body: Callable[[seaway.Communicator], T], **arguments: Any) -> list[T]:
    """body(comm) on each of `size` members at once; what they return, by rank."""

    def member() -> tuple[int, T]:
        with join(master, min_world=size, **arguments) as comm:
            rank = comm.rank
            value = body(comm)
            # Nobody leaves while others still work.
            comm.barrier(tag=2**61)
            return rank, value

    return [value for _, value in sorted(together(*[member] * size), key=lambda pair: pair[0])]
