"""Where and how much: the settings of a comparison, and who takes part in one."""
import dataclasses
import subprocess

import turns

DEFAULT = ("loopback:2:256MiB", "loopback:4:64MiB", "loopback:2:16", "four-500mbit:64MiB")
QUICK = ("loopback:2:16MiB", "loopback:3:3MiB", "loopback:2:16", "two-1gbit:1MiB")  # few processes: each imports torch
SMALL = 64 << 10  # bytes: below it a turn is many ops, or the pipes that say "go" would be measured


@dataclasses.dataclass
class Setting:
    name: str
    where: str  # "loopback", or a scenario of the lab
    peers: int
    floats: int
    first_site: str = ""

    @property
    def lab(self):
        return self.where != "loopback"

    @property
    def bytes(self):
        return self.floats * 4

    @property
    def is_small(self):
        return self.bytes < SMALL

    @property
    def title(self):
        size = f"{self.floats} floats" if self.bytes % (1 << 20) else f"{self.bytes >> 20} MiB"
        return f"{f'lab, {self.where}' if self.lab else 'loopback'}, {self.peers} peers, {size}"


def elements(text):
    number = int(text.removesuffix("MiB"))
    if number < 1:
        raise ValueError
    return (number << 20) // 4 if text.endswith("MiB") else number


def parse(name):
    """WHERE:PEERS:SIZE, of the lab also WHERE:SIZE. Raises turns.Failure: what is wrong with it, or that there can be no lab here."""
    where, *rest = name.split(":")
    try:
        floats = elements(rest[-1])
        peers = int(rest[0]) if len(rest) == 2 else 0
        if len(rest) > 2 or peers < 0 or (where == "loopback" and peers < 1):
            raise ValueError
    except (ValueError, IndexError):
        raise turns.Failure(f"{name} is no setting; those are like {DEFAULT[0]}, {DEFAULT[2]} (floats), {DEFAULT[3]}") from None
    if where == "loopback":
        return Setting(name, where, peers, floats)
    known = subprocess.run([turns.LAB, where, "--check"], capture_output=True, text=True)
    if known.returncode != 0:
        raise turns.Failure(known.stderr.strip().removeprefix("seaway_lab: "))
    sites = int(known.stdout.split()[0])
    if peers > sites:
        raise turns.Failure(f"{name}: {where} has {sites} sites")
    return Setting(name, where, peers or sites, floats)


def sides(setting, python, chunks):
    """Names and commands. Without a Python that has torch: seaway alone."""
    same = ["--peers", setting.peers, "--floats", setting.floats, "--warmup", 0, *(["--lab"] if setting.lab else [])]
    seaway = [turns.BENCH, "all_reduce", *same, "--turns"]
    commands = {"seaway, plaintext": seaway, "seaway, encrypted": [*seaway, "--encrypted"]}
    if python:
        gloo = [python, turns.ROOT / "bench" / "gloo.py", *same]
        commands["Gloo, one call"] = [*gloo, "--chunks", 1]
        if not setting.is_small:  # a handful of floats in pieces is what nobody would do
            commands[f"Gloo, {chunks} in flight"] = [*gloo, "--chunks", chunks]
    if setting.lab:
        commands = {name: turns.in_lab(setting.where, setting.first_site, words) for name, words in commands.items()}
    return commands
