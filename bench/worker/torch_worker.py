#!/usr/bin/env python3
"""PyTorch's side of a comparison: some of the lines of worker.cpp, which has what they mean. Started as:
torch_worker.py DEVICE PRECISION [HOW]

    network train|infer SIZE BATCH ARCH STEM [LAYER=CHANNELS ...]  -> ready
        images in the precision of the products, channels last. HOW on a GPU: compile (torch.compile with CUDA graphs, frozen
        for infer), max-autotune (it also tries every kernel it knows, which takes minutes), graph (eager, with cuDNN's
        search, in a CUDA graph; infer alone). HOW on a CPU: eager, nchw (eager, without channels last), jit
        (torch.jit.optimize_for_inference; infer alone), compile (torch.compile, frozen; infer alone)
    conv DIRECTION N H C K R STRIDE                 -> ready
        cudnn.benchmark on; channels last, in float32 N,C,H,W, which is cuDNN's best there; infer: cuDNN's fused
        convolution, bias and ReLU (and shortcut), or one after the other where it has none
    snnl loop|bmm|compile N C SIDE [gradient]       -> ready
        loop: one channel at a time, as published code does; bmm: many channels per batched product, on a GPU all
    product N, copy BYTES                           -> ready
    time SECONDS [BYTES]                            -> seconds per call, of each stretch; a convolution rotates through so
                                                       many bytes of inputs and outputs, in one CUDA graph
    timed                                           -> how
    free                                            -> freed    the memory of what was done last

What cannot be done (no memory for it, say) is answered with "failed" and why. A CPU captures nothing.
"""
import gc
import sys
import time

import torch

from narrowed import build, widths_of

STRETCH = 0.01
device, precision = sys.argv[1:3]
HOW = sys.argv[3] if len(sys.argv) > 3 else "compile" if device == "cuda" else "eager"
MODE = "max-autotune" if HOW == "max-autotune" else "reduce-overhead"
MOST_SETS = 32
gpu = device == "cuda"
dtype = torch.bfloat16 if precision == "bf16" and gpu else torch.float32
torch.backends.cudnn.benchmark = True
torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"


def synchronize():
    if gpu:
        torch.cuda.synchronize()


def compiled(f, **options):
    return torch.compile(f, **options) if gpu else torch.compile(f) if HOW == "compile" else f


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
    order = torch.contiguous_format if HOW == "nchw" else torch.channels_last
    net = build(arch, widths_of(layers), stem).to(device, memory_format=order)
    images = torch.randn(int(batch), 3, int(size), int(size), device=device).to(memory_format=order)
    images = images.to(dtype)
    if gpu and HOW != "graph":
        torch._dynamo.mark_static_address(images)
    if mode == "infer":
        net = net.eval().to(dtype)
        if HOW == "compile" or gpu and HOW != "graph":
            from torch._inductor import config

            config.freezing = True
        if HOW == "jit":
            with torch.no_grad():
                fast = torch.jit.optimize_for_inference(torch.jit.freeze(torch.jit.trace(net, images)))
        else:
            fast = net if HOW == "graph" else compiled(net, mode=MODE)

        def step():
            with torch.no_grad() if gpu or HOW == "compile" else torch.inference_mode():
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


