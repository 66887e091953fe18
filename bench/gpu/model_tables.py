"""Tables of what model.cpp answers: where each kernel should land on an H200. Nothing is measured."""
import sys

from children import Unwatched as Worker
from sizes import RESNET18, RESNET50, STEM, VGG11

# How often ResNet-18 has each of STEM + RESNET18, and its batch norms: (N, H, C, residual).
RESNET18_COUNTS = [1, 4, 1, 1, 3, 1, 1, 3, 1, 1, 3]
RESNET18_NORMS = {(112, 64, 0): 1, (56, 64, 0): 2, (56, 64, 1): 2, (28, 128, 0): 3, (28, 128, 1): 2,
                  (14, 256, 0): 3, (14, 256, 1): 2, (7, 512, 0): 3, (7, 512, 1): 2}
RESNET18_PARAMETERS = 11_180_616  # with 8 classes
SNNL_SHAPES = [(128, 512, 7), (128, 512, 14), (1024, 512, 7), (4096, 256, 14), (14904, 512, 4), (10000, 64, 56)]


class Model:
    def __init__(self, options, precision="bf16", batch=256):
        self.command, self.precision, self.batch = str(options.build / "bin/gpu_worker"), precision, batch
        self.worker, self.float32 = Worker([self.command, "model", precision]), Worker([self.command, "model", "fp32"])

    def ask(self, line, worker=None):
        """{flops, bytes, floor, expected (seconds), limiter} of one line."""
        answer = (worker or self.worker).ask(line)
        if answer is None:
            sys.exit(f"bench/gpu/run: the model has no answer to: {line}")
        return dict(zip(("flops", "bytes", "floor", "expected"), map(float, answer[:4])), limiter=answer[4])

    def convolution(self, shape, direction):
        kind, h, c, k, r, stride = shape
        return self.ask(f"conv {direction} {self.batch} {h} {c} {k} {r} {stride}")

    def moving(self):
        """(line, how often in a ResNet-18 inference, in its training step) of what is not a convolution."""
        n = self.batch
        lines = [(f"image {n} 224", 1, 1), (f"maxpool forward {n} 112 64", 1, 1), (f"maxpool backward {n} 112 64", 0, 1),
                 (f"avgpool {n} 7 512", 1, 2), (f"linear {n} 512 8", 1, 3), (f"loss {n} 8", 0, 1), (f"sgd {RESNET18_PARAMETERS}", 0, 1),
                 (f"adamw {RESNET18_PARAMETERS}", 0, 0), (f"dropout {n} 4096", 0, 0), (f"columns {n} 56 64", 0, 0), (f"relu {n} 56 64", 0, 0), (f"add {n} 56 64", 0, 0)]
        for (h, c, residual), count in RESNET18_NORMS.items():
            lines += [(f"batchnorm {d} {n} {h} {c} {residual}", 0, count if d in ("train_on_moments", "backward") else 0)
                      for d in ("train", "train_on_moments", "infer", "backward")]
        return lines

    def tables(self):
        out = [f"By the kernels' own models of an H200 ({self.precision}, batch {self.batch}); nothing here was measured. Times in us: floor, "
               "expected, and what limits the expected one.\n",
               "| convolution | GFLOP | MB | forward | | | dx | | | dw | | |\n|---|--:|--:|--:|--:|---|--:|--:|---|--:|--:|---|"]
        micro = lambda seconds: f"{1e6 * seconds:.1f}"
        times = lambda e: f"{micro(e['floor'])} | {micro(e['expected'])} | {e['limiter']}"
        totals = {"inference": [0, 0], "training step": [0, 0]}

        def add(mode, e, count):
            for i, v in enumerate((e["floor"], e["expected"])):
                totals[mode][i] += count * v

        for i, shape in enumerate(STEM + RESNET18 + RESNET50 + VGG11):
            kind, h, c, k, r, stride = shape
            forward = self.convolution(shape, "forward")
            both = [self.convolution(shape, d) if c > 3 or d == "backward_filter" else None for d in ("backward_data", "backward_filter")]
            out.append(f"| {kind} {c}>{k} @{h} | {forward['flops'] / 1e9:.1f} | {forward['bytes'] / 1e6:.0f} | {times(forward)} | "
                       + " | ".join(times(e) if e else "- | - | -" for e in both) + " |")
            if i < len(RESNET18_COUNTS):
                add("inference", forward, RESNET18_COUNTS[i])
                for e in (forward, *filter(None, both)):
                    add("training step", e, RESNET18_COUNTS[i])
        out.append("\n| op | MB | floor | expected | limited by |\n|---|--:|--:|--:|---|")
        for line, infer, train in self.moving():
            e = self.ask(line)
            out.append(f"| {line} | {e['bytes'] / 1e6:.1f} | {micro(e['floor'])} | {micro(e['expected'])} | {e['limiter']} |")
            add("inference", e, infer)
            add("training step", e, train)
        out.append("\n| SNNL, float32: N, C, D | GFLOP, half of N x N for scores | floor | expected | limited by |\n|---|--:|--:|--:|---|")
        for n, c, side in SNNL_SHAPES:
            for op in ("snnl", "snnl_backward"):
                e = self.ask(f"{op} {n} {c} {side}", self.float32)
                out.append(f"| {'scores' if op == 'snnl' else 'gradient'} {n}, {c}, {side * side} | {e['flops'] / 1e9:.1f} | {micro(e['floor'])} | {micro(e['expected'])} | {e['limiter']} |")
        for mode, (floor, expected) in totals.items():
            out.append(f"\nResNet-18 at 224, {mode}: the ops' floors sum to {1e3 * floor:.2f} ms ({self.batch / floor:,.0f} images/s), "
                       f"their expected times to {1e3 * expected:.2f} ms ({self.batch / expected:,.0f} images/s).")
        return "\n".join(out)
