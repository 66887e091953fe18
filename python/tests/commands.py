"""What the tests share: the commands, and small models that they made."""
import functools
import json
import os
import pathlib
import subprocess
import tempfile

BIN = pathlib.Path(os.environ["FP_BIN"])
SIZE = 32
_folder = tempfile.TemporaryDirectory()
WORK = pathlib.Path(_folder.name)
os.environ["FAIRPRUNE_STATE"] = str(WORK / "state")  # the record of reads of test splits is not the user's


def run(tool, *words):
    done = subprocess.run([BIN / tool, *map(str, words)], capture_output=True, text=True)
    assert done.returncode == 0, (tool, words, done.stderr)
    return done.stdout


def run_json(tool, *words):
    return json.loads(run(tool, *words, "--json", "--quiet"))


@functools.cache
def data():
    """A CSV of 120 generated images, as files."""
    run("fp_data", "synth", "synth:n=120,size=40,classes=3,groups=2,bias=0.8,seed=1", "--out", WORK / "images", "--quiet")
    (table,) = (WORK / "images").glob("*.csv")
    return table


def dense(model="resnet18", *more):
    out = WORK / "-".join(("dense", model, *more))
    if not out.exists():
        run("fp_train", "--data", f"csv:{data()}", "--model", model, "--width", 0.125, "--epochs", 1, "--image-size", SIZE,
            "--batch-size", 16, "--normalize", "imagenet", "--out", out, "--quiet", *more)
    return out / "best.safetensors"


def pruned(model="resnet18", *more):
    out = WORK / "-".join(("pruned", model, *more))
    if not out.exists():
        run("fp_prune", "--checkpoint", dense(model, *more), "--data", f"csv:{data()}", "--criterion", "l1", "--layers", "all",
            "--amount", "30%", "--finetune-epochs", 0, "--attribute", "group", "--out", out, "--quiet")
    return out / "best.safetensors"
