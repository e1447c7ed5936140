"""What a trainer says while it trains, and the picture of it.

    python report.py FOLDER            draws FOLDER/loss.png of the *.jsonl in it
"""

from __future__ import annotations

import json
import pathlib
import sys
import time
from typing import Any, TextIO


class Report:
    """One rank's log, a JSON object per line, and if this rank is to show it a progress bar."""

    def __init__(self, file: pathlib.Path, steps: int, shown: bool) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        self._log: TextIO = file.open("a", buffering=1)
        self._steps = steps
        self._shown = shown
        self._bar = shown and sys.stderr.isatty()
        self._next_line = 0.0

    def event(self, kind: str, **values: Any) -> None:
        """Something that happened, such as a member that was lost."""
        self._log.write(json.dumps({"event": kind, "at": time.time(), **values}) + "\n")
        if self._shown and kind != "step":
            start = "\r\033[K" if self._bar else ""
            words = "  ".join(f"{key} {value}" for key, value in values.items())
            print(f"{start}{kind}: {words}", file=sys.stderr, flush=True)

    def step(self, step: int, loss: float, world: int) -> None:
        self.event("step", step=step, loss=loss, world=world)
        if not self._shown:
            return
        done = min(step / self._steps, 1.0)
        words = f"step {step}/{self._steps}  loss {loss:.3f}  replicas {world}"
        if self._bar:
            print(f"\r\033[K[{'#' * int(30 * done):30s}] {words}", end="", file=sys.stderr, flush=True)
        elif time.monotonic() >= self._next_line:
            self._next_line = time.monotonic() + 2
            print(words, file=sys.stderr, flush=True)


def draw(folder: pathlib.Path) -> pathlib.Path:
    """The loss of each log's rank 0 over time, and how many replicas there were, with what happened marked in both."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    logs = {path.stem: [json.loads(line) for line in path.read_text().splitlines()] for path in sorted(folder.glob("*-0.jsonl"))}
    begin = min(each["at"] for log in logs.values() for each in log)
    figure, (loss, world) = plt.subplots(2, 1, figsize=(10, 6), sharex=True, height_ratios=(3, 1), layout="constrained")
    events: list[tuple[float, str]] = []
    for name, log in logs.items():
        steps = [each for each in log if each["event"] == "step"]
        site = name.removesuffix("-0")
        # A gap where it was not there.
        x, y, n = [], [], []
        for before, each in zip([None, *steps], steps):
            if before is not None and each["step"] != before["step"] and any(
                other["event"] == "caught up" and before["at"] < other["at"] <= each["at"] for other in log
            ):
                x.append(float("nan")), y.append(float("nan")), n.append(float("nan"))
            x.append(each["at"] - begin), y.append(each["loss"]), n.append(each["world"])
        loss.plot(x, y, marker=".", linewidth=1.3, label=site)
        world.step(x, n, where="post", label=site)
        events += [
            (each["at"] - begin, f"{site} {each['event']}") for each in log if each["event"] in ("caught up", "lost a replica")
        ]
    for number, (at, label) in enumerate(sorted(events)):
        for axes in (loss, world):
            axes.axvline(at, color="#c0392b", linewidth=1, linestyle="--")
        loss.annotate(
            label, (at, 0.9 - 0.07 * (number % 6)), xycoords=("data", "axes fraction"), xytext=(5, 0), textcoords="offset points"
        )
    loss.set_ylabel("loss, nats per character")
    world.set_ylabel("replicas")
    world.set_xlabel("seconds")
    world.yaxis.get_major_locator().set_params(integer=True)
    loss.legend(loc="lower left")
    for axes in (loss, world):
        axes.grid(axis="y", alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    path = folder / "loss.png"
    figure.savefig(path, dpi=140)
    return path


if __name__ == "__main__":
    print(draw(pathlib.Path(sys.argv[1])))
