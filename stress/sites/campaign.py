"""Sites as processes, killed and started again, and what is checked of them. stress/sites/kills runs it."""

import multiprocessing
import pathlib
import random
import signal
import tempfile
import time
from multiprocessing.connection import wait

import rank
import seaway

# Ranks are forked by a server that has imported torch once, as that takes seconds. torch._dynamo comes with the first fully_shard.
PRELOAD = ["torch.distributed.fsdp", "torch.distributed.tensor", "torch._dynamo", "seaway.torch"]


class Broken(Exception):
    """A check that failed, in words."""


class Site:
    """The ranks of one site, of the life that it has now."""

    def __init__(self, number, life):
        self.number, self.life = number, life
        self.ranks = {}  # by lane: the process
        self.steps = {}  # by lane: the numbers of the steps it made
        self.touched = False  # by a kill: its ranks may end
        self.is_member = set()  # lanes

    def over(self):
        return not any(rank.is_alive() for rank in self.ranks.values())


class Campaign:
    def __init__(self, options, join, folder):
        self.options, self.join, self.folder = options, join, folder
        self.random = random.Random(options.seed)
        self.context = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload(PRELOAD)
        self.pipes = {}  # by pipe: whose it is
        self.sites = {}
        self.digests = {}  # by (lane, step): the digest, and who said it first
        self.begun = self.seen = time.monotonic()
        self.kills = self.skipped = self.newest = 0
        self.back = []  # seconds from a kill to the site's first step afterwards
        self.killed_at = {}

    def show(self, text):
        print(f"{time.monotonic() - self.begun:6.1f} s  {text}", flush=True)

    def start(self, number, min_world=1):
        life = self.sites[number].life + 1 if number in self.sites else 1
        site = self.sites[number] = Site(number, life)
        store = str(self.folder / f"site-{number}-{life}.store")
        for lane in range(self.options.lanes):
            place = rank.Place(self.join, number, lane, self.options.lanes, store, min_world)
            here, there = self.context.Pipe(duplex=False)
            process = self.context.Process(target=rank.run, args=(place, there), daemon=True)
            process.start()
            there.close()
            self.pipes[here] = (site, lane)
            site.ranks[lane], site.steps[lane] = process, []

    def listen(self, seconds):
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            for pipe in wait(list(self.pipes), left):
                self.read(pipe, *self.pipes[pipe])
        if time.monotonic() - self.seen > self.options.patience:
            raise Broken(f"a hang: nobody made a step in {self.options.patience} s")

    def read(self, pipe, site, lane):
        try:
            message = pipe.recv()
        except (EOFError, OSError):
            del self.pipes[pipe]
            pipe.close()
            self.on_end(site, lane)
        else:
            self.on_message(site, lane, message)

    def on_end(self, site, lane):
        process = site.ranks[lane]
        process.join()
        if not site.touched or process.exitcode not in (-signal.SIGKILL, rank.SITE_IS_OVER):
            touched = "" if site.touched else ", which nobody had touched,"
            raise Broken(f"rank {lane} of site {site.number}{touched} ended with status {process.exitcode}")

    def on_message(self, site, lane, message):
        name = f"site {site.number}, rank {lane}"
        match message["event"]:
            case "member":
                site.is_member.add(lane)
                self.check(lane, message, name)
            case "step":
                self.seen = time.monotonic()
                site.steps[lane].append(message["step"])
                self.newest = max(self.newest, message["step"])
                self.check(lane, message, name)
                if site.number in self.killed_at and not site.touched:
                    self.back.append(time.monotonic() - self.killed_at.pop(site.number))
            case "skipped":
                self.skipped += 1
            case "over":
                if not site.touched:
                    raise Broken(f"{name}, which nobody had touched, is over: {message['why']}")

    def check(self, lane, message, name):
        key = (lane, message["step"])
        said, by = self.digests.setdefault(key, (message["digest"], name))
        if message["step"] > 0 and said != message["digest"]:
            raise Broken(f"after step {message['step']} {by} has {said} and {name} has {message['digest']}")

    def strike(self):
        """Kills a rank or a site, so long as another site is whole."""
        whole = [s for s in self.sites.values() if not s.touched and len(s.is_member) == self.options.lanes]
        if len(whole) < 2:
            return
        site = self.random.choice(whole)
        all_of_it = self.random.random() < 0.5
        lanes = list(site.ranks) if all_of_it else [self.random.choice(list(site.ranks))]
        site.touched = True
        self.killed_at[site.number] = time.monotonic()
        for lane in lanes:
            site.ranks[lane].kill()
        self.kills += 1
        what = f"site {site.number}" if all_of_it else f"rank {lanes[0]} of site {site.number}"
        self.show(f"kill {self.kills}: {what}; step {self.newest}")

    def mend(self):
        """Starts again what is over."""
        for site in list(self.sites.values()):
            if site.touched and site.over():
                self.check_lanes(site)
                self.start(site.number)

    def check_lanes(self, site):
        """The ranks of a site make the same steps. Who was killed may have made one more than it could say."""
        last = {lane: steps[-1] for lane, steps in site.steps.items() if steps}
        if last and max(last.values()) - min(last.values()) > 1:
            raise Broken(f"the ranks of site {site.number} ended after different steps: {last}")

    def perform(self):
        for number in range(self.options.sites):
            self.start(number, self.options.sites)
        while self.newest == 0:
            self.listen(0.1)
        while self.kills < self.options.kills:
            self.listen(self.options.every * self.random.uniform(0.2, 1.8))
            self.mend()
            self.strike()
        while any(site.touched or len(site.is_member) < self.options.lanes for site in self.sites.values()):
            self.listen(0.2)
            self.mend()
        self.listen(1)

    def close(self):
        for site in self.sites.values():
            for process in site.ranks.values():
                process.kill()
                process.join()


def perform(options):
    """Prints how it goes. Raises Broken."""
    with tempfile.TemporaryDirectory(prefix="seaway-sites-") as folder, seaway.Master() as master:
        campaign = Campaign(options, master.join, pathlib.Path(folder))
        try:
            campaign.perform()
        except Broken as broken:
            again = f"--kills {options.kills} --sites {options.sites} --lanes {options.lanes} --every {options.every} --seed {options.seed}"
            raise Broken(f"{broken}\nrepeat it: stress/sites/kills {again}") from None
        finally:
            campaign.close()
    back = sorted(campaign.back)
    print(
        f"\n{campaign.kills} kills, {campaign.newest} steps, {campaign.skipped} skipped by a rank: no mixed model, no hang, no end of a "
        f"site that nobody touched\nback at work after a kill: {back[len(back) // 2]:.1f} s (median), {back[-1]:.1f} s (longest)"
    )
