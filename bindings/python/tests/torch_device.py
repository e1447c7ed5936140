"""seaway.torch with tensors on a CUDA device, on the device that only looks like one (tests/capi/fake_device.h): this torch may know no
CUDA, so a subclass of Tensor says that it lies there. Run by test_device.py: its memory kills a process that touches it.

Replica 0 is on the device, replica 1 on the CPU.
"""

from __future__ import annotations

import ctypes
import functools
import os
import threading
import traceback
import types
from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from torch import nn

import seaway
import seaway.torch
from seaway.torch import _staging
from seaway.torch._state import Hosted

fake = ctypes.CDLL(os.environ["SEAWAY_CUDA_LIBRARY"])
for name in ("allocate", "view"):
    getattr(fake, f"fake_device_{name}").restype = ctypes.c_void_p
fake.fake_stream_open.restype = ctypes.c_void_p
fake.fake_device_crossed.restype = ctypes.c_size_t

CUDA = torch.device("cuda", 0)
SECONDS = 30.0


pinned: set[int] = set()
pending: list[Callable[[], Any]] = []  # copies that nobody has waited for
hosted = 0  # calls of cpu()


class OnDevice(torch.Tensor):
    """Its memory is the device's, and cannot be touched."""

    device = CUDA
    is_cuda = True

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = func.__name__
        if name == "copy_":
            to, x = args
            run = functools.partial(func, seen(to), seen(x))
            # Between the device and pinned memory, it goes on when this returns.
            crosses_later = isinstance(x, OnDevice) != isinstance(to, OnDevice) and not pinned.isdisjoint({id(to), id(x)})
            pending.append(run) if kwargs.get("non_blocking") and crosses_later else run()
            return to
        if name == "cpu":
            global hosted
            hosted += 1
            return seen(args[0]).clone()
        if name in ("__setitem__", "item"):  # what a device does itself
            return func(*(seen(x) if isinstance(x, torch.Tensor) else x for x in args), **kwargs)
        return super().__torch_function__(func, types, args, kwargs)


def on_device(values: torch.Tensor) -> torch.Tensor:
    address = fake.fake_device_allocate(ctypes.c_size_t(values.nbytes))
    memory = (ctypes.c_uint8 * values.nbytes).from_address(address)
    x = torch.frombuffer(memory, dtype=values.dtype).view(values.shape).as_subclass(OnDevice)
    seen(x).copy_(values)
    return x


def seen(x: torch.Tensor) -> torch.Tensor:
    """What lies there."""
    if not isinstance(x, OnDevice):
        return x
    memory = (ctypes.c_uint8 * x.nbytes).from_address(fake.fake_device_view(ctypes.c_void_p(x.data_ptr())))
    return torch.frombuffer(memory, dtype=x.dtype).view(x.shape)


def allocating(make: Any) -> Any:
    def made(*args: Any, device: Any = None, pin_memory: bool = False, **kwargs: Any) -> torch.Tensor:
        x: torch.Tensor = make(*args, **kwargs)
        if pin_memory:
            pinned.add(id(x))
            kept.append(x)
        return on_device(x) if device == CUDA else x

    kept: list[torch.Tensor] = []  # so that no other gets its id
    return made


def synchronize() -> None:
    while pending:
        pending.pop(0)()


def crossed() -> int:
    return int(fake.fake_device_crossed())


# What torch with CUDA does.
stream = fake.fake_stream_open()
torch.cuda.current_stream = lambda device=None: types.SimpleNamespace(cuda_stream=stream)
torch.accelerator.current_stream = lambda device=None: types.SimpleNamespace(synchronize=synchronize)
torch.empty, torch.zeros = allocating(torch.empty), allocating(torch.zeros)


def together(program: Callable[[int, seaway.torch.Lane], None]) -> None:
    def member(replica: int) -> None:
        try:
            comm = seaway.Communicator(master.join, listen="127.0.0.1:0", replica=replica, min_world=2, timeout=SECONDS)
            lane = seaway.torch.Lane(comm, timeout=SECONDS)
            program(replica, lane)
            comm.barrier()
            lane.close()
        except BaseException:
            traceback.print_exc()
            os._exit(1)  # the other waits for this one

    with seaway.Master() as master:
        threads = [threading.Thread(target=member, args=(replica,)) for replica in range(2)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]


def placed(replica: int, values: torch.Tensor) -> torch.Tensor:
    return on_device(values) if replica == 0 else values


def reductions(replica: int, lane: seaway.torch.Lane) -> None:
    """Themselves, after the stream that writes them; one on the CPU beside them is copied to where they lie."""
    x = placed(replica, torch.full((1000,), 3.0))
    if replica == 0:  # what the stream has still to write
        fake.fake_stream_fill(
            ctypes.c_void_p(stream), ctypes.c_void_p(x.data_ptr()), ctypes.c_size_t(1000), ctypes.c_float(1), ctypes.c_double(0.1)
        )
    y, z = placed(replica, torch.ones(3, 5, dtype=torch.float64)), placed(replica, torch.arange(7))
    lane.all_reduce([x, y, z], op="sum").wait()
    assert (seen(x) == 4).all() and (seen(y) == 2).all() and (seen(z) == 2 * torch.arange(7)).all()
    assert lane.staged_bytes == 0
    if replica == 1:
        seen(z).fill_(9)
    flags = placed(replica, torch.tensor([True, False]) if replica == 0 else torch.tensor([False, True]))
    lane.broadcast([z, flags], 0).wait()
    assert seen(z).tolist() == [2 * i for i in range(7)] and seen(flags).tolist() == [True, False]
    assert lane.staged_bytes == 0
    here = torch.ones(3)
    lane.all_reduce([x, here], op="sum").wait()
    assert (seen(x) == 8).all() and (here == 2).all()
    assert lane.staged_bytes == (12 if replica == 0 else 0)
    empty = torch.empty(0).as_subclass(OnDevice) if replica == 0 else torch.empty(0)
    lane.all_reduce([empty], op="sum").wait()
    lane.broadcast([empty], 0).wait()


