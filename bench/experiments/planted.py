#!/usr/bin/env python3
"""The planted bias (docs/method.md, what may be claimed): five trainings, each pruned and tuned in several ways.

    bench/experiments/planted.py [--out DIR] [--bin DIR] [--seeds N] [--first SEED] [--bias B] [--threads N]

In training the group tells half of the classes with probability B, in the test it tells nothing. A thin ResNet-18
at 32 pixels, 1,800 training images. What is done once stays done: run it again to go on. Writes DIR/table.txt and
DIR/results.json.

    dense               as trained
    dense, tuned        3 epochs more on evenly drawn classes and groups: the control of all that follows
    random, tuned       a random quarter of the last stage's channels out first
    snnl, tuned         a quarter by plain SNNL
    snnl given class    a quarter by SNNL among samples of one class
    regulariser         nothing out; the SNNL given class as a penalty while tuning
    random + regul.     a random quarter out, and the penalty: is it the choice or the penalty?
    recipe              a quarter by SNNL given class, and the penalty
    paper               the released score, five channels of the last layer, tuned on the biased data as it comes
"""
import argparse
import contextlib
import io
import json
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../recipes"))
from over_trainings import table  # noqa: E402

TUNE = ["--finetune-epochs", "3", "--lr", "0.02", "--batch-size", "64", "--augment", "none", "--max-drop", "1"]
EVEN = ["--sampler", "class-group"]
PENALTY = ["--snnl-weight", "30", "--snnl-layers", "all", "--snnl-given", "class"]


def cut(criterion, amount="25%", layers="last"):
    return ["--criterion", criterion, "--amount", amount, "--layers", layers]


WAYS = {
    "dense, tuned": cut("none") + EVEN,
    "random, tuned": cut("random") + EVEN,
    "snnl, tuned": cut("snnl") + EVEN,
    "snnl given class, tuned": cut("snnl+given-class") + EVEN,
    "regulariser": cut("none") + EVEN + PENALTY,
    "random + regulariser": cut("random") + EVEN + PENALTY,
    "recipe: snnl given class + regulariser": cut("snnl+given-class") + EVEN + PENALTY,
    "paper: as-released, last layer": cut("snnl+as-released", "5", "last"),
}
CONTROLS = ["dense, tuned", "random, tuned", "random + regulariser"]


def run(command, threads):
    environment = dict(os.environ, OMP_WAIT_POLICY="PASSIVE")
    print("$", " ".join(command), flush=True)
    subprocess.run(command + ["--quiet", "--threads", str(threads)], check=True, env=environment,
                   stdout=subprocess.DEVNULL)


def figures(judged):
    return judged["balanced_accuracy"]["value"], judged["attributes"]["group"]["gaps"]["eodd_mean"]["value"]


def one_training(o, seed):
    """{way: (balanced accuracy, gap) on test} of one dense model."""
    data = f"synth:n=3000,size=32,classes=4,groups=2,bias={o.bias},difficulty={o.difficulty},seed={seed}"
    common = ["--data", data, "--attribute", "group", "--seed", str(seed), "--device", "cpu"]
    folder = os.path.join(o.out, f"seed{seed}")
    dense = os.path.join(folder, "dense")
    run([f"{o.bin}/fp_train", *common, "--model", "resnet18", "--width", "0.25", "--stem", "small", "--epochs", "10",
         "--batch-size", "64", "--augment", "none", "--out", dense, "--resume"], o.threads)
    out = {}
    for number, (way, options) in enumerate(WAYS.items()):
        target = os.path.join(folder, f"way{number}")
        report = os.path.join(target, "report.json")
        if not os.path.exists(report):
            run([f"{o.bin}/fp_prune", *common, "--checkpoint", f"{dense}/best.safetensors", *options, *TUNE, "--out",
                 target, "--resume"], o.threads)
        with open(report) as stream:
            test = json.load(stream)["test"]
        out["dense"] = figures(test["dense"])
        out[way] = figures(test["pruned"])
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    here = os.path.dirname(os.path.abspath(__file__))
    parser.add_argument("--out", default="runs/planted-experiment")
    parser.add_argument("--bin", default=os.path.join(here, "../../build/bin"))
    parser.add_argument("--seeds", type=int, default=5, help="trainings")
    parser.add_argument("--first", type=int, default=1, help="seed of the first training")
    parser.add_argument("--bias", default="0.95")
    parser.add_argument("--difficulty", default="0.2")
    parser.add_argument("--threads", type=int, default=2)
    o = parser.parse_args()
    started = time.time()
    rows = {}
    for seed in range(o.first, o.first + o.seeds):
        for way, pair in one_training(o, seed).items():
            rows.setdefault(way, []).append(pair)
        with open(os.path.join(o.out, "results.json"), "w") as stream:
            json.dump({"bias": o.bias, "difficulty": o.difficulty, "rows": rows}, stream, indent=1)
    told = io.StringIO()
    with contextlib.redirect_stdout(told):
        print(f"bias {o.bias}, difficulty {o.difficulty}, {o.seeds} trainings; gap: eodd_mean on an unbiased test\n")
        table(rows, CONTROLS)
    with open(os.path.join(o.out, "table.txt"), "w") as stream:
        stream.write(told.getvalue())
    print(told.getvalue(), end="")
    print(f"\n{time.time() - started:.0f} s in all; {o.out}/table.txt", file=sys.stderr)


if __name__ == "__main__":
    main()
