"""A lane as a process group: HSDP, DDP and the calls of torch.distributed, on two replicas of two ranks in one world."""

from __future__ import annotations

import os
import pathlib
import warnings
from datetime import timedelta
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

import torch.distributed as dist  # noqa: E402
import torch.distributed._functional_collectives as funcol  # noqa: E402
from torch.distributed.device_mesh import init_device_mesh  # noqa: E402
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard  # noqa: E402
from torch.nn.parallel import DistributedDataParallel  # noqa: E402

import seaway  # noqa: E402
import seaway.torch  # noqa: E402
from torch_replicas import Rank, batch, distance, loss, reference_gradients, replicas, sharded, shards, toy  # noqa: E402

pytestmark = pytest.mark.timeout(240)
EVERYBODY = [[0, 1], [0, 1]]


def _hsdp(rank: Rank, mesh: Any) -> dict[str, Any]:
    model = sharded(toy(), mesh=mesh)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for step in range(3):
        optimizer.zero_grad()
        loss(model, batch(step, rank.replica, rank.number)).backward()
        assert seaway.torch.step(optimizer, rank.lane, mesh.get_group("shard"))
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1e9)
    return {"shards": shards(model), "norm": float(norm.full_tensor())}


def _hsdp_accumulates(rank: Rank, mesh: Any) -> dict[str, Any]:
    model = sharded(toy(), mesh=mesh)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for part in range(2):
        model.set_requires_all_reduce(part == 1)
        loss(model, batch(0, rank.replica, rank.number, part)).backward()
    optimizer.step()
    return shards(model)


def _hsdp_bf16(rank: Rank, mesh: Any) -> dict[str, Any]:
    model = toy()
    policy = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)
    fully_shard(model, mesh=mesh, mp_policy=policy)
    loss(model, batch(0, rank.replica, rank.number)).float().backward()
    assert rank.lane.error() is None
    return {name: p.grad.to_local().clone() for name, p in model.named_parameters()}


def _ddp(rank: Rank) -> list[Any]:
    # Sums are right where a loss fails the op.
    rank.lane.on_loss = "fail"
    groups = [dist.new_group([0, 2], backend="seaway"), dist.new_group([1, 3], backend="seaway")]
    ddp = DistributedDataParallel(toy(seed=rank.replica), process_group=groups[rank.number])
    optimizer = torch.optim.SGD(ddp.parameters(), lr=0.1)
    for step in range(3):
        optimizer.zero_grad()
        loss(ddp, batch(step, rank.replica, 0)).backward()
        assert seaway.torch.step(optimizer, rank.lane, None)
    dist.destroy_process_group(groups[rank.number])
    rank.lane.on_loss = "resume"
    return [p.detach().clone() for p in ddp.parameters()]


def _reductions(group: Any, mine: int) -> None:
    x = torch.full((4, 4), float(mine))
    dist.all_reduce(x.t()[1:], op=dist.ReduceOp.AVG, group=group)
    assert (x.t()[1:] == 0.5).all() and (x.t()[0] == mine).all()
    for dtype in (torch.float32, torch.bfloat16, torch.float16, torch.float64):
        y = torch.full((5,), float(mine + 1), dtype=dtype)
        dist.all_reduce(y, op=dist.ReduceOp.AVG, group=group)
        assert y.dtype is dtype and (y == 1.5).all()
    for dtype in (torch.int32, torch.int64, torch.uint8):
        z = torch.full((3,), mine + 1, dtype=dtype)
        dist.all_reduce(z, group=group)
        assert (z == 3).all()
    dist.all_reduce(torch.empty(0), op=dist.ReduceOp.MAX, group=group)
    with pytest.raises(seaway.InvalidError, match="allow_sum"):
        dist.all_reduce(torch.ones(1), group=group)
    with pytest.raises(seaway.InvalidError, match="no reduction"):
        dist.all_reduce(torch.ones(1, dtype=torch.int32), op=dist.ReduceOp.BXOR, group=group)
    inp, out = torch.arange(4.0) + mine, torch.zeros(2)
    dist.reduce_scatter_tensor(out, inp, op=dist.ReduceOp.AVG, group=group)
    assert out.tolist() == [[0.5, 1.5], [2.5, 3.5]][mine]
    a, b = torch.full((2,), float(mine)), torch.full((3,), mine * 2.0)
    with dist._coalescing_manager(group, async_ops=True) as work:
        dist.all_reduce(a, op=dist.ReduceOp.AVG, group=group)
        dist.all_reduce(b, op=dist.ReduceOp.AVG, group=group)
    work.wait()
    assert (a == 0.5).all() and (b == 1).all()


def _copies(group: Any, mine: int, first: int) -> None:
    x = torch.full((2, 2), float(mine))
    dist.broadcast(x, src=first, group=group)
    assert (x == 0).all()
    flags = torch.tensor([mine == 0, True])
    dist.broadcast(flags, src=first, group=group)
    assert flags.tolist() == [True, True]
    outs = [torch.zeros(2), torch.zeros(2)]
    dist.all_gather(outs, torch.full((2,), float(mine + 1)), group=group)
    assert [o.tolist() for o in outs] == [[1, 1], [2, 2]]
    flat = torch.zeros(4, dtype=torch.bool)
    dist.all_gather_into_tensor(flat, torch.tensor([bool(mine), True]), group=group)
    assert flat.tolist() == [False, True, True, True]
    objects: list[Any] = [None, None]
    dist.all_gather_object(objects, {"from": mine, "long": "x" * mine * 100}, group=group)
    assert [o["from"] for o in objects] == [0, 1]
    told = [f"of {mine}"]
    dist.broadcast_object_list(told, src=first, group=group)
    assert told == ["of 0"]
    dist.barrier(group=group)
    letter = torch.full((3,), float(mine))
    if mine == 0:
        dist.send(letter, first + 2, group=group)
    else:
        dist.recv(letter, first, group=group)
    assert (letter == 0).all()


