"""G8: scores of one layer against PyTorch's, and of all convolution channels of ResNet-18 on a whole set of images."""
from bench import median
from machine import per_second
from whole import error_of, verdict

PEERS = {"loop": (1e3, 1e4), "bmm": (5, 25), "compile": (2, 6)}


def limit(bench, n, c, side):
    """The longest of: half of the N x N products in three fp16 products each, one exponential per pair, reading the maps once;
    in seconds, by the rates of this run. None where those were not measured."""
    product, ex2, copy = (per_second(bench, rate) for rate in ("product", "ex2", "copy"))
    if None in (product, ex2, copy):
        return None
    pairs = c * n * n / 2
    return max(pairs * 2 * side * side / (product / 3), pairs / ex2, 4 * c * n * side * side / copy)


def line_of(n, c, side, kernel=None):
    """kernel: of kernels/cuda/plan/snnl_plan.h, in place of the rule's choice."""
    return f"snnl {n} {c} {side}" + (f" kernel={kernel}" if kernel else "")


def torch_side(bench, variant, shape):
    return bench.torch("fp32"), "snnl %s %d %d %d" % (variant, *shape)


def prepare(bench):
    if bench.has_torch():
        for shape, variants in bench.s["snnl_peers"].items():
            if "compile" in variants:
                bench.engines.prepare(*torch_side(bench, "compile", shape))


def layers(bench):
    s = bench.s
    for n, c, side in s["snnl"]:
        line = line_of(n, c, side)
        # The rule's choice, and every kernel by name: a card decides what the rule should take.
        sides = {"fairprune": (bench.ours("fp32"), line)}
        sides.update({kernel: (bench.ours("fp32"), line_of(n, c, side, kernel)) for kernel in bench.snnl_kernels()})
        if bench.has_torch():
            for variant in s["snnl_peers"].get((n, c, side), []):
                command, words = torch_side(bench, variant, (n, c, side))
                if variant != "compile" or (*command, words) in bench.engines.prepared:
                    sides[f"PyTorch {variant}"] = (command, words)
        if not (found := bench.engines.in_turns(sides, 5)):
            continue
        for name in found:
            if name != "fairprune":
                bench.engines.free(name, *sides[name])
        least = limit(bench, n, c, side)
        right = verdict(bench, "fp32", line)
        bench.row("G8", f"SNNL N={n} C={c} D={side * side}", line, found, peers=[name for name in found if name.startswith("PyTorch")], verdict=right,
                  error=error_of(bench, "fp32", line), n=n, c=c, d=side * side, limit_seconds=least)
        ours = median(found) if right and "fairprune" in found else None
        why = None if ours else "missing or wrong"
        for variant, (floor, moonshot) in PEERS.items():
            if f"PyTorch {variant}" in found:
                bench.goal("G8", f"N={n}, over PyTorch's {variant}", ours and median(found, f"PyTorch {variant}") / ours, floor, moonshot, why)
        if least and (n >= 1024 or bench.o.dry_run):
            bench.goal("G8", f"N={n}, D={side * side}: share of the fp16x3 limit", ours and least / ours, 0.6, 0.6, why)


def network(bench):
    """Layer by layer with the whole set in memory, as the engine does it; layers of one shape are timed once."""
    s = bench.s
    n, maps = s["snnl_network"]
    total, least, most, channels = 0.0, 0.0, 0.0, 0
    right = verdict(bench, "fp32", "snnl %d %d %d" % s["snnl_double"])  # the same kernels on the same number of images
    for c, side, count in maps:
        line = line_of(n, c, side)
        if not (found := bench.engines.in_turns({"fairprune": (bench.ours("fp32"), line)}, 2)) or "fairprune" not in found:
            return bench.goal("G8", f"0.6 s over the time of all channels on {n} images", None, 1, 1, f"not measured: {line}")
        bench.row("G8", f"SNNL of {count} layers, N={n} C={c} D={side * side}", line, found, verdict=right, n=n, c=c, d=side * side,
                  limit_seconds=limit(bench, n, c, side), layers=count)
        total += count * median(found)
        least += count * (limit(bench, n, c, side) or 0)
        most = max(most, sum(found["fairprune"].get("memory", [0])))
        channels += count * c
    bench.document["snnl_network"] = {"channels": channels, "images": n, "seconds": total, "limit_seconds": least, "peak_bytes": most}
    bench.say(f"  G8  all {channels} channels on {n} images: {total:.3f} s, limit {least:.3f} s, {most / 1e9:.1f} GB at most")
    why = None if right else "its check has not passed"
    bench.goal("G8", f"0.6 s over the time of all {channels} channels on {n} images", 0.6 / total if right else None, 1, 1, why)
    if least:
        bench.goal("G8", f"all {channels} channels: share of the fp16x3 limit", least / total if right else None, 0.6, 0.6, why)