def groups(replica: int, lane: seaway.torch.Lane) -> None:
    """The process group's ops that have blocks: what they lay out is where the tensors are."""
    group = seaway.torch.ProcessGroup(lane, on_error="raise")
    mine = placed(replica, torch.full((4,), float(replica)))
    group.send([mine], 1).wait() if replica == 0 else group.recv([mine], 0).wait()
    assert (seen(mine) == 0).all()
    blocks = placed(replica, torch.arange(8.0))
    before = crossed()
    group.reduce_scatter_single(mine, blocks, dist.ReduceOp.AVG).wait()
    assert seen(mine).tolist() == [4.0 * replica + i for i in range(4)]
    assert crossed() > before  # the library did it, and not a copy of torch's
    group.all_gather_single(blocks, mine).wait()
    assert seen(blocks).tolist() == list(range(8))
    assert lane.staged_bytes == 0


def gradients(replica: int, lane: seaway.torch.Lane, codec: str | None) -> None:
    """Averaged where they are, with what says who has which beside them."""
    parameters = [nn.Parameter(torch.zeros(6)) for _ in range(2)]
    given = [placed(replica, torch.full((6,), float(replica))), placed(replica, torch.ones(6))]

    class Seen:  # a parameter whose gradient is on the device
        def __init__(self, grad: torch.Tensor | None) -> None:
            self.grad, self.requires_grad = grad, True

    named = [("a", Seen(given[0])), ("b", Seen(given[1] if replica == 0 else None))]
    zeros = torch.zeros_like
    torch.zeros_like = lambda x, **_: zeros(parameters[1])
    try:
        average = seaway.torch._averaging.Average(lane, named, 1.0, codec, transaction := lane._begin())
        transaction.close()
        assert average.wait(), lane.error()
    finally:
        torch.zeros_like = zeros
    grad = named[1][1].grad
    assert grad is not None
    means = torch.cat([seen(given[0]), seen(grad)])
    assert (means == 0.5).all() if codec is None else ((means - 0.5).abs() < 0.005).all()
    assert lane.staged_bytes == 0


def states(replica: int, lane: seaway.torch.Lane) -> None:
    """Hashed and written where they are; bytes of a dtype that is not reduced, too."""
    x = placed(replica, torch.full((5000,), float(replica)))
    halves = placed(replica, torch.full((300,), replica, dtype=torch.bool))
    step = torch.tensor(3.0)
    hosted = {name: Hosted(name, t, _staging.place_of([x, halves])) for name, t in (("x", x), ("halves", halves), ("step", step))}
    assert hosted["x"].array.is_cuda == (replica == 0) and not hosted["step"].array.is_cuda
    synced = lane.comm.sync_state({name: each.array for name, each in hosted.items()}, replica)
    for each in hosted.values():
        each.put_back()
    assert (seen(x) == 1).all() and seen(halves).all()
    assert synced.bytes_changed == (0 if replica == 1 else 20300), synced
    empty = torch.empty(0).as_subclass(OnDevice) if replica == 0 else torch.empty(0)
    lane.comm.sync_state({"x": Hosted("x", empty, empty.device).array}, replica)


def training(replica: int, lane: seaway.torch.Lane) -> None:
    """A newcomer's model, on its device, gets what the other has: written where it is."""
    model = nn.Linear(50, 20, bias=False)
    model.weight = nn.Parameter(placed(replica, torch.full((20, 50), float(replica))))
    at = seaway.torch.sync_training_state(lane, model, step=replica)
    assert at.step == 1 and (seen(model.weight.detach()) == 1).all()
    assert at.sync is not None and at.sync.bytes_changed == (0 if replica == 1 else 4000)
    assert hosted == 0


def elsewhere(replica: int, lane: seaway.torch.Lane) -> None:
    """Where the library cannot be used there: through pinned memory, which is waited for both ways."""
    _staging._takes_cuda = lambda: False
    x = placed(replica, torch.full((1000,), 3.0 + replica))
    lane.all_reduce([x], op="sum").wait()
    assert (seen(x) == 7).all() and not pending
    assert lane.staged_bytes == (4000 if replica == 0 else 0)


def plain_gradients(replica: int, lane: seaway.torch.Lane) -> None:
    gradients(replica, lane, None)


def encoded_gradients(replica: int, lane: seaway.torch.Lane) -> None:
    gradients(replica, lane, "q8")


for program in (reductions, groups, plain_gradients, encoded_gradients, states, training, elsewhere):
    together(program)
    print(program.__name__)
