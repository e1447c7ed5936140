#!/usr/bin/env python3
"""Trains a small GPT on text that every machine has, together with whoever else runs this.

    seaway master --listen 127.0.0.1:7117                      # prints a join string; every trainer finds it in SEAWAY_JOIN
    python train_gpt.py                                        # a replica: gradients averaged over all replicas, each step
    python train_gpt.py --diloco                               # DiLoCo: 25 steps alone, then one all-reduce of what was learned
    SEAWAY_REPLICA=1 torchrun --nproc-per-node 2 train_gpt.py --fsdp [--diloco]      # a replica of two ranks, FSDP2 inside

Start as many as you like, at any time, and kill any of them: the others go on, and who comes later catches up. All that run
together use the same flags.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import pathlib
import sys
from typing import Any

import torch
import torch.distributed as dist

import seaway
import seaway.torch
from corpus import VOCABULARY, Corpus
from model import GPT, shard
from report import Report, draw


class Trainer:
    """The model of one rank, and its text."""

    def __init__(self, options: argparse.Namespace, ranks: int, rank: int) -> None:
        self.options, self.rank = options, rank
        self.group = dist.group.WORLD if ranks > 1 else None
        self.corpus = Corpus(options.text_bytes)
        # All ranks of a replica begin with one model, and all replicas with that of the first: the first sync sees to it.
        torch.manual_seed(options.seed)
        self.model = GPT(VOCABULARY, options.context, options.width, options.layers, options.heads)
        if ranks > 1:
            shard(self.model, ranks)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=options.lr, weight_decay=0.1)
        warm_up = torch.optim.lr_scheduler.LinearLR(self.optimizer, 0.1, total_iters=20)
        decay = torch.optim.lr_scheduler.CosineAnnealingLR(self.optimizer, options.steps, options.lr / 10)
        self.scheduler = torch.optim.lr_scheduler.SequentialLR(self.optimizer, [warm_up, decay], [20])
        folder = options.output or pathlib.Path("train_gpt")
        self.report = Report(folder / f"{options.name}-{rank}.jsonl", options.steps, rank == 0)

    def backward(self, step: int, replica: int) -> float:
        tokens = self.corpus.batch((step, replica, self.rank), self.options.batch, self.options.context)
        loss = self.model(tokens)
        loss.backward()
        return float(loss.detach())

    def told(self, view: seaway.View, before: seaway.View | None, step: int, caught_up: bool) -> None:
        """Says who came and who went."""
        if caught_up and (step > 0 or before is not None):
            self.report.event("caught up", step=step, replicas=view.world_size)
        elif before is None or before.world_size != view.world_size:
            fewer = before is not None and view.world_size < before.world_size
            self.report.event("lost a replica" if fewer else "members", step=step, replicas=view.world_size)

    def digest(self) -> str:
        """Of this rank's shards: equal in every replica."""
        state = hashlib.blake2b(digest_size=8)
        for name, tensor in seaway.torch.named_state(self.model):
            state.update(name.encode() + tensor.contiguous().view(torch.uint8).numpy().tobytes())
        return state.hexdigest()


def average(trainer: Trainer, comm: seaway.Communicator) -> str:
    """Data parallelism: one all-reduce of the gradients per step, after backward."""
    options, model, optimizer = trainer.options, trainer.model, trainer.optimizer
    lane = seaway.torch.Lane(comm)
    step, view = 0, None
    while True:
        at = seaway.torch.sync_training_state(lane, model, optimizer, trainer.scheduler, step=step, group=trainer.group)
        trainer.told(at.view, view, at.step, at.caught_up)
        step, view = at.step, at.view
        loss = trainer.backward(step, comm.view.member(view.rank).replica)
        seaway.torch.average_gradients(model.named_parameters(), lane, codec=options.codec)
        # Not made where a lane has no average: all replicas make it again, then.
        if seaway.torch.step(optimizer, lane, trainer.group):
            trainer.scheduler.step()
            step += 1
            trainer.report.step(step, loss, len(lane.contributors()))
            # Who contributed is the same at every rank of every replica, so all end together. A view is each one's own.
            if step >= options.steps and len(lane.contributors()) >= options.end_world:
                return trainer.digest()
        optimizer.zero_grad()


