"""G1, G2, G7: each convolution against the faster of cuDNN and PyTorch, some also with inputs as a ReLU leaves them; G6: the
cost of single channels."""
from whole import verdict

FLOORS = {"G1": (0.95, 1.20), "G2": (0.90, 1.15), "G7": (1.3, 2.5)}


def case(bench, goal, precision, direction, shape, inputs=""):
    """The ratio over the fastest peer, or None where a figure is missing or our output is wrong."""
    kind, h, c, k, r, stride = shape
    checked = f"conv {direction} {bench.s['batch']} {h} {c} {k} {r} {stride}"
    line = checked + inputs
    theirs = line.replace("forward_moments", "forward")  # which peers do not have
    sides = bench.beside_peer(precision, line, theirs)
    if bench.has_torch():
        sides["PyTorch"] = (bench.torch(precision), theirs)
    found = bench.engines.in_turns(sides, bench.s["conv_rounds"])
    if not found:
        return None
    if "fairprune" in found:
        found["fairprune"]["ready"][1:3] = bench.expected.of(line, precision)
    return bench.row(goal, f"{precision} {direction}{inputs} {kind} {c}>{k} @{h}", line, found, verdict=verdict(bench, precision, checked))


def of_direction(bench, goal, precision, direction, shapes):
    ratios, narrow = {}, {}
    for shape in shapes:
        kind, h, c, k, r, stride = shape
        if direction.startswith("backward_data") and c == 3:
            continue
        name = f"{kind} {c}>{k} @{h}"
        ratios[name] = case(bench, goal, precision, direction, shape)
        if r == 3 and c <= 128:
            narrow[name] = ratios[name]
    bench.goal_over(goal, f"{direction} {precision}, geometric mean over {len(ratios)} shapes", ratios, *FLOORS[goal])
    if goal == "G1":
        bench.goal_over(goal, "least of these", ratios, 0.85, 0.85, least=True)
        if narrow:
            bench.goal_over(goal, "3x3 of 128 channels or fewer, geometric mean", narrow, 0.95, 1.4)


def forward(bench):
    of_direction(bench, "G1", bench.s["precisions"][0], "forward", bench.s["convs"])


def backward(bench):
    for direction in bench.s["directions"][1:]:
        of_direction(bench, "G2", bench.s["precisions"][0], direction, bench.s["convs"])


def fused(bench):
    """As networks run them: with bias and ReLU, and with a shortcut added; in training with the moments of the output."""
    for direction in ("infer", "infer_residual", "forward_moments"):
        for shape in bench.s["fused"]:
            case(bench, "-", bench.s["precisions"][0], direction, shape)


def moments(bench):
    """What the moments of the output cost in training: the same kernel and tile with and without them, in turns."""
    precision, batch = bench.s["precisions"][0], bench.s["batch"]
    for kind, h, c, k, r, stride in bench.s["fused"]:
        line = f"conv forward_moments {batch} {h} {c} {k} {r} {stride}"
        sides = {"without": (bench.ours(precision), line.replace("forward_moments", "forward")), "fairprune": (bench.ours(precision), line)}
        found = bench.engines.in_turns(sides, bench.s["conv_rounds"])
        if found:
            bench.row("-", f"{precision} moments of {kind} {c}>{k} at {h}", line, found, peers=["without"], verdict=verdict(bench, precision, line))


def float32(bench):
    for direction in bench.s["directions"]:
        of_direction(bench, "G7", "fp32", direction, bench.s["convs_fp32"])


def rectified(bench):
    for shape in bench.s["rectified"]:
        for direction in bench.s["directions"]:
            case(bench, "-", bench.s["precisions"][0], direction, shape, " rectified")


def single_channels(bench):
    """G6: whether a convolution with one channel less is as fast, at widths in the middle of ResNet-18's; and PyTorch's."""
    s, precision, ratios = bench.s, bench.s["precisions"][0], {}
    for channels in s["channels"]:
        lines = [f"conv infer {s['batch']} {s['side']} {c} {c} 3 1" for c in (channels, channels - 1)]
        sides = {"one more": (bench.ours(precision), lines[0]), "fairprune": (bench.ours(precision), lines[1])}
        if bench.has_torch():
            sides["PyTorch"] = (bench.torch(precision), lines[1])
        found = bench.engines.in_turns(sides, s["pruned_rounds"])
        ratios[f"{channels - 1} channels"] = bench.row("G6", f"{precision} 3x3 of {channels - 1} channels, after {channels}", lines[1], found, peers=["one more"],
                                                       verdict=all(verdict(bench, precision, v) for v in lines)) if found else None
    bench.goal_over("G6", f"least time before over time after a channel went, of {len(ratios)}", ratios, 0.99, 0.99, least=True)


def ops(bench):
    """Ops that memory bounds. Their floor: the bytes that must move, at the measured rate of a copy. No peer has the same ops."""
    s, precision = bench.s, bench.s["precisions"][0]
    copy = next((r["measured"] * 1e12 for r in bench.document["machine"] if r["rate"] == "copy"), None)
    for line in [*s["ops"], *s["small"]]:
        found = bench.engines.in_turns({"fairprune": (bench.ours(precision), line)}, 3)
        if found and "fairprune" in found:
            if copy and not line.startswith("snnl"):
                found["fairprune"]["ready"][1:3] = [found["fairprune"]["ready"][0] / copy] * 2
            bench.row("-", f"{precision} {line}", line, found, verdict=verdict(bench, precision, line))
