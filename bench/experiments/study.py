#!/usr/bin/env python3
"""A study with controls: several trainings, each with every arm of study.toml beside it, judged alike by fp_eval.

    bench/experiments/study.py prepare --shared DIR      tables and images of the data sets into --data
    bench/experiments/study.py choose [PROTOCOL ...]     hyperparameters, on validation, from the choice seeds
    bench/experiments/study.py run [PROTOCOL ...]        the trainings, and the tables
    bench/experiments/study.py table [PROTOCOL ...]      the tables of what is there
    bench/experiments/study.py planted                   choose and run of the generated lesions, which need no data

    --out DIR (runs/study)  --data DIR (data)  --bin DIR (build/bin)  --toml FILE  --threads N  --trainings N  --first SEED
    --arms A,B  --endpoint primary|KEY  --resamples N

A protocol is a data set, an attribute, a size and a model; all primaries where none is named, in the order of the file.
What is done once stays done: run it again to go on, on another day too. A contrast is tested once all planned trainings
of its primary are there. An arm whose option this build does not have is skipped, with a line.
Writes OUT/PROTOCOL/{choice.json,results.json,values.csv,table.txt} and OUT/{contrasts.json,contrasts.txt}: aggregates.
The question, the endpoint and what counts as support: bench/experiments/study-registration.md
"""
import argparse
import csv
import functools
import hashlib
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tarfile
import tomllib

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
from study_tables import FIGURES, SECONDARY, conclude, number, tabulate  # noqa: E402

DERIVED = {  # column: (of which column, value: word); a value that is not named is unknown
    "head_neck": ("site", {"head/neck": "head/neck", **dict.fromkeys(
        ["anterior torso", "lower extremity", "upper extremity", "posterior torso", "palms/soles", "oral/genital",
         "lateral torso"], "rest")}),
}


# ---- Data

