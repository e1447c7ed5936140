"""What torch takes for granted of a process group, and a lane is not: a size that stays, sums that it has divided, shards that are
never empty."""

from __future__ import annotations

import copy
import pathlib
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

import torch.distributed as dist  # noqa: E402
import torch.distributed.checkpoint as dcp  # noqa: E402
from torch import nn  # noqa: E402
from torch.distributed.checkpoint.state_dict import get_state_dict  # noqa: E402
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh  # noqa: E402
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard  # noqa: E402
from torch.distributed.tensor import DTensor, Partial  # noqa: E402
from torch.nn.parallel import DistributedDataParallel  # noqa: E402

import seaway  # noqa: E402
import seaway.torch  # noqa: E402
from torch_replicas import Rank, batch, distance, event, loss, reference_gradients, replicas, sharded, shards, toy  # noqa: E402

pytestmark = pytest.mark.timeout(240)
EVERYBODY = [[0, 1], [0, 1]]


def _mesh(rank: Rank) -> DeviceMesh:
    seaway.torch.use_lane(rank.lane)
    names = ("replicate", "shard")
    return init_device_mesh("cpu", (2, 2), mesh_dim_names=names, backend_override={"replicate": "seaway"})


def _gradients(model: nn.Module, rank: Rank) -> dict[str, Any]:
    assert rank.lane.error() is None
    return {name: p.grad.to_local().clone() for name, p in model.named_parameters()}


# -- what HSDP posts ----------------------------------------------------------------------------------------------------------


def _counted(rank: Rank, checkpoint: str) -> list[tuple[str, int]]:
    """How many ops of the lane each part of a program starts."""
    posted: list[str] = []
    for name in ("all_reduce_async", "broadcast_async", "all_gather_async", "reduce_scatter_async", "barrier_async"):

        def starting(*arguments: Any, start: Any = getattr(rank.comm, name), name: str = name, **options: Any) -> Any:
            posted.append(name)
            return start(*arguments, **options)

        setattr(rank.comm, name, starting)
    counts: list[tuple[str, int]] = []

    def count(what: str) -> None:
        counts.append((what, len(posted)))
        posted.clear()

    model = sharded(toy(), mesh=_mesh(rank))
    optimizer = torch.optim.AdamW(model.parameters())
    count("fully_shard")
    output = loss(model, batch(0, rank.replica, rank.number))
    count("forward")
    output.backward()
    assert posted == ["all_reduce_async"] * len(posted)
    count("backward")
    nn.utils.clip_grad_norm_(model.parameters(), 1.0).full_tensor()
    optimizer.step()
    for p in model.parameters():
        p.full_tensor()
    states = get_state_dict(model, optimizer)
    saved = {"model": states[0], "optimizer": states[1]}
    dcp.save(saved, checkpoint_id=checkpoint)
    dcp.load(saved, checkpoint_id=checkpoint)
    count("the rest")
    return counts


def test_hsdp_posts_one_op_for_each_unit_and_nothing_else(master: seaway.Master, tmp_path: pathlib.Path) -> None:
    with replicas(master, [0, 1], _counted, str(tmp_path / "saved"), world=str(tmp_path / "world")) as running:
        for each in running:
            for counts in each.results():
                assert counts == [("fully_shard", 0), ("forward", 0), ("backward", 3), ("the rest", 0)]


# -- sums that torch has divided ------------------------------------------------------------------------------------------------


