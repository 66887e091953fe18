#!/usr/bin/env python3
"""PyTorch's side on a GPU: the commands of worker.cpp. Started as: torch_worker.py DEVICE PRECISION [compile|graph] [patient]

    network train|infer SIZE BATCH ARCH STEM [LAYER=CHANNELS ...]  -> ready
        channels last. compile: torch.compile with CUDA graphs, frozen for infer; patient also lets it try every kernel
        it knows (minutes). graph: eager, cuDNN's search on, in a CUDA graph (infer alone)
    conv DIRECTION N H C K R STRIDE                 -> ready    cudnn.benchmark on; what cuDNN's own search finds
    snnl loop|bmm|compile N C SIDE                  -> ready    a channel at a time, as published code does; all at once
    product N, copy BYTES, time SECONDS
    free                                            -> freed    the memory of what was done last

What cannot be done (no memory for it, say) is answered with "failed" and why. On a CPU, where the logic of this file is
tried, there is nothing to compile or capture.
"""
import gc
import pathlib
import sys
import time

import torch

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "peers"))
from narrowed import build, widths_of  # noqa: E402

STRETCH = 0.02
device, precision = sys.argv[1:3]
HOW = "graph" if "graph" in sys.argv[3:] else "compile"
MODE = "max-autotune" if "patient" in sys.argv[3:] else "reduce-overhead"
gpu = device == "cuda"
dtype = torch.bfloat16 if precision == "bf16" and gpu else torch.float32
torch.backends.cudnn.benchmark = True
torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"


def synchronize():
    if gpu:
        torch.cuda.synchronize()


def compiled(f, **options):
    return torch.compile(f, **options) if gpu else f


def captured(f):
    """f as one CUDA graph, over the same memory each time."""
    if not gpu:
        return f
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            f()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        f()
    return graph.replay


def network(mode, size, batch, arch, stem, *layers):
    net = build(arch, widths_of(layers), stem).to(device, memory_format=torch.channels_last)
    images = torch.randn(int(batch), 3, int(size), int(size), device=device).to(memory_format=torch.channels_last)
    if mode == "infer":
        net, images = net.eval().to(dtype), images.to(dtype)
        if gpu and HOW == "compile":
            from torch._inductor import config

            config.freezing = True
        fast = net if HOW == "graph" else compiled(net, mode=MODE)

        def step():
            with torch.no_grad():
                fast(images)

        return captured(step) if HOW == "graph" else step
    labels = torch.arange(int(batch), device=device) % 8
    fused = {"fused": True} if gpu else {}
    optimizer = torch.optim.SGD(net.parameters(), lr=0.0, momentum=0.9, nesterov=True, **fused)

    def forward(x):
        with torch.autocast(device, dtype=torch.bfloat16, enabled=precision == "bf16"):
            return torch.nn.functional.cross_entropy(net(x).float(), labels)

    fast = compiled(forward, mode=MODE)

    def step():
        optimizer.zero_grad(set_to_none=True)
        fast(images).backward()
        optimizer.step()

    return step


def conv(direction, n, h, c, k, r, stride, inputs="normal"):
    n, h, c, k, r, stride = map(int, (n, h, c, k, r, stride))
    last = {"device": device, "dtype": dtype}
    x = torch.randn(n, c, h, h, **last).to(memory_format=torch.channels_last)
    w = torch.randn(k, c, r, r, **last).to(memory_format=torch.channels_last)
    if inputs == "rectified":
        x = x.relu_()
    pads = {"stride": stride, "padding": r // 2}
    if direction in ("forward", "infer"):
        relu = direction == "infer"

        def step():
            y = torch.nn.functional.conv2d(x, w, **pads)
            return y.relu_() if relu else y

        return step
    dy = torch.randn_like(torch.nn.functional.conv2d(x, w, **pads))
    if direction == "backward_data":
        return lambda: torch.nn.grad.conv2d_input(x.shape, w, dy, **pads)
    return lambda: torch.nn.grad.conv2d_weight(x, w.shape, dy, **pads)


def snnl(variant, n, c, side):
    n, c, side = int(n), int(c), int(side)
    x = torch.randn(c, n, side * side, device=device)
    y = (torch.arange(n, device=device) * 2654435761 >> 5) % 2
    same = (y[:, None] == y[None, :]).float() * (1 - torch.eye(n, device=device))
    other = 1 - torch.eye(n, device=device)

    def score(rows):  # (..., n, d)
        rows = torch.nn.functional.normalize(rows, dim=-1)
        e = torch.exp(rows @ rows.transpose(-1, -2) - 1)
        return -torch.log((e * same).sum(-1) / (e * other).sum(-1)).mean(-1)

    if variant == "loop":
        return lambda: [score(channel) for channel in x]
    return (lambda: score(x)) if variant == "bmm" else (lambda f=compiled(score): f(x))


def product(n, inputs="normal"):
    make = torch.zeros if inputs == "zeros" else torch.randn
    a, b = (make(int(n), int(n), device=device, dtype=dtype) for _ in range(2))
    return lambda: a @ b


def copy(count):
    a = torch.zeros(int(count) // 4, device=device)
    b = torch.empty_like(a)
    return lambda: b.copy_(a)


COMMANDS = {"network": network, "conv": conv, "snnl": snnl, "product": product, "copy": copy}


def stretch(step, calls):
    if gpu:
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        for _ in range(calls):
            step()
        end.record()
        end.synchronize()
        return begin.elapsed_time(end) * 1e-3
    start = time.perf_counter()
    for _ in range(calls):
        step()
    return time.perf_counter() - start


def timed(step, seconds):
    calls = int(min(10000, max(1, STRETCH / max(stretch(step, 1), 1e-7))))
    out = []
    while True:
        taken = stretch(step, calls)
        out.append(f"{taken / calls:.4e}")
        seconds -= taken
        if seconds <= 0:
            return " ".join(out)


def prepared(command, words):
    step = COMMANDS[command](*words)
    start = time.perf_counter()
    for _ in range(5):
        step()
        synchronize()
        if time.perf_counter() - start > 0.5 and "compile" not in (command, *words, HOW if command == "network" else ""):
            break
    return step


def main():
    step = None
    for line in sys.stdin:
        command, *words = line.split()
        if command == "time":
            print(timed(step, float(words[0])), flush=True)
            continue
        step = None
        gc.collect()
        if gpu:
            torch.cuda.empty_cache()
        if command == "free":
            print("freed", flush=True)
            continue
        try:
            step = prepared(command, words)
        except Exception as error:  # no memory, among others
            print("failed", type(error).__name__, str(error).split("\n")[0][:200], flush=True)
            continue
        print("ready 0 0 0", flush=True)


main()
