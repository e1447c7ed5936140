"""Lane and Work: what may be dropped, who may wait, what is refused, and that nothing stays behind."""

from __future__ import annotations

import gc
import pathlib
import resource
import subprocess
import sys
import textwrap
import threading
import weakref
from collections.abc import Iterator
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from torch import nn  # noqa: E402

import seaway  # noqa: E402
import seaway.torch  # noqa: E402
from conftest import BOUND, Thread, join, together  # noqa: E402
from seaway.torch import Lane  # noqa: E402


@pytest.fixture
def lanes(master: seaway.Master) -> Iterator[tuple[Lane, Lane]]:
    """Two replicas of one process each."""
    comms = together(*[lambda n=n: join(master, min_world=2, replica=n) for n in range(2)])
    pair = [Lane(comm) for comm in comms]
    yield (pair[0], pair[1])
    for lane in pair:
        lane.close()


@pytest.fixture
def alone(solo: seaway.Communicator) -> Iterator[Lane]:
    lane = Lane(solo)
    yield lane
    lane.close()


def test_a_work_that_is_dropped_keeps_its_tensors_until_it_is_over(lanes: tuple[Lane, Lane]) -> None:
    a, b = lanes
    x = torch.ones(1000)
    memory = weakref.ref(x)
    future = a.all_reduce([x]).get_future()
    held = future.then(lambda done: done.value()[0].sum().item())
    del x, future
    gc.collect()
    assert memory() is not None
    b.all_reduce([torch.full((1000,), 3.0)]).wait()
    assert held.wait() == 2000
    a.quiesce(BOUND)


def test_two_threads_wait_and_the_future_is_always_the_same(lanes: tuple[Lane, Lane]) -> None:
    a, b = lanes
    x = torch.zeros(3)
    work = a.all_reduce([x], "sum")
    first = work.get_future()
    assert not work.is_completed() and work.exception() is None and work.contributors == []
    with pytest.raises(seaway.Pending):
        work.wait(timedelta(seconds=0.01))
    waiting = [Thread(work.wait) for _ in range(2)]
    b.all_reduce([torch.ones(3)], "sum").wait()
    assert [thread.result() for thread in waiting] == [True, True]
    assert work.get_future() is first and first.wait()[0] is x and x.tolist() == [1, 1, 1]
    assert work.is_completed() and work.is_success() and work.result() == [x]
    assert sorted(work.contributors) == [0, 1] and len(work.results) == 1
    work.synchronize()


def test_what_was_refused_raises_or_is_recorded(lanes: tuple[Lane, Lane]) -> None:
    a, b = lanes
    x, y = torch.zeros(3), torch.ones(4)
    raising = a.all_reduce([x], names=["x"])
    recording = b.all_reduce([y], names=["y"], on_error="record")
    with pytest.raises(seaway.torch.SeawayError, match="replica 1 called with y") as caught:
        raising.wait()
    assert isinstance(caught.value, seaway.Refused) and isinstance(caught.value, torch.distributed.DistBackendError)
    assert caught.value.code == 200 and caught.value.op is not None
    assert (caught.value.epoch, caught.value.retryable, caught.value.peers) == (a.comm.view.epoch, False, ())
    with pytest.raises(RuntimeError, match="replica 0 called with x"):
        raising.get_future().wait()
    assert recording.wait() and recording.get_future().wait()[0] is y and y.tolist() == [1] * 4
    assert not recording.is_success() and recording.exception() is b.error() and a.error() is caught.value
    a.clear()
    assert a.error() is None
    together(lambda: a.all_reduce([x]).wait(), lambda: b.all_reduce([torch.ones(3)]).wait())
    assert x.tolist() == [0.5] * 3


def test_a_step_ends_when_nothing_is_under_way_any_more(lanes: tuple[Lane, Lane]) -> None:
    a, b = lanes
    gradient, seen = torch.zeros(3), []
    optimizer: Any = SimpleNamespace(step=lambda: seen.append(gradient.tolist()))
    a.all_reduce([gradient], "sum", on_error="record")
    stepping = Thread(lambda: seaway.torch.step(optimizer, a, None))
    stepping.join(0.1)
    assert stepping.is_alive() and not seen
    b.all_reduce([torch.ones(3)], "sum").wait()
    assert stepping.result() and seen == [[1, 1, 1]]


