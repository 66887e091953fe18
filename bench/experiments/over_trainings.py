#!/usr/bin/env python3
"""One table over several trainings of the same search: report.json files of fp_prune, one a dense model.

    bench/experiments/over_trainings.py runs/seeds/*/pruned/report.json

Each row is a mean over trainings with its 95 % interval (Student's t); differences are paired by training.
"""
import json
import math
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


def shown(values, sign=""):
    mean, half = summary(values)
    return f"{mean:{sign}.3f}" + ("" if math.isnan(half) else f" [{mean - half:{sign}.3f}, {mean + half:{sign}.3f}]")


def table(rows, controls):
    """rows: {name: [(balanced accuracy, gap), one a training]}."""
    width = max(len(name) for name in rows) + 2
    print(f"{'':<{width}}{'balanced accuracy':<26}{'gap':<26}gap by training")
    for name, runs in rows.items():
        print(f"{name:<{width}}{shown([a for a, _ in runs]):<26}{shown([g for _, g in runs]):<26}"
              + " ".join(f"{g:.3f}" for _, g in runs))
    for control in controls:
        print(f"\nminus {control}")
        for name, runs in rows.items():
            if name == control or len(runs) != len(rows[control]):
                continue
            accuracy = [a - b for (a, _), (b, _) in zip(runs, rows[control])]
            gap = [a - b for (_, a), (_, b) in zip(runs, rows[control])]
            mean, half = summary(gap)
            words = ("" if math.isnan(half) else "smaller gap" if mean + half < 0
                     else "larger gap" if mean - half > 0 else "no evidence of a difference")
            print(f"{name:<{width}}{shown(accuracy, '+'):<26}{shown(gap, '+'):<26}{words}")


def main(files):
    rows, controls, attribute, gap = {}, [], "", ""
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
            runs = [figures(run["test"]) for run in point["runs"]]
            rows.setdefault(point["name"], []).append(tuple(sum(v) / len(runs) for v in zip(*runs)))
    print(f"{len(files)} trainings, test split; the gap is {gap} by {attribute}\n")
    table(rows, controls)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(sys.argv[1:])
