#!/usr/bin/env python3
"""A replica that trains a small GPT until it is told to stop or is killed: data parallel, one all-reduce a step. It says what it
does, a JSON object per line, on stdout; bench/churn starts it. A line on its stdin, or its end: everybody stops after this step.
"""

import argparse
import hashlib
import json
import os
import pathlib
import sys
import threading
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")  # the replicas share the machine

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "examples" / "train_gpt"))

import numpy as np
import torch
from torch import nn

import seaway
from corpus import text
from model import GPT

WINDOW, WIDTH, LAYERS, HEADS = 64, 64, 2, 4
HELD_OUT = 256  # windows
TEXT_BYTES = 2_000_000
AVERAGED_STEPS = 50


class Learner:
    """The model with all its parameters in one tensor, so that a step is one all-reduce of one tensor, and the optimizer's state
    three more. `step` counts the committed ones."""

    def __init__(self, options: argparse.Namespace) -> None:
        torch.manual_seed(options.seed)
        torch.set_num_threads(1)
        self.model = GPT(text.VOCABULARY, WINDOW, WIDTH, LAYERS, HEADS)
        self.shapes = {name: value.shape for name, value in self.model.named_parameters()}
        flat = torch.cat([value.detach().reshape(-1) for value in self.model.parameters()])
        self.theta = nn.Parameter(flat)
        self.optimizer = torch.optim.AdamW([self.theta], lr=0.0)
        # Its state is there from the beginning, so that everybody has the same tensors to share.
        self.theta.grad = torch.zeros_like(flat)
        self.optimizer.step()
        self.optimizer.param_groups[0]["lr"] = options.lr
        self.state = self.optimizer.state[self.theta]
        self.state["step"].zero_()
        # Of the parameters over the last steps (Polyak and Juditsky 1992): what is measured, as the loss of the parameters
        # themselves goes up and down with the last few batches by more than seeds differ.
        self.average = self.theta.detach().clone()
        self.step = 0
        # What an all-reduce is of: the gradient, and whether somebody wants to stop.
        self.message = torch.zeros(flat.numel() + 1)
        files, held_out = text.read(TEXT_BYTES)
        self.text = np.concatenate(files)  # for everybody: who is away takes no part of it along
        self.held_out = held_out
        self.options = options

    def loss(self, theta: torch.Tensor, source: text.Symbols, count: int, *seed: int) -> torch.Tensor:
        starts = np.random.default_rng(seed).integers(0, len(source) - WINDOW, count)
        picked = torch.from_numpy(source[starts[:, None] + np.arange(WINDOW + 1)].astype(np.int64))
        parts = torch.split(theta, [shape.numel() for shape in self.shapes.values()])
        values = {name: part.view(shape) for (name, shape), part in zip(self.shapes.items(), parts)}
        return torch.func.functional_call(self.model, values, (picked,))

    def gradient(self, stop: bool) -> float:
        """Into `message`; the loss. Which windows it is of depends on the replica and the step alone."""
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.loss(self.theta, self.text, self.options.batch, self.options.seed, self.options.replica, self.step)
        loss.backward()
        self.message[:-1] = self.theta.grad
        self.message[-1] = float(stop)
        return loss.item()

    def apply(self) -> bool:
        """A step by the mean in `message`. False: somebody wants to stop."""
        self.theta.grad = self.message[:-1].clone()
        self.optimizer.step()
        self.step += 1
        self.average.lerp_(self.theta.detach(), max(1 / self.step, 1 / AVERAGED_STEPS))
        return float(self.message[-1]) == 0.0

    @torch.no_grad()
    def held_out_loss(self) -> float:
        """Of the averaged parameters, over text that nobody learns from; the same windows each time."""
        return self.loss(self.average, self.held_out, HELD_OUT, 0).item()

    def shared(self) -> dict[str, torch.Tensor]:
        return {"theta": self.theta.detach(), "average": self.average, **{name: value for name, value in self.state.items()}}

    def digest(self) -> str:
        return hashlib.blake2b(self.theta.detach().numpy().tobytes(), digest_size=8).hexdigest()


