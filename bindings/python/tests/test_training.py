"""DiLoCo on a cluster."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

import seaway
from conftest import BOUND, Thread, cluster, join
from seaway.training import DiLoCo


def test_three_members_follow_the_equations(master: seaway.Master) -> None:
    """Member m moves every parameter by -(m + 1) * s in round s: the mean pseudo-gradient is 2 * s."""

    def body(comm: seaway.Communicator) -> Any:
        w, b = np.full((2, 3), float(comm.rank), np.float32), np.zeros(4, np.float32)
        outer = DiLoCo(comm, [w, b])
        trace = []
        for s in (1, 2, 3):
            outer.sync()
            for param in (w, b):
                param -= (comm.rank + 1) * s
            result = outer.step()
            assert result.outcome == "committed" and outer.round == s
            trace.append((w[0, 0], b[0], outer.digest()))
        return trace

    members = cluster(master, 3, body)
    theta, buf, expected = np.zeros(1), np.zeros(1), []
    for s in (1, 2, 3):
        buf = 0.9 * buf + 2 * s
        theta = theta - 0.7 * (2 * s + 0.9 * buf)
        expected.append(theta[0])
    for trace in members:
        assert [w for w, _, _ in trace] == pytest.approx(expected)  # everyone started from rank 0's 0
        assert [digest for _, _, digest in trace] == [digest for _, _, digest in members[0]]
        assert len({digest for _, _, digest in trace}) == 3


def test_a_newcomer_gets_the_shared_state(master: seaway.Master) -> None:
    def run(comm: seaway.Communicator, start: float) -> list[tuple[int, int, str]]:
        w = np.full(1000, start, np.float32)
        outer = DiLoCo(comm, [w])
        seen: list[tuple[int, int, str]] = []
        with comm:
            while sum(world == 2 for _, world, _ in seen) < 4:
                view = outer.sync()
                at = outer.round
                w -= 1 + view.rank
                outer.step()
                seen.append((at, view.world_size, outer.digest()))
            comm.barrier(tag=1)
        return seen

    first = join(master)
    old = Thread(lambda: run(first, 0.0))
    new = Thread(lambda: run(join(master), 100.0))
    before, after = old.result(), new.result()
    # The newcomer starts at the round where the run is, and has the same state from then on.
    assert after[0][0] == [at for at, world, _ in before if world == 2][0]
    assert after == [each for each in before if each[1] == 2]


def test_weights_count(master: seaway.Master) -> None:
    def body(comm: seaway.Communicator) -> float:
        w = np.zeros(2, np.float32)
        outer = DiLoCo(comm, [w], lr=1.0, momentum=0.0)
        outer.sync()
        w -= [0.4, 0.8][comm.rank]
        outer.step(weight=[3, 1][comm.rank])
        return float(w[0])

    assert cluster(master, 2, body) == [pytest.approx(-0.5)] * 2


def test_an_aborted_round_can_be_done_again(master: seaway.Master) -> None:
    decided = threading.Event()

    def body(comm: seaway.Communicator) -> float:
        w = np.zeros(2, np.float32)
        outer = DiLoCo(comm, [w], lr=1.0, momentum=0.0)
        outer.sync()
        w -= 0.5
        if comm.rank == 0:
            op = outer.start()
            op.cancel("once more")
            seaway.wait([op], timeout=BOUND)
            decided.set()
        else:
            assert decided.wait(BOUND)
            outer.start()
        with pytest.raises(seaway.Aborted):
            outer.finish()
        assert outer.round == 0 and w.tolist() == [-0.5, -0.5] and outer.theta.tolist() == [0, 0]
        outer.step()
        return float(w[0])

    assert cluster(master, 2, body) == [-0.5, -0.5]


def test_wrong_use_is_refused(solo: seaway.Communicator) -> None:
    with pytest.raises(seaway.InvalidError, match=r"params\[1\]"):
        DiLoCo(solo, [np.zeros(1, np.float32), np.zeros(1, np.int32)])
    outer = DiLoCo(solo, [np.zeros(1, np.float32)])
    outer.sync()
    with pytest.raises(seaway.InvalidError, match="without start"):
        outer.finish()
    outer.start()
    with pytest.raises(seaway.InvalidError, match="twice"):
        outer.start()
    outer.finish(BOUND)


def test_different_models_are_refused(master: seaway.Master) -> None:
    def body(comm: seaway.Communicator) -> bool:
        outer = DiLoCo(comm, [np.zeros((2, 3) if comm.rank else (3, 2), np.float32)])
        with pytest.raises(seaway.Refused):
            outer.sync()
        return True

    assert cluster(master, 2, body) == [True, True]
