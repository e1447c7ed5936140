"""reduce_scatter and all_gather: a block for each member of the generation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import seaway
from conftest import BOUND, cluster


def test_all_gather_gives_everybody_everybodys_arrays(master: seaway.Master) -> None:
    def body(comm: seaway.Communicator) -> Any:
        view = comm.view
        assert view.blocks == tuple(member.peer for member in view.members)
        assert view.block == view.rank
        x = [np.full(3, comm.rank, np.float32), np.full((2, 50_000), 10 * comm.rank, np.float32)]
        out = [np.empty((3, 3), np.float32), np.empty((3, 2, 50_000), np.float32)]
        result = comm.all_gather(x, out)
        assert [each.peer for each in result.contributors] == list(view.blocks)
        assert all((out[0][b] == b).all() and (out[1][b] == 10 * b).all() for b in range(3))
        return result.hash

    assert len(set(cluster(master, 3, body))) == 1


def test_reduce_scatter_gives_each_its_block(master: seaway.Master) -> None:
    def body(comm: seaway.Communicator) -> Any:
        blocks = len(comm.update().blocks)
        x = np.arange(blocks * 4, dtype=np.float64).reshape(blocks, 4) + comm.rank
        out = np.empty(4)
        assert comm.reduce_scatter(x, out, "avg").outcome == "committed"
        assert out.tolist() == (np.arange(4) + 4 * comm.view.block + 1).tolist()
        op = comm.reduce_scatter_async([x], [out], "max", tag=4)
        assert op.wait(timeout=BOUND).weight_sum == 3
        return (out - 2 - 4 * comm.view.block).tolist()

    assert cluster(master, 3, body) == [[0, 1, 2, 3]] * 3


def test_a_block_outlives_its_member(master: seaway.Master) -> None:
    def body(comm: seaway.Communicator) -> Any:
        blocks = comm.view.blocks
        comm.barrier()
        if comm.rank == 2:
            comm.leave(BOUND)
            comm.join(BOUND)  # when the others come to their update
            return None
        while comm.world_size == 3:
            pass
        assert comm.view.blocks == blocks
        out = np.full(3, -1)
        comm.all_gather(np.array([comm.rank + 5]), out)
        view = comm.update(BOUND)
        while view.world_size == 2:
            view = comm.update(BOUND)
        assert view.blocks != blocks and len(view.blocks) == 3
        return out.tolist()

    assert cluster(master, 3, body)[:2] == [[5, 6, 0]] * 2


def test_wrong_arguments(solo: seaway.Communicator) -> None:
    x = np.ones(4, np.float32)
    with pytest.raises(seaway.InvalidError, match="1 times"):
        solo.all_gather(x, np.ones(5, np.float32))
    with pytest.raises(seaway.InvalidError, match="1 times"):
        solo.reduce_scatter(x, np.ones(3, np.float32))
    with pytest.raises(seaway.InvalidError, match="2 arrays"):
        solo.all_gather(x, [np.ones(4, np.float32)] * 2)
    with pytest.raises(seaway.InvalidError, match="op is"):
        solo.reduce_scatter(x, np.ones(4, np.float32), "median")
    with pytest.raises(seaway.InvalidError, match="overlap"):
        solo.all_gather(x, x)
    solo.all_gather(x, y := np.zeros(4, np.float32))
    assert y.tolist() == x.tolist()