def test_a_member_that_is_an_update_ahead_is_refused(lanes: tuple[Lane, Lane]) -> None:
    a, b = lanes
    a.update()
    works = [a.all_reduce([torch.zeros(3)], on_error="record"), b.all_reduce([torch.zeros(3)], on_error="record")]
    for work in works:
        work.wait()
        assert isinstance(work.exception(), seaway.Refused)


def test_weights_that_are_all_zero_are_an_error_and_leave_the_tensors(alone: Lane) -> None:
    x = torch.ones(2)
    with pytest.raises(seaway.torch.SeawayError, match="sum to 0"):
        alone.all_reduce([x], weight=0.0).wait()
    assert x.tolist() == [1, 1]


def test_tensors_of_several_dtypes_and_strides(alone: Lane) -> None:
    strided = torch.arange(6.0).reshape(2, 3).t()
    tensors = [torch.ones(2), torch.ones(3, dtype=torch.bfloat16), strided, torch.empty(0), nn.Parameter(torch.ones(1))]
    work = alone.all_reduce(tensors)
    work.wait()
    assert len(work.results) == 2 and alone.staged_bytes == 24 and strided[2, 1] == 5
    assert alone.broadcast([torch.ones(2, dtype=torch.bool)], 0).wait()
    assert (alone.size(), alone.rank(), alone.members()[0].peer) == (1, 0, alone.comm.view.me)


def test_what_is_no_plain_memory_is_refused_by_name() -> None:
    buffer = seaway.torch.buffer
    x = torch.arange(6, dtype=torch.float64)
    assert buffer(x[2:]) == (x.data_ptr() + 16, 32, 2) and buffer(torch.empty(0))[1] == 0
    assert buffer(nn.Parameter(torch.ones(2, dtype=torch.bfloat16)))[1:] == (4, 4)
    for bad, word in (
        (torch.ones(2, device="meta"), "meta"),
        (torch.ones(2, 2).to_sparse(), "sparse"),
        (torch.ones(2, 3).t(), "contiguous"),
        (torch.ones(1).expand(4), "contiguous"),
        (torch.ones(1, 2, 3, 3).contiguous(memory_format=torch.channels_last), "contiguous"),
        (torch._neg_view(torch.ones(2)), "neg"),
        (torch.ones(2, dtype=torch.complex64), "complex64"),
        (torch.ones(2, dtype=torch.bool), "bool"),
    ):
        with pytest.raises(seaway.InvalidError, match=word):
            buffer(bad)
        with pytest.raises(seaway.InvalidError, match="what it is called"):
            buffer(bad, "what it is called")


def test_arguments_that_are_wrong(alone: Lane) -> None:
    x = torch.ones(1)
    for call in (
        lambda: Lane(alone.comm, on_loss="never"),
        lambda: alone.all_reduce([x], tag=1 << 60),
        lambda: alone.all_reduce([x], on_error="ignore"),
        lambda: alone.all_reduce([x], "median"),
        lambda: alone.broadcast([x], 3),
        lambda: alone.name_of(x),
        lambda: seaway.torch.average_gradients([("a", 1)], alone),
        lambda: seaway.torch.overlap_gradients(nn.Linear(1, 1), alone).wait(),
        lambda: seaway.torch.ProcessGroup(alone, on_error="ignore"),
    ):
        with pytest.raises(seaway.torch.SeawayError) as caught:
            call()
        assert isinstance(caught.value, seaway.InvalidError)