def prepare(o):
    for name in ["ham10000-200x150", "isic2019-84", "fitzpatrick17k-112"]:
        source, target = o.shared / name, o.data / name
        target.mkdir(parents=True, exist_ok=True)
        if not (target / "images").is_dir():
            with tarfile.open(source / "images.tar.gz") as archive:
                archive.extractall(target, filter="data")
        with open(source / "dataset.csv", newline="") as stream:
            rows = list(csv.DictReader(stream))
        for column, (of, words) in DERIVED.items():
            if of in rows[0]:
                for row in rows:
                    row[column] = words.get(row[of], "")
        with open(target / "study.csv", "w", newline="") as stream:
            writer = csv.DictWriter(stream, rows[0].keys(), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
        print(f"{target}: {len(rows)} images")


# ---- Tools

@functools.cache
def help_of(tool):
    return subprocess.run([tool, "--help"], check=True, capture_output=True, text=True).stdout


def arguments(options):
    """{name: value} as options; true is the option alone, and a value of "" takes it out."""
    return [part for name, value in options.items() if value != "" for part in ([f"--{name}"] if value is True else [f"--{name}", str(value)])]


def named(words):
    """A folder is named by what was done in it, so that other settings are another run."""
    return hashlib.sha256(" ".join(words).encode()).hexdigest()[:12]


def run(o, tool, options, output=None):
    """What the tool prints; in a file where one is named, whole or not at all."""
    command = [str(o.bin / tool), *options, "--threads", str(o.threads), "--quiet"]
    print("$", " ".join(command), file=sys.stderr, flush=True)
    environment = dict(os.environ, OMP_WAIT_POLICY="passive", OMP_NUM_THREADS=str(o.threads))
    try:
        done = subprocess.run(command, check=True, env=environment, stdout=subprocess.PIPE, text=True).stdout
    except subprocess.CalledProcessError as error:
        sys.exit(f"{tool} ended with exit code {error.returncode}; what was done before it stays done")
    except KeyboardInterrupt:
        sys.exit(130)
    if output:
        partial = output.with_suffix(".part")
        partial.write_text(done)
        partial.rename(output)
    return done


def judge(o, predictions, attribute):
    """The figures of a file of predictions; kept beside it."""
    kept = predictions.with_suffix(".eval.json")
    if not kept.exists():
        o.run("fp_eval", ["--predictions", str(predictions), "--attribute", attribute, "--resamples", str(o.resamples), "--json"], kept)
    report = json.loads(kept.read_text())
    judged = report["attributes"][attribute]
    gap = judged.get("primary") if o.endpoint == "primary" else judged["gaps"][o.endpoint]
    if gap is None:
        sys.exit(f"{o.bin}/fp_eval has no primary gap: name the key of another one, as --endpoint eodd_mean")
    groups = {name: group for name, group in judged["groups"].items() if group["in_gaps"]}
    areas = {name: group["macro_auc"]["value"] for name, group in groups.items()}
    f1, eodd = [group["macro_f1"]["value"] for group in groups.values()], judged["gaps"]["eodd"]
    worst = min(areas, key=areas.get)
    squares = {"gap_squared": gap, **{key: judged["gaps"][key] for key in SECONDARY}}
    return {**{key: number(one, "rms_squared") for key, one in squares.items()}, "balanced_accuracy": report["balanced_accuracy"]["value"],
            "worst_auc": areas[worst], "accuracy": report["accuracy"]["value"], "worst_group": worst,
            "fair_high": gap.get("fair_high"), "p": gap.get("p"), "released": {
                "f1_of_groups": statistics.fmean(f1), "f1_difference": max(f1) - min(f1), "eodd": eodd["value"],
                "fair_low": eodd["fair_low"], "fair_high": eodd["fair_high"]}}


# ---- One training

class Protocol:
    """One of the file, with its arms: which this build can run, their settings and what each chose."""

    def __init__(self, o, name):
        known = o.study["protocols"]
        if name not in known:
            sys.exit(f"no protocol {name}; there are: {', '.join(known)}")
        self.o, self.name, self.folder = o, name, o.out / name
        for key, value in known[name].items():
            setattr(self, key, value)
        self.common = o.study["common"] | known[name].get("common", {}) | {"image-size": known[name]["train"].get("image-size", "")}
        self.planned = known[name].get("trainings", o.study["trainings"])
        self.trainings = o.trainings or self.planned
        self.seeds = range(o.first or o.study["first"], (o.first or o.study["first"]) + self.trainings)
        wanted = o.arms or known[name].get("arms") or [arm for arm in o.study["arms"] if arm != "as-released"]
        self.arms = {arm: o.study["arms"][arm] for arm in wanted if self.can(arm)}
        chosen = self.folder / "choice.json"
        self.choice = json.loads(chosen.read_text()) if chosen.exists() else {}

    def can(self, arm):
        tool, *words = self.o.study["arms"][arm].get("needs", ["fp_prune"])
        missing = [word for word in words if word not in self.o.help_of(tool)]
        if missing:
            print(f"{self.name}: {arm} skipped: this {tool} has no {missing[0]}", file=sys.stderr)
        return not missing

    def arms_of(self, seed):
        """Those of this training: an arm with a number of trainings is in the first so many."""
        place = seed - self.o.study["first"]
        return [arm for arm in self.arms if place < self.o.study["arms"][arm].get("trainings", place + 1)]

    def spec(self, seed):
        return self.data.format(data=self.o.data, seed=seed)

    def settings(self, arm, pick=None):
        """Of fine-tuning. pick: which of the grid; without it what was chosen. Amounts are taken at their word, as when the protocol
        was registered."""
        own = self.o.study["arms"][arm]
        out = self.settings(own["like"]) if "like" in own else {"round-to": 1} | self.common | self.o.study["tune"] | getattr(self, "tune", {})
        out |= own.get("set", {})
        if "amount_of" in own:
            out["amount"] = self.settings(own["amount_of"])["amount"]
        if own.get("grid"):
            if pick is None and arm not in self.choice:
                sys.exit(f"{self.name}: nothing was chosen for {arm}: study.py choose {self.name} comes first")
            out |= own["grid"][self.choice[arm]["pick"] if pick is None else pick]
        return out

    def dense(self, seed):
        """The ERM model, which protocols of one data set and one size share unless its sampler looks at groups."""
        words = [*arguments(self.common | self.o.study["train"] | self.train), "--data", self.spec(seed), "--seed", str(seed)]
        if "group" in self.common["sampler"]:
            words += ["--attribute", self.attribute]
        folder = self.o.out / "erm" / named(words)
        if not (folder / "done").exists():
            self.o.run("fp_train", [*words, "--out", str(folder), "--resume"])
            (folder / "done").touch()
        return folder

    def predictions(self, folder, seed, split, extra=()):
        """Of the folder's model on a split."""
        out = folder / f"{split}-{self.name}.csv"
        if not out.exists():
            partial = folder / f"{split}-{self.name}-part.csv"
            self.o.run("fp_eval", ["--checkpoint", str(folder / "best.safetensors"), "--data", self.spec(seed), "--split", split,
                                    "--attribute", self.attribute, "--device", self.common["device"], "--resamples", "0", "--json",
                                    "--predictions-out", str(partial), *extra])
            partial.rename(out)
        return out

    def model(self, arm, seed, pick=None):
        """The folder of an arm's model."""
        dense = self.dense(seed)
        if arm == "erm":
            return dense
        options = self.settings(arm, pick)
        options.pop("image-size", None)
        if "placebo" in options:
            options["placebo"] = seed
        words = [*arguments(options), "--seed", str(seed)]
        folder = self.folder / f"seed{seed}" / f"{arm}-{named(words)}"
        if not (folder / "done").exists():
            self.o.run("fp_prune", ["--checkpoint", str(dense / "best.safetensors"), "--data", self.spec(seed), "--attribute",
                                     self.attribute, *words, "--out", str(folder), "--resume"])
            (folder / "done").touch()
        return folder

    def figures(self, arm, seed, split, pick=None):
        """Of one training."""
        own = self.o.study["arms"][arm]
        if "offsets_of" in own:
            model = self.model(own["offsets_of"], seed)
            folder = self.folder / f"seed{seed}" / arm
            folder.mkdir(parents=True, exist_ok=True)
            if not (folder / "best.safetensors").exists():
                (folder / "best.safetensors").hardlink_to(model / "best.safetensors")
            file = self.predictions(folder, seed, split, ["--group-offsets", self.attribute])
        else:
            file = self.predictions(self.model(arm, seed, pick), seed, split)
        return judge(self.o, file, self.attribute) | {"file": str(file)}


# ---- Steps

def choose(o, protocol):
    """Of each grid, on validation: the smallest gap among settings whose balanced accuracy is within the margin of the
    best one that "tuned alike" has (which itself takes its best balanced accuracy); the best accuracy where none is."""
    file = protocol.folder / "choice.json"
    protocol.folder.mkdir(parents=True, exist_ok=True)
    order = sorted((arm for arm in protocol.arms if o.study["arms"][arm].get("grid")), key=lambda arm: arm != "tuned")
    for arm in order:
        if arm in protocol.choice:
            continue
        rows = []
        for pick in range(len(o.study["arms"][arm]["grid"])):
            ones = [protocol.figures(arm, seed, "val", pick) for seed in o.study["choice_seeds"][:1 if "trainings" in o.study["arms"][arm] else None]]
            rows.append({key: statistics.fmean(one[key] for one in ones) for key in FIGURES})
        accuracy = [row["balanced_accuracy"] for row in rows]
        floor = protocol.choice["tuned"]["rows"][protocol.choice["tuned"]["pick"]]["balanced_accuracy"] if arm != "tuned" else max(accuracy)
        able = [i for i in range(len(rows)) if accuracy[i] >= floor - o.study["margin"]]
        pick = accuracy.index(max(accuracy)) if arm == "tuned" or not able else min(able, key=lambda i: rows[i]["gap_squared"])
        protocol.choice[arm] = {"pick": pick, "settings": o.study["arms"][arm]["grid"][pick], "rows": rows, "within_margin": bool(able)}
        file.write_text(json.dumps(protocol.choice, indent=1))
    for arm in order:
        print(f"{protocol.name}: {arm}: {protocol.choice[arm]['settings']}")


def trained(o, protocol, work):
    """{arm: [figures of a training]} on test; without `work` of the trainings that are complete."""
    rows = {arm: [] for arm in protocol.arms}
    for seed in protocol.seeds:
        complete = protocol.folder / f"seed{seed}" / "figures.json"
        if work:
            figures = {arm: protocol.figures(arm, seed, "test") for arm in protocol.arms_of(seed)}
            complete.parent.mkdir(parents=True, exist_ok=True)
            complete.write_text(json.dumps(figures, indent=1))
        if complete.exists():
            figures = json.loads(complete.read_text())
            for arm in protocol.arms:
                rows[arm] += [figures[arm] | {"seed": seed}] if arm in figures else []
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=["prepare", "choose", "run", "table", "planted"])
    parser.add_argument("protocols", nargs="*")
    parser.add_argument("--out", type=pathlib.Path, default="runs/study")
    parser.add_argument("--data", type=pathlib.Path, default="data")
    parser.add_argument("--shared", type=pathlib.Path, help="where the data sets' dataset.csv and images.tar.gz are")
    parser.add_argument("--bin", type=pathlib.Path, default=HERE / "../../build/bin")
    parser.add_argument("--toml", type=pathlib.Path, default=HERE / "study.toml")
    parser.add_argument("--arms", type=lambda text: text.split(","))
    for name, default in (("threads", 2), ("trainings", 0), ("first", 0), ("resamples", 2000)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--endpoint")
    o = parser.parse_args()
    o.study = tomllib.loads(o.toml.read_text())
    o.endpoint = o.endpoint or o.study["endpoint"]
    o.run, o.help_of = functools.partial(run, o), lambda tool: help_of(o.bin / tool)
    if o.step == "prepare":
        return prepare(o)
    names = ["planted"] if o.step == "planted" else o.protocols or [name for name, p in o.study["protocols"].items() if p.get("primary")]
    protocols = [Protocol(o, name) for name in names]
    if o.step in ("choose", "planted"):
        for protocol in protocols:
            choose(o, protocol)
    if o.step != "choose":
        tables = [(protocol, trained(o, protocol, o.step != "table")) for protocol in protocols]
        for protocol, rows in tables:
            tabulate(o, protocol, rows)
        # The other parts of the study count in its conclusion, whenever they ran.
        others = [Protocol(o, name) for name, p in o.study["protocols"].items() if p.get("primary") and name not in names and (o.out / name).exists()]
        conclude(o, tables + [(protocol, trained(o, protocol, False)) for protocol in others])


if __name__ == "__main__":
    main()
