"""Waiting, in slices.

A wait in C cannot be interrupted by a signal handler of Python's, which runs between two calls. So Python never waits longer
than SLICE at once. cffi releases the GIL during each call.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from seaway._errors import InvalidError
from seaway._library import PENDING, lib

SLICE = 0.1  # seconds


def in_slices(call: Callable[[float], int], timeout: float | None) -> int:
    """call(seconds) until it says something other than PENDING, or until `timeout` seconds have passed (None: no limit)."""
    if timeout is None:
        status = call(SLICE)
        while status == PENDING:
            status = call(SLICE)
        return status
    if timeout != timeout:
        raise InvalidError("timeout is NaN")
    if timeout < 0:
        return in_slices(call, None)
    end = time.monotonic() + timeout
    left = timeout
    while True:
        status = call(min(left, SLICE))
        left = end - time.monotonic()
        if status != PENDING or left <= 0:
            return status


def wait_handles(handles: Any, count: int, mode: int, timeout: float | None) -> int:
    """seaway_wait in slices."""
    wait = lib.seaway_wait
    if timeout is None:
        status: int = wait(handles, count, mode, SLICE)
        while status == PENDING:
            status = wait(handles, count, mode, SLICE)
        return status
    return in_slices(lambda seconds: int(wait(handles, count, mode, seconds)), timeout)