def _sums(rank: Rank) -> list[Any]:
    """HSDP asks for sums: in float16, and where it is told to. Refused by a lane that goes on after a loss."""
    refused = sharded(toy(), mesh=_mesh(rank))
    units = [module for module in refused.modules() if isinstance(module, FSDPModule)]
    for unit in units:
        unit.set_force_sum_reduction_for_comms(True)
    with pytest.raises(seaway.InvalidError, match="allow_sum"):
        loss(refused, batch(0, rank.replica, rank.number)).backward()
    seaway.torch.reset(refused, rank.lane)
    for unit in units:
        unit.set_force_sum_reduction_for_comms(False)
    loss(refused, batch(0, rank.replica, rank.number)).backward()
    gradients = [_gradients(refused, rank)]

    rank.lane.on_loss = "fail"
    mesh = _mesh(rank)
    for dtype in (None, torch.float16):
        model = toy()
        policy = MixedPrecisionPolicy(reduce_dtype=dtype)
        for layer in model[::2]:
            fully_shard(layer, mesh=mesh, mp_policy=policy)
            if dtype is None:
                layer.set_force_sum_reduction_for_comms(True)
        fully_shard(model, mesh=mesh, mp_policy=policy)
        loss(model, batch(0, rank.replica, rank.number)).backward()
        gradients.append(_gradients(model, rank))
    return gradients


def test_sums_of_hsdp_are_refused_or_right(master: seaway.Master, tmp_path: pathlib.Path) -> None:
    with replicas(master, [0, 1], _sums, world=str(tmp_path / "world")) as running:
        found = [each.results() for each in running]
    model = toy()
    reference_gradients(model, 0, EVERYBODY)
    for p in model.parameters():
        p.data = p.grad
    for replica in range(2):
        for lane in range(2):
            averaged, summed, halves = found[replica][lane]
            assert distance(model, lane, averaged) <= 1e-8 and distance(model, lane, summed) <= 1e-8
            assert distance(model, lane, halves) < 1e-3


# -- DDP without a hook ---------------------------------------------------------------------------------------------------------


def _normed() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Linear(8, 3))


def _ddp_with_buffers(rank: Rank) -> dict[str, Any]:
    """DDP sums, and sends the buffers of rank 0 before each forward."""
    seaway.torch.use_lane(rank.lane)
    ddp = DistributedDataParallel(_normed(), process_group=dist.new_group(backend="seaway"))
    with pytest.raises(seaway.InvalidError, match="comm_hook"):
        loss(ddp, batch(0, rank.replica, 0)).backward()
    seaway.torch.reset(ddp, rank.lane)

    rank.lane.on_loss = "fail"
    group = dist.new_group(backend="seaway")
    for call in (
        lambda: dist.reduce(torch.ones(2), 0, group=group),
        lambda: dist.gather(torch.ones(2), [torch.ones(2)] * 2 if rank.replica == 0 else None, 0, group=group),
        lambda: dist.all_to_all_single(torch.ones(2), torch.ones(2), group=group),
    ):
        with pytest.raises((RuntimeError, NotImplementedError)):  # there is none, and torch says so
            call()
    ddp = DistributedDataParallel(_normed(), process_group=group)
    optimizer = torch.optim.SGD(ddp.parameters(), lr=0.1)
    for step in range(3):
        optimizer.zero_grad()
        loss(ddp, batch(step, rank.replica, 0)).backward()
        assert seaway.torch.step(optimizer, rank.lane, None)
    dist.distributed_c10d._abort_process_group(group)
    return {name: value.clone() for name, value in ddp.module.state_dict().items()}


def test_ddp_is_refused_where_a_loss_would_make_it_wrong_and_sends_its_buffers(
    master: seaway.Master, tmp_path: pathlib.Path
) -> None:
    with replicas(master, [0, 1], _ddp_with_buffers, lanes=1, world=str(tmp_path / "world")) as running:
        found = [each.results()[0] for each in running]
    models = [_normed(), _normed()]
    for step in range(3):
        models[1].load_state_dict({**models[0].state_dict()})  # buffers; the parameters are equal
        for replica, model in enumerate(models):
            model.zero_grad()
            loss(model, batch(step, replica, 0)).backward()
        for p, q in zip(*(model.parameters() for model in models), strict=True):
            mean = (p.grad + q.grad) / 2
            p.grad, q.grad = mean, mean.clone()
        for model in models:
            torch.optim.SGD(model.parameters(), lr=0.1).step()
    for model, state in zip(models, found, strict=True):
        for name, value in model.state_dict().items():
            assert float((value - state[name]).abs().max()) <= 1e-7, name