def _functional(group: Any, mine: int) -> None:
    x = torch.full((2,), float(mine))
    assert (funcol.all_reduce(x, "avg", group) == 0.5).all()
    assert funcol.all_gather_tensor(x, 0, group).tolist() == [0, 0, 1, 1]
    assert funcol.reduce_scatter_tensor(torch.arange(4.0), "avg", 0, group).tolist() == [[0, 1], [2, 3]][mine]
    assert (funcol.broadcast(x, 0, group) == 0).all()
    a, b = funcol.all_reduce_coalesced([x, x + 1], "avg", group)
    assert (a == 0.5).all() and (b == 1.5).all()


def _everything(rank: Rank) -> dict[str, Any]:
    warnings.simplefilter("ignore", FutureWarning)  # names of before 2.13, which models still use
    seaway.torch.use_lane(rank.lane)
    mesh = init_device_mesh(
        "cpu", (2, 2), mesh_dim_names=("replicate", "shard"), backend_override={"replicate": "seaway"}
    )
    group = mesh.get_group("replicate")
    assert isinstance(group, seaway.torch.ProcessGroup) and dist.get_backend(group) == "seaway"
    assert (dist.get_world_size(group), dist.get_rank(group)) == (2, rank.replica)
    found = {"hsdp": _hsdp(rank, mesh), "accumulated": _hsdp_accumulates(rank, mesh), "bf16": _hsdp_bf16(rank, mesh)}
    _reductions(group, rank.replica)
    _copies(group, rank.replica, rank.number)
    _functional(group, rank.replica)
    found["ddp"] = _ddp(rank)
    group.set_timeout(timedelta(seconds=5))
    group.abort()
    group.abort()
    group.shutdown()
    group.shutdown()
    assert rank.lane.error() is None
    return found


def _default_group(of_test: Rank, join: str, store: str) -> list[Any]:
    """The default group of torch.distributed, made of the environment alone, in a run of its own: FSDP2's traffic goes over it."""
    rank = of_test.replica
    os.environ["SEAWAY_JOIN"] = join
    dist.init_process_group("seaway", store=dist.FileStore(store, 2), rank=rank, world_size=2)
    assert dist.get_backend() == "seaway" and (dist.get_rank(), dist.get_world_size()) == (rank, 2)
    x = torch.full((2,), rank + 1, dtype=torch.int64)
    for _ in range(2):
        dist.all_reduce(x)
    assert x.tolist() == [6, 6]
    model = sharded(toy())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for step in range(3):
        optimizer.zero_grad()
        loss(model, batch(step, 0, rank)).backward()
        optimizer.step()
    whole = [p.full_tensor().detach() for p in model.parameters()]
    dist.destroy_process_group()
    return [shards(model), whole]


def test_a_lane_is_the_default_group_by_the_environment_alone(master: seaway.Master, tmp_path: pathlib.Path) -> None:
    with seaway.Master() as run, replicas(master, [0, 1], _default_group, run.join, str(tmp_path / "store"), lanes=1) as both:
        found = [each.results()[0] for each in both]
    model = toy()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for step in range(3):
        reference_gradients(model, step, [[0], [0]])
        optimizer.step()
    for rank, (own, whole) in enumerate(found):
        assert distance(model, rank, own) <= 1e-8
        assert all(torch.equal(a, b) for a, b in zip(whole, found[0][1], strict=True))


def test_hsdp_ddp_and_every_call(master: seaway.Master, tmp_path: pathlib.Path) -> None:
    with replicas(master, [0, 1], _everything, world=str(tmp_path / "world")) as running:
        found = [each.results() for each in running]

    model = toy()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for step in range(3):
        reference_gradients(model, step, EVERYBODY)
        optimizer.step()
    accumulated = toy()
    reference_gradients(accumulated, 0, EVERYBODY, parts=2)
    torch.optim.SGD(accumulated.parameters(), lr=0.1).step()
    rounded = toy()
    reference_gradients(rounded, 0, EVERYBODY)
    for p in rounded.parameters():
        p.data = p.grad
    single = toy()
    optimizer = torch.optim.SGD(single.parameters(), lr=0.1)
    for step in range(3):
        optimizer.zero_grad()
        for replica in range(2):
            (loss(single, batch(step, replica, 0)) / 2).backward()
        optimizer.step()
    for replica in range(2):
        for lane in range(2):
            of = found[replica][lane]
            assert distance(model, lane, of["hsdp"]["shards"]) <= 1e-8
            assert distance(accumulated, lane, of["accumulated"]) <= 2e-8
            assert distance(rounded, lane, of["bf16"]) < 2e-2
            worst = max(float((a - b.detach()).abs().max()) for a, b in zip(of["ddp"], single.parameters(), strict=True))
            assert worst <= 1e-8
    assert len({of["hsdp"]["norm"] for each in found for of in each}) == 1
