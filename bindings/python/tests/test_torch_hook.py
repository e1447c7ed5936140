"""DDP's communication hook: members whose buckets differ are refused, and every way to make them alike is right."""

from __future__ import annotations

import warnings
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

import torch.distributed as dist  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn.parallel import DistributedDataParallel  # noqa: E402

import seaway  # noqa: E402
import seaway.torch  # noqa: E402
from torch_replicas import Rank, replicas  # noqa: E402

pytestmark = pytest.mark.timeout(240)


class _Model(nn.Module):
    """Layers of one size, which are not used in the order in which they are registered."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.a, self.b, self.c = (nn.Linear(8, 8, bias=False) for _ in range(3))

    def forward(self, x: Any) -> Any:
        return self.b(torch.tanh(self.a(torch.tanh(self.c(x)))))


def _loss(model: nn.Module, replica: int) -> Any:
    x = torch.randn(4, 8, generator=torch.Generator().manual_seed(replica))
    return (model(x) ** 2).mean()


class _Gate:
    """A hook that is off at first."""

    def __init__(self) -> None:
        self.on = False

    def __call__(self, state: Any, bucket: dist.GradBucket) -> torch.futures.Future[torch.Tensor]:
        if self.on:
            return seaway.torch.comm_hook(state, bucket)
        future: torch.futures.Future[torch.Tensor] = torch.futures.Future()
        future.set_result(bucket.buffer())
        return future


def _ddp(rank: Rank, **options: Any) -> tuple[Any, _Gate]:
    model = _Model()
    ddp = DistributedDataParallel(model, broadcast_buffers=False, **options)
    gate = _Gate()
    rank.lane.name_parameters(model)

    def hook(state, bucket):  # type: ignore[no-untyped-def]  # DDP takes annotations as types only
        return gate(state, bucket)

    ddp.register_comm_hook(rank.lane, hook)
    return ddp, gate


def _local_steps(ddp: Any, replica: int, steps: int) -> None:
    for _ in range(steps):
        _loss(ddp, replica).backward()
        ddp.zero_grad()


def _step(rank: Rank, ddp: Any, gate: _Gate) -> dict[str, Any]:
    gate.on = True
    _loss(ddp, rank.replica).backward()
    error = rank.lane.error()
    applied = seaway.torch.step(torch.optim.SGD(ddp.parameters(), lr=0.0), rank.lane, None)
    grads = {name: p.grad.clone() for name, p in ddp.module.named_parameters()}
    ddp.zero_grad()
    return {"applied": applied, "error": error and f"{type(error).__name__}: {error}", "grads": grads}


def _rows(rank: Rank) -> dict[str, Any]:
    warnings.simplefilter("ignore", FutureWarning)  # broadcast_buffers, by its name of before 2.13
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    old = rank.replica == 0
    found = {}
    # Old members have learned their order, a newcomer has not.
    for row, options in (("small buckets", {"bucket_cap_mb": 0.0004}), ("one bucket", {})):
        ddp, gate = _ddp(rank, **options)
        _local_steps(ddp, rank.replica, 2 if old else 0)
        found[row] = _step(rank, ddp, gate)
        if row == "one bucket":
            # Nothing is stuck: the newcomer has learned it too, now.
            found["next step"] = _step(rank, ddp, gate)
    ddp, gate = _ddp(rank, find_unused_parameters=True)
    _local_steps(ddp, rank.replica, 2 if old else 0)
    found["unused parameters looked for"] = _step(rank, ddp, gate)
    ddp, gate = _ddp(rank)
    if old:
        _local_steps(ddp, rank.replica, 2)
    else:
        _local_steps(ddp, rank.replica, 1)
        ddp.reducer._rebuild_buckets()
    found["warmed up"] = _step(rank, ddp, gate)
    model = _Model()
    ddp = DistributedDataParallel(model, broadcast_buffers=False)
    rank.lane.name_parameters(model)
    ddp.register_comm_hook(rank.lane, seaway.torch.comm_hook)  # DDP takes it as it is, annotations and all
    found["as it is"] = _step(rank, ddp, _Gate())
    ddp, gate = _ddp(rank)
    _local_steps(ddp, rank.replica, 2 if old else 0)
    _loss(ddp, rank.replica).backward()
    applied = seaway.torch.average_gradients(ddp.module.named_parameters(), rank.lane)
    grads = {name: p.grad.clone() for name, p in ddp.module.named_parameters()}
    found["by name, after backward"] = {"applied": applied, "error": None, "grads": grads}
    # A future that fails, as a hook of somebody else's may have: DDP raises, and the process lives.
    rank.comm.barrier()

    def failing(state, bucket):  # type: ignore[no-untyped-def]
        buffer = bucket.buffer()
        return state.all_reduce([buffer[: 7 + rank.replica]]).get_future().then(lambda future: future.value() and buffer)

    ddp = DistributedDataParallel(_Model(), broadcast_buffers=False)
    ddp.register_comm_hook(rank.lane, failing)
    try:
        _loss(ddp, rank.replica).backward()
        found["failed"] = "nothing raised"
    except RuntimeError as error:
        found["failed"] = str(error)
    found["kept"] = type(rank.lane.error()).__name__
    rank.lane.clear()
    return found


def test_members_whose_buckets_differ(master: seaway.Master) -> None:
    with replicas(master, [0, 1], _rows, lanes=1) as running:
        found = [each.results()[0] for each in running]

    model = _Model()
    for replica in range(2):
        (_loss(model, replica) / 2).backward()
    mean = {name: p.grad for name, p in model.named_parameters()}
    for of, replica in zip(found, range(2), strict=True):
        for row in ("small buckets", "one bucket"):
            assert not of[row]["applied"] and of[row]["error"].startswith("Refused")
        # Both orders, on both members.
        error = of["one bucket"]["error"]
        assert "replica 0 called with (b.weight[64], a.weight[64], c.weight[64])" in error
        assert "replica 1 called with (a.weight[64], b.weight[64], c.weight[64])" in error
        alone = _Model()
        _loss(alone, replica).backward()
        for name, p in alone.named_parameters():
            assert torch.equal(of["one bucket"]["grads"][name], p.grad), "a gradient was written by an op that was refused"
        assert "called with" in of["failed"] and of["kept"] == "Refused"
        for row in ("next step", "unused parameters looked for", "warmed up", "as it is", "by name, after backward"):
            assert of[row]["applied"] and of[row]["error"] is None
            assert max(float((of[row]["grads"][name] - mean[name]).abs().max()) for name in mean) < 1e-7, row
