"""What fails inside of backward on one rank: every rank of every replica skips that step, and the next one is as if nothing was."""

from __future__ import annotations

import pathlib
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

import torch.distributed as dist  # noqa: E402
from torch.distributed.device_mesh import init_device_mesh  # noqa: E402
from torch.nn.parallel import DistributedDataParallel  # noqa: E402

import seaway  # noqa: E402
import seaway.torch  # noqa: E402
from torch_replicas import Rank, batch, distance, loss, reference_gradients, replicas, sharded, shards, toy  # noqa: E402

pytestmark = pytest.mark.timeout(240)
STEPS, FAILS_AT = 3, 1
EVERYBODY = [[0, 1], [0, 1]]


class _Run:
    """A loop that makes a step again when it was skipped."""

    def __init__(self, rank: Rank, mesh: Any = None) -> None:
        self.rank = rank
        self.model = sharded(toy(), mesh=mesh)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=0.05)
        self.votes: list[bool] = []
        self.step = 0
        self.tries = 0

    def faulty(self) -> bool:
        """Replica 0's lane 1, at the first try of a step."""
        return (self.rank.replica, self.rank.number, self.step, self.tries) == (0, 1, FAILS_AT, 1)

    def backward(self, part: int = 0) -> None:
        loss(self.model, batch(self.step, self.rank.replica, self.rank.number, part)).backward()

    def end(self) -> None:
        self.votes.append(seaway.torch.step(self.optimizer, self.rank.lane, self.rank.group))
        if self.votes[-1]:
            self.step += 1
            self.tries = 0

    def __iter__(self) -> Any:
        while self.step < STEPS:
            self.rank.lane.update()
            self.optimizer.zero_grad()
            self.tries += 1
            yield self


def _hook(rank: Rank) -> dict[str, Any]:
    """FSDP2's own hook, blocking, which records."""
    run = _Run(rank)

    def hook(x: Any) -> None:
        # A tensor that this version does not take: nothing is posted in its place by this rank alone.
        given = x.to_sparse() if run.faulty() else x
        assert rank.lane.all_reduce([given], "avg", on_error="record").wait()

    for module in run.model.modules():
        if hasattr(module, "set_all_reduce_hook"):
            module.set_all_reduce_hook(hook)
    why = ""
    for _ in run:
        run.backward()
        if rank.lane.error() is not None:
            why = str(rank.lane.error())
        if run.faulty():
            with pytest.raises(seaway.InvalidError):  # after the vote: its own call was wrong
                run.end()
            run.votes.append(False)
        else:
            run.end()
    return {"votes": run.votes, "shards": shards(run.model), "why": why}


def _overlapped(rank: Rank) -> dict[str, Any]:
    """Several ops during backward of the last of two microbatches, of which one rank cannot start the first."""
    run = _Run(rank)
    overlap = seaway.torch.overlap_gradients(run.model, rank.lane, bucket_bytes=20)
    start = rank.comm.all_reduce_async
    failed: list[str] = []

    def without_memory(x: Any, *arguments: Any, **options: Any) -> Any:
        if isinstance(x, list) and not failed:
            failed.append("once")
            raise seaway.OutOfMemory("for a test")
        return start(x, *arguments, **options)

    for _ in run:
        if run.faulty():
            rank.comm.all_reduce_async = without_memory
        run.backward(0)
        overlap.arm()
        run.backward(1)
        worked = overlap.wait()
        assert worked == (rank.lane.error() is None)
        rank.comm.__dict__.pop("all_reduce_async", None)
        run.end()
    overlap.remove()
    assert bool(failed) == ((rank.replica, rank.number) == (0, 1)) and len(overlap._buckets) > 2
    return {"votes": run.votes, "shards": shards(run.model)}


def _raised(rank: Rank) -> dict[str, Any]:
    """A lane that raises inside of backward, on all ranks, and reset() after it."""
    run = _Run(rank)

    def hook(x: Any) -> None:
        if run.step == FAILS_AT and run.tries == 1:
            raise seaway.Aborted("for a test")
        rank.lane.all_reduce([x], "avg").wait()

    for module in run.model.modules():
        if hasattr(module, "set_all_reduce_hook"):
            module.set_all_reduce_hook(hook)
    for _ in run:
        try:
            run.backward()
        except seaway.Aborted:
            run.votes.append(False)
            seaway.torch.reset(run.model, rank.lane)
            assert all(p.grad is None for p in run.model.parameters())
        else:
            run.end()
    return {"votes": run.votes, "shards": shards(run.model)}


