"""Ops that commit together."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest

import seaway
from conftest import BOUND, Thread, cluster, join


def test_all_ops_of_a_transaction_are_committed_at_its_end(master: seaway.Master) -> None:
    def body(comm: seaway.Communicator) -> Any:
        x, y, out = np.ones(5000, np.float32), np.full(7, 2.0), np.zeros(5000, np.float32)
        with comm.transaction() as step:
            first = comm.all_reduce_async(x, out, transaction=step)
            second = comm.all_reduce_async(y, op="max", transaction=step)
            assert (out == 0).all()
        assert (out == 3).all() and (y == 2).all() and (x == 1).all()
        assert first.done() and second.wait(0).attempts == 1
        return len(step.wait(0).contributors)

    assert cluster(master, 3, body) == [3, 3, 3]


def test_lanes_commit_together(master: seaway.Master) -> None:
    def body(replica: int, lane: int) -> Any:
        with join(master, replica=replica, lane=lane, lanes=2, min_world=2) as comm:
            x = np.full(1000, 1.0 + lane, np.float32)
            with comm.transaction() as step:
                if lane == 0:  # the other lane has nothing to say
                    comm.all_reduce_async(x, transaction=step)
            comm.barrier()
            return x[0]

    threads = [Thread(functools.partial(body, replica, lane)) for replica in range(2) for lane in range(2)]
    assert [thread.result() for thread in threads] == [2.0, 2.0, 2.0, 2.0]


def test_what_is_raised_in_it_aborts_it_for_everybody(master: seaway.Master) -> None:
    def body(comm: seaway.Communicator) -> Any:
        x, out = np.ones(100, np.float32), np.zeros(100, np.float32)
        rank = comm.rank
        with pytest.raises(seaway.Aborted if rank == 0 else ZeroDivisionError):
            with comm.transaction() as step:
                op = comm.all_reduce_async(x, out, transaction=step)
                if rank == 1:
                    raise ZeroDivisionError
        with pytest.raises(seaway.Aborted):
            op.wait(BOUND)
        assert (out == 0).all()
        comm.barrier()
        return "on"

    assert cluster(master, 2, body) == ["on", "on"]


def test_one_that_is_open_holds_up_the_update(solo: seaway.Communicator) -> None:
    step = solo.transaction(on_loss="fail", timeout=BOUND)
    with pytest.raises(seaway.Busy, match="transaction"):
        solo.update()
    step.close()
    step.close()
    assert step.wait(BOUND).attempts == 1
    solo.update()
    with pytest.raises(seaway.InvalidError, match="has ended"):
        solo.barrier_async(transaction=step).wait(BOUND)
    with pytest.raises(seaway.InvalidError, match="transaction is 7"):
        solo.barrier_async(transaction=7)  # type: ignore[arg-type]


def test_one_that_is_dropped_is_cancelled(solo: seaway.Communicator) -> None:
    step = solo.transaction()
    op = solo.barrier_async(transaction=step)
    del step
    with pytest.raises(seaway.Aborted, match="given up"):
        op.wait(BOUND)
    solo.update()
