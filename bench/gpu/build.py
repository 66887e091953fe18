"""The programs of a run: built here, or unpacked; and what machine and commit they run on."""
import datetime
import pathlib
import shutil
import subprocess
import sys
import tarfile

import references
from bench import ROOT, dashed

DRY_TARGETS = ["gpu_worker", "gpu_probe", "fp_train", "test_kernels"]
TARGETS = ["gpu_worker", "gpu_probe", "test_kernels", "test_engine", "fp_train", "fp_prune", "fp_eval", "fp_bench", "fairprune_cudnn"]
ENVIRONMENT = "uname -a; nproc; free -g; df -h /tmp /dev/shm; which ncu compute-sanitizer nvcc python3; ls /usr/local; python3 --version"
VENDOR = """import importlib.util, pathlib
spec = importlib.util.find_spec("nvidia")
print(*(path for root in (spec.submodule_search_locations if spec else []) for path in pathlib.Path(root).glob("*/lib")))"""


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
    """bin/, lib/ and references/ of bench/gpu/pack. Our programs alone are given its libraries, and the vendor's that
    PyTorch brings: with them, PyTorch would load another OpenMP."""
    folder = bench.o.build = bench.work / "unpacked"
    with tarfile.open(bench.o.packed) as packed:
        packed.extractall(folder, filter="data")
    vendor = subprocess.run([bench.o.python, "-c", VENDOR], capture_output=True, text=True, timeout=60).stdout.split()
    bench.own["LD_LIBRARY_PATH"] = ":".join([str(folder / "lib"), *vendor, "/usr/local/cuda/lib64", bench.own.get("LD_LIBRARY_PATH", "")]).rstrip(":")
    code, why, _ = bench.run("unpacked", [bench.program("gpu_probe"), "list"], 20)
    if code != 0:
        bench.fail("the packed programs", why)


def prepare(bench):
    """Programs and references."""
    o = bench.o
    if o.stand_in:
        bench.references = bench.work / "references"
        return
    if o.packed:
        unpack(bench)
    elif not o.skip_build:
        build(bench)
    bench.document["device"]["commit"] = commit(bench)
    bench.references = o.build / "references"
    if o.dry_run:  # of other sizes
        bench.references = bench.work / "references"
        references.compute(o.build / "bin", bench.references, bench.s, bench.work)
    if o.caches and o.caches.is_file():
        with tarfile.open(o.caches) as packed:
            packed.extractall(bench.work, filter="data")


def command_output(*command, **options):
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=60, **options).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return ""


def describe(bench):
    """The card, so that every table names it; the recording of the probes has its name."""
    device, o = bench.document["device"], bench.o
    smi = command_output("nvidia-smi", "--query-gpu=name,driver_version,clocks.sm,clocks.max.sm,clocks.mem,power.limit", "--format=csv,noheader")
    name = smi.split(",")[0] if smi else "the emulated machine" if o.dry_run else "no GPU"
    device.update(name=name, details=smi, date=str(datetime.date.today()))
    total = command_output("nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits").splitlines()
    if total and total[0].strip().isdigit():
        device["gigabytes"] = int(total[0]) * 2**20 / 1e9
    bench.evidence("nvidia-smi.txt").write_text(command_output("nvidia-smi", "-q") + "\n")
    bench.evidence("environment.txt").write_text(command_output("bash", "-c", ENVIRONMENT) + "\n")
    o.recording = o.recording or o.out / f"{dashed(name)}.safetensors"


def commit(bench):
    told = bench.o.build / "commit"  # of packed programs
    return told.read_text().strip() if told.exists() else command_output("git", "-C", str(ROOT), "describe", "--always", "--dirty")
