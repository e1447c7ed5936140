"""Replicas of a few processes each, as training jobs have them: real processes, an own Gloo world in each replica, one master.

Processes are forked by a server that has imported torch once, as that takes seconds.
"""

from __future__ import annotations

import contextlib
import faulthandler
import hashlib
import logging
import multiprocessing
import os
import pathlib
import pickle
import signal
import tempfile
import traceback
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor

import seaway
import seaway.torch

#: Seconds in which every process has to say what became of it.
BOUND = 100.0

_context = multiprocessing.get_context("forkserver")
# Not this module: in the server its folder is not on the path. torch._dynamo comes with the first fully_shard.
_context.set_forkserver_preload(["torch.distributed.fsdp", "torch.distributed.tensor", "torch._dynamo", "seaway.torch", "pytest"])


def event() -> Any:
    """One that processes can be given."""
    return _context.Event()


def pipe() -> tuple[Any, Any]:
    """(here, there): what a process that has `there` sends."""
    return _context.Pipe(duplex=False)


class Rank:
    """What a body gets: who it is, and its lane."""

    def __init__(self, join: str, store: str, replica: int, lane: int, lanes: int, min_world: int, after: Any, world: int) -> None:
        if after is not None:
            assert after.wait(BOUND), "what this replica was to wait for did not happen"
        self.replica = replica
        self.number = lane
        self.lanes = lanes
        size = world or lanes
        if size > 1:
            number = replica * lanes + lane if world else lane
            dist.init_process_group("gloo", store=dist.FileStore(store, size), rank=number, world_size=size)
        self.group = dist.group.WORLD if lanes > 1 else None
        self.comm = seaway.Communicator(
            join, listen="127.0.0.1:0", replica=replica, lane=lane, lanes=lanes, min_world=min_world, timeout=BOUND / 2
        )
        self.lane = seaway.torch.Lane(self.comm)

    def end(self) -> None:
        with contextlib.suppress(seaway.Error):
            self.comm.leave(2)
        self.lane.close()
        if dist.is_initialized():
            dist.destroy_process_group()


def _run(said: Connection, body: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    logging.getLogger("seaway.torch").setLevel(logging.ERROR)
    # The same order of additions everywhere; and there are more processes than cores.
    torch.set_num_threads(1)
    faulthandler.dump_traceback_later(BOUND * 0.6)
    try:
        said.send_bytes(pickle.dumps((True, body(*arguments))))  # by value: the process may be gone when it is read
    except BaseException as error:
        with contextlib.suppress(OSError):
            said.send_bytes(pickle.dumps((False, f"{type(error).__name__}: {error}\n{traceback.format_exc()}")))
        os._exit(1)


def _as_rank(place: tuple[Any, ...], body: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    rank = Rank(*place)
    value = body(rank, *arguments)
    rank.end()
    return value


class Processes:
    """Some that run body(*arguments[i]), under way."""

    def __init__(self, name: str, body: Callable[..., Any], arguments: Sequence[tuple[Any, ...]]) -> None:
        self._name = name
        self._processes: list[tuple[Any, Connection]] = []
        for each in arguments:
            here, there = pipe()
            process = _context.Process(target=_run, args=(there, body, each), daemon=True)
            process.start()
            there.close()
            self._processes.append((process, here))

    def results(self) -> list[Any]:
        """What body returned in each of them; None for one that was killed. Raises what one raised."""
        found: list[Any] = [None] * len(self._processes)
        open_ends = {here: i for i, (_, here) in enumerate(self._processes)}
        while open_ends:
            ready = wait(list(open_ends), BOUND)
            assert ready, f"{self._name}: {list(open_ends.values())} hang"
            for here in ready:
                i = open_ends.pop(here)  # type: ignore[arg-type]
                with contextlib.suppress(EOFError):
                    good, value = pickle.loads(here.recv_bytes())  # type: ignore[union-attr]
                    assert good, f"{self._name}, {i}: {value}"
                    found[i] = value
        return found

    def kill(self) -> None:
        for process, _ in self._processes:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)

    def end(self) -> None:
        self.kill()
        for process, _ in self._processes:
            process.join(10)


class Lost:
    """What a process gives that was killed."""


def in_processes(body: Callable[..., Any], arguments: Sequence[tuple[Any, ...]]) -> list[Any]:
    """body(*arguments[i]) in process i; what they return, in order, `Lost()` for one that died. Raises what one of them raised."""
    running = Processes("process", body, arguments)
    try:
        return [Lost() if value is None else value for value in running.results()]
    finally:
        running.end()


class Replica(Processes):
    """The processes of one replica: a Rank each."""

    def __init__(
        self,
        master: seaway.Master,
        replica: int,
        body: Callable[..., Any],
        *arguments: Any,
        lanes: int = 2,
        min_world: int = 1,
        after: Any = None,
        world: str = "",
    ) -> None:
        self.number = replica
        self._folder = tempfile.TemporaryDirectory()
        store = world or str(pathlib.Path(self._folder.name) / "store")
        size = lanes * min_world if world else 0
        places = [(master.join, store, replica, lane, lanes, min_world, after, size) for lane in range(lanes)]
        super().__init__(f"replica {replica}", _as_rank, [(place, body, arguments) for place in places])

    def end(self) -> None:
        super().end()
        self._folder.cleanup()


@contextlib.contextmanager
def replicas(
    master: seaway.Master,
    numbers: list[int],
    body: Callable[..., Any],
    *arguments: Any,
    lanes: int = 2,
    after: Any = None,
    world: str = "",
) -> Iterator[list[Replica]]:
    """Replicas that all run body(rank, *arguments). With `after`, an event(), they join when it is set. With `world`, a file, all
    their processes are one world of torch's, of which replica r has the ranks from r * lanes on."""
    least = 1 if after is not None else len(numbers)
    running = [
        Replica(master, number, body, *arguments, lanes=lanes, min_world=least, after=after, world=world)
        for number in numbers
    ]
    try:
        yield running
    finally:
        for each in running:
            each.end()


# -- a model, and what a single process makes of it -------------------------------------------------------------------------


def toy(seed: int = 0) -> nn.Sequential:
    """Three units, the last one with 3 rows: 2 and 1 of them on two lanes."""
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 3))


