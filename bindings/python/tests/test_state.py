"""The shared state: what a sync makes of everybody's tensors, and what newcomers may do before it."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import Thread, cluster, join

import seaway


def test_everybody_gets_the_newest_copy(master: seaway.Master) -> None:
    def body(comm: seaway.Communicator) -> tuple[float, int, seaway.SyncResult]:
        weights = np.full(100_000, comm.rank, np.float32)
        steps = np.array([comm.rank], np.int64)
        result = comm.sync_state({"weights": weights, "steps": steps}, comm.rank)
        assert (weights == weights[0]).all()
        again = comm.sync_state({"steps": steps, "weights": weights}, result.revision)
        alone = comm.sync_state({"weights": weights}, result.revision)
        assert seaway.hash(weights) == alone.digest != result.digest
        assert again.digest == result.digest and again.bytes_changed == 0 and len(again.donors) == 3
        return float(weights[0]), int(steps[0]), result

    ended = cluster(master, 3, body)
    for rank, (weight, steps, result) in enumerate(ended):
        assert (weight, steps, result.revision, result.rounds) == (2.0, 2, 2, 1)
        assert result.digest == ended[0][2].digest and len(result.digest) == 32
        assert result.bytes == 400_008 and (result.bytes_changed == 0) == (rank == 2)
        assert result.donors == ended[2][2].donors and len(result.donors) == 1


def test_roles(master: seaway.Master) -> None:
    def body(comm: seaway.Communicator) -> float:
        x = np.full(3, comm.rank, np.float64)
        rank = comm.rank
        assert comm.sync_state({"x": x}, rank, role="send" if rank == 0 else "both").revision == 0
        with pytest.raises(seaway.Refused, match="only receives"):
            comm.sync_state({"x": x}, rank, role="receive")
        return float(x[0])

    assert cluster(master, 2, body) == [0.0, 0.0]


def test_different_tensors_are_refused(master: seaway.Master) -> None:
    def body(comm: seaway.Communicator) -> None:
        with pytest.raises(seaway.Refused, match="different tensors"):
            comm.sync_state({"x": np.zeros(3 + comm.rank)})
        comm.sync_state({"x": np.zeros(3)})

    cluster(master, 2, body)


def test_a_newcomer_catches_up_and_counts_from_then_on(master: seaway.Master) -> None:
    def newcomer() -> None:
        with join(master) as comm:
            x, one = np.zeros(1000), np.ones(1)
            assert comm.all_reduce(one).contributors[0].peer != comm.view.me
            assert comm.sync_state({"x": x}, 99).revision == 7
            assert (x == np.arange(1000.0)).all()
            comm.all_reduce(one)

    with join(master) as comm:
        x = np.arange(1000.0)
        assert comm.sync_state({"x": x}, 7).revision == 7
        thread = Thread(newcomer)
        while comm.world_size < 2:
            comm.update()
        assert len(comm.all_reduce(np.ones(1)).contributors) == 1
        comm.sync_state({"x": x}, 7)
        assert len(comm.all_reduce(np.ones(1)).contributors) == 2
        thread.result()


def test_a_timeout_is_pending_and_goes_on(master: seaway.Master) -> None:
    def body(comm: seaway.Communicator) -> None:
        x = np.full(10, comm.rank)
        if comm.rank == 0:
            with pytest.raises(seaway.Pending):
                comm.sync_state({"x": x}, timeout=0)
            with pytest.raises(seaway.Busy):
                comm.update(timeout=0)
            with pytest.raises(seaway.InvalidError, match="unfinished"):
                comm.sync_state({"x": x}, 1)
            comm.barrier(tag=5)
        else:
            comm.barrier(tag=5)
        comm.sync_state({"x": x})
        comm.update()

    cluster(master, 2, body)


def test_arguments(solo: seaway.Communicator) -> None:
    x = np.zeros(3)
    for tensors, revision, role, message in (
        ([x], 0, "both", "dict"),
        ({"": x}, 0, "both", "name"),
        ({"x": "text"}, 0, "both", "x"),
        ({"x": x}, -1, "both", "revision"),
        ({"x": x}, 0, "boss", "role"),
    ):
        with pytest.raises(seaway.InvalidError, match=message):
            solo.sync_state(tensors, revision, role=role)  # type: ignore[arg-type]
    assert solo.sync_state({"x": x}, 5).revision == 5
    assert solo.sync_state({}, 6).bytes == 0
