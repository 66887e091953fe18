"""The programs of a run: built here, or unpacked; and what machine and commit they run on."""
import datetime
import json
import pathlib
import shutil
import subprocess
import sys
import tarfile

from bench import ROOT

DRY_TARGETS = ["gpu_worker", "gpu_probe", "fp_train"]
TARGETS = DRY_TARGETS + ["test_kernels", "fp_prune", "fp_eval", "fp_bench", "fairprune_cudnn"]


def build(bench):
    o = bench.o
    configure = ["cmake", "-S", str(ROOT), "-B", str(o.build), "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release", "-DFP_BENCH=ON", "-DFP_TESTS=ON"]
    if not o.dry_run:
        configure.append("-DFP_CUDA=ON")
    if shutil.which("ccache"):
        configure.append("-DCMAKE_CXX_COMPILER_LAUNCHER=ccache")
    targets = DRY_TARGETS if o.dry_run else TARGETS
    for command in (configure, ["cmake", "--build", str(o.build), "--target", *targets]):
        quietly(command)


def quietly(command):
    """Its output only where it fails."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        sys.exit(f"{done.stdout[-4000:]}\nfailed: {' '.join(command)}")


def unpack(bench):
    """bin/ and lib/ of bench/gpu/pack; the vendor's libraries that PyTorch brings are found too."""
    folder = bench.o.build = bench.o.build / "unpacked"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with tarfile.open(bench.o.packed) as packed:
        packed.extractall(folder)
    paths = [str(folder / "lib")]
    vendor = """import importlib.util, pathlib
spec = importlib.util.find_spec("nvidia")
print(*(path for root in (spec.submodule_search_locations if spec else []) for path in pathlib.Path(root).glob("*/lib")))"""
    paths += subprocess.run([bench.o.python, "-c", vendor], capture_output=True, text=True).stdout.split()
    bench.environment["LD_LIBRARY_PATH"] = ":".join([*paths, bench.environment.get("LD_LIBRARY_PATH", "")]).rstrip(":")
    probe = subprocess.run([bench.program("gpu_probe"), "list"], capture_output=True, text=True, env=bench.environment)
    if probe.returncode != 0:
        sys.exit(f"bench/gpu/run: the packed programs do not run here: {probe.stderr.strip()[-300:]}")


def command_output(*command, **options):
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=60, **options).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return ""


def recording():
    """Where what a GPU gave for the probes is kept, by its name."""
    name = command_output("nvidia-smi", "--query-gpu=name", "--format=csv,noheader").splitlines()
    return ROOT / "tests/kernels/recordings" / f"{(name or ['gpu'])[0].lower().replace(' ', '-')}.safetensors"


def describe(bench):
    device = bench.document["device"]
    smi = command_output("nvidia-smi", "--query-gpu=name,driver_version,clocks.sm,clocks.max.sm,power.limit", "--format=csv,noheader")
    device.update(name=smi or "the emulated machine" if bench.o.dry_run else smi or "no GPU", commit=commit(bench), date=str(datetime.date.today()))
    bench.has_torch()


def commit(bench):
    told = bench.o.build / "commit"  # of packed programs
    return told.read_text().strip() if told.exists() else command_output("git", "-C", str(ROOT), "describe", "--always", "--dirty")


def document(path):
    return json.loads(pathlib.Path(path).read_text())
