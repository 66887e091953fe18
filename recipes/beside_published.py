#!/usr/bin/env python3
"""The results of one of the paper's recipes beside the published ones (recipes/published.csv).

    recipes/beside_published.py RECIPE RUN/pruned [--bin build/bin] [--resamples 1000]

Every model of the search is judged again on the test split by fp_eval, from the predictions in its folder. F1 is the
mean of the two groups' macro-F1, as FairME prints it; `fair` is the range of Eodd in which a classifier that treats
the groups alike falls (2.5 to 97.5 %), p the share of such classifiers with as large an Eodd. FATE is
(F1 - F1 of dense) / F1 of dense - (Eodd - Eodd of dense) / Eodd of dense, each against its own dense model.
"""
import argparse
import csv
import json
import os
import pathlib
import subprocess

from over_trainings import reads_text

COLUMNS = ["accuracy", "f1_of_groups", "f1_difference", "eopp0", "eopp1", "eodd"]
TITLES = ["accuracy", "F1", "F1 diff", "Eopp0", "Eopp1", "Eodd"]


def published(recipe):
    with open(pathlib.Path(__file__).parent / "published.csv", newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["recipe"] == recipe]
    return [{"model": row["method"], "source": row["source"],
             **{key: float(row[key]) if row[key] else None for key in COLUMNS}} for row in rows]


def judged(name, predictions, attribute, arguments):
    out = subprocess.run([pathlib.Path(arguments.bin) / "fp_eval", "--predictions", predictions, "--attribute", attribute,
                          "--resamples", str(arguments.resamples), "--json", "--quiet"],
                         check=True, capture_output=True, text=True,
                         env={**os.environ, "FAIRPRUNE_STATE": "off"}).stdout  # the search's read is on record
    report = json.loads(out)
    figures = report["attributes"][attribute]
    gaps = figures["gaps"]
    f1 = [group["macro_f1"]["value"] for group in figures["groups"].values() if group["in_gaps"]]
    row = {"model": name, "accuracy": report["accuracy"]["value"],
           "f1_of_groups": sum(f1) / len(f1) if f1 else None,
           "f1_difference": max(f1) - min(f1) if f1 else None,
           "fair": None, "p": None, **{key: None for key in ("eopp0", "eopp1", "eodd")}}
    for key in ("eopp0", "eopp1", "eodd"):
        if key in gaps:
            row[key] = gaps[key]["value"]
    if "eodd" in gaps and gaps["eodd"].get("fair_low") is not None:
        row["fair"] = f"{gaps['eodd']['fair_low']:.3f}..{gaps['eodd']['fair_high']:.3f}"
        row["p"] = gaps["eodd"]["p"]
    return row


def add_fate(rows):
    """Against the first row."""
    f1, eodd = rows[0]["f1_of_groups"], rows[0]["eodd"]
    for row in rows[1:]:
        if f1 and eodd and row["f1_of_groups"] is not None and row["eodd"] is not None:
            row["fate"] = (row["f1_of_groups"] - f1) / f1 - (row["eodd"] - eodd) / eodd


def show(title, rows):
    print(f"{title:<40}" + "".join(f"{t:>9}" for t in TITLES) + f"{'fair':>15}{'p':>7}{'FATE':>8}")
    for row in rows:
        numbers = "".join(f"{'-' if row[key] is None else format(row[key], '.4f'):>9}" for key in COLUMNS)
        p, fate = row.get("p"), row.get("fate")
        print(f"{row['model'][:39]:<40}{numbers}{row.get('fair') or '-':>15}{'-' if p is None else format(p, '.3f'):>7}"
              f"{'-' if fate is None else format(fate, '+.3f'):>8}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe")
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--bin", default=pathlib.Path(__file__).parent / "../build/bin")
    parser.add_argument("--resamples", type=int, default=1000)
    arguments = parser.parse_args()
    with open(arguments.folder / "report.json") as stream:
        report = json.load(stream)
    sweep = report["sweep"]
    attribute = sweep["attributes"][0]
    ours = [judged("dense", arguments.folder / "predictions-dense.csv", attribute, arguments)]
    for point in sweep["points"]:
        for run in point["runs"]:
            name = point["name"] + (f", seed {run['seed']}" if len(point["runs"]) > 1 else "")
            ours.append(judged(name, arguments.folder / run["folder"] / "predictions.csv", attribute, arguments))
    theirs = published(arguments.recipe)
    add_fate(ours)
    if theirs:
        add_fate(theirs)
        show("published", theirs)
        for source in sorted({row["source"] for row in theirs}):
            print(f"  {source}")
    else:
        print(f"published: no figure of {arguments.recipe} is known to us")
    print()
    show(f"ours, by {attribute}", ours)
    print(reads_text([report.get("test_reads")]))


if __name__ == "__main__":
    main()
