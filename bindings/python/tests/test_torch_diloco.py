"""DiLoCo over FSDP2 shards: against one process without shards, to the last bit, and under faults of one lane."""

from __future__ import annotations

import multiprocessing
import pathlib
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import seaway  # noqa: E402
import seaway.torch  # noqa: E402
import torch_lanes  # noqa: E402
from conftest import cluster  # noqa: E402
from torch_lanes import LANES, REPLICAS, Faults  # noqa: E402
from torch_replicas import Lost, in_processes  # noqa: E402

pytestmark = pytest.mark.timeout(240)


def run(master: seaway.Master, folder: pathlib.Path, rounds: int, faults: Faults) -> list[list[Any]]:
    """By replica and lane."""
    faults.aborted = multiprocessing.get_context("spawn").Event()
    ended = in_processes(
        torch_lanes.diloco,
        [(master.join, str(folder), r, lane, rounds, faults) for r in range(REPLICAS) for lane in range(LANES)],
    )
    return [ended[:LANES], ended[LANES:]]


def test_two_replicas_of_two_lanes_are_one_process_to_the_last_bit(master: seaway.Master, tmp_path: pathlib.Path) -> None:
    ended = run(master, tmp_path, 3, Faults())
    expected = torch_lanes.diloco_unsharded(ended[0][0]["first"], (), 3)
    for lanes in ended:
        for each in lanes:
            assert each["made"] == [True] * 3 and each["round"] == 3
            assert each["params"] == expected  # error 0.0
    for lane in range(LANES):
        assert ended[0][lane]["digests"] == ended[1][lane]["digests"]


def test_what_one_lane_has_not_is_made_at_none_and_nothing_learned_is_lost(
    master: seaway.Master, tmp_path: pathlib.Path
) -> None:
    ended = run(master, tmp_path, 4, Faults(abort=1, kill=3))
    # Round 1 was aborted in lane 1 alone. It was made nowhere, and round 2 has the work of both.
    expected = torch_lanes.diloco_unsharded(ended[0][0]["first"], (1,), 3)
    for lane, each in enumerate(ended[0]):
        assert each["made"][:3] == [True, False, True] and each["errors"][1] == "Aborted"
        assert each["params"][0] == expected[0] and each["params"][2] == expected[2]
        assert each["digests"][1] == each["digests"][0]  # theta and buf as before
    # In round 3 a lane of replica 1 was killed in its all-reduce: its sibling does not go on alone, and the lanes of replica 0
    # agree, whether the dead had contributed in both of them or in one.
    assert ended[0][0]["made"] == ended[0][1]["made"] and ended[0][0]["round"] == ended[0][1]["round"]
    assert ended[0][0]["params"] == ended[0][1]["params"]
    assert isinstance(ended[1][1], Lost)
    assert ended[1][0]["made"] == [True, False, True] and "ended" in ended[1][0]
    assert ended[1][0]["digests"] == ended[0][0]["digests"][:3] and ended[1][0]["params"][0] == ended[0][0]["params"][0]


def test_plain_parameters_of_16_bits_and_a_checkpoint(master: seaway.Master) -> None:
    def body(comm: seaway.Communicator) -> tuple[list[float], Any]:
        params = [torch.full((3,), 1.0), torch.full((2, 2), 1.0, dtype=torch.bfloat16)]
        outer = seaway.torch.DiLoCo(params, comm, momentum=0.0, nesterov=False, outer_lr=1.0, codec=None)
        outer.sync()
        for param in params:
            param -= 0.25 * (1 + comm.rank)
        assert outer.step() and outer.error is None and len(outer.result.contributors) == 2
        state = outer.state_dict()
        params[0].zero_()
        again = seaway.torch.DiLoCo(params, comm, momentum=0.0, nesterov=False, outer_lr=1.0, tag=5)
        again.load_state_dict(state)
        assert again.round == 1 and again.digest() == outer.digest()
        with pytest.raises(seaway.InvalidError, match="theta"):
            again.load_state_dict({**state, "theta": torch.zeros(2)})
        return torch.cat([param.float().flatten() for param in params]).tolist(), state["theta"].tolist()

    for values, theta in cluster(master, 2, body):
        assert values == theta == [1 - 0.25 * 1.5] * 7


def test_a_round_is_made_without_a_replica_that_is_late_and_its_work_counts_in_the_next(master: seaway.Master) -> None:
    def body(comm: seaway.Communicator) -> tuple[int, float, float]:
        param = torch.zeros(1000, dtype=torch.bfloat16)
        outer = seaway.torch.DiLoCo(
            [param], comm, outer_lr=1.0, momentum=0.0, nesterov=False, waiting=seaway.training.NO_WAIT
        )
        outer.sync()
        if comm.rank == 0:
            for _ in range(3):
                param -= 1
                assert outer.step() and [c.peer for c in outer.result.contributors] == [comm.view.me]
                outer.sync()
            comm.barrier(tag=1)
            comm.barrier(tag=2)
            assert outer.step()  # the fourth was made by the other; this is the fifth
        else:
            comm.barrier(tag=1)
            param -= 50
            assert outer.step() and [c.peer for c in outer.result.contributors] == [comm.view.me]
            comm.barrier(tag=2)
        return outer.round, outer.state_dict()["theta"][0].item(), param[0].item()

    assert cluster(master, 2, body) == [(5, -53.0, -53.0), (4, -53.0, -53.0)]


def test_arguments(solo: seaway.Communicator, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(seaway.InvalidError, match="int64"):
        seaway.torch.DiLoCo([torch.zeros(2, dtype=torch.int64)], solo)
    with pytest.raises(TypeError, match="Communicator"):
        seaway.torch.DiLoCo([torch.zeros(2)], 5)
    with monkeypatch.context() as patched, pytest.raises(seaway.InvalidError, match="quorum"):
        patched.setattr(torch.distributed, "get_world_size", lambda group: 2)
        seaway.torch.DiLoCo([torch.zeros(2)], solo, object(), waiting=seaway.training.NO_WAIT)
    param = torch.zeros(2)
    outer = seaway.torch.DiLoCo([param], solo)
    param.data = torch.zeros(3)
    with pytest.raises(seaway.InvalidError, match="local shape"):
        outer.step()


def test_the_state_of_an_outer_loop_is_set_whole_or_not_at_all(solo: seaway.Communicator) -> None:
    param = np.ones(3, np.float32)
    outer = seaway.training.DiLoCo(solo, [param])
    saved = {name: values.copy() for name, values in outer.state().items()}
    with pytest.raises(seaway.InvalidError, match="buf"):
        outer.load({**saved, "buf": saved["buf"][:2], "theta": saved["theta"] + 1})
    assert param.tolist() == [1, 1, 1]
    outer.load({**saved, "theta": saved["theta"] + 1})
    assert param.tolist() == [2, 2, 2]