class Convolution:
    """One convolution over any number of sets of inputs and outputs."""

    def __init__(self, direction, n, h, c, k, r, stride, inputs="normal"):
        self.direction, self.rectified = direction, inputs == "rectified"
        n, h, c, k, r, stride = map(int, (n, h, c, k, r, stride))
        self.x_shape, self.w_shape = (n, c, h, h), (k, c, r, r)
        self.format = torch.contiguous_format if dtype == torch.float32 and gpu else torch.channels_last
        self.pads = {"stride": stride, "padding": r // 2}
        self.w = self.drawn(self.w_shape)
        self.bias = torch.zeros(k, device=device, dtype=dtype)
        side = (h + 2 * (r // 2) - r) // stride + 1
        self.y_shape = (n, k, side, side)
        self.sets = []
        self.grow(1)
        self.fused = self.tries_fused()

    def drawn(self, shape):
        return torch.randn(*shape, device=device, dtype=dtype).to(memory_format=self.format)

    def grow(self, count):
        """Inputs, each with what it is given; outputs are the allocator's, and in a graph each set has its own."""
        reads_x = not self.direction.startswith("backward_data")
        reads_dy = self.direction.startswith("backward") or self.direction == "infer_residual"
        while len(self.sets) < count:
            x = self.drawn(self.x_shape) if reads_x else None
            self.sets.append((x.relu_() if reads_x and self.rectified else x, self.drawn(self.y_shape) if reads_dy else None))

    def tries_fused(self):
        if not gpu or not self.direction.startswith("infer"):
            return False
        try:
            self.fused = True
            self.call(0)
            synchronize()
            return True
        except RuntimeError:
            return False

    def call(self, index):
        x, dy = self.sets[index]
        step = [self.pads["stride"]] * 2, [self.pads["padding"]] * 2, [1, 1], 1
        if self.direction == "infer_residual" and self.fused:
            return torch.cudnn_convolution_add_relu(x, self.w, dy, 1.0, self.bias, *step)
        if self.direction == "infer" and self.fused:
            return torch.cudnn_convolution_relu(x, self.w, self.bias, *step)
        if not self.direction.startswith("backward"):
            y = torch.nn.functional.conv2d(x, self.w, **self.pads)
            if self.direction == "infer_residual":
                y += dy
            return y.relu_() if self.direction.startswith("infer") else y
        if self.direction == "backward_filter":
            return torch.nn.grad.conv2d_weight(x, self.w_shape, dy, **self.pads)
        return torch.nn.grad.conv2d_input(self.x_shape, self.w, dy, **self.pads)

    def __call__(self):
        self.call(0)

    def rotation(self, size):
        """All sets of so many bytes, as one step, and how many calls that is."""
        elements = sum(t.numel() for t in self.sets[0] if t is not None) + torch.Size(self.y_shape).numel()
        self.grow(min(MOST_SETS, max(2, -(-int(size) // (elements * self.w.element_size())))))
        every = captured(lambda: [self.call(i) for i in range(len(self.sets))])
        return every, len(self.sets)


def snnl(variant, n, c, side, asked="scores"):
    n, c, side, gradient = int(n), int(c), int(side), asked == "gradient"
    x = torch.randn(c, n, side * side, device=device, requires_grad=gradient)
    groups = torch.nn.functional.one_hot(torch.arange(n, device=device) * 2654435761 % (1 << 32) >> 31, 2).float()

    def score(rows):
        """Of each channel of rows (channels, n, d). Sums over partners are one product, the cheapest way found."""
        rows = torch.nn.functional.normalize(rows, dim=2)
        near = (torch.bmm(rows, rows.transpose(1, 2)) - 1).exp()
        sums = near @ groups  # (channels, n, 2): over each group, with the sample's pair with itself
        own = near.diagonal(dim1=1, dim2=2)
        return ((sums.sum(2) - own).log() - ((sums * groups).sum(2) - own).log()).mean(1)

    fast = compiled(score) if variant == "compile" else score
    chunk = 1 if variant == "loop" else c if gpu else 64

    def step():
        x.grad = None
        with torch.set_grad_enabled(gradient):
            scores = torch.cat([fast(part) for part in x.split(chunk)])
            if gradient:
                scores.sum().backward()

    return step


def product(n, inputs="normal"):
    make = torch.zeros if inputs == "zeros" else torch.randn
    a, b = (make(int(n), int(n), device=device, dtype=dtype) for _ in range(2))
    return lambda: a @ b


def copy(count):
    a = torch.zeros(int(count) // 4, device=device)
    b = torch.empty_like(a)
    return lambda: b.copy_(a)


COMMANDS = {"network": network, "conv": Convolution, "snnl": snnl, "product": product, "copy": copy}


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


def timed(step, count, seconds):
    """Seconds per call, of stretches of a step that is `count` calls."""
    calls = int(min(10000, max(1, STRETCH / max(stretch(step, 1), 1e-7))))
    out = []
    while True:
        taken = stretch(step, calls)
        out.append(f"{taken / calls / count:.4e}")
        seconds -= taken
        if seconds <= 0:
            return " ".join(out)


def prepared(command, words):
    step = COMMANDS[command](*words)
    start = time.perf_counter()
    for _ in range(5):
        step()
        synchronize()
        if time.perf_counter() - start > 0.5 and "compile" not in words and (command != "network" or HOW == "graph"):
            break
    return step


def failed(error):
    """No memory, among others."""
    return f"failed {type(error).__name__} " + str(error).split("\n")[0][:200]


def main():
    step = rotation = None
    for line in sys.stdin:
        command, *words = line.split()
        if command == "time":
            try:
                if rotation is None:
                    size = int(words[1]) if len(words) > 1 else 0
                    rotation = step.rotation(size) if hasattr(step, "rotation") and size else (step, 1)
                print(timed(*rotation, float(words[0])), flush=True)
            except Exception as error:
                print(failed(error), flush=True)
            continue
        if command == "timed":
            how = "fused by cuDNN, " if getattr(step, "fused", False) else ""
            print(how + (f"graph of {rotation[1]} calls" if rotation and rotation[1] > 1 else HOW), flush=True)
            continue
        step = rotation = None
        gc.collect()
        if gpu:
            torch.cuda.empty_cache()
        if command == "free":
            print("freed", flush=True)
            continue
        try:
            step = prepared(command, words)
        except Exception as error:
            print(failed(error), flush=True)
            continue
        print("ready 0 0 0", flush=True)


main()
