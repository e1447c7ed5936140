"""One rank of a site that trains a small FSDP2 model with other sites until it is killed, or its site is over, or whoever started it
is gone. It says what it does, an object each, on a pipe. stress/sites/kills starts it.

Its site is over when another of its ranks is gone: this one then ends with status 3, and whoever runs the site starts it again.
"""

import datetime
import hashlib
import logging
import multiprocessing
import os
import threading
from multiprocessing.connection import Connection, wait
from typing import NamedTuple, NoReturn

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

import seaway
from seaway.torch import Lane, average_gradients, step as optimizer_step, sync_training_state

SITE_IS_OVER = 3
WIDTH = 64


class Place(NamedTuple):
    join: str
    site: int
    lane: int
    lanes: int
    store: str  # a file that the site's ranks share
    min_world: int


def say(said: Connection, event: str, **values: object) -> None:
    said.send({"event": event, **values})


def build(lanes: int, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(16, WIDTH), nn.Tanh(), nn.Linear(WIDTH, WIDTH), nn.Tanh(), nn.Linear(WIDTH, 3))
    mesh = init_device_mesh("cpu", (lanes,))
    for layer in model:
        if isinstance(layer, nn.Linear):
            fully_shard(layer, mesh=mesh)
    return fully_shard(model, mesh=mesh)


def digest(model: nn.Module) -> str:
    state = hashlib.blake2b(digest_size=8)
    for parameter in model.parameters():
        state.update(parameter.to_local().detach().numpy().tobytes())
    return state.hexdigest()


def train(comm: seaway.Communicator, place: Place, said: Connection) -> NoReturn:
    lane, group = Lane(comm), dist.group.WORLD
    # Every site begins somewhere else: the first sync makes it one model.
    model = build(place.lanes, place.site)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    step = 0
    known = None
    while True:
        at = sync_training_state(lane, model, optimizer, step=step, group=group)
        step = at.step
        if at.view.me != known:
            known = at.view.me
            say(said, "member", peer=known, step=step, digest=digest(model))
        source = torch.Generator().manual_seed(step * 1000 + place.site * 10 + place.lane)
        x, y = torch.randn(8, 16, generator=source), torch.randn(8, 3, generator=source)
        optimizer.zero_grad()
        nn.functional.mse_loss(model(x), y).backward()
        average_gradients(model.named_parameters(), lane)
        if not optimizer_step(optimizer, lane, group):
            say(said, "skipped", step=step, why=str(lane.skipped))
            continue
        step += 1
        say(said, "step", step=step, digest=digest(model), sites=sorted(lane.contributors()))


def join(place: Place) -> seaway.Communicator:
    return seaway.Communicator(
        place.join, listen="127.0.0.1:0", replica=place.site, lane=place.lane, lanes=place.lanes, min_world=place.min_world
    )


def end_with_parent() -> NoReturn:
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(0)


def run(place: Place, said: Connection) -> NoReturn:
    """What a process of its own does."""
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    torch.set_num_threads(1)  # the ranks share the machine
    logging.getLogger("seaway.torch").setLevel(logging.ERROR)
    threading.Thread(target=end_with_parent, daemon=True).start()
    try:
        store = dist.FileStore(place.store, place.lanes)
        timeout = datetime.timedelta(seconds=60)
        dist.init_process_group("gloo", store=store, rank=place.lane, world_size=place.lanes, timeout=timeout)
        train(join(place), place, said)
    except (seaway.Evicted, RuntimeError) as error:  # torch's own: a rank of this site is gone
        say(said, "over", why=f"{type(error).__name__}: {error}"[:300])
        os._exit(SITE_IS_OVER)  # torch's groups of a site that is over have nobody to say goodbye to
