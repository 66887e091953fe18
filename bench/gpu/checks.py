"""Whether the kernels are right on the device: their tests, losses beside the host's, a run end to end, the sanitizer."""
import json
import pathlib
import shutil
import subprocess
import tempfile

from bench import ROOT


def succeeds(bench, command, seconds, **options):
    """None where the time is up, or was before it ended."""
    seconds = min(seconds, bench.seconds_left())
    if seconds > 3:
        try:
            return subprocess.run(command, timeout=seconds, env=bench.environment, **options).returncode == 0
        except subprocess.TimeoutExpired:
            pass
    bench.left_out.append(f"not done in time: {' '.join(command[:6])} ..")
    return None


def loss_curves(bench):
    """Training on the device beside the host's, from one start and over the same batches: on average over epochs
    no further apart than another seed on the host is."""
    s, checks = bench.s, bench.document["checks"]

    def losses(device, precision, seed):  # None: not done in time; False: it failed
        with tempfile.TemporaryDirectory() as folder:
            command = [bench.program("fp_train"), "--device", device, "--precision", precision, "--model", "resnet18", "--stem", "small",
                       "--lr", "0.01", "--seed", str(seed), "--quiet", "--out", f"{folder}/run", *s["curve"]]
            if not (done := succeeds(bench, command, bench.spare(60), stdout=subprocess.DEVNULL)):
                return done
            return [json.loads(line)["train"]["loss"] for line in open(f"{folder}/run/metrics.jsonl")]

    apart = lambda a, b: sum(abs(x - y) for x, y in zip(a, b, strict=True)) / len(a)
    host, other = (losses(s["host"], "fp32", seed) for seed in (1, 2))
    for precision in ("fp32", "tf32", "bf16"):
        curve = losses(s["device"], precision, 1)
        curves = (curve, host, other)
        checks[f"loss curve, {precision}"] = None if None in curves else False not in curves and apart(curve, host) <= apart(other, host)
        if all(curves):
            bench.document.setdefault("loss_curves", {})[precision] = {"device": curve, "host": host, "host, other seed": other}
            print(f"  loss curve, {precision}: {apart(curve, host):.2e} from the host's, another seed {apart(other, host):.2e}", flush=True)


def correctness(bench):
    checks = bench.document["checks"]
    if bench.o.dry_run:
        checks["tests"] = "left to ctest"
    else:
        tests = [bench.program("test_kernels"), "--gtest_filter=*cuda*:*Cuda*:*cudnn*", "--gtest_brief=1"]
        checks["tests"] = succeeds(bench, tests, bench.spare(120))
    loss_curves(bench)
    if not bench.o.dry_run:
        for precision in ("fp32", "tf32", "bf16"):
            script = [str(ROOT / "tests/end_to_end/device"), str(bench.o.build / "bin"), "cuda", precision]
            checks[f"end to end, {precision}"] = succeeds(bench, script, bench.spare(60), stdout=subprocess.DEVNULL)


def sanitizer(bench):
    """Takes what time is left."""
    if bench.o.dry_run:
        return
    program = shutil.which("compute-sanitizer") or "/usr/local/cuda/bin/compute-sanitizer"
    if not pathlib.Path(program).exists():
        bench.left_out.append("compute-sanitizer is not installed")
        return
    for tool in ("racecheck", "memcheck", "synccheck", "initcheck"):
        if bench.seconds_left() < 30:
            bench.left_out.append(f"compute-sanitizer --tool {tool}")
            continue
        command = [program, "--tool", tool, "--error-exitcode", "9", *bench.ours("cuda", "bf16")]
        line = "conv forward 2 14 24 40 3 1\nconv backward_data 2 14 24 40 3 2\nconv backward_filter 2 14 24 40 3 1\nsnnl 64 16 4\n"
        bench.document["checks"][tool] = succeeds(bench, command, bench.seconds_left() - 5, input=line, text=True, stdout=subprocess.DEVNULL)
