#!/usr/bin/env python3
"""The all-reduce of PyTorch's Gloo, driven as seaway_bench all_reduce --turns is: says "ready", then for each line of standard
input performs as many as that says and prints a line of JSON (turns.py says which).

  gloo.py --peers 2 --mib 256 --chunks 4

The tensor is split into --chunks pieces, all of which are in flight at once (async_op). Gloo works in place: to keep its input a
program copies it first, as this one does; the copy is not in the ops' seconds, it is told as "copy_s".
"""
import argparse
import ctypes
import json
import multiprocessing
import os
import resource
import socket
import sys
import tempfile
import time

CLONE_NEWNET = 0x40000000
LAB_PORT = 29500  # of the rendezvous: in a site of its own every port is free


def cpu_seconds():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def status_of(field):
    """A field of /proc/self/status that is a number."""
    with open("/proc/self/status") as status:
        return int(next(line for line in status if line.startswith(field + ":")).split()[1])


def go_to_site(rank):
    """Moves this process into its site of the lab; returns its one device there."""
    space = os.open(os.environ["LAB_SPACES"].split(",")[rank], os.O_RDONLY)
    if ctypes.CDLL(None, use_errno=True).setns(space, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), f"rank {rank} cannot get to its site")
    os.close(space)
    return next(name for _, name in socket.if_nameindex() if name != "lo")


class Peer:
    def __init__(self, rank, options, rendezvous):
        os.environ["GLOO_SOCKET_IFNAME"] = go_to_site(rank) if options.lab else "lo"
        import torch
        import torch.distributed as dist

        torch.set_num_threads(1)  # what fills the tensor between runs leaves no spinning threads behind
        dist.init_process_group("gloo", init_method=rendezvous, rank=rank, world_size=options.peers)
        self.dist, self.version = dist, torch.__version__
        self.input = torch.full((options.floats,), rank + 1.0)
        self.tensor = torch.empty(options.floats)
        self.pieces = self.tensor.chunk(options.chunks)
        self.expected = options.peers * (options.peers + 1) / 2
        self.prepare()
        self.kib_when_ready = status_of("VmRSS")

    def prepare(self):
        """Before it is told to begin: a peer that copies a little longer does not make the others' ops longer."""
        began = time.perf_counter()
        self.tensor.copy_(self.input)
        self.copy_s = time.perf_counter() - began

    def is_right(self):
        """By pieces: a comparison of the whole would be the most memory that this process ever has."""
        return all(bool((piece == self.expected).all()) for piece in self.tensor.split(1 << 18))

    def turn(self, ops):
        seconds, cpu, right = [], 0, True
        for op in range(ops):
            cpu_before = cpu_seconds()
            began = time.perf_counter()
            works = [self.dist.all_reduce(piece, async_op=True) for piece in self.pieces]
            for work in works:
                work.wait()
            seconds.append(time.perf_counter() - began)
            cpu += cpu_seconds() - cpu_before
            if op == ops - 1:
                right = self.is_right()
            self.prepare()
        peak = status_of("VmHWM")
        return {"seconds": seconds, "cpu_s": cpu, "right": right, "copy_s": self.copy_s, "peak_kib": peak,
                "grown_kib": max(0, peak - self.kib_when_ready), "threads": status_of("Threads")}


def run_peer(rank, options, rendezvous, pipe):
    peer = Peer(rank, options, rendezvous)
    pipe.send(peer.version)
    try:
        while ops := pipe.recv():
            pipe.send(peer.turn(ops))
    except EOFError:  # the parent was ended
        os._exit(1)
    peer.dist.destroy_process_group()


def together(turns):
    """Of all peers: the slowest's seconds, everybody's CPU time, the most of what each has."""
    if not all(turn["right"] for turn in turns):
        sys.exit("gloo.py: a result is wrong")
    most = {name: max(turn[name] for turn in turns) for name in ("copy_s", "peak_kib", "grown_kib", "threads")}
    slowest = [max(times) for times in zip(*(turn["seconds"] for turn in turns))]
    return {"seconds": slowest, "cpu_s": sum(turn["cpu_s"] for turn in turns), **most}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", type=int, default=2)
    parser.add_argument("--floats", type=int, default=16, help="elements of each process's tensor")
    parser.add_argument("--mib", type=int, help="the same, in MiB")
    parser.add_argument("--chunks", type=int, default=4)
    parser.add_argument("--warmup", type=int, default=3)
    parser.add_argument("--lab", action="store_true", help="each in a site of the WAN lab that this runs in; they meet at the first")
    options = parser.parse_args()
    if options.mib:
        options.floats = (options.mib << 20) // 4
    if options.lab and len(os.environ.get("LAB_SPACES", "").split(",")) < options.peers:
        sys.exit("gloo.py: --lab: there are not that many sites; start it with seaway_lab --at")
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = "1"  # threads that nothing here uses would be counted
    os.environ["TORCH_CPP_LOG_LEVEL"] = "ERROR"  # it warns that addresses of the lab have no host names

    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        rendezvous = f"file://{folder}/rendezvous"
        if options.lab:
            rendezvous = f"tcp://{os.environ['LAB_ADDRESSES'].split(',')[0]}:{LAB_PORT}"
        pipes, processes = [], []
        for rank in range(options.peers):
            mine, theirs = context.Pipe()
            process = context.Process(target=run_peer, args=(rank, options, rendezvous, theirs), daemon=True)
            process.start()
            theirs.close()
            pipes.append(mine)
            processes.append(process)

        def turn(ops):
            for pipe in pipes:
                pipe.send(ops)
            return together([pipe.recv() for pipe in pipes])

        try:
            versions = {pipe.recv() for pipe in pipes}
            if options.warmup:
                turn(options.warmup)
            print(f"ready torch {' '.join(versions)}", flush=True)
            for line in sys.stdin:
                print(json.dumps(turn(int(line or 1))), flush=True)
        except EOFError:
            sys.exit("gloo.py: a process has ended early; what it said is above")
        for pipe in pipes:
            pipe.send(0)
        for process in processes:
            process.join()


if __name__ == "__main__":
    main()
