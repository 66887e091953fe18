"""Tables of the times that bench/worker/model.cpp expects of an H200, beside measured ones: kernels and operations
(tests/kernels/recordings/h200-kernels.csv), networks (bench/results/h200/lines.csv)."""
import csv
import sys

from bench import ANSWER, ROOT
from children import Children, Worker
from sizes import RESNET18, RESNET50, STEM, VGG11, WITHOUT_SPLIT
from tables import micro, table

RECORDING, LINES = ROOT / "tests/kernels/recordings/h200-kernels.csv", ROOT / "bench/results/h200/lines.csv"
PASSES = {"infer": ("forward", "-"), "forward_moments": ("forward", "moments"), "backward_data": ("dx", "-"), "backward_data_add": ("dx", "residual"),
          "backward_filter": ("dw", "-")}
NETWORKS = [(18, 224), (50, 224), (18, 64)]  # (depth, pixels)
PARAMETERS = {18: 11_180_616, 50: 23_524_424}  # with 8 classes
# Seconds on the H200 (bench/RESULTS.md), None where it was not measured.
SNNL_SHAPES = {(128, 512, 7): 49e-6, (128, 512, 14): None, (1024, 512, 7): 879e-6, (4096, 256, 14): 15.7e-3, (14904, 512, 4): None,
               (10000, 64, 56): 444e-3}
MOVED = ["image 256 224", "finish 64", "finish 2048", "moving normalize_pool 256 112 64 0", "moving pool_gradient_sums 256 112 64 0",
         "moving pool_differentiate 256 112 64 0", *(f"moving {k} 256 56 64 {residual}" for k in ("normalize", "gradient_sums", "differentiate") for residual in (0, 1)),
         *(f"moving {k} 256 28 512 0" for k in ("normalize_pair", "pair_gradient_sums", "pair_differentiate")), "moving maxpool_forward 256 112 64 0",
         "moving maxpool_backward 256 112 64 0", "avgpool 256 7 512", "linear 256 512 8", "loss 256 8", "sgd 11180616", "adamw 11180616",
         "dropout 256 4096", "columns 256 56 64", "relu 256 56 64", "add 256 56 64"]


def resnet(depth, size):
    """(shortcut or None, convolutions) of each block, each (case, H, C, K, R, stride)."""
    blocks, c, h, growth = [], 64, size // 4, 1 if depth == 18 else 4
    for stage, count in enumerate((2, 2, 2, 2) if depth == 18 else (3, 4, 6, 3)):
        width = 64 << stage
        for block in range(count):
            stride = 2 if stage and not block else 1
            below, out = h // stride, width * growth
            shortcut = ("", h, c, out, 1, stride) if stride == 2 or c != out else None
            convs = ([("", h, c, width, 3, stride), ("", below, width, width, 3, 1)] if depth == 18 else
                     [("", h, c, width, 1, 1), ("", h, width, width, 3, stride), ("", below, width, out, 1, 1)])
            blocks.append((shortcut, convs))
            c, h = out, below
    return blocks, c


