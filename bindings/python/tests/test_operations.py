"""Ops that were started: waiting, cancelling, dropping, awaiting."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import subprocess
import sys
import threading
import weakref
from typing import Any

import numpy as np
import pytest

import seaway
from conftest import BOUND, Thread, cluster, join, together


def pair(master: seaway.Master) -> list[seaway.Communicator]:
    """Two members, by rank."""
    comms = together(*[lambda: join(master, min_world=2)] * 2)
    return sorted(comms, key=lambda comm: comm.rank)


def test_a_time_out_ends_nothing(master: seaway.Master) -> None:
    a, b = pair(master)
    with a, b:
        x = np.ones(4, np.float32)
        op = a.all_reduce_async(x)
        assert not op.done()
        for timeout in (0, 0.01, 0.15):
            with pytest.raises(seaway.Pending) as caught:
                op.wait(timeout)
            assert isinstance(caught.value, TimeoutError) and caught.value.op is op and caught.value.retryable
        with pytest.raises(seaway.Pending):
            seaway.wait([op], timeout=0)
        assert x.tolist() == [1] * 4
        assert "pending" in repr(op)
        b.all_reduce(np.ones(4, np.float32))
        result = op.wait(BOUND)
        assert op.done() and op.wait() is result and op.wait(0) is result
        assert x.tolist() == [2] * 4
        assert "committed" in repr(op)


def test_wait_for_any_and_all(master: seaway.Master) -> None:
    a, b = pair(master)
    with a, b:
        ops = [a.barrier_async(tag=tag) for tag in (1, 2, 3)]
        with pytest.raises(seaway.Pending):
            seaway.wait(ops, any=True, timeout=0)
        b.barrier(tag=2)
        assert seaway.wait(ops, any=True, timeout=BOUND) == [ops[1]]
        others = [b.barrier_async(tag=tag) for tag in (1, 3)]
        assert seaway.wait(ops, timeout=BOUND) == ops
        assert seaway.wait(others, timeout=BOUND) == others
        with pytest.raises(seaway.InvalidError):
            seaway.wait([a.barrier_async(tag=7), b.barrier_async(tag=7)], timeout=BOUND)


def test_cancel_aborts_for_everybody(master: seaway.Master) -> None:
    a, b = pair(master)
    with a, b:
        x = np.ones(4, np.float32)
        op = a.all_reduce_async(x)
        op.cancel("no more of this")
        with pytest.raises(seaway.Aborted) as caught:
            op.wait(BOUND)
        assert caught.value.op is op and caught.value.text
        assert op.done() and x.tolist() == [1] * 4
        with pytest.raises(seaway.Aborted):
            op.wait()
        assert "ABORTED" in repr(op)
        op.cancel()  # of a final op: nothing


def test_a_deadline_ends_an_op(master: seaway.Master) -> None:
    a, b = pair(master)
    with a, b:
        x = np.ones(4, np.float32)
        with pytest.raises(seaway.Aborted):
            a.all_reduce(x, deadline=0.05)
        assert x.tolist() == [1] * 4


def test_no_progress_ends_an_op(master: seaway.Master) -> None:
    a, b = pair(master)
    with a, b:
        with pytest.raises(seaway.Aborted):
            a.all_reduce(np.ones(4, np.float32), timeout=0.2)


def test_too_many_ops(solo: seaway.Communicator) -> None:
    with pytest.raises(seaway.InvalidError):
        solo.all_reduce_async([])
    assert solo.barrier().outcome == "committed"


def test_a_dropped_op_keeps_its_arrays_and_goes_on(master: seaway.Master) -> None:
    a, b = pair(master)
    with a, b:
        x = np.ones(1 << 16, np.float32)
        alive = weakref.ref(x)
        a.all_reduce_async(x)  # dropped at once
        del x
        gc.collect()
        assert alive() is not None
        y = np.ones(1 << 16, np.float32)
        b.all_reduce(y)
        assert y[0] == 2 and y[-1] == 2
        # The next start finds it final, and lets its array go.
        waits = threading.Event()
        for _ in range(200):
            together(a.barrier, b.barrier)
            gc.collect()
            if alive() is None:
                break
            waits.wait(0.01)
        assert alive() is None


def test_a_dropped_op_of_a_closed_communicator_lets_go(master: seaway.Master) -> None:
    a, b = pair(master)
    with b:
        x = np.ones(8, np.float32)
        alive = weakref.ref(x)
        a.all_reduce_async(x)
        del x
        gc.collect()
        assert alive() is not None
        a.close()
        gc.collect()
        assert alive() is None


def test_closing_ends_waits(master: seaway.Master) -> None:
    a, b = pair(master)
    with b:
        x = np.ones(8, np.float32)
        op = a.all_reduce_async(x)
        waiter = Thread(op.wait)
        a.close()
        with pytest.raises(seaway.Undecided):
            waiter.result()
        with pytest.raises(seaway.Undecided):
            op.wait(BOUND)
        assert x.tolist() == [1] * 8


def test_starting_from_many_threads(master: seaway.Master) -> None:
    def body(comm: seaway.Communicator) -> float:
        def one(tag: int) -> float:
            total = 0.0
            for _ in range(20):
                x = np.full(100, float(tag))
                comm.all_reduce(x, tag=tag)
                total += float(x.sum())
            return total

        return sum(together(*[lambda tag=tag: one(tag) for tag in range(1, 6)]))  # type: ignore[misc]

    assert cluster(master, 2, body) == [2 * 20 * 100 * 15.0] * 2


def test_await(master: seaway.Master) -> None:
    a, b = pair(master)

    async def body(comm: seaway.Communicator) -> list[float]:
        arrays = [np.full(10, float(i)) for i in range(20)]
        results = await asyncio.gather(*[comm.all_reduce_async(x, tag=i) for i, x in enumerate(arrays)])
        assert all(result.outcome == "committed" for result in results)
        x = np.ones(2)
        assert (await comm.all_reduce_async(x)).contributors == tuple((m.peer, 1.0) for m in comm.members)
        op = comm.barrier_async()
        first, second = await asyncio.gather(op, op)  # twice
        assert first is second and await op is first
        return [x[0] for x in arrays]

    async def both() -> Any:
        return await asyncio.wait_for(asyncio.gather(body(a), body(b)), BOUND)

    with a, b:
        asyncio.run(both())
        descriptors = len(os.listdir("/proc/self/fd"))
        assert asyncio.run(both()) == [[2.0 * i for i in range(20)]] * 2
        assert len(os.listdir("/proc/self/fd")) == descriptors


def test_await_in_two_loops_of_one_communicator(master: seaway.Master) -> None:
    a, b = pair(master)

    async def body(comm: seaway.Communicator, tag: int) -> bool:
        for _ in range(50):
            await asyncio.wait_for(comm.barrier_async(tag=tag), BOUND)
        return True

    with a, b:
        runs = [lambda comm=comm, tag=tag: asyncio.run(body(comm, tag)) for comm in (a, b) for tag in (1, 2)]  # type: ignore[misc]
        assert together(*runs) == [True] * 4


def test_await_raises_and_can_be_cancelled(master: seaway.Master) -> None:
    a, b = pair(master)

    async def body() -> None:
        op = a.barrier_async()
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(op, 0.02)
        assert not op.done()
        op.cancel()
        with pytest.raises(seaway.Aborted):
            await asyncio.wait_for(op, BOUND)
        open_op = a.barrier_async(tag=3)
        waiting = asyncio.ensure_future(asyncio.wait_for(open_op, BOUND))
        await asyncio.sleep(0)
        await asyncio.get_running_loop().run_in_executor(None, a.close)
        with pytest.raises(seaway.Undecided):
            await waiting

    with a, b:
        asyncio.run(body())


def test_await_of_an_op_whose_communicator_is_being_closed(master: seaway.Master) -> None:
    a, b = pair(master)

    async def body() -> None:
        op = a.barrier_async()
        closing = asyncio.get_running_loop().run_in_executor(None, a.close)
        with pytest.raises(seaway.Undecided):  # whether the await or the closing comes first
            await op
        await closing

    with a, b:
        asyncio.run(body())


# Says "waiting" once its main thread is inside a wait, and "interrupted" once Ctrl-C got it out.
INTERRUPTED = """
import signal, sys, threading, seaway

