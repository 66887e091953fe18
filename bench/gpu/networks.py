"""G3, G4, G5, G9: whole networks beside cuDNN's and PyTorch's; G6: pruned ones; G10: the same bits again."""
import statistics
import time

from bench import median
from engines import Worker
from sizes import LIMIT, resnet18_widths

GOALS = {("infer", "resnet18"): ("G3", 1.3, 2.0), ("infer", "resnet50"): ("G4", 1.3, 1.8),
         ("train", "resnet18"): ("G5", 1.2, 1.8), ("train", "resnet50"): ("G5", 1.2, 1.7)}


def cases(bench):
    """(mode, arch, size, batch, line)"""
    s = bench.s
    for mode in ("infer", "train"):
        for arch, size, batch in s["networks"] + (s["latency"] if mode == "infer" else []):
            widths = " " + resnet18_widths(s["stages"]) if s["stem"] == "small" else ""
            yield mode, arch, size, batch, f"network {mode} {size} {batch} {arch} {s['stem']}{widths}"


def prepare(bench):
    """Has PyTorch compile its networks while nothing is timed: a process each."""
    if bench.has_torch():
        for *_, line in cases(bench):
            bench.engines.prepare(bench.torch(bench.s["precisions"][0], "compile"), line)


def networks(bench):
    s, precision = bench.s, bench.s["precisions"][0]
    for mode, arch, size, batch, line in cases(bench):
        sides = {"fairprune": (bench.ours(s["device"], precision), line), s["peer"]: (bench.ours(s["peer"], precision), line)}
        torch = bench.torch(precision, "compile")
        if (*torch, line) in bench.engines.prepared:
            sides["PyTorch"] = (torch, line)
        if not (found := bench.in_turns(sides, s["rounds"])):
            continue
        name, floor, moonshot = ("G9", 1.5, 2.5) if batch == 1 and not bench.o.dry_run else GOALS[mode, arch]
        if ratio := bench.row(name, f"{precision} {mode} {arch} {size} batch {batch}", line, found, batch, "images/s"):
            bench.goal(name, f"{mode} {arch} at {size}, batch {batch}, {precision}, over the fastest peer", ratio, floor, moonshot)
        bench.engines.drop("PyTorch", torch, line)  # its memory


def convolution_flops(stages, size):
    """Of ResNet-18 with the stem for large images, one image."""
    side, width = size // 2, stages[0]
    flops = side**2 * width * 3 * 49
    side //= 2
    for stage, out in enumerate(stages):
        side = side if stage == 0 else side // 2
        flops += side**2 * out * 9 * (width + 3 * out) + (side**2 * width * out if stage else 0)
        width = out
    return 2 * flops


def pruned(bench):
    """G6: dense and pruned in the same rounds, PyTorch on the same widths (eager, in a CUDA graph) beside them. The
    speed-up is told as a share of what the device's limits allow (GPU.md 2.9)."""
    s, precision = bench.s, bench.s["precisions"][0]
    arch, size, batch = s["networks"][0]
    line_of = lambda stages: f"network infer {size} {batch} {arch} {s['stem']} {resnet18_widths(stages)}"
    dense, shares, times = line_of(s["stages"]), [], []
    for keep in s["kept"]:
        stages = [max(1, round(keep * c)) for c in s["stages"]]
        line = line_of(stages)
        sides = {"dense": (bench.ours(s["device"], precision), dense), "fairprune": (bench.ours(s["device"], precision), line)}
        if bench.has_torch():
            sides["PyTorch dense"] = (bench.torch(precision, "graph"), dense)
            sides["PyTorch"] = (bench.torch(precision, "graph"), line)
        if not (found := bench.in_turns(sides, s["pruned_rounds"])):
            continue
        more = {"keep": keep, "widths": "/".join(map(str, stages)), "limit": LIMIT[keep],
                "flop_ratio": convolution_flops(s["stages"], size) / convolution_flops(stages, size)}
        if "PyTorch dense" in found and "PyTorch" in found:
            more["PyTorch_speedup"] = statistics.median(d / p for d, p in zip(found["PyTorch dense"]["seconds"], found["PyTorch"]["seconds"]))
        speedup = bench.row("G6", f"{precision} {arch} keeps {keep:.2f} of every width", line, found, batch, "images/s", peers=["dense"], **more)
        times.append(median(found))
        if speedup:
            shares.append(speedup / LIMIT[keep])
    if shares:
        bench.goal("G6", f"least share of the limit over {len(shares)} widths", min(shares), 0.75, 0.80)
        bench.goal("G6", "time never grows as channels go (1 = yes)", float(all(b <= 1.01 * a for a, b in zip(times, times[1:]))), 1, 1)


def reproducible(bench):
    """G10: the same bits from two processes, and the time from the start of one to its first inference."""
    s, precision = bench.s, bench.s["precisions"][0]
    arch, size, batch = s["networks"][0]
    kind, h, c, k, r, stride = s["convs"][1]
    lines = [f"conv {d} {s['batch']} {h} {c} {k} {r} {stride}" for d in s["directions"]]
    lines += [next(line for mode, *_, line in cases(bench) if mode == "train"), "snnl %d %d %d" % s["snnl"][0]]
    answers = []
    for _ in range(2):
        worker = Worker(bench.ours(s["device"], precision), bench.environment)
        answers.append([worker.ask("bits") if worker.ask(line) else None for line in lines])
        worker.close()
    same = [a is not None and a == b for a, b in zip(*answers)]
    for line, equal in zip(lines, same):
        print(f"  G10 {line[:60]}: {'the same bits' if equal else 'OTHER BITS'}", flush=True)
    bench.goal("G10", f"{len(same)} cases with the same bits in two processes (share)", sum(same) / len(same), 1, 1)
    start = time.monotonic()
    worker = Worker(bench.ours(s["device"], precision), bench.environment)
    worker.ask(next(line for mode, *_, line in cases(bench) if mode == "infer").replace(f" {size} {batch} ", f" {size} 1 ", 1))
    first = bench.document["device"]["first_inference_seconds"] = time.monotonic() - start
    bench.goal("G10", "0.1 s over the time from a process's start to its first inference", 0.1 / first, 1, 1)
    worker.close()
