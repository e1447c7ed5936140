"""The table and the picture at the end of the demo."""

from __future__ import annotations

import pathlib
import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


@dataclass
class Event:
    """Something worth a mark in the picture."""

    at: float  # seconds since the start of the demo
    label: str  # a few words


@dataclass
class Round:
    """One round as all members reported it."""

    number: int
    at: float  # seconds since the start of the demo
    op_seconds: float  # from when the last member had started the all-reduce to when the last one had its result
    members: int
    lost: int
    held_out: float  # nats per character, of the shared model, on text that nobody learns from
    losses: dict[str, float]  # of each member in its inner steps


def table(rounds: list[Round], trainers: Iterable[Any], killed_at: float | None) -> str:
    """Op times, bytes, the op with the loss against the others, the digests. killed_at: seconds since the start."""
    normal = [each.op_seconds * 1e3 for each in rounds if not each.lost]
    hit = [each for each in rounds if each.lost]
    if not normal:
        normal = [float("nan")]
    lines = ["all-reduce of 6.7 MB, from the last start to the last end"]
    lines.append(f"  undisturbed  {len(normal):3d} ops   p50 {statistics.median(normal):6.0f} ms   max {max(normal):6.0f} ms")
    for each in hit:
        lines.append(
            f"  with a death   1 op    {each.op_seconds * 1e3:10.0f} ms   round {each.number}: "
            f"the {each.members} survivors finished it"
            + (f" {(each.at - killed_at) * 1e3:.0f} ms after the kill" if killed_at is not None else "")
        )
    lines += ["", "trainer     rounds   sent MB   received MB   state at the end (hash of theta, momentum, round)"]
    for trainer in trainers:
        sent = sum(report["sent"] for report in trainer.rounds.values()) / 1e6
        received = sum(report["received"] for report in trainer.rounds.values()) / 1e6
        end = trainer.done["digest"] if trainer.done else "killed"
        lines.append(f"  {trainer.name:8s} {len(trainer.rounds):7d} {sent:9.1f} {received:13.1f}   {end}")
    lines += ["", f"held out: {rounds[0].held_out:.3f} nats per character after round 1, {rounds[-1].held_out:.3f} at the end"]
    return "\n".join(lines)


INK, QUIET, SHARED = "#1f2933", "#9aa5b1", "#0b6e99"
COLOURS = ("#7fb2d9", "#8fc79a", "#e39a6f", "#b89fd6", "#d8b04a")
EVENTS = ("#c0392b", "#2e8b57")


def draw(rounds: list[Round], events: list[Event], path: pathlib.Path) -> None:
    """The loss over time, and under it how long each all-reduce took, with the events marked in both."""
    import matplotlib
    import matplotlib.ticker

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    plt.rcParams.update({"font.size": 10, "axes.edgecolor": QUIET, "text.color": INK, "axes.labelcolor": INK})
    figure, (loss, ops) = plt.subplots(
        2, 1, figsize=(10, 6.4), sharex=True, height_ratios=(3, 1.15), layout="constrained", dpi=140
    )

    names = list(dict.fromkeys(name for each in rounds for name in each.losses))
    for name, colour in zip(names, COLOURS):
        points = [(each.at, each.losses[name]) for each in rounds if name in each.losses]
        loss.plot(*zip(*points), color=colour, linewidth=1.3, label=f"{name}, inner steps", zorder=2)
    loss.plot(
        [each.at for each in rounds],
        [each.held_out for each in rounds],
        color=SHARED,
        linewidth=2.4,
        marker="o",
        markersize=3.5,
        label="shared model, held-out text",
        zorder=3,
    )
    loss.set_ylabel("loss, nats per character")
    loss.set_title("DiLoCo on four processes: one is killed in an all-reduce, another joins later", loc="left", pad=12)
    loss.legend(ncols=2, loc="upper right", framealpha=1, edgecolor="white")

    for lost, colour, label in ((False, SHARED, "undisturbed"), (True, EVENTS[0], "with a death")):
        chosen = [each for each in rounds if bool(each.lost) == lost]
        ops.scatter(
            [each.at for each in chosen],
            [each.op_seconds * 1e3 for each in chosen],
            color=colour,
            s=46 if lost else 16,
            label=label,
            zorder=3,
        )
    ops.set_yscale("log")
    ops.set_ylabel("all-reduce, ms")
    ops.set_xlabel("seconds since the start")
    ops.yaxis.set_major_formatter(matplotlib.ticker.FuncFormatter(lambda value, _: f"{value:g}"))
    ops.yaxis.set_major_locator(matplotlib.ticker.LogLocator(subs=(1, 3), numticks=12))
    ops.yaxis.set_minor_locator(matplotlib.ticker.NullLocator())
    ops.legend(ncols=2, loc="upper right", framealpha=1, edgecolor="white")
    low, high = ops.get_ylim()
    ops.set_ylim(low, high * 3)

    for event, colour, height in zip(events, EVENTS, (0.66, 0.56)):
        for axes in (loss, ops):
            axes.axvline(event.at, color=colour, linewidth=1.2, linestyle=(0, (4, 3)), zorder=1)
        loss.annotate(
            event.label,
            (event.at, height),
            xycoords=("data", "axes fraction"),
            xytext=(6, 0),
            textcoords="offset points",
            color=colour,
            fontsize=9.5,
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1.5},
        )
    for axes in (loss, ops):
        axes.grid(axis="y", color=QUIET, alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(colors=INK)
    figure.align_ylabels()
    figure.savefig(path)
    plt.close(figure)
