#!/usr/bin/env python3
"""One table over several trainings of the same search: report.json files of fp_prune, one per dense model.

    recipes/over_trainings.py [--tested NAME]... runs/seeds/*/pruned/report.json

Each row is a mean over trainings with its 95 % interval (Student's t) on the test split; several tunings of a training count
as their mean. The gap is the primary one, eodd_rms (docs/method.md, section 9): means and tests are of its rms^2, shown as its
root, 0 below noise; eodd_mean stands beside it and decides nothing. Differences from the controls are of rms^2, paired by
training, and the verdicts follow p after Holm's correction over all differences, controls and attributes together. With
--tested only those rows are tested, which is to be decided before the figures are seen, and the others are described.

"fair to" is the mean of the gaps that a classifier which treats the groups alike stays below. "time" is that of one inference
over the dense model's. P, on validation: no other row is at least as accurate, as good in objective and as fast, and better in one
of these (times whose intervals overlap count as equal). A file eval-NAME.json of `fp_eval --json` beside a report.json adds the
row NAME, without validation.
"""
import argparse
import functools
import json
import math
import pathlib

NAN = float("nan")
LEVEL = 0.05
GAP = "eodd_rms"  # of engine/fairness/evaluate.h: the primary gap, and the one that is shown
SHOWN = "eodd_mean"


def p_of_t(t, freedom):
    """P(|T| > t), by Student's t: with T = sqrt(df) tan(angle) its density is cos(angle)^(df - 1)."""
    steps = 2000

    def integral(low):
        width = (math.pi / 2 - low) / steps
        return sum(math.cos(low + (k + 0.5) * width) ** (freedom - 1) for k in range(steps)) * width

    return integral(math.atan(t / math.sqrt(freedom))) / integral(0)


@functools.lru_cache
def t_of_p(p, freedom):
    """The t for which P(|T| > t) = p."""
    low, high = 0.0, 1.0
    while p_of_t(high, freedom) > p:
        high *= 2
    for _ in range(50):
        t = (low + high) / 2
        low, high = (t, high) if p_of_t(t, freedom) > p else (low, t)
    return high


def mean_of(values):
    values = [v for v in values if v is not None and not math.isnan(v)]
    return sum(values) / len(values) if values else NAN


def error_of(values):
    """Standard deviation of the mean; nan for one value."""
    n, mean = len(values), mean_of(values)
    return math.sqrt(sum((v - mean) ** 2 for v in values) / (n - 1) / n) if n > 1 else NAN


def summary(values, p=LEVEL):
    """Mean and half width of the interval of level 1 - p; the latter is nan for one value."""
    n = len(values)
    return mean_of(values), t_of_p(p, n - 1) * error_of(values) if n > 1 else NAN


def p_value(values):
    """Of a mean of 0, two-sided, by Student's t."""
    error = error_of(values)
    return NAN if math.isnan(error) or error == 0 else p_of_t(abs(mean_of(values)) / error, len(values) - 1)


def holm(ps):
    """Adjusted for the number of tests; nan stays."""
    out, largest = [NAN] * len(ps), 0.0
    order = sorted((i for i, p in enumerate(ps) if not math.isnan(p)), key=lambda i: ps[i])
    for rank, i in enumerate(order):
        largest = out[i] = max(largest, min(1.0, ps[i] * (len(order) - rank)))
    return out


def shown(values, form=".3f", of=lambda v: v):
    mean, half = summary(values)
    return f"{of(mean):{form}}" + ("" if math.isnan(half) else f" [{of(mean - half):{form}}, {of(mean + half):{form}}]")


def root(square):
    """Of an rms^2, which noise may take below 0."""
    return square if math.isnan(square) else math.sqrt(max(0, square))


def undominated(val, times):
    """The names that no other one dominates. val: {name: [(accuracy, objective)]}, more of both is better;
    times: {name: [(ratio, low, high)]}; one of each per training."""
    def cost(values):
        mean = mean_of(values)
        return math.inf if math.isnan(mean) else -mean

    points = {name: (cost(a for a, _ in pairs), cost(o for _, o in pairs), mean_of(low for _, low, _ in times[name]),
                     mean_of(high for _, _, high in times[name])) for name, pairs in val.items() if name in times}

    def dominates(a, b):
        return a[0] <= b[0] and a[1] <= b[1] and a[2] <= b[3] and (a[0] < b[0] or a[1] < b[1] or a[3] < b[2])

    return {name for name, own in points.items() if not any(dominates(other, own) for other in points.values())}


