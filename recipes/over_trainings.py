#!/usr/bin/env python3
"""One table over several trainings of the same search: report.json files of fp_prune, one per dense model.

    recipes/over_trainings.py runs/seeds/*/pruned/report.json

Each row is a mean over trainings with its 95 % interval (Student's t); differences are paired by training. The
verdicts follow p after Holm's correction over all differences of the table. "time" is that of one inference over the dense
model's, a mean over trainings. P: no other row is at least as accurate, as fair and as fast, and better in one of these (times
whose intervals overlap count as equal). A file eval-NAME.json of `fp_eval --json` beside a report.json adds the row NAME.
"""
import json
import math
import pathlib
import sys

T975 = [12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622, 2.2281]


def summary(values):
    """Mean and half width of the 95 % interval; the latter is nan for one value."""
    n = len(values)
    mean = sum(values) / n
    if n < 2:
        return mean, float("nan")
    sd = math.sqrt(sum((v - mean) ** 2 for v in values) / (n - 1))
    return mean, (T975[n - 2] if n - 2 < len(T975) else 1.96) * sd / math.sqrt(n)


def p_value(values):
    """Of a mean of 0, two-sided, by Student's t: with t = sqrt(df) tan(angle) its density is cos(angle)^(df - 1)."""
    n = len(values)
    mean = sum(values) / n
    spread = math.sqrt(sum((v - mean) ** 2 for v in values) / max(n - 1, 1) / n)
    if n < 2 or spread == 0:
        return float("nan")
    steps, start = 2000, math.atan(abs(mean) / spread / math.sqrt(n - 1))

    def integral(low):
        width = (math.pi / 2 - low) / steps
        return sum(math.cos(low + (k + 0.5) * width) ** (n - 2) for k in range(steps)) * width

    return integral(start) / integral(0)


def holm(ps):
    """Adjusted for the number of tests; nan stays."""
    out, largest = [float("nan")] * len(ps), 0.0
    order = sorted((i for i, p in enumerate(ps) if not math.isnan(p)), key=lambda i: ps[i])
    for rank, i in enumerate(order):
        largest = out[i] = max(largest, min(1.0, ps[i] * (len(order) - rank)))
    return out


def shown(values, sign=""):
    mean, half = summary(values)
    return f"{mean:{sign}.3f}" + ("" if math.isnan(half) else f" [{mean - half:{sign}.3f}, {mean + half:{sign}.3f}]")


def undominated(rows, times):
    """The names of rows with times that no other one of these dominates."""
    mean = lambda values: sum(values) / len(values)
    points = {name: (-mean([a for a, _ in rows[name]]), mean([g for _, g in rows[name]]), mean([low for _, low, _ in t]),
                     mean([high for _, _, high in t])) for name, t in times.items()}

    def dominates(a, b):
        return a[0] <= b[0] and a[1] <= b[1] and a[2] <= b[3] and (a[0] < b[0] or a[1] < b[1] or a[3] < b[2])

    return {name for name, own in points.items() if not any(dominates(other, own) for other in points.values())}


def table(rows, controls, times=None):
    """rows: {name: [(balanced accuracy, gap), one per training]}; times: {name: [(ratio, low, high), one per training]}."""
    times = times or {}
    width = max(len(name) for name in rows) + 2
    front = undominated(rows, times)
    print(f"{'':<{width}}{'balanced accuracy':<26}{'gap':<26}" + (f"{'time':<9}" if times else "") + "gap by training")
    for name, runs in rows.items():
        ratios = [ratio for ratio, _, _ in times.get(name, [])]
        time = f"{sum(ratios) / len(ratios):.2f}x" + (" P" if name in front else "") if ratios else "-" if times else ""
        print(f"{name:<{width}}{shown([a for a, _ in runs]):<26}{shown([g for _, g in runs]):<26}" + (f"{time:<9}" if times else "")
              + " ".join(f"{g:.3f}" for _, g in runs))
    compared = []  # control, name, differences of accuracy, of the gap
    for control in controls:
        for name, runs in rows.items():
            if name != control and len(runs) == len(rows[control]):
                pairs = list(zip(runs, rows[control]))
                compared.append((control, name, [a - b for (a, _), (b, _) in pairs], [a - b for (_, a), (_, b) in pairs]))
    corrected = holm([p_value(gap) for _, _, _, gap in compared])
    for control in controls:
        print(f"\nminus {control}\n{'':<{width}}{'balanced accuracy':<26}{'gap':<26}p     corrected")
        for (of, name, accuracy, gap), p in zip(compared, corrected):
            if of != control:
                continue
            words = "" if math.isnan(p) else "no evidence of a difference" if p > 0.05 else \
                "smaller gap" if sum(gap) < 0 else "larger gap"
            print(f"{name:<{width}}{shown(accuracy, '+'):<26}{shown(gap, '+'):<26}{p_value(gap):<6.3f}{p:<6.3f}{words}")


def main(files):
    rows, times, controls, attribute, gap = {}, {}, [], "", ""
    for file in files:
        with open(file) as stream:
            report = json.load(stream)
        sweep = report["sweep"]
        attribute, gap = sweep["attribute"], sweep["gap"]

        def figures(test):
            return test["balanced_accuracy"], test["gaps"][attribute][gap]

        rows.setdefault("dense", []).append(figures(sweep["dense"]["test"]))
        for point in sweep["points"]:
            if point["control"] and point["name"] not in controls:
                controls.append(point["name"])
            if "latency_low" in point:
                times.setdefault(point["name"], []).append((point["latency"], point["latency_low"], point["latency_high"]))
            runs = [figures(run["test"]) for run in point["runs"]]
            rows.setdefault(point["name"], []).append(tuple(sum(v) / len(runs) for v in zip(*runs)))
        for evaluated in sorted(pathlib.Path(file).parent.glob("eval-*.json")):
            test = json.loads(evaluated.read_text())
            rows.setdefault(evaluated.stem.removeprefix("eval-"), []).append(
                (test["balanced_accuracy"]["value"], test["attributes"][attribute]["gaps"][gap]["value"]))
    print(f"{len(files)} trainings, test split; the gap is {gap} by {attribute}\n")
    times = {name: t for name, t in times.items() if len(t) == len(files)}
    table(rows, controls, {"dense": [(1, 1, 1)] * len(files), **times} if times else None)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(sys.argv[1:])