def _in_hsdp(rank: Rank) -> dict[str, Any]:
    """The same in HSDP, whose all-reduces torch itself posts, one for each unit."""
    seaway.torch.use_lane(rank.lane)
    mesh = init_device_mesh(
        "cpu", (2, 2), mesh_dim_names=("replicate", "shard"), backend_override={"replicate": "seaway"}
    )
    rank.group = mesh.get_group("shard")
    run = _Run(rank, mesh)
    start = rank.comm.all_reduce_async
    failed: list[str] = []

    def without_memory(x: Any, *arguments: Any, **options: Any) -> Any:
        if not failed and isinstance(x, list):
            failed.append("once")
            raise seaway.OutOfMemory("for a test")
        return start(x, *arguments, **options)

    for _ in run:
        if run.faulty():
            rank.comm.all_reduce_async = without_memory  # type: ignore[method-assign]
        run.backward()
        rank.comm.__dict__.pop("all_reduce_async", None)
        run.end()
    assert bool(failed) == ((rank.replica, rank.number) == (0, 1))
    return {"votes": run.votes, "shards": shards(run.model)}


def _unused(rank: Rank) -> list[Any]:
    """A parameter without a gradient here, and one without a gradient anywhere."""
    here, nowhere, both = (torch.nn.Parameter(torch.zeros(2)) for _ in range(3))
    if rank.replica == 0:
        here.grad = torch.full((2,), 4.0)
    both.grad = torch.full((2,), rank.replica + 1.0)
    assert seaway.torch.average_gradients(
        [("here", here), ("nowhere", nowhere), ("both", both)], rank.lane, weight=3.0 if rank.replica else 1.0
    )
    assert seaway.torch.vote(True, rank.group) and not seaway.torch.vote(rank.number == 0, rank.group)
    return [here.grad, nowhere.grad, both.grad]


def _all(rank: Rank) -> list[Any]:
    return [_unused(rank), _hook(rank), _overlapped(rank), _raised(rank)]


def test_a_lane_that_fails_inside_the_backward_of_hsdp(master: seaway.Master, tmp_path: pathlib.Path) -> None:
    with replicas(master, [0, 1], _in_hsdp, world=str(tmp_path / "world")) as running:
        found = [each.results() for each in running]
    model = toy()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.05)
    for step in range(STEPS):
        reference_gradients(model, step, EVERYBODY)
        optimizer.step()
    for replica in range(2):
        for lane in range(2):
            assert found[replica][lane]["votes"] == [True, False, True, True]
            assert distance(model, lane, found[replica][lane]["shards"]) < 1e-6


def _ddp_raises(rank: Rank) -> list[Any]:
    """A hook of DDP's that raises, at the first try of step 1."""
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    ddp = DistributedDataParallel(toy(), broadcast_buffers=False)
    optimizer = torch.optim.SGD(ddp.parameters(), lr=0.1)
    tries: list[int] = []

    def hook(state, bucket):  # type: ignore[no-untyped-def]  # DDP takes annotations as types only
        if len(tries) == 2:
            raise seaway.Aborted("for a test")
        return state.all_reduce([bucket.buffer()]).get_future().then(lambda done: done.value()[0])

    ddp.register_comm_hook(rank.lane, hook)
    step, raised = 0, 0
    while step < STEPS:
        tries.append(step)
        optimizer.zero_grad()
        try:
            loss(ddp, batch(step, rank.replica, 0)).backward()
        except (seaway.Aborted, RuntimeError) as error:
            assert "for a test" in str(error)
            raised += 1
            seaway.torch.reset(ddp, rank.lane)
            assert all(p.grad is None for p in ddp.parameters())
            continue
        optimizer.step()
        step += 1
    return [raised, shards(ddp.module)]


def test_a_hook_of_ddp_that_raises_and_reset(master: seaway.Master) -> None:
    with replicas(master, [0, 1], _ddp_raises, lanes=1) as running:
        found = [each.results()[0] for each in running]
    model = toy()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for step in range(STEPS):
        reference_gradients(model, step, [[0, 1]], lanes=1)
        optimizer.step()
    for raised, parameters in found:
        assert raised == 1 and distance(model, 0, parameters, lanes=1) < 1e-6


def test_a_lane_that_fails_inside_backward(master: seaway.Master) -> None:
    with replicas(master, [0, 1], _all) as running:
        found = [each.results() for each in running]

    for replica in range(2):
        for lane in range(2):
            unused, hooked, overlapped, raised = found[replica][lane]
            assert unused[0].tolist() == [1, 1] and unused[1] is None and unused[2].tolist() == [1.75, 1.75]
            for of, parts in ((hooked, 1), (overlapped, 2), (raised, 1)):
                assert of["votes"] == [True, False, True, True]
                model = toy()
                optimizer = torch.optim.AdamW(model.parameters(), lr=0.05)
                for step in range(STEPS):
                    reference_gradients(model, step, EVERYBODY, parts=parts)
                    optimizer.step()
                assert distance(model, lane, of["shards"]) < 1e-6
            # The lane that failed says why at every replica, the other one has no error.
            assert ("replica 0 called with an error" in hooked["why"]) == (lane == 1)
