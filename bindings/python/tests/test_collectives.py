"""all_reduce, broadcast and barrier among threads of this process."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

import seaway
from conftest import BOUND, cluster, join, together


def test_reductions_in_place(master: seaway.Master) -> None:
    def body(comm: seaway.Communicator) -> Any:
        values = {}
        for op in ("sum", "avg", "min", "max", "prod"):
            x = np.array([comm.rank + 1, -comm.rank], np.float64)
            comm.all_reduce(x, op=op)
            values[op] = x.tolist()
        return values

    expected = {"sum": [6, -3], "avg": [2, -1], "min": [1, -2], "max": [3, 0], "prod": [6, 0]}
    assert cluster(master, 3, body) == [expected] * 3


def test_large_arrays_have_equal_bits(master: seaway.Master) -> None:
    def body(comm: seaway.Communicator) -> Any:
        x = np.random.default_rng(comm.rank).standard_normal(1_000_003).astype(np.float32)
        inputs = x.copy()
        result = comm.all_reduce(x)
        return inputs, x, result

    members = cluster(master, 3, body)
    in_roster_order = members[0][0] + members[1][0] + members[2][0]
    for _, x, result in members:
        assert x.tobytes() == in_roster_order.tobytes()
        assert result.hash == members[0][2].hash
        assert result.contributors_hash == members[0][2].contributors_hash
        assert result.plan == "direct"
        assert result.bytes_sent > 0 and result.bytes_received > 0 and result.bytes_resent == 0
        assert result.scratch_bytes >= x.nbytes


def ramp(count: int, scale: int) -> Any:
    """Numbers that q8 says exactly: the largest of each block is 127 times a whole scale."""
    return ((np.arange(count) % 255 - 127) * scale).astype(np.float32)


def test_codecs(master: seaway.Master) -> None:
    count = 700_000

    def body(comm: seaway.Communicator) -> Any:
        x = ramp(count, comm.rank + 1)
        residual = np.zeros(count, np.float32)
        result = comm.all_reduce(x, codec="q8", residual=residual)
        assert (x == ramp(count, 6)).all() and not residual.any()
        assert result.bytes_sent <= x.nbytes * 0.4  # of 4/3 and a chunk
        up = ramp(count, 2**comm.rank)
        way_back = comm.all_reduce(up, codec=("bf16", None), rounding="stochastic")
        assert (up == ramp(count, 7)).all() and way_back.bytes_sent > 2 * result.bytes_sent
        blocks = comm.update().blocks
        gathered = np.empty((len(blocks), 1024), np.float32)
        comm.all_gather(ramp(1024, comm.rank + 1), gathered, codec="q8")
        assert [row.tobytes() for row in gathered] == [ramp(1024, rank + 1).tobytes() for rank in range(3)]
        block = np.empty(1024, np.float32)
        comm.reduce_scatter(gathered, block, codec="q8")
        assert (block == 3 * ramp(1024, comm.rank + 1)).all()
        return result.hash

    assert len(set(cluster(master, 3, body))) == 1


def test_error_feedback(master: seaway.Master) -> None:
    def body(comm: seaway.Communicator) -> Any:
        residual = np.zeros(2, np.float32)
        kept, total = [], 0.0
        for _ in range(4):
            x = np.array([127, 0.25], np.float32)  # a step is 1
            comm.all_reduce(x, op="avg", codec="q8", residual=residual)
            kept.append(float(residual[1]))
            total += float(x[1])
        return kept, total

    assert cluster(master, 2, body) == [([0.25, 0.5, -0.25, 0.0], 1.0)] * 2


def test_what_a_result_says(master: seaway.Master) -> None:
    def body(comm: seaway.Communicator) -> Any:
        result = comm.all_reduce(np.ones(16, np.float32))
        assert [each.peer for each in result.contributors] == [member.peer for member in comm.members]
        assert [each.weight for each in result.contributors] == [1, 1]
        assert result.outcome == "committed" and result.lost == () and result.attempts == 1
        assert result.weight_sum == 2 and result.seconds > 0 and result.epoch == comm.epoch
        assert "contributors=2" in repr(result)
        with pytest.raises(AttributeError):
            result.seconds = 0  # type: ignore[misc]
        return True

    assert cluster(master, 2, body) == [True, True]


def test_weights(master: seaway.Master) -> None:
    def body(comm: seaway.Communicator) -> Any:
        x = np.array([[0.4, 0.8, 100.0][comm.rank]])
        result = comm.all_reduce(x, op="avg", weight=[1, 3, 0][comm.rank])
        assert result.weight_sum == 4
        y = np.array([float(comm.rank)])
        none = comm.all_reduce(y, op="avg", weight=0)
        return x[0], none.outcome, y[0]

    for rank, (x, outcome, y) in enumerate(cluster(master, 3, body)):
        assert x == pytest.approx(0.7)
        assert (outcome, y) == ("no_weight", rank)


def test_broadcast_from_a_rank_and_from_a_member(master: seaway.Master) -> None:
    def body(comm: seaway.Communicator) -> Any:
        x = np.full(3, comm.rank, np.int32)
        comm.broadcast(x, 1)
        y = [np.full(3, comm.rank, np.int32), np.full(200_000, comm.rank, np.int32)]
        if comm.rank == 2:
            for piece in y:
                piece.flags.writeable = False  # the root's is only read
        result = comm.broadcast(y, comm.members[2])
        assert result.outcome == "committed"
        return x.tolist(), set(y[0].tolist()), set(y[1].tolist())

    assert cluster(master, 3, body) == [([1, 1, 1], {2}, {2})] * 3


def test_lanes_are_groups(master: seaway.Master) -> None:
    def member(replica: int, lane: int) -> Any:
        with join(master, replica=replica, lane=lane, lanes=2, min_world=2) as comm:
            view = comm.view
            x = np.array([10 * replica + lane])
            comm.all_reduce(x)
            y = np.array([10 * replica + lane])
            comm.broadcast(y, 1)
            mine = view.member(view.rank, lane)
            assert (mine.peer, mine.replica, mine.lane) == (view.me, replica, lane)
            assert (view.world_size, view.lanes, len(view.members)) == (2, 2, 4)
            source = view.member(1, lane).replica
            comm.barrier()
            return x[0], y[0] == 10 * source + lane

    results = together(*[lambda r=r, j=j: member(r, j) for r in (0, 1) for j in (0, 1)])  # type: ignore[misc]
    assert results == [(10, True), (12, True), (10, True), (12, True)]


def test_barrier_and_tags_are_independent(master: seaway.Master) -> None:
    def body(comm: seaway.Communicator) -> Any:
        first, second = np.array([1.0]), np.array([10.0])
        # Each member starts the tags in another order.
        if comm.rank == 0:
            ops = [comm.all_reduce_async(first, tag=1), comm.all_reduce_async(second, tag=2)]
        else:
            ops = [comm.all_reduce_async(second, tag=2), comm.all_reduce_async(first, tag=1)]
        assert seaway.wait(ops, timeout=BOUND) == ops
        comm.barrier(tag=2**62 - 1)
        return first[0], second[0]

    assert cluster(master, 2, body) == [(2, 20)] * 2


@pytest.mark.parametrize("what", ["size", "dtype", "op", "layout", "weight"])
def test_different_arguments_are_refused_everywhere(master: seaway.Master, what: str) -> None:
    def body(comm: seaway.Communicator) -> Any:
        odd = comm.rank == 1
        x = np.ones(3 if odd and what == "size" else 2, np.float64 if odd and what == "dtype" else np.float32)
        before = x.copy()
        with pytest.raises(seaway.Refused) as caught:
            comm.all_reduce(
                x,
                op="max" if odd and what == "op" else "avg",
                layout=5 if odd and what == "layout" else 0,
                weight=2.0 if odd and what == "weight" else None,
            )
        error = caught.value
        assert isinstance(error, seaway.GroupError) and error.op is not None and error.op.done()
        assert error.name == "SEAWAY_REFUSED" and str(error) == error.text != ""
        assert x.tobytes() == before.tobytes()
        comm.all_reduce(x := np.ones(1, np.float32))  # the communicator is fine
        return x[0]

    assert cluster(master, 2, body) == [2, 2]


def test_a_broadcast_from_somebody_unknown_is_refused(master: seaway.Master) -> None:
    def body(comm: seaway.Communicator) -> Any:
        stranger = dataclasses.replace(comm.members[0], peer=12345)
        with pytest.raises((seaway.Refused, seaway.InvalidError)):
            comm.broadcast(np.ones(2, np.float32), stranger)
        return True

    assert cluster(master, 2, body) == [True, True]
