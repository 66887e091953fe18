"""G3, G4, G5, G9: whole networks against cuDNN's and PyTorch's; G6: pruned ones; G10: the same bits in another process; and
whether the figures hold over seconds."""
import statistics
import time

from bench import ANSWER, FIRST_ANSWER, median
from machine import Clocks
from sizes import LIMIT, NOT_EARLY, WITHOUT_SPLIT, gigabytes_of, resnet18_widths
from whole import network_cases, networks_right

GOALS = {("infer", "resnet18"): ("G3", 1.3, 2.0), ("infer", "resnet50"): ("G4", 1.3, 1.8),
         ("train", "resnet18"): ("G5", 1.2, 1.8), ("train", "resnet50"): ("G5", 1.2, 1.7)}
MODES = {"PyTorch": "compile", "PyTorch max-autotune": "max-autotune"}


def first_line(bench, mode):
    return next(line for case_mode, *_, line in network_cases(bench) if case_mode == mode)


def pruned_line(bench, keep):
    arch, size, batch = bench.s["networks"][0]
    stages = [max(1, round(keep * c)) for c in bench.s["stages"]]
    return stages, f"network infer {size} {batch} {arch} {bench.s['stem']} {resnet18_widths(stages)}"


def prepare(bench):
    """Has PyTorch compile its networks while nothing is timed, one process per network, those of the goals first."""
    if not bench.has_torch():
        return
    precision, left = bench.s["precisions"][0], bench.s["compile_gigabytes"]
    arch, size, batch = bench.s["networks"][0]
    wanted = [("compile", *case) for case in network_cases(bench)]
    wanted += [("compile", "infer", arch, size, batch, pruned_line(bench, keep)[1]) for keep in bench.s["kept"]]
    wanted += [("max-autotune", *case) for case in network_cases(bench) if case[1:4] in bench.s["autotuned"]]
    for how, *case, line in wanted:
        left -= (size_of := gigabytes_of(*case))
        if left < 0:
            left += size_of
            bench.leave_out(f"PyTorch, {how}, no memory beside the others: {line[:60]}")
            continue
        bench.engines.prepare(bench.torch(precision, how), line)


def networks(bench):
    s, precision = bench.s, bench.s["precisions"][0]
    right = networks_right(bench, precision)
    for mode, arch, size, batch, line in network_cases(bench):
        sides = bench.beside_peer(precision, line)
        for name, how in MODES.items():
            if (*bench.torch(precision, how), line) in bench.engines.prepared:
                sides[name] = (bench.torch(precision, how), line)
        name, floor, moonshot = ("G9", 1.5, 2.5) if batch == 1 and not bench.o.dry_run else GOALS.get((mode, arch), ("-", 0, 0))
        found = bench.engines.in_turns(sides, s["rounds"])
        ratio = bench.row(name, f"{precision} {mode} {arch} {size} batch {batch}", line, found, batch, "images/s", verdict=right) if found else None
        why = None if ratio else "not measured" if not found or "fairprune" not in found else "its checks have not passed" if not right else "no peer"
        if name != "-":
            bench.goal(name, f"{mode} {arch} at {size}, batch {batch}, {precision}, over the fastest peer", ratio, floor, moonshot, why)
        if batch == 1 and not bench.o.dry_run:  # whether split sums and early kernels pay, by the same graph without them
            ours = bench.ours(precision)
            found = bench.engines.in_turns({"fairprune": (ours, line), "without split": (ours, line + WITHOUT_SPLIT), "not early": (ours, line + NOT_EARLY)}, s["rounds"])
            if found:
                bench.row("-", f"{precision} {mode} {arch} {size} batch 1, split and early or not", line, found, batch, "images/s",
                          peers=["without split", "not early"], verdict=right)
        for name, how in MODES.items():  # frees its memory, unless the network is used again
            if (mode, arch, size, batch) != ("infer", *s["networks"][0]):
                bench.engines.drop(name, bench.torch(precision, how), line)


