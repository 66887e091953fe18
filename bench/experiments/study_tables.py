"""The tables of study.py: figures over trainings, differences paired by training, and the contrasts that are tested."""
import csv
import functools
import json
import math
import pathlib
import statistics
import sys

RECIPES = pathlib.Path(__file__).resolve().parents[2] / "recipes"
sys.path.insert(0, str(RECIPES))
from over_trainings import holm  # noqa: E402

FIGURES = ["gap_squared", "balanced_accuracy", "worst_auc", "accuracy"]
# Their names in `fp_eval --json` of several trainings, where they differ.
OVER_LESIONS = {"gap_squared": "rms_squared", "worst_auc": "worst_macro_auc"}


# ---- Student's t

def tail(t, df):
    """P(T > t) for t >= 0: with t = sqrt(df) tan(angle) the density is cos(angle)^(df - 1)."""
    def integral(low, steps=2000):
        width = (math.pi / 2 - low) / steps
        return width * sum(math.cos(low + (k + 0.5) * width) ** (df - 1) for k in range(steps))
    return integral(math.atan(t / math.sqrt(df))) / integral(0) / 2


@functools.cache
def quantile(share, df):
    """The t above which there is `share`, for share < 1/2."""
    low, high = 0.0, 1e6
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if tail(middle, df) > share else (low, middle)
    return high


def over_trainings(values, level=0.05):
    """Mean with its interval and p, and the least mean that as many values of this spread find with power .8."""
    n, mean = len(values), statistics.fmean(values)
    out = {"trainings": n, "mean": mean, "values": values}
    if n > 1:
        sd = statistics.stdev(values)
        error = sd / math.sqrt(n)
        t = quantile(level / 2, n - 1)
        out |= {"sd": sd, "low": mean - t * error, "high": mean + t * error, "detectable": (t + quantile(0.2, n - 1)) * error,
                "p": 2 * tail(abs(mean) / error, n - 1) if error > 0 else float("nan")}
    return out


def root(square):
    return math.copysign(math.sqrt(abs(square)), square)



# ---- Differences

def over_lesions(o, protocol, pairs):
    """Of the differences: intervals for other lesions and other trainings; {} where this fp_eval has none, or where each
    training has its own images."""
    if o.endpoint != "primary" or len(pairs) < 2 or "{seed}" in protocol.data or "trainings of one method" not in " ".join(o.help_of("fp_eval").split()):
        return {}
    ours, theirs = ([part for pair in pairs for part in (option, pair[side]["file"])] for side, option in enumerate(("--predictions", "--compare")))
    report = json.loads(o.run("fp_eval", [*ours, *theirs, "--attribute", protocol.attribute, "--resamples", str(o.resamples), "--json"]))
    found = report["metrics"] | report["attributes"][protocol.attribute]["figures"]
    named = {key: found[OVER_LESIONS.get(key, key)] for key in FIGURES}
    return {key: figure["difference"] | {"trainings": len(pairs), "formula": figure["formula"]} for key, figure in named.items()}


def contrast(o, protocol, rows, arm, control, lesions=False):
    """Figures of an arm minus a control's, paired by training."""
    pairs = [(one, other) for one in rows[arm] for other in rows[control] if one["seed"] == other["seed"]]
    out = {key: over_trainings([one[key] - other[key] for one, other in pairs]) for key in FIGURES}
    return {"arm": arm, "control": control, **out, **({"over_lesions": over_lesions(o, protocol, pairs)} if lesions else {})}


def held(figure, margin):
    """Whether a loss of more than the margin is excluded."""
    return figure.get("low") is not None and figure["low"] > -margin


def guarded(figure, margin):
    if figure.get("low") is None:
        return "one training"
    if held(figure, margin):
        return f"not worse by more than {margin}"
    return "worse" if figure["high"] < 0 else f"a loss of {-figure['low']:.3f} is not excluded"


def shown(figure, of=lambda v: v, sign=".3f"):
    low, high = figure.get("low"), figure.get("high")
    return f"{of(figure['mean']):{sign}}" + (f" [{of(low):{sign}}, {of(high):{sign}}]" if low is not None else "")


def beside_published(o, protocol, rows):
    """Published rows, and ours in the same figures: of other images, so to look at and not to compare."""
    with open(RECIPES / "published.csv", newline="") as stream:
        published = [row for row in csv.DictReader(stream) if row["recipe"] == protocol.published]
    lines = ["", f"Beside published figures ({published[0]['source']}), which are of other images", "",
             f"{'':<36}{'F1 of groups':<14}{'F1 difference':<15}{'Eodd':<8}where chance puts Eodd"]
    lines += [f"{row['method']:<36}{float(row['f1_of_groups']):<14.3f}{float(row['f1_difference']):<15.3f}{float(row['eodd']):<8.3f}not published"
              for row in published]
    for arm, ones in rows.items():
        mean = {key: statistics.fmean(one["released"][key] for one in ones) for key in ones[0]["released"]}
        lines.append(f"{o.study['arms'][arm]['title']:<36}{mean['f1_of_groups']:<14.3f}{mean['f1_difference']:<15.3f}{mean['eodd']:<8.3f}"
                     f"{mean['fair_low']:.3f} to {mean['fair_high']:.3f}")
    return lines