def diloco(trainer: Trainer, comm: seaway.Communicator) -> str:
    """DiLoCo: inner steps alone, then one outer step of all. The inner optimizer is the replica's own."""
    options = trainer.options
    outer = seaway.torch.DiLoCo(trainer.model.parameters(), comm, trainer.group, codec=options.codec)
    view: seaway.View | None = None
    while True:
        before = outer.round
        now = outer.sync()
        trainer.told(now, view, outer.round * options.inner_steps, outer.round != before)
        view = now
        replica = view.member(view.rank).replica
        losses = []
        for inner in range(options.inner_steps):
            losses.append(trainer.backward(outer.round * options.inner_steps + inner, replica))
            trainer.optimizer.step()
            trainer.optimizer.zero_grad()
            trainer.scheduler.step()
        if not outer.step():
            trainer.report.event("round not made", why=str(outer.error))
            continue  # nothing is lost: the next round has the work of this one, too
        assert outer.result is not None
        step, contributors = outer.round * options.inner_steps, len(outer.result.contributors)
        trainer.report.step(step, sum(losses) / len(losses), contributors)
        # The same at every rank of every replica, so all end together. A view is each one's own.
        if step >= options.steps and contributors >= options.end_world:
            return outer.digest()


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--fsdp", action="store_true", help="under torchrun: its ranks are one replica, sharded by FSDP2")
    parser.add_argument("--diloco", action="store_true", help="DiLoCo instead of averaging gradients in each step")
    parser.add_argument("--inner-steps", type=int, default=25, help="of DiLoCo")
    parser.add_argument("--codec", default=None, help="how gradients, or what DiLoCo learned, travel: bf16, q8 or q4")
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--min-world", type=int, default=1, help="begin with so many replicas")
    parser.add_argument("--end-world", type=int, default=1, help="go on after --steps until there are so many replicas")
    parser.add_argument("--batch", type=int, default=16, help="of each rank")
    parser.add_argument("--context", type=int, default=64)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--heads", type=int, default=4)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--text-bytes", type=int, default=4_000_000)
    parser.add_argument("--name", default=f"pid{os.getpid()}", help="of the log; for torchrun's ranks the same")
    parser.add_argument("--output", type=pathlib.Path, help="folder of the log and the picture; default: train_gpt")
    parser.add_argument("--listen", help="HOST:PORT where other members reach this one; port 0 draws one")
    parser.add_argument("--plot", action="store_true", help="draw OUTPUT/loss.png at the end (matplotlib)")
    return parser.parse_args()


def main() -> int:
    options = arguments()
    ranks, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
    if not options.fsdp and ranks > 1:
        print("train_gpt: under torchrun give --fsdp; without it every process is a replica, started by itself", file=sys.stderr)
        return 2
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    if ranks > 1:
        # The replica's own group. It knows nothing of other replicas, and ends with this one.
        dist.init_process_group("gloo")
    trainer = Trainer(options, ranks, rank)
    arguments_of_lanes: dict[str, Any] = {"lanes": ranks, "lane": rank} if ranks > 1 else {}
    with seaway.Communicator(
        name=f"{options.name}/{rank}", min_world=options.min_world, listen=options.listen, **arguments_of_lanes
    ) as comm:
        while True:
            try:
                digest = (diloco if options.diloco else average)(trainer, comm)
                break
            except (seaway.Evicted, seaway.NotMember, seaway.Undecided) as error:
                # This machine was asleep, for example. All ranks of the replica get here together.
                trainer.report.event("evicted", why=str(error))
                comm.join()
    trainer.report.event("done", digest=digest)
    if options.plot and rank == 0:
        print(draw(options.output or pathlib.Path("train_gpt")))
    if ranks > 1:
        dist.destroy_process_group()
    return 0


if __name__ == "__main__":
    sys.exit(main())
