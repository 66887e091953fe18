"""G1, G2, G7: each convolution beside cuDNN's; some with inputs as behind a ReLU; and what single channels cost (G6)."""
from bench import geomean

FLOORS = {"G1": (0.95, 1.20), "G2": (0.90, 1.15), "G7": (1.3, 2.5)}


def case(bench, goal, precision, direction, shape, inputs=""):
    kind, h, c, k, r, stride = shape
    line = f"conv {direction} {bench.s['batch']} {h} {c} {k} {r} {stride}{inputs}"
    sides = {"fairprune": (bench.ours(bench.s["device"], precision), line), bench.s["peer"]: (bench.ours(bench.s["peer"], precision), line)}
    found = bench.in_turns(sides, bench.s["conv_rounds"])
    return bench.row(goal, f"{precision} {direction}{inputs} {kind} {c}>{k} @{h}", line, found) if found else None


def of_direction(bench, goal, precision, direction, shapes):
    ratios, narrow = [], []
    for shape in shapes:
        kind, h, c, k, r, stride = shape
        if direction == "backward_data" and c == 3:
            continue
        if ratio := case(bench, goal, precision, direction, shape):
            ratios.append(ratio)
            if r == 3 and c <= 128:
                narrow.append(ratio)
    if ratios:
        bench.goal(goal, f"{direction} {precision}, geometric mean over {len(ratios)} shapes", geomean(ratios), *FLOORS[goal])
    if ratios and goal == "G1":
        bench.goal(goal, "least of these", min(ratios), 0.85, 0.85)
        if narrow:
            bench.goal(goal, "3x3 of 128 channels or fewer, geometric mean", geomean(narrow), 0.95, 1.4)


def forward(bench):
    of_direction(bench, "G1", bench.s["precisions"][0], "forward", bench.s["convs"])


def backward(bench):
    for direction in bench.s["directions"][1:]:
        of_direction(bench, "G2", bench.s["precisions"][0], direction, bench.s["convs"])


def float32(bench):
    for direction in bench.s["directions"]:
        of_direction(bench, "G7", "fp32", direction, bench.s["convs_fp32"])


def rectified(bench):
    for shape in bench.s["rectified"]:
        for direction in bench.s["directions"]:
            case(bench, "-", bench.s["precisions"][0], direction, shape, " rectified")


def single_channels(bench):
    """G6: what one channel less costs, of a convolution at the middle of ResNet-18's widths, and PyTorch's beside it."""
    s, precision, least = bench.s, bench.s["precisions"][0], []
    for channels in s["channels"]:
        lines = [f"conv infer {s['batch']} {s['side']} {c} {c} 3 1" for c in (channels, channels - 1)]
        sides = {"one more": (bench.ours(s["device"], precision), lines[0]), "fairprune": (bench.ours(s["device"], precision), lines[1])}
        if bench.has_torch():
            sides["PyTorch"] = (bench.torch(precision), lines[1])
        if not (found := bench.in_turns(sides, s["pruned_rounds"])):
            continue
        if ratio := bench.row("G6", f"{precision} 3x3 of {channels - 1} channels, after {channels}", lines[1], found, peers=["one more"]):
            least.append(ratio)
    if least:
        bench.goal("G6", f"least time before over time after a channel went, of {len(least)}", min(least), 0.99, 0.99)
