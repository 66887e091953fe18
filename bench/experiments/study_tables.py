"""The tables of study.py: figures over trainings, differences paired by training, and the contrasts that are tested."""
import csv
import hashlib
import json
import math
import pathlib
import statistics
import sys

RECIPES = pathlib.Path(__file__).resolve().parents[2] / "recipes"
sys.path.insert(0, str(RECIPES))
from over_trainings import error_of, holm, p_value, t_of_p  # noqa: E402

FIGURES = ["gap_squared", "balanced_accuracy", "worst_auc", "accuracy"]
# Gaps whose squares are shown beside the endpoint and never tested: {key of `fp_eval --json`: heading}.
SECONDARY = {"macro_auc": "AUC gap^2", "accuracy_standardised": "standardised accuracy gap^2"}
# Their names in `fp_eval --json` of several trainings, where they differ.
OVER_LESIONS = {"gap_squared": "rms_squared", "worst_auc": "worst_macro_auc"}


def over_trainings(values, level=0.05):
    """Mean with its interval and p, and the least mean that as many values of this spread find with power .8."""
    n, mean = len(values), statistics.fmean(values)
    out = {"trainings": n, "mean": mean, "values": values}
    if n > 1:
        error = error_of(values)
        half = t_of_p(level, n - 1) * error
        out |= {"sd": error * math.sqrt(n), "low": mean - half, "high": mean + half, "p": p_value(values),
                "detectable": half + t_of_p(0.4, n - 1) * error}
    return out


def number(figure, key):
    """nan where there is none."""
    value = figure.get(key)
    return math.nan if value is None else value


def root(square):
    return math.copysign(math.sqrt(abs(square)), square)


# ---- Differences

def over_lesions(o, protocol, pairs):
    """{side: {figure: E}} of pairs of an arm's and a control's figures, side being ours, other or difference: intervals for
    other lesions and other trainings. {} where this fp_eval has none, or where each training has its own images."""
    if o.endpoint != "primary" or len(pairs) < 2 or "{seed}" in protocol.data or "trainings of one method" not in " ".join(o.help_of("fp_eval").split()):
        return {}
    ours, theirs = ([part for pair in pairs for part in (option, pair[side]["file"])] for side, option in enumerate(("--predictions", "--compare")))
    words = [*ours, *theirs, "--attribute", protocol.attribute, "--resamples", str(o.resamples), "--json"]
    kept = protocol.folder / "contrasts" / f"{hashlib.sha256(' '.join(words).encode()).hexdigest()[:12]}.json"
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        o.run("fp_eval", words, kept)
    report = json.loads(kept.read_text())
    found = report["metrics"] | report["attributes"][protocol.attribute]["figures"]
    named = {key: found[OVER_LESIONS.get(key, key)] for key in FIGURES}
    return {side: {key: figure[side] | {"trainings": len(pairs), "formula": figure["formula"]} for key, figure in named.items()}
            for side in ("ours", "other", "difference")}


def contrast(o, protocol, rows, arm, control):
    """Figures of an arm minus a control's, paired by training."""
    pairs = [(one, other) for one in rows[arm] for other in rows[control] if one["seed"] == other["seed"]]
    out = {key: over_trainings([one[key] - other[key] for one, other in pairs]) for key in [*FIGURES, *SECONDARY]}
    return {"arm": arm, "control": control, **out, "over_lesions": over_lesions(o, protocol, pairs)}


def counted(one):
    """What counts of a contrast: for other lesions too, where there is that."""
    return one["over_lesions"].get("difference", one)


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
    if math.isnan(number(figure, "mean")):
        return "n/a"
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


def arm_lines(o, rows, arms):
    lines = [f"{'':<36}{'gap':<26}{'fair to':<9}{'balanced accuracy':<26}{'worst AUC':<26}gap by training"]
    for arm, figures in arms.items():
        figures = figures["over_lesions"] or figures
        high = [one["fair_high"] for one in rows[arm] if one["fair_high"] is not None]
        lines.append(f"{o.study['arms'][arm]['title']:<36}{shown(figures['gap_squared'], root):<26}"
                     f"{format(statistics.fmean(high), '.3f') if high else '-':<9}{shown(figures['balanced_accuracy']):<26}"
                     f"{shown(figures['worst_auc']):<26}" + " ".join(f"{root(one['gap_squared']):.3f}" for one in rows[arm]))
    return lines


def difference_lines(o, against):
    def name(one):
        return f"{o.study['arms'][one['arm']]['title']} - {o.study['arms'][one['control']]['title']}"

    def thousand(v):
        return 1000 * v

    def finds(figure):
        least = number(figure, "detectable")
        return "-" if math.isnan(least) else f"{1000 * least:.3f}"

    lines = ["", "Differences, paired by training. gap: of the squares, times 1000, with what this many trainings would find with power .8", "",
             f"{'':<72}{'gap^2 x 1000':<28} {'finds':<9}{'balanced accuracy':<26}worst AUC"]
    for one in against:
        figures = counted(one)
        lines.append(f"{name(one):<72}{shown(figures['gap_squared'], thousand, '+.3f'):<28} {finds(figures['gap_squared']):<9}"
                     f"{shown(figures['balanced_accuracy'], sign='+.3f'):<26}{shown(figures['worst_auc'], sign='+.3f')}")
    lines += ["", "Second endpoints, descriptive: no test, no correction; Student's t over trainings, so of these lesions; times 1000", "",
              f"{'':<72}" + "".join(f"{heading:<32}" for heading in SECONDARY.values())]
    return lines + [f"{name(one):<72}" + "".join(f"{shown(one[key], thousand, '+.3f'):<32}" for key in SECONDARY) for one in against]


