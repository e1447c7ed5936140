"""The one thread of a lane: it ends the tasks that nobody waits for.

It sleeps in poll() on the communicator's descriptor, without the GIL, and never calls the library while it waits for anything.
Nothing of Python's is ever called by a thread of the library: that ends badly when the interpreter exits meanwhile.
"""

from __future__ import annotations

import atexit
import os
import select
import threading
import time
import weakref

from seaway._communicator import Communicator
from seaway.torch._work import Task

# How long a process that ends waits for callbacks of futures.
_EXIT_SECONDS = 5.0

_all: weakref.WeakSet[Completion] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    # Before the package closes its communicators by itself: this thread must be gone when the interpreter is.
    for completion in list(_all):
        completion.end()


class Completion(threading.Thread):
    """Holds every task of a communicator until it is over. The thread ends when the communicator is closed."""

    def __init__(self, comm: Communicator) -> None:
        super().__init__(name="seaway.torch", daemon=True)
        self._comm = comm
        self._tasks: dict[int, Task] = {}
        self._ending = False
        self._lock = threading.Lock()
        self._events = comm._event_descriptor()
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        comm._attach(self)
        _all.add(self)
        self.start()

    def add(self, task: Task) -> None:
        self._tasks[id(task)] = task
        # Its event may have come, and gone, before it was here to be looked for.
        task.advance()

    def remove(self, task: Task) -> None:
        self._tasks.pop(id(task), None)

    def tasks(self) -> list[Task]:
        return list(self._tasks.values())

    def wake(self) -> None:
        """From any thread: look again."""
        with self._lock:
            if self._wake >= 0:
                os.eventfd_write(self._wake, 1)

    def close(self) -> None:
        """Closes the communicator: every task is over after it."""
        self._comm.close()
        self._join()

    def end(self) -> None:
        """`close` for a process that ends. No future ends any more: a thread that comes back from Future.wait meanwhile is ended by
        Python in a way that torch answers with abort()."""
        self._ending = True
        self._join()
        self._comm.close()

    def _join(self) -> None:
        self.wake()
        if self.is_alive() and threading.current_thread() is not self:
            self.join(_EXIT_SECONDS)

    def run(self) -> None:
        poll = select.poll()
        poll.register(self._events, select.POLLIN)
        poll.register(self._wake, select.POLLIN)
        while not self._comm._closed and not self._ending:
            ready = dict(poll.poll())
            if self._wake in ready:
                os.eventfd_read(self._wake)
            if self._events in ready and not self._comm._closed:
                self._comm._drain_events()
                self._comm._wake_others(self)
            self._look()
        # Another thread is in close(); its ops are final in a moment.
        while self._tasks and not self._ending:
            self._look()
            if self._tasks:
                time.sleep(0.005)
        self._comm._detach(self)
        with self._lock:
            os.close(self._events)
            os.close(self._wake)
            self._wake = -1

    def _look(self) -> None:
        for task in self.tasks():
            task.advance()
