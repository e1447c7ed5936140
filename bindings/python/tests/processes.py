"""A function in several processes at once, for what wants torch.distributed: a process has one default group."""

from __future__ import annotations

import multiprocessing
import os
import traceback
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any

#: Seconds, of which most are importing torch, on a machine that has much else to do.
BOUND = 150.0


class Lost:
    """What a process gives that was killed."""


def _run(body: Callable[..., Any], arguments: tuple[Any, ...], end: Connection) -> None:
    # One thread each: there are more processes than cores, and the same order of additions everywhere.
    os.environ["OMP_NUM_THREADS"] = "1"
    try:
        import torch

        torch.set_num_threads(1)
        end.send((body(*arguments), None))
    except BaseException:
        end.send((None, traceback.format_exc()))


def in_processes(body: Callable[..., Any], arguments: Sequence[tuple[Any, ...]]) -> list[Any]:
    """body(*arguments[i]) in process i; what they return, in order, `Lost()` for one that died. Raises what one of them raised.
    body is a function of a module."""
    context = multiprocessing.get_context("spawn")
    pipes = [context.Pipe(duplex=False) for _ in arguments]
    processes = [
        context.Process(target=_run, args=(body, each, sender), daemon=True)
        for each, (_, sender) in zip(arguments, pipes)
    ]
    for process in processes:
        process.start()
    for _, sender in pipes:
        sender.close()
    results: list[Any] = [None] * len(processes)
    try:
        for i, (receiver, _) in enumerate(pipes):
            assert wait([receiver], BOUND), f"process {i} hangs"
            try:
                results[i], error = receiver.recv()
            except EOFError:
                results[i], error = Lost(), None
            assert error is None, f"process {i}:\n{error}"
    finally:
        for process in processes:
            if process.is_alive() and any(result is None for result in results):
                process.kill()
            process.join(20)
            process.kill()
    return results
