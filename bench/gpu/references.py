"""What the host gives for the same cases: losses of a training, gradients of a step (in bf16 by the emulated machine).
Computed where the programs are packed, so that none of a GPU's time goes into them."""
import json
import subprocess

from whole import reference_name

CURVES = "losses.json"


def command_of_curve(program, s, device, precision, seed, out):
    return [program, "--device", device, "--precision", precision, "--model", "resnet18", "--stem", "small", "--lr", "0.01", "--seed", str(seed),
            "--quiet", "--out", str(out), *s["curve"]]


def losses_of(run):
    return [json.loads(line)["train"]["loss"] for line in (run / "metrics.jsonl").read_text().splitlines()]


def compute(bin_folder, folder, s, scratch):
    """Into a folder, with a host build's programs."""
    folder.mkdir(parents=True, exist_ok=True)
    curves = {}
    for seed in (1, 2):
        run = scratch / f"curve-{seed}"
        subprocess.run(command_of_curve(str(bin_folder / "fp_train"), s, s["host"], "fp32", seed, run), check=True, stdout=subprocess.DEVNULL)
        curves[str(seed)] = losses_of(run)
    (folder / CURVES).write_text(json.dumps({"curve": s["curve"], "losses": curves}))
    for precision, line in s["gradients"]:
        file = folder / reference_name(line, precision)
        if file.exists():
            continue
        device = ["emulated", "bf16"] if precision == "bf16" else [s["host"], "fp32"]
        done = subprocess.run([str(bin_folder / "gpu_worker"), *device], input=f"once {line}\ndump {file}\n", text=True, stdout=subprocess.PIPE, check=True)
        if "dumped" not in done.stdout:
            raise RuntimeError(f"no gradients of {line}")