class Model:
    def __init__(self, options, children, precision="bf16", batch=256):
        self.precision, self.batch, self.words = precision, batch, ""  # words: behind the lines of convolutions
        command = options.build / "bin/bench_worker"
        self.worker, self.float32 = (Worker(children, "model", [command, "model", p], None) for p in (precision, "fp32"))
        with open(RECORDING) as file:
            self.rows = list(csv.DictReader(line for line in file if not line.startswith("#")))
        with open(LINES) as file:
            self.lines = {row["case"]: 1e-6 * float(row["after_us"]) for row in csv.DictReader(file) if row["after_us"]}

    def ask(self, line, worker=None):
        """{flops, bytes, floor, expected (seconds), limiter, kernel} of one line."""
        worker = worker or self.worker
        answer = worker.ask(line, ANSWER)
        if answer is None:
            sys.exit(f"bench/gpu/run: the model has no answer to: {line}: {worker.fault}")
        answer = answer.split()
        return dict(zip(("flops", "bytes", "floor", "expected"), map(float, answer[:4])), limiter=answer[4], kernel=answer[5])

    def convolution(self, shape, direction):
        kind, h, c, k, r, stride = shape
        return self.ask(f"conv {direction} {self.batch} {h} {c} {k} {r} {stride}{self.words}")

    def measured(self, shape, direction, expected):
        """The least time measured of present code, with its kernel if that is not the expected one; dw with the kernel that adds parts, or alone."""
        kind, h, c, k, r, stride = shape
        direction, extra = PASSES[direction]
        wanted = dict(zip(("pass", "n", "side", "c", "k", "r", "stride", "with"), (direction, *map(str, (self.batch, h, c, k, r, stride)), extra)))
        found = [row for row in self.rows if not row["note"] and all(row[key] == value for key, value in wanted.items())]
        if direction == "dw":
            found = [row for row in found if row["scope"] == "op"] or found
        if not found:
            return "-"
        best = min(found, key=lambda row: float(row["us"]))
        words = [best["us"]]
        if f"{best['kernel']}:{best['tile']}" != expected:
            words += [best["kernel"], best["tile"]]
        if direction == "dw" and best["scope"] == "kernel":
            words.append("alone")
        return " ".join(words)

    def network(self, depth, size, training):
        """(floor, expected) of a network: the sums over its kernels."""
        total = [0, 0]

        def add(e):
            total[0] += e["floor"]
            total[1] += e["expected"]

        def layer(shape, last, pair, first):
            """A convolution and the batch norm behind it. last: adds the input of the block; pair: the norm of the shortcut too."""
            kind, h, c, k, r, stride = shape
            if not training:
                return add(self.convolution(shape, "infer_residual" if last else "infer"))
            add(self.convolution(shape, "forward_moments"))
            add(self.convolution(shape, "backward_filter"))
            add(self.convolution(shape, "backward_data_add" if first else "backward_data"))
            for _ in range(2):
                add(self.ask(f"finish {k}"))
            if pair is not None:
                names = ("normalize_pair", "pair_gradient_sums", "pair_differentiate") if pair else ()
            else:
                names = ("normalize", "gradient_sums", "differentiate")
            for name in names:
                add(self.ask(f"moving {name} {self.batch} {h // stride} {k} {int(last)}"))

        n, half = self.batch, size // 2
        stem = ("stem", size, *STEM[0][2:])
        add(self.ask(f"image {n} {size}"))
        add(self.convolution(stem, "forward_moments" if training else "infer"))
        if training:
            add(self.convolution(stem, "backward_filter"))
            for line in ("finish 64", "finish 64", *(f"moving {k} {n} {half} 64 0" for k in ("normalize_pool", "pool_gradient_sums", "pool_differentiate"))):
                add(self.ask(line))
        else:
            add(self.ask(f"moving maxpool_forward {n} {half} 64 0"))
        blocks, features = resnet(depth, size)
        for shortcut, convs in blocks:
            if shortcut:
                layer(shortcut, False, False, True)
            for i, shape in enumerate(convs):
                last = i == len(convs) - 1
                layer(shape, last, True if last and shortcut else None, i == 0 and not shortcut)
        for line, infer, train in ((f"avgpool {n} {size // 32} {features}", 1, 2), (f"linear {n} {features} 8", 1, 3), (f"loss {n} 8", 0, 1), (f"sgd {PARAMETERS[depth]}", 0, 1)):
            for _ in range(train if training else infer):
                add(self.ask(line))
        return total

    def convolutions(self):
        for shape in STEM + RESNET18 + RESNET50 + VGG11:
            kind, h, c, k, r, stride = shape
            cells = []
            for direction in ("infer", "forward_moments", "backward_data", "backward_filter"):
                if c <= 3 and direction == "backward_data" or kind == "vgg" and direction == "forward_moments":
                    cells.append("-")
                    continue
                e = self.convolution(shape, direction)
                cells.append(f"{micro(e['floor'])} / {micro(e['expected'])} {e['kernel'].replace(':', ' ')} / {self.measured(shape, direction, e['kernel'])}")
            yield [f"{kind} {c}>{k} @{h}", *cells]

    def ops(self):
        for line in MOVED:
            e = self.ask(line)
            yield [line, f"{e['bytes'] / 1e6:.1f}", micro(e["floor"]), micro(e["expected"]), e["limiter"]]

    def snnl(self):
        for (n, c, side), seconds in SNNL_SHAPES.items():
            for what, words in (("scores", ""), ("scores by tensor", " kernel=tensor"), ("gradient", " gradient")):
                e = self.ask(f"snnl {n} {c} {side}{words}", self.float32)
                name = what if what != "scores" else f"scores by {e['kernel']}"
                yield [f"{name} {n}, {c}, {side * side}", f"{e['flops'] / 1e9:.1f}", micro(e["floor"]), micro(e["expected"]), e["limiter"],
                       micro(seconds) if seconds and "tensor" in words else "-"]

    def networks(self):
        for depth, size in NETWORKS:
            for training in (False, True):
                if measured := self.lines.get(f"network {'train' if training else 'infer'} {size} {self.batch} resnet{depth} imagenet"):
                    floor, expected = self.network(depth, size, training)
                    yield [f"ResNet-{depth} at {size}, {'training step' if training else 'inference'}", *(f"{1e3 * s:.2f}" for s in (floor, expected, measured))]

    def one_image(self):
        """ResNet-18 at 224 pixels, batch 1: each convolution with the kernel that is chosen, and without `split`; then the network."""
        batch, self.batch = self.batch, 1
        for shape in STEM + RESNET18:
            kind, h, c, k, r, stride = shape
            cells = [micro(self.convolution(shape, "infer")["floor"])]
            for self.words in ("", WITHOUT_SPLIT):
                e = self.convolution(shape, "infer")
                cells.append(f"{micro(e['expected'])} {e['kernel'].replace(':', ' ')}")
            self.words = ""
            yield [f"{kind} {c}>{k} @{h}", *cells]
        sums = []
        for self.words in ("", WITHOUT_SPLIT):
            sums.append(self.network(18, 224, False))
        self.words, self.batch = "", batch
        yield ["the network", micro(sums[0][0]), *(micro(expected) for _, expected in sums)]

    def tables(self):
        return "\n".join([
            f"A model of an H200 ({self.precision}, batch {self.batch}, microseconds); measured is what says so. A convolution's cells: floor / expected, of the kernel "
            "and tile that the model says take least / the least measured, and of which kernel if another. Floor: the larger of arithmetic at "
            "860 TFLOP/s and each byte once at 4.27 TB/s. dw with the kernel that adds parts; *alone*: without.\n",
            table(["convolution", "inference", "forward with moments", "dx", "dw"], self.convolutions()),
            table(["op", "MB:", "floor:", "expected:", "limited by"], self.ops()),
            table(["SNNL, float32: N, C, D", "GFLOP, half of N x N for scores:", "floor:", "expected:", "limited by", "measured:"], self.snnl()),
            table(["batch 1, inference", "floor:", "expected:", "expected without split:"], self.one_image()),
            table(["network", "floor, ms:", "expected, ms:", "measured, ms (bench/results/h200/lines.csv, after):"], self.networks()).rstrip()])