class Speaker:
    """Lines to whoever started this, from any thread. `at` is CLOCK_MONOTONIC, which all processes of a machine share."""

    def __init__(self, replica: int) -> None:
        self.always: dict[str, object] = {"replica": replica}
        self.lock = threading.Lock()

    def say(self, event: str, **values: object) -> None:
        with self.lock:
            sys.stdout.write(json.dumps({"event": event, "at": time.monotonic(), **self.always, **values}) + "\n")
            sys.stdout.flush()


def watch(comm: seaway.Communicator, speaker: Speaker, over: threading.Event) -> None:
    """Says of every epoch when this member has learned of it."""
    known = None
    while not over.wait(0.005):
        try:
            view = comm.view
        except seaway.Error:
            continue  # not a member: it is joining
        if view.epoch != known:
            known = view.epoch
            speaker.say("epoch", members=[member.peer for member in view.members])


def train(comm: seaway.Communicator, learner: Learner, speaker: Speaker, stop: threading.Event) -> None:
    shared_in = None
    attempt = 0
    goes_on = True
    while goes_on and learner.step != learner.options.steps:
        view = comm.update()  # whoever wants to join is admitted here
        if (view.me, view.generation) != shared_in:
            if shared_in is None or shared_in[0] != view.me:
                speaker.always["peer"] = view.me
                speaker.say("member", members=[member.peer for member in view.members])
            learner.step = comm.sync_state(learner.shared(), learner.step).revision
            shared_in = (view.me, view.generation)
            speaker.say("synced", step=learner.step)
        began = time.monotonic()
        loss = learner.gradient(stop.is_set())
        time.sleep(max(0.0, began + learner.options.step_seconds - time.monotonic()))
        posted = time.monotonic()
        try:
            result = comm.all_reduce(learner.message, op="avg")
        except seaway.Aborted as error:
            speaker.say("aborted", step=learner.step + 1, attempt=attempt, began=began, why=str(error))
            attempt += 1
            continue
        goes_on = learner.apply()
        speaker.say(
            "step",
            step=learner.step,
            attempt=attempt,
            posted=posted,
            loss=loss,
            contributors=[contributor.peer for contributor in result.contributors],
            lost=list(result.lost),
            attempts=result.attempts,
            hash=f"{result.hash:016x}",
        )
        attempt = 0
        if learner.step == learner.options.also_at:
            speaker.say("passed", step=learner.step, held_out=learner.held_out_loss())
    speaker.say("done", step=learner.step, held_out=learner.held_out_loss(), digest=learner.digest())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--replica", type=int, required=True)
    parser.add_argument("--replicas", type=int, required=True)
    parser.add_argument("--min-world", type=int, default=1)
    parser.add_argument("--steps", type=int, default=0, help="0: until told to stop")
    parser.add_argument("--also-at", type=int, default=0, help="tells the loss on held-out text at this step, too")
    parser.add_argument("--step-seconds", type=float, default=0.0, help="what the computation of a step takes at least")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    options.steps = options.steps or -1
    speaker = Speaker(options.replica)
    speaker.say("begun")
    learner = Learner(options)
    stop = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.readline(), stop.set()), daemon=True).start()
    over = threading.Event()
    with seaway.Communicator(name=f"replica {options.replica}", replica=options.replica, min_world=options.min_world) as comm:
        watcher = threading.Thread(target=watch, args=(comm, speaker, over))
        watcher.start()
        try:
            while True:
                try:
                    train(comm, learner, speaker, stop)
                    return 0
                except seaway.Evicted as error:  # held up for too long, on a busy machine for example
                    speaker.say("evicted", why=str(error))
                    comm.join()
        finally:
            over.set()
            watcher.join()


if __name__ == "__main__":
    sys.exit(main())
