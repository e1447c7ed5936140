"""The outer loops as tests run them: one program for all, in a thread or as a process that dies where it is told to.

    outer_loops.py JOIN-STRING METHOD PHASE      a member of the name "victim" that kills itself there, after three rounds

Every inner step moves each parameter by -1, so a run of equal members has parameters that can be worked out.
"""

from __future__ import annotations

import inspect
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

import seaway
from seaway.training import WAIT_FOR_ALL, DecoupledDiLoCo, DelayedDiLoCo, DiLoCo, StreamingDiLoCo

HAS_QUORUM = "quorum" in inspect.signature(seaway.Communicator.all_reduce).parameters
LAYERS, SIZE = 4, 3000
INNER = 4

SGD = {"lr": 0.5, "momentum": 0.5, "nesterov": True}
METHODS: dict[str, Callable[[seaway.Communicator, list[Any]], Any]] = {
    "diloco": lambda comm, w: DiLoCo(comm, w, **SGD),
    "streaming": lambda comm, w: StreamingDiLoCo(comm, w, fragments=4, every=8, overlap=3, **SGD),
    "decoupled": lambda comm, w: DecoupledDiLoCo(comm, w, fragments=2, every=8, overlap=2, quorum=None, **SGD),
    "eager": lambda comm, w: DelayedDiLoCo(comm, w, eager=True, **SGD),
    "naive": lambda comm, w: DelayedDiLoCo(comm, w, eager=False, **SGD),
}
if HAS_QUORUM:
    METHODS["waiting"] = lambda comm, w: DiLoCo(comm, w, waiting=WAIT_FOR_ALL, **SGD)
    METHODS["decoupled with a quorum"] = lambda comm, w: DecoupledDiLoCo(
        comm, w, fragments=2, every=8, overlap=2, quorum=1, grace=5.0, **SGD
    )

#: Where a member dies: between all-reduces, about to start one, having started one, knowing its result, about to share the state.
PHASES = ("training", "starting", "under way", "decided", "sharing")


class Loop:
    """One member's program. `turn` is one round of calls: sync, inner steps, step."""

    def __init__(self, comm: seaway.Communicator, method: str, start: float = 0.0) -> None:
        self.comm = comm
        self.params = [np.full(SIZE, start, np.float32) for _ in range(LAYERS)]
        self.outer = METHODS[method](comm, self.params)
        self.results: list[seaway.Result] = []
        self._decoupled = method.startswith("decoupled")
        self._inner = 1 if self._decoupled or method == "streaming" else INNER
        self._entered = False

    def turn(self) -> None:
        if not (self._decoupled and self._entered):
            self.outer.sync()
            self._entered = True
        for _ in range(self._inner):
            for param in self.params:
                param -= 1
        done = self.outer.step(1.0) if self._decoupled else self.outer.step()
        self.results += done if isinstance(done, list) else [done] if done is not None else []


def _die(*_: Any, **__: Any) -> Any:
    os.kill(os.getpid(), signal.SIGKILL)


def victim(join: str, method: str, phase: str) -> None:
    comm = seaway.Communicator(join, listen="127.0.0.1:0", min_world=3, name="victim")
    loop = Loop(comm, method)
    start, sync_state = comm.all_reduce_async, comm.sync_state

    def start_and_die(*arguments: Any, **options: Any) -> Any:
        operation = start(*arguments, **options)
        if phase == "decided":
            operation.wait()
        _die()

    def share_or_die(*arguments: Any, **options: Any) -> Any:
        # Before newcomers are there it is the founders' sync, or one for new rates.
        return _die() if len(comm.members) > 3 else sync_state(*arguments, **options)

    if phase == "sharing":
        comm.sync_state = share_or_die  # type: ignore[method-assign]
    while phase == "sharing" or loop.outer.round < 3:
        loop.turn()
    if phase == "training":
        _die()
    comm.all_reduce_async = _die if phase == "starting" else start_and_die  # type: ignore[method-assign]
    while True:
        loop.turn()


if __name__ == "__main__":
    victim(*sys.argv[1:])