def paired(rows, controls):
    """[(control, name, differences of accuracy, of rms^2, the control's mean rms^2)]; of two controls once."""
    return [(control, name, [a - b for (a, _), (b, _) in zip(runs, rows[control])],
             [a - b for (_, a), (_, b) in zip(runs, rows[control])], mean_of(g for _, g in rows[control]))
            for number, control in enumerate(controls) if control in rows
            for name, runs in rows.items() if name not in controls[:number + 1] and len(runs) == len(rows[control])]


def words(gap, corrected, control, tests):
    """What a test shows: `gap` are differences of rms^2; `control` is the control's mean one, which bounds a fall."""
    if math.isnan(corrected):
        return "not tested"
    mean, half = summary(gap)
    if corrected <= LEVEL:
        return "smaller gap" if mean < 0 else "larger gap"
    least = summary(gap, LEVEL / tests)[1]
    fall = "" if least <= control else f"; no fall could have passed: rms^2 must fall by {least:.4f}, and the control's is {control:.4f}"
    return f"no difference detected; beside the control's {root(control):.3f}, a gap of {root(control + mean - half):.3f} to " \
           f"{min(1, root(control + mean + half)):.3f} is not excluded{fall}"


def print_figures(rows, heading, fair, times, front):
    width = max(len(name) for name in rows) + 2
    print(f"{heading:<{width}}{'balanced accuracy':<26}{GAP:<26}" + (f"{'fair to':<9}{SHOWN:<11}" if fair else "")
          + (f"{'time':<9}" if times else "") + f"{GAP} by training")
    for name, runs in rows.items():
        high, beside = (mean_of(side) for side in zip(*fair[name])) if fair.get(name) else (NAN, NAN)
        high, beside = ("-" if math.isnan(v) else f"{v:.3f}" for v in (high, beside))
        time = f"{mean_of(r for r, _, _ in times[name]):.2f}x" + (" P" if name in front else "") if name in times else "-"
        print(f"{name:<{width}}{shown([a for a, _ in runs]):<26}{shown([g for _, g in runs], of=root):<26}"
              + (f"{high:<9}{beside:<11}" if fair else "") + (f"{time:<9}" if times else "")
              + " ".join(f"{root(g):.3f}" for _, g in runs))


def print_tests(compared, tests, trainings):
    """compared: [(heading, control, name, accuracy, rms^2, control's rms^2, p, corrected)]."""
    width = max([len(name) for _, _, name, *_ in compared] + [10]) + 2
    before = None
    for heading, control, name, accuracy, gap, of_control, p, corrected in compared:
        if (heading, control) != before:
            print(f"\n{heading}minus {control}\n{'':<{width}}{'balanced accuracy':<26}{'rms^2':<29}p      corrected")
        before = heading, control
        ps = "-      -     " if math.isnan(corrected) else f"{p:<7.3f}{corrected:<6.3f}"
        print(f"{name:<{width}}{shown(accuracy, '+.3f'):<26}{shown(gap, '+.4f'):<29}{ps}{words(gap, corrected, of_control, tests)}")
    if tests and trainings > 1:
        print(f"\n{tests} tests over {trainings} trainings, corrected by Holm: the first passes at |t| >= "
              f"{t_of_p(LEVEL / tests, trainings - 1):.1f} (p <= {LEVEL / tests:.2g})")
    elif trainings < 2:
        print("\none training: nothing is tested")