def tabulate(o, protocol, rows):
    rows = {arm: ones for arm, ones in rows.items() if ones}
    if not rows:
        return print(f"{protocol.name}: no training is complete")
    arms = {arm: {key: over_trainings([one[key] for one in ones]) for key in FIGURES} for arm, ones in rows.items()}
    against = [contrast(o, protocol, rows, arm, "tuned") for arm in rows if arm not in ("erm", "tuned") and "tuned" in rows]
    against += [contrast(o, protocol, rows, c["arm"], c["control"]) for c in o.study["contrasts"] if c["control"] != "tuned" and {c["arm"], c["control"]} <= set(rows)]
    lines = [f"{protocol.title}: {len(rows['erm'])} training{'s' if len(rows['erm']) > 1 else ''}, seeds {' '.join(str(one['seed']) for one in rows['erm'])}, test split",
             f"gap: root of the mean squared gap by {protocol.attribute} ({o.endpoint}), resampling noise taken out; a negative one is a square below 0",
             "intervals: Student's t over trainings, of the gap's square; the test lesions are the same in all, so they are of these lesions", "",
             f"{'':<36}{'gap':<26}{'fair to':<9}{'balanced accuracy':<26}{'worst AUC':<26}gap by training"]
    for arm, figures in arms.items():
        high = [one["fair_high"] for one in rows[arm] if one["fair_high"] is not None]
        lines.append(f"{o.study['arms'][arm]['title']:<36}{shown(figures['gap_squared'], root):<26}"
                     f"{format(statistics.fmean(high), '.3f') if high else '-':<9}{shown(figures['balanced_accuracy']):<26}"
                     f"{shown(figures['worst_auc']):<26}" + " ".join(f"{root(one['gap_squared']):.3f}" for one in rows[arm]))
    lines += ["", "Differences, paired by training. gap: of the squares, times 1000, with what this many trainings would find with power .8", "",
              f"{'':<72}{'gap^2 x 1000':<28}{'finds':<9}{'balanced accuracy':<26}worst AUC"]
    for one in against:
        gap = one["gap_squared"]
        name = f"{o.study['arms'][one['arm']]['title']} - {o.study['arms'][one['control']]['title']}"
        lines.append(f"{name:<72}{shown(gap, lambda v: 1000 * v, '+.3f'):<28}{format(1000 * gap.get('detectable', math.nan), '.3f'):<9}"
                     f"{shown(one['balanced_accuracy'], sign='+.3f'):<26}{shown(one['worst_auc'], sign='+.3f')}")
    if hasattr(protocol, "published"):
        lines += beside_published(o, protocol, rows)
    (protocol.folder / "table.txt").write_text("\n".join(lines) + "\n")
    (protocol.folder / "results.json").write_text(json.dumps(
        {"protocol": protocol.name, "title": protocol.title, "attribute": protocol.attribute, "endpoint": o.endpoint, "seeds": list(protocol.seeds),
         "choice": {arm: own["settings"] for arm, own in protocol.choice.items()}, "arms": arms, "differences": against}, indent=1))
    with open(protocol.folder / "values.csv", "w", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["protocol", "arm", "seed", *FIGURES, "fair_high", "p", "worst_group"])
        for arm, ones in rows.items():
            writer.writerows([protocol.name, arm, one["seed"], *(f"{one[key]:.6f}" for key in FIGURES), one["fair_high"], one["p"], one["worst_group"]]
                             for one in ones)
    print("\n".join(lines) + "\n")


def conclude(o, tables):
    """The contrasts of the primaries, Holm over all that the protocol names."""
    found = [{"protocol": p.name, "title": p.title, **contrast(o, p, rows, c["arm"], c["control"], lesions=True)} for p, rows in tables
             if getattr(p, "primary", False) for c in o.study["contrasts"] if rows.get(c["arm"]) and rows.get(c["control"])]
    if not found:
        return
    planned = len(o.study["contrasts"]) * sum(p.get("primary", False) for p in o.study["protocols"].values())
    # Contrasts that are not there yet count as 1, so that a part of the study is not corrected for too little.
    corrected = holm([(one["over_lesions"] or one)["gap_squared"].get("p", math.nan) for one in found] + [1.0] * (planned - len(found)))
    lines = [f"{len(found)} of {planned} contrasts; p after Holm's correction over {planned}"]
    for one, p in zip(found, corrected):
        counted, margin = one["over_lesions"] or one, o.study["margin"]
        gap = counted["gap_squared"]
        guards = {key: guarded(counted[key], margin) for key in ("balanced_accuracy", "worst_auc")}
        smaller = p <= 0.05 and gap["mean"] < 0
        one |= {"p_holm": p, "guardrails": guards, "supports": smaller and all(held(counted[key], margin) for key in guards)}
        word = "smaller gap" if smaller else "larger gap" if p <= 0.05 else \
            f"no difference detected; changes from {gap.get('low', math.nan):+.5f} to {gap.get('high', math.nan):+.5f} are not excluded"
        scope = "other lesions and other trainings" if one["over_lesions"] else "other trainings, these lesions"
        lines += ["", f"{one['title']}: {one['arm']} - {one['control']}, {gap['trainings']} trainings, intervals for {scope}",
                  f"    gap^2 {shown(gap, sign='+.5f')}, p {gap.get('p', math.nan):.4f}, corrected {p:.4f}, finds {gap.get('detectable', math.nan):.5f} with power .8",
                  f"    {word}", *(f"    {key} {shown(counted[key], sign='+.3f')}: {word}" for key, word in guards.items()),
                  f"    counts as support: {'yes' if one['supports'] else 'no'}"]
    (o.out / "contrasts.json").write_text(json.dumps(found, indent=1))
    (o.out / "contrasts.txt").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))
