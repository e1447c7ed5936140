#!/usr/bin/env python3
"""The all-reduce of PyTorch's Gloo, driven as seaway_bench all_reduce --turns is: says "ready", then for each line of standard
input runs one and prints a line of JSON, the seconds of the slowest process and the CPU seconds of all.

  gloo.py --peers 2 --mib 256 --chunks 4

The tensor is split into --chunks pieces, all of which are in flight at once (async_op): that is Gloo's fastest way.
"""
import argparse
import json
import multiprocessing
import os
import resource
import sys
import tempfile
import time


def cpu_seconds():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def peer(rank, options, rendezvous, pipe):
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    import torch
    import torch.distributed as dist

    torch.set_num_threads(1)  # what fills the tensor between runs leaves no spinning threads behind
    dist.init_process_group("gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=options.peers)
    tensor = torch.empty(options.floats, dtype=torch.float32)
    pieces = tensor.chunk(options.chunks)
    pipe.send(torch.__version__)
    while pipe.recv():
        tensor.fill_(rank + 1)  # in place is all that Gloo has
        cpu = cpu_seconds()
        began = time.perf_counter()
        works = [dist.all_reduce(piece, async_op=True) for piece in pieces]
        for work in works:
            work.wait()
        seconds = time.perf_counter() - began
        pipe.send((seconds, cpu_seconds() - cpu, bool((tensor == options.peers * (options.peers + 1) / 2).all())))
    dist.destroy_process_group()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", type=int, default=2)
    parser.add_argument("--floats", type=int, default=16, help="elements of each process's tensor")
    parser.add_argument("--mib", type=int, help="the same, in MiB")
    parser.add_argument("--chunks", type=int, default=4)
    parser.add_argument("--warmup", type=int, default=3)
    options = parser.parse_args()
    if options.mib:
        options.floats = (options.mib << 20) // 4

    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        pipes, processes = [], []
        for rank in range(options.peers):
            mine, theirs = context.Pipe()
            process = context.Process(target=peer, args=(rank, options, os.path.join(folder, "rendezvous"), theirs))
            process.start()
            theirs.close()
            pipes.append(mine)
            processes.append(process)

        def turn():
            for pipe in pipes:
                pipe.send(True)
            return [pipe.recv() for pipe in pipes]

        versions = {pipe.recv() for pipe in pipes}
        for _ in range(options.warmup):
            turn()
        print(f"ready torch {' '.join(versions)}", flush=True)
        for _ in sys.stdin:
            results = turn()
            if not all(right for _, _, right in results):
                sys.exit("gloo.py: a result is wrong")
            print(json.dumps({"seconds": max(r[0] for r in results), "cpu_s": sum(r[1] for r in results)}), flush=True)
        for pipe in pipes:
            pipe.send(False)
        for process in processes:
            process.join()


if __name__ == "__main__":
    main()
