"""Reference values of the host: losses of a training, gradients of a step (in bf16 by the emulated machine). They are computed
when the programs are built or packed, so that they take no time of a GPU."""
import json

from whole import reference_name

CURVES = "losses.json"


def command_of_curve(program, s, device, precision, seed, out):
    return [program, "--device", device, "--precision", precision, "--model", "resnet18", "--stem", "small", "--lr", "0.01", "--seed", str(seed),
            "--quiet", "--out", str(out), *s["curve"]]


def losses_of(run):
    return [json.loads(line)["train"]["loss"] for line in (run / "metrics.jsonl").read_text().splitlines()]


def compute(run, bin_folder, folder, s, scratch):
    """Writes them into a folder. Files that are newer than the programs are kept. run(name, command, text) gives a command this
    text and returns its output, and raises where it failed."""
    folder.mkdir(parents=True, exist_ok=True)
    trained, worker = bin_folder / "fp_train", bin_folder / "bench_worker"
    is_there = lambda file, program: file.exists() and file.stat().st_mtime > program.stat().st_mtime
    if not is_there(folder / CURVES, trained):
        curves = {}
        for seed in (1, 2):
            out = scratch / f"curve-{seed}"
            run(f"reference curve {seed}", command_of_curve(str(trained), s, s["host"], "fp32", seed, out), None)
            curves[str(seed)] = losses_of(out)
        (folder / CURVES).write_text(json.dumps({"curve": s["curve"], "losses": curves}))
    for precision, line in s["gradients"]:
        file = folder / reference_name(line, precision)
        if is_there(file, worker):
            continue
        device = ["emulated", "bf16"] if precision == "bf16" else [s["host"], "fp32"]
        fresh = file.with_suffix(".new")
        if "dumped" not in run(f"reference {file.stem}", [str(worker), *device], f"once {line}\ndump {fresh}\n"):
            raise RuntimeError(f"no gradients of {line}")
        fresh.replace(file)
