"""Ops that coroutines await: one Watch per communicator and event loop, while there are such ops."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from seaway._communicator import Communicator
    from seaway._operation import Operation


class Watcher(Protocol):
    """Somebody who looks at a communicator's ops when its descriptor says that something happened."""

    def wake(self) -> None:
        """From any thread: look again. Another one has taken the events, or the communicator was closed."""


class Watch:
    """Resolves the futures of ops when the communicator's descriptor says that something happened.

    Everything runs in the loop's thread but `wake`. The descriptor is a duplicate, this Watch's to close: it stays valid when
    the communicator is closed meanwhile, and then its ops are final.
    """

    def __init__(self, comm: Communicator, loop: asyncio.AbstractEventLoop, fd: int) -> None:
        self._comm = comm
        self._loop = loop
        self._fd = fd
        self._waiting: dict[Operation, list[asyncio.Future[None]]] = {}
        loop.add_reader(self._fd, self._ready)

    def future(self, op: Operation) -> asyncio.Future[None]:
        """A future that is done when the op is final. Cancelling it leaves the op alone."""
        future: asyncio.Future[None] = self._loop.create_future()
        self._waiting.setdefault(op, []).append(future)
        # It may have ended before anybody watched; its event may be gone.
        self._settle()
        return future

    def wake(self) -> None:
        """From any thread: look again."""
        try:
            self._loop.call_soon_threadsafe(self._settle)
        except RuntimeError:  # the loop was closed, and nobody awaits any more
            self._comm._unwatch(self._loop)
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1

    def _ready(self) -> None:
        self._comm._drain_events()
        # An event that was drained here may have been another's.
        self._comm._wake_others(self)
        self._settle()

    def _settle(self) -> None:
        for op in [op for op in self._waiting if op.done()]:
            for future in self._waiting.pop(op):
                if not future.done():
                    future.set_result(None)
        if not self._waiting and self._fd >= 0:
            self._comm._unwatch(self._loop)
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1
