#!/usr/bin/env python3
"""The picture of a comparison: plot.py RESULTS.json PICTURE.svg (or .png). Runs in the Python that has Matplotlib."""
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt

from beside.figures import figures, medians, ratios, spread
from beside.table import digits, unit_of

COLOURS = {"seaway, plaintext": "#0b6e99", "seaway, encrypted": "#5fa8c8"}
OTHERS = ("#c8702a", "#e3a972")
INK, PALE = "#222222", "#777777"


def colour_of(name, names):
    others = [other for other in names if other not in COLOURS]
    return COLOURS.get(name) or OTHERS[others.index(name) % len(OTHERS)]


def panel(axes, record):
    names = list(record["sides"])
    times = {name: medians(turns) for name, turns in record["sides"].items()}
    size, unit = unit_of(min(min(values) for values in times.values()))
    # A turn that the machine slept through must not squeeze the rest into a corner; it is told as beyond the edge.
    edge = min(1.04 * max(max(values) for values in times.values()), 1.6 * max(spread(values).high for values in times.values())) / size
    for place, name in enumerate(names):
        values = [time / size for time in times[name]]
        one = spread(values)
        median = figures(record, name).p50 / size
        colour = colour_of(name, names)
        axes.barh(place, median, height=.62, color=colour, alpha=.45, linewidth=0)
        shift = [.22 * ((i % 5) / 2 - 1) for i in range(len(values))]
        axes.scatter([min(value, edge) for value in values], [place + y for y in shift], s=9, color=colour, linewidths=0, zorder=3)
        axes.plot([one.low, one.high], [place, place], color=INK, linewidth=1.6, solid_capstyle="butt", zorder=4)
        axes.plot([median] * 2, [place - .31, place + .31], color=INK, linewidth=1.6, zorder=4)
        words = [f"{digits(median)} {unit}"]
        if name.startswith("Gloo"):
            words.append(f"seaway {ratios(record, name, names[0]).median:.2f}×")
        beyond = sum(value > edge for value in values)
        words += [f"{beyond} beyond"] if beyond else []
        axes.annotate("\n".join(words), (1.02, place), xycoords=("axes fraction", "data"), va="center", color=INK, fontsize=9)
    axes.set_yticks(range(len(names)), names, fontsize=9)
    axes.invert_yaxis()
    axes.set_xlim(0, edge)
    axes.set_title(record["title"], loc="left", fontsize=10.5, fontweight="bold", color=INK)
    axes.set_xlabel(unit, fontsize=8.5, color=PALE, loc="right", labelpad=1)
    axes.tick_params(axis="x", labelsize=8.5, colors=PALE)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color="#dddddd", linewidth=.6)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color("#bbbbbb")


def main():
    source, target = sys.argv[1:]
    results = json.loads(pathlib.Path(source).read_text())
    records = results["records"]
    plt.rcParams["font.family"] = "DejaVu Sans"
    plt.rcParams["svg.hashsalt"] = "seaway"
    rows = (len(records) + 1) // 2
    columns = min(2, len(records))
    figure, grid = plt.subplots(rows, columns, figsize=(6.9 * columns, 2.45 * rows + .75), squeeze=False, layout="constrained")
    figure.get_layout_engine().set(w_pad=.12, h_pad=.1, wspace=.04, hspace=.05)
    for axes in grid.flat[len(records):]:
        axes.axis("off")
    for axes, record in zip(grid.flat, records):
        panel(axes, record)
    figure.suptitle("Time of an all-reduce, f32, sum: less is better", x=.012, ha="left", fontsize=12.5, fontweight="bold", color=INK)
    figure.supxlabel("Bar and upright line: median; thick line: quartiles; dots: rounds. seaway 2×: in plaintext twice as fast. "
                     + results["machine"].partition(";")[0], x=.012, ha="left", fontsize=8, color=PALE)
    figure.savefig(target, dpi=130, metadata={"Date": None} if target.endswith(".svg") else None)


if __name__ == "__main__":
    main()