def tables(by_attribute, controls, fair=None, times=None, val=None, tested=None):
    """by_attribute: {attribute: {name: [(balanced accuracy, rms^2), one per training]}}; fair: {attribute: {name: [(fair_high,
    the shown gap)]}}; times and val as undominated() takes them; tested: the names that are tested, all where it is None."""
    times = times or {}
    front = undominated(val or {}, times)
    heading = {a: f"by {a}: " if len(by_attribute) > 1 else "" for a in by_attribute}
    pairs = [(heading[a], *pair) for a, rows in by_attribute.items() for pair in paired(rows, controls)]
    ps = [p_value(gap) if tested is None or name in tested else NAN for _, _, name, _, gap, _ in pairs]
    corrected = holm(ps)
    for number, (attribute, rows) in enumerate(by_attribute.items()):
        print("\n" * (number > 0), end="")
        print_figures(rows, heading[attribute].rstrip(": "), (fair or {}).get(attribute, {}), times, front)
    if pairs:
        print_tests([(*pair, p, c) for pair, p, c in zip(pairs, ps, corrected)], sum(not math.isnan(p) for p in ps),
                    max(len(gap) for _, _, _, _, gap, _ in pairs))


class Trainings:
    """What the reports of several trainings say."""

    def __init__(self):
        self.rows, self.fair, self.times, self.val, self.controls, self.reads = {}, {}, {}, {}, [], []

    def add(self, name, attribute, runs):
        """runs: [(balanced accuracy, rms^2, fair_high, the shown gap)] of one training's tunings."""
        accuracy, square, high, beside = (mean_of(side) for side in zip(*runs))
        self.rows.setdefault(attribute, {}).setdefault(name, []).append((accuracy, square))
        self.fair.setdefault(attribute, {}).setdefault(name, []).append((high, beside))

    def read(self, file):
        report = json.loads(pathlib.Path(file).read_text())
        sweep = report["sweep"]
        if sweep["gap"] != GAP:
            raise SystemExit(f"{file}: its search was compared by {sweep['gap']} and not by the primary gap, {GAP}; `fp_prune "
                             "--resume` with the command in it makes it anew without training")
        self.reads.append(report.get("test_reads"))
        dense = sweep["dense"]
        self.val.setdefault("dense", []).append((dense["val"]["balanced_accuracy"], dense["objective"]))
        self.times.setdefault("dense", []).append((1, 1, 1))
        for point in sweep["points"]:
            if point["control"] and point["name"] not in self.controls:
                self.controls.append(point["name"])
            self.times.setdefault(point["name"], []).append(tuple(point[k] for k in ("latency", "latency_low", "latency_high")))
            self.val.setdefault(point["name"], []).append(
                (point["val"]["balanced_accuracy"]["mean"], point["val"]["objective"]["mean"]))
        for attribute in sweep["attributes"]:
            def figures(test):
                gap = test["gaps"][attribute]
                return test["balanced_accuracy"], gap["rms_squared"], gap["fair_high"], gap[SHOWN]

            if attribute not in dense["test"].get("gaps", {}):
                continue
            self.add("dense", attribute, [figures(dense["test"])])
            for point in sweep["points"]:
                self.add(point["name"], attribute, [figures(run["test"]) for run in point["runs"]])
            for evaluated in sorted(pathlib.Path(file).parent.glob("eval-*.json")):
                test = json.loads(evaluated.read_text())
                figures_of = test["attributes"].get(attribute, {})
                if gap := figures_of.get("primary"):
                    self.add(evaluated.stem.removeprefix("eval-"), attribute,
                             [(test["balanced_accuracy"]["value"], gap["rms_squared"], gap["fair_high"],
                               figures_of["gaps"][SHOWN]["value"])])


def reads_text(reads):
    """Of the report that knows most reads."""
    counted = [r for r in reads if r and r["count"] is not None]
    if not counted:
        return "how often the test split was read is not on record"
    most = max(counted, key=lambda r: r["count"])
    return f"the test split (n={most['images']}, {most['split'][:8]}) was read {most['count']} " \
           f"time{'s' * (most['count'] != 1)} on record since {most['since'][:10]}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tested", metavar="NAME", action="append", help="a row that is tested; all, where none is named")
    parser.add_argument("reports", nargs="+")
    options = parser.parse_args()
    trainings, n = Trainings(), len(options.reports)
    for file in options.reports:
        trainings.read(file)
    print(f"{n} training{'s' * (n != 1)}, test split; the gap is {GAP} by {', '.join(trainings.rows)}\n"
          f"{reads_text(trainings.reads)}\n")
    whole = {name: times for name, times in trainings.times.items() if len(times) == n}
    tables(trainings.rows, trainings.controls, trainings.fair, whole, trainings.val, options.tested)


if __name__ == "__main__":
    main()
