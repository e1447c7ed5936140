"""The table and the picture of a run under churn."""

from __future__ import annotations

import pathlib
import statistics
from collections.abc import Sequence

from churning.figures import Kill, Recovery, Step

PARTS = {
    "detect": "from the kill to the epoch without it, at the first survivor",
    "agree": "from there to the end of the step that was under way, at the last survivor",
    "recompute": "computed and thrown away by survivors",
    "state": "its next start gets the group's state",
    "start": "before that: Python, torch, the join, the others' next update",
}


def spread(values: list[float]) -> str:
    if not values:
        return "    none"
    ordered = sorted(values)
    p90 = ordered[min(len(ordered) - 1, int(0.9 * len(ordered)))]
    return f"{statistics.median(ordered):8.3f} {p90:8.3f} {ordered[-1]:8.3f}"


def table(
    title: str,
    committed: int,
    attempted: int,
    goodput: float,
    recoveries: list[Recovery],
    loss: float,
    by_steps: Sequence[float],
    by_tokens: Sequence[float],
) -> str:
    lines = [
        title,
        f"  committed of attempted steps   {committed} of {attempted}: {committed / attempted:.1%}",
        f"  goodput                        {goodput:.3f} of the peak rate",
        "",
        f"  a kill, in seconds      p50      p90      max   ({len(recoveries)} kills)",
    ]
    for part, meaning in PARTS.items():
        values = [value for value in (getattr(recovery, part) for recovery in recoveries) if value is not None]
        lines.append(f"    {part:14s} {spread(values)}   {meaning}")
    lines += ["", f"  loss on held-out text          {loss:.4f}, nats per character"]
    for what, others in (("steps, of more tokens", by_steps), ("tokens", by_tokens)):
        if others:
            verdict = "within" if min(others) <= loss <= max(others) else "below" if loss < min(others) else "above"
            words = f"without churn, {len(others)} seeds, as many {what}"
            lines.append(f"    {words:52s} {min(others):.4f} to {max(others):.4f}: the loss under churn is {verdict} that")
    return "\n".join(lines)


def rates(steps: list[Step], tokens: int, over: float) -> list[tuple[float, float]]:
    """(time, useful tokens a second over the last `over` seconds), at each step."""
    points = []
    first = 0
    for i, step in enumerate(steps):
        while steps[first].ended < step.ended - over:
            first += 1
        seconds = step.ended - steps[first].ended
        if i > first and seconds > over / 2:
            points.append((step.ended, tokens * sum(each.contributors for each in steps[first + 1 : i + 1]) / seconds))
    return points


def smooth(steps: list[Step], window: int = 25) -> list[tuple[int, float]]:
    losses = [step.loss for step in steps]
    return [
        (steps[i].number, statistics.fmean(losses[max(0, i - window + 1) : i + 1])) for i in range(window // 2, len(steps))
    ]


def draw(
    path: pathlib.Path,
    title: str,
    steps: list[Step],
    kills: list[Kill],
    back: list[float],
    tokens: int,
    peak: float,
    others: Sequence[list[Step]],
) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    ink, quiet, ours, red, green = "#1f2933", "#9aa5b1", "#0b6e99", "#c0392b", "#2e8b57"
    plt.rcParams.update({"font.size": 10, "axes.edgecolor": quiet, "text.color": ink, "axes.labelcolor": ink})
    figure, (rate, loss) = plt.subplots(2, 1, figsize=(10, 6.4), layout="constrained", dpi=140)
    begin = steps[0].ended
    points = rates(steps, tokens, 2.0)
    rate.plot([at - begin for at, _ in points], [value for _, value in points], color=ours, linewidth=1.4)
    rate.axhline(peak, color=quiet, linewidth=1, linestyle=(0, (4, 3)))
    rate.annotate("peak rate", (0, peak), xytext=(2, 4), textcoords="offset points", color=quiet)
    rate.set_ylim(0, 1.2 * peak)
    for times, colour, mark, label in (([kill.at for kill in kills], red, "v", "killed"), (back, green, "^", "back, with the state")):
        rate.scatter([at - begin for at in times], [0.04 * peak] * len(times), color=colour, marker=mark, s=30, label=label, zorder=3)
    rate.set_xlabel("seconds since the first step")
    rate.set_ylabel("useful tokens a second, of 2 s")
    rate.set_title(title, loc="left", pad=10)
    rate.legend(loc="lower right", ncols=2, framealpha=1, edgecolor="white")
    for i, other in enumerate(others):
        loss.plot(*zip(*smooth(other)), color=quiet, linewidth=1.2, label="without churn" if i == 0 else None)
    loss.plot(*zip(*smooth(steps)), color=ours, linewidth=1.6, label="under churn")
    loss.set_xlabel("committed steps")
    loss.set_ylabel("training loss, mean of 25 steps")
    loss.legend(loc="upper right", framealpha=1, edgecolor="white")
    for axes in (rate, loss):
        axes.grid(axis="y", color=quiet, alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(colors=ink)
    figure.savefig(path)
    plt.close(figure)
