#!/usr/bin/env python3
"""PyTorch's side of a comparison: the commands of worker.cpp, with the variant in front of the shape.

    network VARIANT train|infer IMAGE_SIZE BATCH ARCH [LAYER=CHANNELS ...]
        VARIANT: nchw, channels_last; for infer also jit (torch.jit.optimize_for_inference)
    snnl VARIANT forward|backward N C SIDE
        VARIANT: loop (a channel at a time, as published code does), bmm (64 channels a batched product)
    time SECONDS, peak

Started as: pytorch.py THREADS
"""
import resource
import sys
import time

import torch

from narrowed import build, widths_of


def network(variant, mode, size, batch, arch, *layers):
    size, batch = int(size), int(batch)
    net, images = build(arch, widths_of(layers)), torch.rand(batch, 3, size, size)
    if variant == "channels_last":
        net, images = (x.to(memory_format=torch.channels_last) for x in (net, images))
    if mode == "train":
        net.train()
        optimizer = torch.optim.SGD(net.parameters(), lr=0.0, momentum=0.9, nesterov=True)
        labels = torch.arange(batch) % 8

        def step():
            optimizer.zero_grad(set_to_none=True)
            torch.nn.functional.cross_entropy(net(images), labels).backward()
            optimizer.step()

        return step
    net.eval()
    if variant == "jit":
        with torch.no_grad():
            net = torch.jit.optimize_for_inference(torch.jit.freeze(torch.jit.trace(net, images)))

    def infer():
        with torch.inference_mode():
            net(images)

    return infer


def losses(x, groups, temperature=0.5):
    """Exact SNNL of each channel of x (channels, n, d); groups (n, g): one column a label, 1 where it is the sample's.
    The sums over partners are one product, the cheapest way found."""
    x = torch.nn.functional.normalize(x, dim=2)
    near = ((torch.bmm(x, x.transpose(1, 2)) - 1) / temperature).exp()
    sums = near @ groups  # (channels, n, g), each sample's pair with itself among them
    own = near.diagonal(dim1=1, dim2=2)
    return ((sums.sum(2) - own).log() - ((sums * groups).sum(2) - own).log()).mean(1)


def snnl(variant, direction, n, c, side):
    n, c, side = int(n), int(c), int(side)
    x = torch.rand(n, c, side, side).requires_grad_(direction == "backward")
    groups = torch.nn.functional.one_hot(torch.randint(0, 2, (n,)), 2).float()
    chunk = 1 if variant == "loop" else 64

    def run():
        x.grad = None
        with torch.set_grad_enabled(direction == "backward"):
            maps = x.flatten(2).transpose(0, 1).contiguous()
            scores = torch.cat([losses(part, groups) for part in maps.split(chunk)])
            if direction == "backward":
                scores.sum().backward()

    return run


def main():
    torch.set_num_threads(int(sys.argv[1]))
    work = None
    for line in sys.stdin:
        command, *words = line.split()
        if command in ("network", "snnl"):
            work = {"network": network, "snnl": snnl}[command](*words)
            for _ in range(3 if command == "network" else 1):
                work()
            print("ready", flush=True)
        elif command == "time":
            left, taken = float(words[0]), []
            while not taken or left > 0:
                start = time.perf_counter()
                work()
                taken.append(time.perf_counter() - start)
                left -= taken[-1]
            print(*(f"{t:.9f}" for t in taken), flush=True)
        elif command == "peak":
            print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, flush=True)


if __name__ == "__main__":
    main()