def sharded(model: nn.Sequential, lanes: int = 2, mesh: Any = None) -> nn.Sequential:
    mesh = init_device_mesh("cpu", (lanes,)) if mesh is None else mesh
    for layer in model:
        if isinstance(layer, nn.Linear):
            fully_shard(layer, mesh=mesh)
    return fully_shard(model, mesh=mesh)  # type: ignore[return-value]


def batch(step: int, replica: int, lane: int, part: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    source = torch.Generator().manual_seed(step * 1000 + replica * 100 + lane * 10 + part)
    return torch.randn(4, 6, generator=source), torch.randn(4, 3, generator=source)


def loss(model: nn.Module, data: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    x, y = data
    return nn.functional.mse_loss(model(x), y)


def shards(model: nn.Module) -> dict[str, torch.Tensor]:
    return {
        name: (p.to_local() if isinstance(p, DTensor) else p).detach().clone() for name, p in model.named_parameters()
    }


def digest_of(tensors: dict[str, torch.Tensor]) -> str:
    whole = hashlib.sha256()
    for name in sorted(tensors):
        whole.update(name.encode() + tensors[name].contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return whole.hexdigest()


def lane_rows(rows: int, lane: int, lanes: int) -> slice:
    size = -(-rows // lanes)
    return slice(min(lane * size, rows), min((lane + 1) * size, rows))


def reference_gradients(
    model: nn.Module, step: int, contributors: list[list[int]], lanes: int = 2, parts: int = 1
) -> None:
    """Puts into model's .grad the mean over the contributors of each lane, in the rows that are that lane's."""
    params = dict(model.named_parameters())
    per_replica: dict[int, dict[str, torch.Tensor]] = {}
    for replica in sorted({replica for each in contributors for replica in each}):
        model.zero_grad()
        for lane in range(lanes):
            for part in range(parts):
                (loss(model, batch(step, replica, lane, part)) / lanes).backward()
        per_replica[replica] = {name: p.grad.clone() for name, p in params.items() if p.grad is not None}
    for name, p in params.items():
        p.grad = torch.zeros_like(p)
        for lane in range(lanes):
            rows = lane_rows(p.shape[0], lane, lanes)
            of_lane = [per_replica[replica][name][rows] for replica in contributors[lane]]
            p.grad[rows] = torch.stack(of_lane).mean(0)


def distance(model: nn.Module, lane: int, found: dict[str, torch.Tensor], lanes: int = 2) -> float:
    """The largest difference of a lane's shards from a whole model's."""
    worst = 0.0
    for name, p in model.named_parameters():
        wanted = p.detach()[lane_rows(p.shape[0], lane, lanes)]
        assert wanted.shape == found[name].shape, name
        if wanted.numel():
            worst = max(worst, float((wanted - found[name]).abs().max()))
    return worst
