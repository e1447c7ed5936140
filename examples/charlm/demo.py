#!/usr/bin/env python3
"""Four processes train one model. One is killed in the middle of an all-reduce; later another joins.

Starts a master and four trainers (trainer.py), shows what they report, kills one with SIGKILL while the all-reduce of a round
is in flight, starts a new one later, and compares what everyone ended with. Exit status 0 if all survivors have the same bits
after every round and the killed op was finished by the others; else 1.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import selectors
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from dataclasses import dataclass, field
from typing import Any

from report import Event, Round, draw, table

HERE = pathlib.Path(__file__).resolve().parent
FIRST = ("alice", "bob", "carol", "dave")
LATE = "erin"
VICTIM = "carol"

Message = dict[str, Any]


class Failed(Exception):
    """The demo cannot go on; the text says why."""


@dataclass
class Trainer:
    """One trainer process and what it has said."""

    name: str
    process: subprocess.Popen[bytes]
    log: pathlib.Path
    peer: int = 0
    killed: bool = False
    done: Message | None = None
    reducing: dict[int, float] = field(default_factory=dict)  # by round: when it had started its all-reduce
    rounds: dict[int, Message] = field(default_factory=dict)
    rest: bytes = b""


class Demo:
    def __init__(self, options: argparse.Namespace, folder: pathlib.Path) -> None:
        self.options = options
        self.folder = folder
        self.begin = time.monotonic()
        self.trainers: dict[str, Trainer] = {}
        self.selector = selectors.DefaultSelector()
        self.master: subprocess.Popen[bytes] | None = None
        self.join = ""
        self.events: list[Event] = []
        self.kill_at: tuple[int, float] | None = None  # round (that the op would end) and time
        self.late_joined: int | None = None
        self.shown = 0

    # -- what it shows ------------------------------------------------------------------------------------------------

    def seconds(self, at: float | None = None) -> float:
        return (time.monotonic() if at is None else at) - self.begin

    def show(self, text: str) -> None:
        print(f"{self.seconds():6.1f} s  {text}", flush=True)

    def mark(self, label: str, words: str) -> None:
        self.events.append(Event(self.seconds(), label))
        self.show(f"*** {words}")

    def show_finished_rounds(self) -> None:
        """A line for each round that every process has reported which is expected to."""
        while True:
            number = self.shown + 1
            reports = {t.name: t.rounds[number] for t in self.trainers.values() if number in t.rounds}
            joined = self.late_joined
            expected = [*FIRST, LATE] if joined is not None and joined < number else FIRST
            if not reports or any(not self.trainers[name].killed for name in expected if name not in reports):
                return
            self.shown = number
            first = next(iter(reports.values()))
            losses = "  ".join(
                f"{name} {reports[name]['loss']:.3f}" if name in reports else f"{name}   -  " for name in self.trainers
            )
            digests = {report["digest"] for report in reports.values()}
            agree = f"digest {first['digest'][:8]} on {len(reports)}" if len(digests) == 1 else "DIGESTS DIFFER"
            took = max(report["ended"] for report in reports.values()) - self.posted(number)
            self.show(f"round {number:2d}  loss {losses}  held out {first['held_out']:.3f}  op {took * 1e3:4.0f} ms  {agree}")

    def posted(self, number: int) -> float:
        """When the last of those who took part in round `number` had started its all-reduce."""
        return max(
            t.reducing[number - 1] for t in self.trainers.values() if number in t.rounds and number - 1 in t.reducing
        )

    # -- processes ----------------------------------------------------------------------------------------------------

    def start_master(self) -> None:
        binary = pathlib.Path(sysconfig.get_path("scripts")) / "seaway"
        command = [str(binary), "master"] if binary.exists() else [sys.executable, "-m", "seaway.master"]
        log = (self.folder / "master.log").open("wb")
        self.master = subprocess.Popen(
            [*command, "--listen", "127.0.0.1:0"], stdout=subprocess.PIPE, stderr=log
        )
        assert self.master.stdout is not None
        line = self.master.stdout.readline().decode().strip()
        prefix = "listening on "
        if not line.startswith(prefix):
            raise Failed(f"the master did not start; see {self.folder / 'master.log'}")
        join = "join string: "
        second = self.master.stdout.readline().decode().strip()
        if not second.startswith(join):
            raise Failed(f"the master printed no join string; see {self.folder / 'master.log'}")
        self.join = second.removeprefix(join)
        self.show(f"master ({' '.join(pathlib.Path(part).name for part in command)}) {line}")

    def start_trainer(self, name: str, shard: int, min_world: int) -> None:
        options = self.options
        log = self.folder / f"{name}.log"
        with log.open("wb") as errors:
            process = subprocess.Popen(
                [
                    *(sys.executable, str(HERE / "trainer.py"), "--name", name),
                    *("--shard", str(shard), "--min-world", str(min_world)),
                    # Nobody goes before the late one, who stands in for the victim, has come.
                    *("--rounds", str(options.rounds), "--end-world", str(len(FIRST))),
                    *("--inner-steps", str(options.inner_steps), "--batch", str(options.batch)),
                ],
                stdout=subprocess.PIPE,
                stderr=errors,
                # Not as an argument: it has a secret in it.
                env={**os.environ, "SEAWAY_JOIN": self.join},
            )
        trainer = self.trainers[name] = Trainer(name, process, log)
        assert process.stdout is not None
        os.set_blocking(process.stdout.fileno(), False)
        self.selector.register(process.stdout, selectors.EVENT_READ, trainer)

    def stop_everything(self) -> None:
        for process in [t.process for t in self.trainers.values()] + ([self.master] if self.master else []):
            if process.poll() is None:
                process.terminate()
        for process in [t.process for t in self.trainers.values()] + ([self.master] if self.master else []):
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    # -- the run ------------------------------------------------------------------------------------------------------

    def run(self) -> None:
        self.start_master()
        for shard, name in enumerate(FIRST):
            self.start_trainer(name, shard, len(FIRST))
        self.show(f"{len(FIRST)} trainers started: {', '.join(FIRST)}; every round is {self.options.inner_steps} steps of "
                  "each on its own text, then one all-reduce")
        last_word = time.monotonic()
        while any(t.done is None and not t.killed for t in self.trainers.values()):
            for key, _ in self.selector.select(timeout=1.0):
                last_word = time.monotonic()
                self.read(key.data, key.fd)
            self.maybe_kill()
            if time.monotonic() - last_word > self.options.patience:
                raise Failed(f"nobody said anything for {self.options.patience} s")
        self.show_finished_rounds()

    def read(self, trainer: Trainer, pipe: int) -> None:
        data = os.read(pipe, 1 << 16)
        if not data:
            self.selector.unregister(pipe)
            if trainer.done is None and not trainer.killed:
                code = trainer.process.wait()
                words = trainer.log.read_text(errors="replace").strip().splitlines()[-3:]
                raise Failed(f"{trainer.name} ended with status {code}: " + " / ".join(words))
            return
        *lines, trainer.rest = (trainer.rest + data).split(b"\n")
        for line in lines:
            self.on_message(trainer, json.loads(line))

    def on_message(self, trainer: Trainer, message: Message) -> None:
        match message["event"]:
            case "reducing":
                trainer.reducing[message["round"]] = message["at"]
            case "round":
                trainer.rounds[message["round"]] = message
                self.maybe_start_late(message["round"])
                self.show_finished_rounds()
            case "member":
                trainer.peer = message["peer"]
                if trainer.name == LATE:
                    self.late_joined = message["round"]
                    self.mark(
                        f"{LATE} joined and caught up",
                        f"{LATE} has joined and has the state of round {message['round']}, digest {message['digest'][:8]}",
                    )
                else:
                    self.show(f"{trainer.name} is member {message['rank'] + 1} of {message['world']}")
            case "evicted":
                self.show(f"{trainer.name}: {message['text']}")
            case "done":
                trainer.done = message

    def maybe_kill(self) -> None:
        """Kills the victim while its all-reduce is certainly in flight: it and another have started, and one has not, without
        whose part nobody can end the op. If the victim happens to be the last, the next round will do."""
        victim = self.trainers[VICTIM]
        if victim.killed or not victim.reducing:
            return
        number = max(victim.reducing)
        started = [name for name in FIRST if number in self.trainers[name].reducing]
        if number < self.options.kill_round or number + 1 in victim.rounds or not 1 < len(started) < len(FIRST):
            return
        os.kill(victim.process.pid, signal.SIGKILL)
        victim.killed = True
        self.kill_at = (number + 1, time.monotonic())
        self.mark(
            f"{VICTIM} killed in an all-reduce",
            f"{VICTIM} was killed (SIGKILL) in the all-reduce of round {number + 1}, started by {', '.join(started)}",
        )

    def maybe_start_late(self, number: int) -> None:
        if number >= self.options.join_round and LATE not in self.trainers:
            self.start_trainer(LATE, len(FIRST), 1)
            self.show(f"starting {LATE}, who knows nothing yet")

    # -- the end ------------------------------------------------------------------------------------------------------

    def verdict(self) -> list[str]:
        """What did not go as promised."""
        wrong = []
        survivors = [t for t in self.trainers.values() if not t.killed]
        digests = {t.done["digest"] for t in survivors if t.done}
        if len(digests) != 1:
            wrong.append("the survivors ended with different states")
        for number in range(1, self.shown + 1):
            if len({t.rounds[number]["digest"] for t in self.trainers.values() if number in t.rounds}) > 1:
                wrong.append(f"round {number} gave different bits on different peers")
        if self.kill_at is None:
            wrong.append("nobody was killed")
        else:
            number = self.kill_at[0]
            peer = self.trainers[VICTIM].peer
            reports = [self.trainers[name].rounds[number] for name in FIRST if name != VICTIM]
            if len({tuple(report["contributors"]) for report in reports}) != 1:
                wrong.append("the survivors disagree about who contributed to the op with the kill")
            if any(peer not in report["lost"] for report in reports):
                wrong.append(f"{VICTIM} was not lost in the op in which it was killed")
        if self.late_joined is None:
            wrong.append(f"{LATE} did not join")
        return wrong

    def ops(self) -> list[Round]:
        rounds = []
        for number in range(1, self.shown + 1):
            reports = {t.name: t.rounds[number] for t in self.trainers.values() if number in t.rounds}
            if not reports:
                continue
            end = max(report["ended"] for report in reports.values())
            rounds.append(
                Round(
                    number=number,
                    at=end - self.begin,
                    op_seconds=end - self.posted(number),
                    members=len(reports),
                    lost=max(len(report["lost"]) for report in reports.values()),
                    held_out=next(iter(reports.values()))["held_out"],
                    losses={name: report["loss"] for name, report in reports.items()},
                )
            )
        return rounds


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=32)
    parser.add_argument("--inner-steps", type=int, default=12)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--kill-round", type=int, default=11, help="rounds passed before the kill")
    parser.add_argument("--join-round", type=int, default=17, help="rounds passed before another trainer starts")
    parser.add_argument("--patience", type=float, default=60, metavar="SECONDS", help="without a word before giving up")
    parser.add_argument("--output", type=pathlib.Path, default=HERE / "output", help="folder for the plot and the logs")
    options = parser.parse_args()
    if not 0 < options.kill_round < options.join_round < options.rounds:
        parser.error("0 < kill-round < join-round < rounds must hold")
    shutil.rmtree(options.output, ignore_errors=True)
    options.output.mkdir(parents=True)

    demo = Demo(options, options.output)
    try:
        demo.run()
    except (Failed, KeyboardInterrupt) as error:
        print(f"\ndemo: {error or 'interrupted'}; the logs are in {options.output}", file=sys.stderr)
        return 1
    finally:
        demo.stop_everything()

    rounds = demo.ops()
    print("\n" + table(rounds, demo.trainers.values(), demo.kill_at and demo.seconds(demo.kill_at[1])))
    picture = options.output / "loss.png"
    draw(rounds, demo.events, picture)
    print(f"\nthe loss with both events: {picture}")
    wrong = demo.verdict()
    for each in wrong:
        print(f"WRONG: {each}")
    if not wrong:
        print(f"All {sum(not t.killed for t in demo.trainers.values())} survivors ended with the same bits, as after every round.")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