def differences(o, protocol, rows):
    """Of every arm minus "tuned alike", and of the contrasts with another control."""
    pairs = [(arm, "tuned") for arm in rows if arm != "tuned" and "tuned" in rows]
    pairs += [(c["arm"], c["control"]) for c in o.study["contrasts"] if c["control"] != "tuned" and {c["arm"], c["control"]} <= set(rows)]
    return [contrast(o, protocol, rows, *pair) for pair in pairs]


def tabulate(o, protocol, rows):
    rows = {arm: ones for arm, ones in rows.items() if ones}
    if not rows:
        return print(f"{protocol.name}: no training is complete")
    against = differences(o, protocol, rows)
    sides = {one[side]: one["over_lesions"].get(key, {}) for one in against for side, key in (("control", "other"), ("arm", "ours"))}
    arms = {arm: {key: over_trainings([one[key] for one in ones]) for key in [*FIGURES, *SECONDARY]} | {"over_lesions": sides.get(arm, {})}
            for arm, ones in rows.items()}
    first = next(iter(rows.values()))
    lines = [f"{protocol.title}: {len(first)} training{'s' if len(first) > 1 else ''}, seeds {' '.join(str(one['seed']) for one in first)}, test split",
             f"gap: root of the mean squared gap by {protocol.attribute} ({o.endpoint}), resampling noise taken out; a negative one is a square below 0",
             "intervals, of the gap's square: " + ("for other lesions and other trainings (crossed random effects)" if any(sides.values()) else
                                                   "Student's t over trainings; the test lesions are the same in all, so they are of these lesions"), "",
             *arm_lines(o, rows, arms), *difference_lines(o, against)]
    if hasattr(protocol, "published"):
        lines += beside_published(o, protocol, rows)
    (protocol.folder / "table.txt").write_text("\n".join(lines) + "\n")
    (protocol.folder / "results.json").write_text(json.dumps(
        {"protocol": protocol.name, "title": protocol.title, "attribute": protocol.attribute, "endpoint": o.endpoint, "seeds": list(protocol.seeds),
         "choice": {arm: own["settings"] for arm, own in protocol.choice.items()}, "arms": arms, "differences": against}, indent=1))
    with open(protocol.folder / "values.csv", "w", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["protocol", "arm", "seed", *FIGURES, *SECONDARY, "fair_high", "p", "worst_group"])
        for arm, ones in rows.items():
            writer.writerows([protocol.name, arm, one["seed"], *(f"{one[key]:.6f}" for key in [*FIGURES, *SECONDARY]), one["fair_high"], one["p"], one["worst_group"]]
                             for one in ones)
    print("\n".join(lines) + "\n")


def sentence(o, one, p):
    """The lines of a contrast, to which what is concluded is added."""
    figures, margin = counted(one), o.study["margin"]
    gap = figures["gap_squared"]
    guards = {key: guarded(figures[key], margin) for key in ("balanced_accuracy", "worst_auc")}
    smaller = p <= 0.05 and gap["mean"] < 0
    one |= {"p_holm": p, "guardrails": guards, "supports": smaller and all(held(figures[key], margin) for key in guards)}
    word = "smaller gap" if smaller else "larger gap" if p <= 0.05 else \
        f"no difference detected; changes from {number(gap, 'low'):+.5f} to {number(gap, 'high'):+.5f} are not excluded"
    scope = "other lesions and other trainings" if one["over_lesions"] else "other trainings, these lesions"
    return ["", f"{one['title']}: {one['arm']} - {one['control']}, {gap['trainings']} trainings, intervals for {scope}",
            f"    gap^2 {shown(gap, sign='+.5f')}, p {number(gap, 'p'):.4f}, corrected {p:.4f}, finds {number(gap, 'detectable'):.5f} with power .8",
            f"    {word}", *(f"    {key} {shown(figures[key], sign='+.3f')}: {guard}" for key, guard in guards.items()),
            f"    counts as support: {'yes' if one['supports'] else 'no'}"]


def conclude(o, tables):
    """The contrasts of the primaries whose planned trainings are all there, Holm over all that the protocol names."""
    found, waiting = [], []
    for p, rows in tables:
        for c in o.study["contrasts"] if getattr(p, "primary", False) else []:
            least = min(len(rows.get(c[side], [])) for side in ("arm", "control"))
            if least >= p.planned:
                found.append({"protocol": p.name, "title": p.title, **contrast(o, p, rows, c["arm"], c["control"])})
            else:
                waiting.append(f"{p.title}: {c['arm']} - {c['control']}: {least} of {p.planned} trainings, not tested yet")
    planned = len(o.study["contrasts"]) * sum(p.get("primary", False) for p in o.study["protocols"].values())
    if not found and not waiting:
        return
    # Contrasts without p or not there yet count as 1, so that a part of the study is not corrected for too little.
    ps = [number(counted(one)["gap_squared"], "p") for one in found] + [1.0] * (planned - len(found))
    corrected = holm([1.0 if math.isnan(p) else p for p in ps])
    lines = [f"{len(found)} of {planned} contrasts; p after Holm's correction over {planned}"]
    for one, p in zip(found, corrected):
        lines += sentence(o, one, p)
    lines += ["", *waiting] if waiting else []
    (o.out / "contrasts.json").write_text(json.dumps(found, indent=1))
    (o.out / "contrasts.txt").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))