# A shell starts background jobs with SIGINT ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)

def watch(main=threading.main_thread().ident):
    while True:
        frame = sys._current_frames()[main]
        while frame is not None:
            if frame.f_code.co_filename.endswith("_waiting.py"):
                return print("waiting", flush=True)
            frame = frame.f_back

def join(size):
    return seaway.Communicator(sys.argv[1], listen="127.0.0.1:0", min_world=size)

how, call = sys.argv[2], None
if how == "joining":
    call = lambda: join(3)
else:
    comm = join(2)
    op = comm.barrier_async()
    call = {"blocking": lambda: comm.barrier(tag=1), "timed": lambda: op.wait(3600), "wait": lambda: seaway.wait([op])}[how]
try:
    threading.Thread(target=watch, daemon=True).start()
    call()
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


@pytest.mark.parametrize("how", ["blocking", "timed", "wait", "joining"])
def test_ctrl_c_interrupts_a_wait(master: seaway.Master, how: str) -> None:
    command = [sys.executable, "-c", INTERRUPTED, master.join, how]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            other = join(master, min_world=2) if how != "joining" else None
            assert process.stdout is not None
            assert process.stdout.readline() == "waiting\n"
            process.send_signal(signal.SIGINT)
            assert process.stdout.readline() == "interrupted\n"
            assert process.wait(BOUND) == 0
            if other is not None:
                other.close()
        finally:
            process.kill()


def test_an_open_op_does_not_stop_the_interpreter_from_ending(master: seaway.Master) -> None:
    code = (
        "import sys, seaway\n"
        "comm = seaway.Communicator(sys.argv[1], listen='127.0.0.1:0', min_world=2)\n"
        "comm.all_reduce_async(bytearray(1 << 20))\n"
        "op = comm.barrier_async(tag=1)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, master.join]) as process:
        try:
            with join(master, min_world=2):
                assert process.wait(BOUND) == 0
        finally:
            process.kill()