# -- a size that changes ----------------------------------------------------------------------------------------------------------


def _one_by_one(rank: Rank, alone: Any) -> dict[int, Any]:
    """A mesh of one replica by one shard, as torch sees it, while the lane has one member and then two."""
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    seaway.torch.use_lane(rank.lane)
    groups = [dist.new_group([0], backend="seaway"), dist.new_group([0], backend="gloo")]
    mesh = DeviceMesh.from_group(groups, "cpu", mesh=[[0]], mesh_dim_names=("replicate", "shard"))
    model = sharded(toy(), mesh=mesh)
    found: dict[int, Any] = {}
    while len(found) < 2 and not (rank.replica == 1 and found):
        rank.lane.update()
        size = rank.lane.size()
        assert dist.get_world_size(groups[0]) == 2  # never 1, or FSDP2 would ask for sums
        model.zero_grad()
        loss(model, batch(0, rank.replica, 0)).backward()
        found[size] = _gradients(model, rank)
        alone.set()
    return found


def test_a_mesh_of_one_averages_over_however_many_there_are(master: seaway.Master) -> None:
    alone = event()
    with (
        replicas(master, [0], _one_by_one, alone, lanes=1) as old,
        replicas(master, [1], _one_by_one, alone, lanes=1, after=alone) as new,
    ):
        found, theirs = old[0].results()[0], new[0].results()[0]
    model = toy()
    for size, contributors in ((1, [0]), (2, [0, 1])):
        reference_gradients(model, 0, [contributors], lanes=1)
        wanted = copy.deepcopy(model)
        for p, q in zip(wanted.parameters(), model.parameters(), strict=True):
            p.data = q.grad
        assert distance(wanted, 0, found[size], lanes=1) <= 1e-8
    assert all(torch.equal(found[2][name], theirs[2][name]) for name in theirs[2])


# -- shards -----------------------------------------------------------------------------------------------------------------


def _empty_shard(rank: Rank) -> list[Any]:
    """A parameter with fewer rows than lanes."""
    torch.manual_seed(0)
    model = nn.Linear(6, 1)
    mesh = init_device_mesh("cpu", (2,))
    fully_shard(model, mesh=mesh)
    address, size, dtype = seaway.torch.buffer(model.weight)
    assert model.weight.data_ptr() == 0 and model.weight.is_contiguous()  # what a DTensor says of itself
    assert (size, dtype) == ((24, 1) if rank.number == 0 else (0, 1)) and bool(address) == (rank.number == 0)
    partial = DTensor.from_local(torch.ones(3), mesh, [Partial()])
    with pytest.raises(seaway.InvalidError, match="redistribute"):
        seaway.torch.buffer(partial)
    for part in range(2):  # microbatches
        x, y = batch(0, rank.replica, rank.number, part)
        nn.functional.mse_loss(model(x), y[:, :1]).backward()
    assert seaway.torch.average_gradients(model.named_parameters(), rank.lane)
    assert len(seaway.torch.named_state(model)) == 2
    return [_gradients(model, rank), shards(model)]


def test_a_lane_whose_shard_is_empty(master: seaway.Master) -> None:
    with replicas(master, [0, 1], _empty_shard) as running:
        found = [each.results() for each in running]
    torch.manual_seed(0)
    model = nn.Linear(6, 1)
    for replica in range(2):
        for lane in range(2):
            for part in range(2):
                x, y = batch(0, replica, lane, part)
                (nn.functional.mse_loss(model(x), y[:, :1]) / 4).backward()
    for replica in range(2):
        gradients, parameters = found[replica][0]
        for name, p in model.named_parameters():
            assert float((gradients[name] - p.grad).abs().max()) < 1e-6 and torch.equal(parameters[name], p.detach())
        assert all(each.numel() == 0 for each in found[replica][1][0].values())