def pruned(bench):
    """G6: dense and pruned in the same rounds, with PyTorch's compiled networks of the same widths (eager in a CUDA graph where
    its compiler did not finish). The speed-up is given as a share of the one that the limits of the device allow."""
    s, precision = bench.s, bench.s["precisions"][0]
    batch = s["networks"][0][2]
    dense = first_line(bench, "infer")
    right, shares, times = networks_right(bench, precision), {}, []

    def torch_side(line):
        compiled = bench.torch(precision, "compile")
        return (compiled if (*compiled, line) in bench.engines.prepared else bench.torch(precision, "graph")), line

    for keep in s["kept"]:
        stages, line = pruned_line(bench, keep)
        sides = {"dense": (bench.ours(precision), dense), "fairprune": (bench.ours(precision), line)}
        if bench.has_torch():
            sides["PyTorch dense"], sides["PyTorch"] = torch_side(dense), torch_side(line)
        found = bench.engines.in_turns(sides, s["pruned_rounds"])
        shares[f"{keep:.2f}"] = None
        if not found:
            continue
        more = {"keep": keep, "widths": "/".join(map(str, stages)), "limit": LIMIT[keep]}
        if "dense" in found and "fairprune" in found:
            more["flop_ratio"] = found["dense"]["ready"][0] / found["fairprune"]["ready"][0]
        if "PyTorch" in sides:
            more["PyTorch_how"] = "compiled" if "compile" in sides["PyTorch"][0] else "eager, in a graph"
        if "PyTorch dense" in found and "PyTorch" in found:
            more["PyTorch_speedup"] = statistics.median(d / p for d, p in zip(found["PyTorch dense"]["seconds"], found["PyTorch"]["seconds"]))
        speedup = bench.row("G6", f"{precision} keeps {keep:.2f} of every width", line, found, batch, "images/s", peers=["dense"], verdict=right, **more)
        if "fairprune" in found:
            times.append(median(found))
        if speedup:
            shares[f"{keep:.2f}"] = speedup / LIMIT[keep]
        bench.engines.drop("PyTorch", *torch_side(line))
    bench.goal_over("G6", f"least share of the limit over {len(shares)} widths", shares, 0.75, 0.80, least=True)
    complete = len(times) == len(shares)
    falls = float(all(b <= 1.01 * a for a, b in zip(times, times[1:]))) if complete else None
    bench.goal("G6", "time never grows as channels go (1 = yes)", falls, 1, 1, None if complete else "a width was not measured")


def reproducible(bench):
    """G10: the same bits from two processes, and the time from the start of one to its first inference."""
    s, precision = bench.s, bench.s["precisions"][0]
    _, size, batch = s["networks"][0]
    kind, h, c, k, r, stride = s["convs"][1]
    lines = [f"conv {d} {s['batch']} {h} {c} {k} {r} {stride}" for d in s["directions"]]
    lines += [first_line(bench, "train"), "snnl %d %d %d" % s["snnl"][0]]
    answers = []
    for _ in range(2):
        worker, one = bench.worker("bits", bench.ours(precision)), []
        for line in lines:
            one.append(worker.ask("bits", ANSWER) if worker.ask(line, FIRST_ANSWER) else None)
        worker.close()
        answers.append(one)
    same = [a is not None and a == b for a, b in zip(*answers)]
    for line, equal in zip(lines, same):
        bench.write("bits", line=line, same=equal)
        if not equal:
            bench.fail(f"bits: {line[:60]}", worker.fault or "two processes gave other bits")
    bench.goal("G10", f"{len(same)} cases with the same bits in two processes (share)", sum(same) / len(same), 1, 1)
    start = time.monotonic()
    worker = bench.worker("first inference", bench.ours(precision))
    line = first_line(bench, "infer").replace(f" {size} {batch} ", f" {size} 1 ", 1)
    answer = worker.ask("once " + line, FIRST_ANSWER)
    first = time.monotonic() - start
    bench.document["device"]["first_inference_seconds"] = first
    bench.goal("G10", "0.1 s over the time from a process's start to its first inference", 0.1 / first if answer else None, 1, 1, worker.fault)
    worker.close()


def sustained(bench):
    """Training steps over some seconds, one engine at a time: the first half second against the last second."""
    s, precision = bench.s, bench.s["precisions"][0]
    line = first_line(bench, "train")
    sides = {"fairprune": bench.ours(precision), s["peer"]: bench.ours(precision, s["peer"])}
    if bench.has_torch():
        sides["PyTorch"] = bench.torch(precision, "compile")
    for name, command in sides.items():
        if bench.seconds_left() < bench.o.reserve + 2 * s["sustained"] or bench.dead(command, line):
            bench.leave_out(f"sustained: {name}")
            continue
        worker = bench.engines.get(name, command, line)
        ready = worker.begin(line, bench.engines.limit(worker, command))
        with Clocks(bench) as clocks:
            answer = worker.ask(f"time {s['sustained']} 0", ANSWER + 2 * s["sustained"]) if ready and ready.startswith("ready") else None
        try:
            seconds = [float(v) for v in answer.split()]
        except (AttributeError, ValueError):
            bench.fail(f"sustained: {name}", worker.fault or f"answered {ready}", bench.is_ours(command))
            bench.engines.drop(name, command, line)
            continue
        share = lambda part: max(1, round(part / s["sustained"] * len(seconds))) if s["sustained"] else 1
        row = {"engine": name, "line": line, "first": statistics.median(seconds[:share(0.5)]), "last": statistics.median(seconds[-share(1):]),
               "clock and watts": clocks.medians()}
        bench.document.setdefault("sustained", []).append(row)
        bench.write("sustained", **row, seconds=seconds)
        bench.say(f"  sustained {name}: {1e3 * row['first']:.2f} ms at first, {1e3 * row['last']:.2f} ms at last")
        bench.engines.drop(name, command, line)


def quick(bench):
    """For --check: a few rounds of each network against cuDNN's, so that this call gives speeds too."""
    s, precision = bench.s, bench.s["precisions"][0]
    right = networks_right(bench, precision)
    for mode, arch, size, batch, line in network_cases(bench):
        sides = bench.beside_peer(precision, line)
        if found := bench.engines.in_turns(sides, 5):
            bench.row("-", f"{precision} {mode} {arch} {size} batch {batch}", line, found, batch, "images/s", verdict=right)
