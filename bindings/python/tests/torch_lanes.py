"""Workers of the tests with FSDP2: two replicas of two lanes, each a process."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

import seaway
import seaway.torch
from seaway.torch._buffers import local
from torch_replicas import Rank, sharded

REPLICAS = LANES = 2
LR = 0.05


def make_model(seed: int = 1) -> nn.Sequential:
    torch.manual_seed(seed)
    # Shapes that do not divide by two: uneven shards.
    return nn.Sequential(nn.Linear(5, 9), nn.Tanh(), nn.Linear(9, 3))


def batch(replica: int, lane: int, step: int) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(1000 * replica + 100 * lane + step)
    return torch.randn(4, 5, generator=random), torch.randn(4, 3, generator=random)


def loss_of(model: nn.Module, replica: int, lane: int, step: int) -> Tensor:
    x, y = batch(replica, lane, step)
    return nn.functional.mse_loss(model(x), y)


class Site(Rank):
    """One lane of a replica, and its sharded model."""

    def __init__(self, join: str, folder: str, replica: int, lane: int, seed: int, min_world: int = REPLICAS) -> None:
        super().__init__(join, f"{folder}/replica-{replica}", replica, lane, LANES, min_world, None, 0)
        self.model = sharded(make_model(seed))

    def whole(self) -> list[list[float]]:
        """The parameters, gathered over the lanes."""
        return [param.full_tensor().flatten().tolist() for param in self.model.parameters()]  # type: ignore[attr-defined]


# -- DiLoCo ----------------------------------------------------------------------------------------------------------------


@dataclass
class Faults:
    """In which round, counted from 0, something happens."""

    abort: int = -1  # the op of lane 1 is cancelled before replica 1 has posted it
    kill: int = -1  # lane 1 of replica 1 is killed when it has posted its op
    aborted: Any = None  # an Event: the op is aborted


def _with_faults(site: Site, faults: Faults, rounds: list[int]) -> None:
    post = site.comm.all_reduce_async

    def posting(*arguments: Any, **options: Any) -> Any:
        attempt = rounds[0]
        rounds[0] += 1
        if attempt == faults.abort and (site.replica, site.number) == (1, 1):
            assert faults.aborted.wait(60)
        operation = post(*arguments, **options)
        if attempt == faults.abort and (site.replica, site.number) == (0, 1):
            operation.cancel()
            seaway.wait([operation])
            faults.aborted.set()
        if attempt == faults.kill and (site.replica, site.number) == (1, 1):
            os.kill(os.getpid(), signal.SIGKILL)
        return operation

    site.comm.all_reduce_async = posting  # type: ignore[method-assign]


def diloco(join: str, folder: str, replica: int, lane: int, rounds: int, faults: Faults) -> dict[str, Any]:
    """Rounds of two inner steps. What became of each, and the parameters after it."""
    site = Site(join, folder, replica, lane, seed=1 + replica)
    _with_faults(site, faults, [0])
    optimizer = torch.optim.SGD(site.model.parameters(), lr=LR)
    outer = seaway.torch.DiLoCo(site.model.parameters(), site.comm, site.group, outer_lr=0.7, momentum=0.9)
    made, digests, params, errors = [], [], [], []
    first = site.comm.view.member(0).replica  # with whose parameters the run starts
    step = 0
    try:
        for _ in range(rounds):
            outer.sync()
            for _ in range(2):
                loss_of(site.model, replica, lane, step).backward()
                optimizer.step()
                optimizer.zero_grad()
                step += 1
            made.append(outer.step())
            errors.append(type(outer.error).__name__)
            digests.append(outer.digest())
            params.append(site.whole())
    except (seaway.Error, RuntimeError) as error:
        return {"made": made, "digests": digests, "params": params, "ended": type(error).__name__}
    site.end()
    return {"made": made, "digests": digests, "params": params, "errors": errors, "round": outer.round, "first": first}


def diloco_unsharded(first: int, skipped: tuple[int, ...], rounds: int) -> list[list[list[float]]]:
    """The same in one process, without shards, from the parameters of replica `first`: those after each round, of replica 0."""
    models = [make_model(1 + first) for _ in range(REPLICAS)]
    theta = [param.detach().clone() for param in models[0].parameters()]
    buf = [torch.zeros_like(param) for param in theta]
    found, step = [], 0
    for number in range(rounds):
        for _ in range(2):
            for replica, model in enumerate(models):
                gradients = []
                for lane in range(LANES):
                    loss_of(model, replica, lane, step).backward()
                    gradients.append([param.grad for param in model.parameters()])
                    model.zero_grad()
                with torch.no_grad():
                    for param, first, second in zip(model.parameters(), *gradients):
                        param.grad = (first + second) / 2
                torch.optim.SGD(model.parameters(), lr=LR).step()
                model.zero_grad()
            step += 1
        if number not in skipped:
            with torch.no_grad():
                for i, params in enumerate(zip(*(model.parameters() for model in models))):
                    mean = sum(theta[i] - param for param in params) / REPLICAS
                    buf[i] = buf[i] * 0.9 + mean
                    theta[i] = theta[i] - (mean + buf[i] * 0.9) * 0.7
                    for param in params:
                        param.copy_(theta[i])
        found.append([param.detach().flatten().tolist() for param in models[0].parameters()])
    return found


# -- the training state ----------------------------------------------------------------------------------------------------


def newcomer(join: str, folder: str, replica: int, lane: int, started: Any) -> dict[str, Any]:
    """Replica 0 makes three steps, then replica 1 comes; both make two more."""
    if replica == 1:
        assert started.wait(120)
    site = Site(join, folder, replica, lane, seed=1 + replica, min_world=1)
    optimizer = torch.optim.AdamW(site.model.parameters(), lr=0.1)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=2, gamma=0.5)
    step, caught_up, together = 0, 0, 0
    while together < 2:
        at = seaway.torch.sync_training_state(
            site.comm, site.model, optimizer, scheduler, step=step, data={"sample": 8 * step}, group=site.group
        )
        assert at.data == {"sample": 8 * at.step}
        caught_up += at.caught_up
        step = at.step
        loss_of(site.model, 0, lane, step).backward()  # of the same data: the gradients agree without an all-reduce
        optimizer.step()
        scheduler.step()
        optimizer.zero_grad()
        step += 1
        together += at.view.world_size == REPLICAS
        if step == 3:
            started.set()
    state = [local(value).flatten().tolist() for _, value in seaway.torch.named_state(site.model, optimizer)]
    site.comm.barrier(tag=2**60)
    site.end()
    return {"state": state, "step": step, "caught_up": caught_up, "lr": scheduler.get_last_lr()}
