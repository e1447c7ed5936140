"""Turns into figures. A record is what a setting left: {"name", "title", "peers", "bytes", "lab", "small", "sides": {name: turns}}."""
import dataclasses
import statistics


@dataclasses.dataclass
class Spread:
    median: float
    low: float  # quartiles
    high: float
    least: float
    most: float


def spread(values):
    low, median, high = statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else values * 3
    return Spread(median, low, high, min(values), max(values))


def percentile(values, p):
    """As seaway_bench has it."""
    return sorted(values)[min(len(values) - 1, int(p * len(values)))]


def medians(turns):
    """Of each turn, that of its ops."""
    return [statistics.median(turn["seconds"]) for turn in turns]


def ratios(record, slower, faster):
    """How many times as fast `faster` is, of each round."""
    return spread([one / other for one, other in zip(medians(record["sides"][slower]), medians(record["sides"][faster]))])


@dataclasses.dataclass
class Figures:
    p50: float
    p99: float
    algbw: float  # bytes a second
    busbw: float
    cpu: float  # seconds of an op and peer
    cpu_per_gib: float
    peak_mib: float
    grown_mib: float
    threads: int
    longest_over_shortest: float
    ops: int
    copy: float | None  # what Gloo's user pays to keep the input


def figures(record, name):
    turns = record["sides"][name]
    seconds = [time for turn in turns for time in turn["seconds"]]
    p50 = statistics.median(seconds)
    cpu = statistics.median(turn["cpu_s"] / len(turn["seconds"]) for turn in turns) / record["peers"]
    return Figures(
        p50=p50, p99=percentile(seconds, .99), algbw=record["bytes"] / p50,
        busbw=record["bytes"] / p50 * 2 * (record["peers"] - 1) / record["peers"],
        cpu=cpu, cpu_per_gib=cpu / (record["bytes"] / 2**30),
        peak_mib=turns[-1]["peak_kib"] / 1024, grown_mib=turns[-1]["grown_kib"] / 1024, threads=turns[-1]["threads"],
        longest_over_shortest=max(seconds) / min(seconds), ops=len(seconds),
        copy=statistics.median(turn["copy_s"] for turn in turns) if "copy_s" in turns[0] else None)
