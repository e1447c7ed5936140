"""The ops of a step are one transaction: what one rank of one replica cannot do, or does not survive, is the same in all lanes."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

import seaway  # noqa: E402
import seaway.torch  # noqa: E402
from seaway.torch._staging import Prepared  # noqa: E402
from torch_replicas import Rank, digest_of, event, replicas  # noqa: E402

pytestmark = pytest.mark.timeout(240)


def _model(value: float = 0.0) -> torch.nn.Module:
    model = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.Linear(2, 1).double())
    with torch.no_grad():
        for p in model.parameters():
            p.fill_(value)
    return model


def _give(model: torch.nn.Module, value: float) -> None:
    for p in model.parameters():
        p.grad = torch.full_like(p, value)


def _gradients(model: torch.nn.Module) -> set[float]:
    return {value for p in model.parameters() for value in p.grad.flatten().tolist()}  # type: ignore[union-attr]


def _step(rank: Rank, model: torch.nn.Module) -> bool:
    return seaway.torch.step(torch.optim.SGD(model.parameters(), lr=1.0), rank.lane, rank.group)


# -- a loss in the middle of a step -------------------------------------------------------------------------------------------


def _dies_between_its_lanes(rank: Rank, posted: Any) -> dict[str, Any]:
    """Replica 2's lane 0 posts and its lane 1 never does."""
    model = _model()
    rank.lane.update()
    _give(model, float(rank.replica))
    if rank.replica == 2 and rank.number == 1:
        assert posted.wait(60)
        os.kill(os.getpid(), signal.SIGKILL)
    if rank.replica == 2:
        start = rank.comm.all_reduce_async

        def starting(*arguments: Any, **options: Any) -> Any:
            operation = start(*arguments, **options)
            posted.set()
            return operation

        rank.comm.all_reduce_async = starting  # type: ignore[method-assign]
    averaged = seaway.torch.average_gradients(model.named_parameters(), rank.lane)
    return {"averaged": averaged, "contributors": rank.lane.contributors(), "gradients": _gradients(model)}


def test_lanes_average_over_the_same_replicas_when_one_dies_between_them(master: seaway.Master) -> None:
    posted = event()
    with replicas(master, [0, 1, 2], _dies_between_its_lanes, posted) as running:
        survivors = [found for each in running[:2] for found in each.results()]
    for found in survivors:
        assert found["averaged"] and sorted(found["contributors"]) == [0, 1] and found["gradients"] == {0.5}


# -- a rank that cannot ----------------------------------------------------------------------------------------------------


def _cannot(rank: Rank) -> dict[str, Any]:
    """One rank has no memory, then another one other parameters, then a third raises in its backward; after each a good step."""
    model = _model()
    found: dict[str, Any] = {"stepped": []}

    def made(value: float) -> None:
        rank.lane.update()
        _give(model, value)
        seaway.torch.average_gradients(model.named_parameters(), rank.lane)
        found["stepped"].append(_step(rank, model))

    rank.lane.update()
    _give(model, 1.0 + rank.replica)
    if (rank.replica, rank.number) == (0, 1):
        start = rank.comm.all_reduce_async

        def without_memory(*_: Any, **__: Any) -> Any:
            rank.comm.all_reduce_async = start  # type: ignore[method-assign]
            raise MemoryError("for a test")

        rank.comm.all_reduce_async = without_memory  # type: ignore[method-assign]
    assert not seaway.torch.average_gradients(model.named_parameters(), rank.lane)
    found["no memory"] = str(rank.lane.error())
    found["kept"] = _gradients(model)
    found["stepped"].append(_step(rank, model))
    made(2.0)

    names = list(model.named_parameters())
    if (rank.replica, rank.number) == (1, 0):
        names = [(f"other.{name}", p) for name, p in names]
    assert not seaway.torch.average_gradients(names, rank.lane)
    found["other names"] = str(rank.lane.error())
    found["stepped"].append(_step(rank, model))
    made(2.0)

    overlap = seaway.torch.overlap_gradients(model, rank.lane, bucket_bytes=1)
    overlap.arm()
    fails = (rank.replica, rank.number) == (1, 1)
    try:
        output = model[1](model[0](torch.ones(3)).double())
        (output.sum() * float("nan") if fails else output).backward()
        if fails:
            raise ArithmeticError("not a number")
        assert not overlap.wait()
    except ArithmeticError:
        pass
    found["stepped"].append(_step(rank, model))
    made(2.0)
    overlap.remove()
    found["parameters"] = {value for p in model.parameters() for value in p.flatten().tolist()}
    return found


def test_what_a_rank_cannot_do_is_done_in_no_lane_of_any_replica(master: seaway.Master) -> None:
    with replicas(master, [0, 1], _cannot) as running:
        found = [each.results() for each in running]
    for replica in range(2):
        for lane in range(2):
            of = found[replica][lane]
            assert of["stepped"] == [False, True] * 3
            assert "MemoryError: for a test" in of["no memory"] and of["kept"] == {1.0 + replica}
            if (replica, lane) != (0, 1):
                assert "replica 0 called with an error" in of["no memory"]
            # Lane 0 has both lists; lane 1, whose lists are alike, has the two that were not.
            assert "calls differ" in of["other names"]
            if lane == 0:
                assert "replica 1 called with other.0.bias" in of["other names"]
            assert of["parameters"] == {-6.0}


