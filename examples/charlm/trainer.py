#!/usr/bin/env python3
"""One peer of the demo: trains the character model with DiLoCo and says what it does, a JSON object per line, on stdout.

    SEAWAY_JOIN=... trainer.py --name alice --shard 0

The part that matters is `train`; it is what a program of your own looks like.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time

# Four trainers share the machine: one thread each.
for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import numpy as np

import model as charlm
import seaway
import text
from seaway.training import DiLoCo

SHARDS = 5  # one for each trainer that the demo ever starts
VALIDATION = 1024  # windows of the held-out text


def say(event: str, **values: object) -> None:
    """One line to whoever started this. `at` is CLOCK_MONOTONIC, which all processes of a machine share."""
    sys.stdout.write(json.dumps({"event": event, "at": time.monotonic(), **values}) + "\n")
    sys.stdout.flush()


class Learner:
    """The model, this trainer's own text, and the text that nobody learns from."""

    def __init__(self, options: argparse.Namespace) -> None:
        files, held_out = text.read(options.text_bytes)
        self.own = text.shard(files, options.shard, SHARDS)
        self.random = np.random.default_rng([options.seed, options.shard])
        starts = np.random.default_rng(options.seed).integers(0, len(held_out) - charlm.WINDOW, VALIDATION)
        self.held_out = text.windows(held_out, starts, charlm.WINDOW)
        # Everyone starts somewhere else: the first sync makes it one model.
        self.model = charlm.Model(text.VOCABULARY, options.seed + options.shard)
        self.optimizer = charlm.AdamW(self.model.params, options.lr)
        self.batch: int = options.batch

    def step(self) -> float:
        """One inner step; its loss."""
        starts = self.random.integers(0, len(self.own) - charlm.WINDOW, self.batch)
        loss, gradients = self.model.gradients(*text.windows(self.own, starts, charlm.WINDOW))
        self.optimizer.step(gradients)
        return loss


def train(comm: seaway.Communicator, learner: Learner, options: argparse.Namespace) -> None:
    outer = DiLoCo(comm, learner.model.params)
    known: int | None = None
    world = 0
    # Every member sees the same round and world at the same point, so all of them stop together.
    while outer.round < options.rounds or world < options.end_world:
        view = outer.sync()  # whoever wants to join is admitted here, and gets theta, buf and the round
        world = view.world_size
        if view.me != known:
            known = view.me
            say("member", peer=view.me, rank=view.rank, world=view.world_size, round=outer.round, digest=outer.digest())

        losses = [learner.step() for _ in range(options.inner_steps)]

        operation = outer.start()
        say("reducing", round=outer.round)
        operation.wait()  # another member's death does not show here, but in result.lost
        ended = time.monotonic()
        result = outer.finish()
        say(
            "round",
            round=outer.round,
            ended=ended,
            loss=float(np.mean(losses)),
            held_out=learner.model.loss(*learner.held_out),
            sent=result.bytes_sent,
            received=result.bytes_received,
            contributors=[contributor.peer for contributor in result.contributors],
            lost=list(result.lost),
            attempts=result.attempts,
            digest=outer.digest(),
        )
    say("done", round=outer.round, digest=outer.digest())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--name", required=True)
    parser.add_argument("--shard", type=int, required=True, help=f"0 to {SHARDS - 1}: which part of the text")
    parser.add_argument("--min-world", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=32)
    parser.add_argument("--end-world", type=int, default=1, help="go on after that until there are so many members")
    parser.add_argument("--inner-steps", type=int, default=12)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--text-bytes", type=int, default=4_000_000)
    options = parser.parse_args()
    learner = Learner(options)
    with seaway.Communicator(
        name=options.name, replica=options.shard, min_world=options.min_world
    ) as comm:
        while True:
            try:
                train(comm, learner, options)
                return 0
            except seaway.Evicted as error:  # a machine that was asleep, for example: come back
                say("evicted", text=str(error))
                comm.join()


if __name__ == "__main__":
    sys.exit(main())
