#!/usr/bin/env python3
"""One rank of a site that trains a small FSDP2 model with other sites until it is killed, or its site is over. It says what it does,
a JSON object per line, on stdout; stress/sites/kills starts it. It ends with its stdin.

Its site is over when another of its ranks is gone: this one then ends with status 3, and whoever runs the site starts it again.
"""

import argparse
import datetime
import hashlib
import json
import logging
import os
import sys
import threading
import time
from typing import NoReturn

os.environ.setdefault("OMP_NUM_THREADS", "1")  # the ranks share the machine
os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

import seaway
from seaway.torch import Lane, average_gradients, step as optimizer_step, sync_training_state

SITE_IS_OVER = 3
WIDTH = 64


def say(event: str, **values: object) -> None:
    sys.stdout.write(json.dumps({"event": event, "at": time.monotonic(), **values}) + "\n")
    sys.stdout.flush()


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


def train(comm: seaway.Communicator, options: argparse.Namespace) -> NoReturn:
    lane, group = Lane(comm), dist.group.WORLD
    # Every site begins somewhere else: the first sync makes it one model.
    model = build(options.lanes, options.site)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    step = 0
    known = None
    while True:
        at = sync_training_state(lane, model, optimizer, step=step, group=group)
        step = at.step
        if at.view.me != known:
            known = at.view.me
            say("member", peer=known, step=step, digest=digest(model))
        source = torch.Generator().manual_seed(step * 1000 + options.site * 10 + options.lane)
        x, y = torch.randn(8, 16, generator=source), torch.randn(8, 3, generator=source)
        optimizer.zero_grad()
        nn.functional.mse_loss(model(x), y).backward()
        average_gradients(model.named_parameters(), lane)
        if not optimizer_step(optimizer, lane, group):
            say("skipped", step=step, why=str(lane.skipped))
            continue
        step += 1
        say("step", step=step, digest=digest(model), sites=sorted(lane.contributors()))


def end_with_stdin() -> NoReturn:
    sys.stdin.read()
    os._exit(0)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--site", type=int, required=True)
    parser.add_argument("--lane", type=int, required=True)
    parser.add_argument("--lanes", type=int, required=True)
    parser.add_argument("--store", required=True, help="a file that the site's ranks share")
    parser.add_argument("--min-world", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(1)
    logging.getLogger("seaway.torch").setLevel(logging.ERROR)
    threading.Thread(target=end_with_stdin, daemon=True).start()
    try:
        store = dist.FileStore(options.store, options.lanes)
        timeout = datetime.timedelta(seconds=60)
        dist.init_process_group("gloo", store=store, rank=options.lane, world_size=options.lanes, timeout=timeout)
        comm = seaway.Communicator(
            listen="127.0.0.1:0", replica=options.site, lane=options.lane, lanes=options.lanes, min_world=options.min_world
        )
        train(comm, options)
    except (seaway.Evicted, RuntimeError) as error:  # torch's own: a rank of this site is gone
        say("over", why=f"{type(error).__name__}: {error}"[:300])
        return SITE_IS_OVER


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code)  # torch's groups of a site that is over have nobody to say goodbye to