def test_a_lane_whose_communicator_was_closed(lanes: tuple[Lane, Lane]) -> None:
    a, _ = lanes
    work = a.all_reduce([torch.ones(2)])
    future = work.get_future()
    a.close()
    with pytest.raises(seaway.Undecided):
        work.wait()
    with pytest.raises(RuntimeError):
        future.wait()
    with pytest.raises(seaway.Closed):
        a.all_reduce([torch.ones(2)]).wait()
    assert isinstance(a.error(), seaway.Undecided)
    assert a.all_reduce([torch.ones(2)], on_error="record").wait()
    a.quiesce(BOUND)
    a.close()
    assert not [thread for thread in threading.enumerate() if thread is a._completion]


def test_a_coroutine_and_a_future_share_the_events(lanes: tuple[Lane, Lane]) -> None:
    import asyncio

    a, b = lanes

    async def main() -> float:
        x = torch.ones(2)
        future = a.all_reduce([x], tag=1).get_future()
        awaited = a.comm.all_reduce_async(torch.ones(2), tag=2)
        other = Thread(lambda: (b.all_reduce([torch.zeros(2)], tag=1).wait(), b.comm.all_reduce(torch.ones(2), tag=2)))
        await asyncio.wait_for(asyncio.ensure_future(_awaited(awaited)), BOUND)
        future.wait()
        other.result()
        return float(x[0])

    async def _awaited(op: seaway.Operation) -> None:
        await op

    assert asyncio.run(main()) == 0.5


def test_a_future_does_not_end_because_the_process_does(lanes: tuple[Lane, Lane]) -> None:
    a, _ = lanes
    future = a.all_reduce([torch.ones(2)]).get_future()
    a._completion.end()  # as at exit: a thread that came back from Future.wait then would sometimes be the end of the process
    assert a.comm._closed and not a._completion.is_alive() and not future.done()


@pytest.mark.timeout(120)
def test_many_ops_leave_nothing(alone: Lane) -> None:
    x = torch.ones(16)

    def some(count: int) -> None:
        for i in range(count):
            work = alone.all_reduce([x])
            if i % 2:
                future = work.get_future().then(lambda done: None)
                del work
                future.wait()
            else:
                work.wait()
        alone.quiesce(BOUND)

    def measured() -> tuple[int, int]:
        gc.collect()
        return len(gc.get_objects()), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    some(1000)
    before = measured()
    some(100_000)
    after = measured()
    assert after[0] - before[0] < 500 and after[1] - before[1] < 4096  # KiB: a fifth of a byte for each byte of one op
    assert not alone._completion.tasks()


_EXITS = textwrap.dedent(
    """
    import os, sys, threading
    import torch, seaway, seaway.torch

    join, times = sys.argv[1], int(sys.argv[2])
    codes, running = [], 0
    for number in range(times):
        if os.fork() == 0:
            break
        running += 1
        while running == 5 or (running and number == times - 1):
            codes.append(os.waitstatus_to_exitcode(os.wait()[1]))
            running -= 1
    else:
        sys.exit(f"exit codes {codes}" if any(codes) or len(codes) != times else 0)

    # The interpreter of this child ends as any other: with ops under way that nobody else will ever start.
    lane = seaway.torch.Lane(seaway.Communicator(join, listen="127.0.0.1:0", replica=number + 10, timeout=30))
    kept = [lane.all_reduce([torch.ones(1000)], tag=4 * number + i) for i in range(4)]
    futures = [work.get_future().then(lambda done: sum(range(1000))) for work in kept[:2]]
    del kept[1:]
    waiting = threading.Thread(target=lambda: futures[0].wait(), daemon=True)
    waiting.start()
    """
)


@pytest.mark.timeout(180)
def test_exit_with_ops_under_way(master: seaway.Master, tmp_path: pathlib.Path) -> None:
    program = tmp_path / "exits.py"
    program.write_text(_EXITS)
    stop = threading.Event()
    with join(master) as comm:

        def admit() -> None:
            while not stop.wait(0.005):
                comm.update(BOUND)

        admitting = Thread(admit)
        try:
            done: Any = subprocess.run(
                [sys.executable, str(program), master.join, "30"], capture_output=True, text=True, timeout=150
            )
        finally:
            stop.set()
        admitting.result()
    assert done.returncode == 0, done.stderr