def _stalls(rank: Rank, given_up: Any) -> tuple[str, bool]:
    """One rank is late by more than the lanes wait."""
    model = _model()
    lane = seaway.torch.Lane(rank.comm, timeout=0.5)
    lane.update()
    _give(model, 1.0)
    if (rank.replica, rank.number) == (1, 1):
        assert given_up.wait(60)
    assert not seaway.torch.average_gradients(model.named_parameters(), lane)
    given_up.set()
    why = type(lane.error()).__name__
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    assert not seaway.torch.step(optimizer, lane, rank.group)
    for _ in range(20):  # a machine that has much else to do may be late again
        seaway.torch.average_gradients(model.named_parameters(), lane)
        if seaway.torch.step(optimizer, lane, rank.group):
            return why, True
    return why, False


def test_a_rank_that_is_too_late_is_waited_for_in_no_lane(master: seaway.Master) -> None:
    with replicas(master, [0, 1], _stalls, event()) as running:
        for each in running:
            assert each.results() == [("Aborted", True)] * 2


# -- a rank that has not what the others have -------------------------------------------------------------------------------


def _falls_behind(rank: Rank) -> dict[str, Any]:
    model = _model(1.0)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    found: dict[str, Any] = {"stepped": []}
    land = Prepared.land

    def lost(_: Any) -> None:
        Prepared.land = land  # type: ignore[method-assign]
        raise RuntimeError("the device is gone, for a test")

    def step(at: int) -> int:
        number = seaway.torch.sync_training_state(rank.lane, model, optimizer, step=at, group=rank.group).step
        _give(model, 1.0)
        seaway.torch.average_gradients(model.named_parameters(), rank.lane)
        found["stepped"].append(seaway.torch.step(optimizer, rank.lane, rank.group))
        return number + found["stepped"][-1]

    if (rank.replica, rank.number) == (1, 0):
        Prepared.land = lost  # type: ignore[method-assign]
    at = step(0)
    if rank.replica == 0:
        while rank.lane.size() > 1:
            time.sleep(0.01)
        while rank.lane.size() < 2:
            rank.lane.update()
    else:
        with pytest.raises((seaway.NotMember, seaway.Evicted)):
            rank.lane.update()
        rank.comm.join()
        rank.lane.update()  # the one that admitted it
    for _ in range(2):
        at = step(at)
    found["step"] = at
    found["parameters"] = digest_of({name: p.detach() for name, p in model.named_parameters()})
    found["value"] = model[0].weight[0, 0].item()  # type: ignore[index, operator]
    return found


def test_a_replica_whose_rank_lost_a_result_leaves_and_catches_up(master: seaway.Master) -> None:
    with replicas(master, [0, 1], _falls_behind) as running:
        stayed, left = [each.results() for each in running]
    for lane in range(2):
        assert stayed[lane]["stepped"] == [True, True, True] and left[lane]["stepped"] == [False, True, True]
        assert stayed[lane]["value"] == -2.0 and stayed[lane]["step"] == left[lane]["step"] == 3
        assert left[lane]["parameters"] == stayed[lane]["parameters"]


# -- buckets ------------------------------------------------------------------------------------------------------------------


def _other_graphs(rank: Rank) -> list[Any]:
    """The replicas use other parameters, so that their buckets are ready in other orders."""
    parts = torch.nn.ModuleList(torch.nn.Linear(1, 1, bias=False) for _ in range(4))
    with torch.no_grad():
        for p in parts.parameters():
            p.fill_(1.0)
    overlap = seaway.torch.overlap_gradients(parts, rank.lane, bucket_bytes=1)
    rank.lane.update()
    overlap.arm()
    used = [0, 1, 3] if rank.replica == 0 else [2, 1, 0]
    x = torch.ones(1)
    for i in used:
        x = parts[i](x)
    x.backward()
    assert overlap.wait(), rank.lane.error()
    overlap.remove()
    return [p.grad.item() for p in parts.parameters()]  # type: ignore[union-attr]


def test_buckets_go_in_one_order_whatever_a_graph_uses(master: seaway.Master) -> None:
    with replicas(master, [0, 1], _other_graphs, lanes=1) as running:
        for each in running:
            assert each.results() == [[1.0, 1.0, 0.5, 0.5]]


# -- DiLoCo -------------------------------------------------------------------------------------------------------------------


def _raises_in_a_round(rank: Rank) -> str:
    model = _model()
    outer = seaway.torch.DiLoCo(model.parameters(), rank.lane, rank.group)
    outer.sync()
    if (rank.replica, rank.number) == (1, 0):

        def broken(*_: Any, **__: Any) -> Any:
            raise ZeroDivisionError("no error of seaway's")

        rank.comm.all_reduce_async = broken  # type: ignore[method-assign]
    try:
        return str(outer.step()) + type(outer.error).__name__
    except (seaway.Error, ZeroDivisionError) as error:
        return type(error).__name__


def test_whatever_is_raised_in_a_round_leaves_no_lane_waiting(master: seaway.Master) -> None:
    with replicas(master, [0, 1], _raises_in_a_round) as running:
        stayed, left = [each.results() for each in running]
    assert stayed == ["FalseAborted", "FalseAborted"] and left == ["ZeroDivisionError", "Evicted"]
