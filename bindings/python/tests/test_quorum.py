"""all_reduce and reduce_scatter that do not wait for everybody."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

import seaway
from conftest import BOUND, cluster


def test_a_straggler_gets_the_result_and_does_not_count(master: seaway.Master) -> None:
    done = threading.Semaphore(0)

    def body(comm: seaway.Communicator) -> Any:
        late = comm.rank == 2
        x = np.full(1000, 1.0 + comm.rank, np.float32)
        if late:
            assert all(done.acquire(timeout=BOUND) for _ in range(2))
        result = comm.all_reduce(x, op="avg", quorum=2)
        done.release()
        assert (x == 1.5).all() and result.weight_sum == 2
        return len(result.contributors), comm.view.members[comm.rank].peer in {each.peer for each in result.contributors}

    assert cluster(master, 3, body) == [(2, True), (2, True), (2, False)]


def test_within_the_grace_everybody_counts(master: seaway.Master) -> None:
    def body(comm: seaway.Communicator) -> Any:
        blocks = len(comm.update().blocks)
        x, out = np.ones((blocks, 5), np.float32), np.empty(5, np.float32)
        result = comm.reduce_scatter(x, out, quorum=1, grace=BOUND)
        return len(result.contributors), out.tolist()

    assert cluster(master, 3, body) == [(3, [3.0] * 5)] * 3


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"quorum": 0}, "quorum is 0"),
        ({"quorum": -1}, "quorum is -1"),
        ({"quorum": "two"}, "quorum is 'two'"),
        ({"quorum": 2, "grace": None}, "grace is None"),
        ({"quorum": 2, "grace": -0.5}, "grace_s"),
        ({"grace": 1.0}, "quorum is None"),
    ],
)
def test_a_wrong_quorum_is_named(solo: seaway.Communicator, arguments: dict[str, Any], named: str) -> None:
    with pytest.raises(seaway.InvalidError, match=named):
        solo.all_reduce(np.ones(3, np.float32), **arguments)
