#!/usr/bin/env python3
"""The smallest whole training: two members in one process, as fits into a cell of a notebook. Both end with the same bits.

    python hello.py
"""

import threading

import torch

import seaway
from seaway.torch import sync_training_state


def member(join: str, number: int, weights: dict[int, list[float]]) -> None:
    generator = torch.Generator().manual_seed(number)
    model = torch.nn.Linear(4, 1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.05)
    step = 0
    with seaway.Communicator(join, min_world=2, listen="127.0.0.1:0") as comm:
        while step < 100:
            step = sync_training_state(comm, model, optimizer, step=step).step  # others may join here, and catch up
            x = torch.randn(16, 4, generator=generator)  # data of its own
            torch.nn.functional.mse_loss(model(x), x.sum(1, keepdim=True)).backward()
            comm.all_reduce([p.grad for p in model.parameters()], op="avg")  # in place; a death in the middle costs nothing
            optimizer.step()
            optimizer.zero_grad()
            step += 1
    weights[number] = model.weight.flatten().tolist()


with seaway.Master() as master:  # or, once for the run, on a machine that all reach: seaway master
    weights: dict[int, list[float]] = {}
    members = [threading.Thread(target=member, args=(master.join, number, weights)) for number in range(2)]
    for thread in members:
        thread.start()
    for thread in members:
        thread.join()
assert weights[0] == weights[1], weights
print(f"both members ended with the weights {[round(w, 3) for w in weights[0]]}; the truth is [1, 1, 1, 1]")
