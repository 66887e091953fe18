"""The programs of a run, built here or unpacked, and the machine and commit that its report names."""
import datetime
import shutil
import subprocess
import tarfile
import zlib

import references
from bench import ROOT, dashed
from children import tail
from whole import reference_name

DRY_TARGETS = ["bench_worker", "gpu_probe", "fp_train", "test_kernels"]
TARGETS = ["bench_worker", "gpu_probe", "test_kernels", "test_core", "fp_train", "fp_prune", "fp_eval", "fp_bench", "fairprune_cudnn"]
BUILDING = 7200  # seconds
ENVIRONMENT = "uname -a; nproc; free -g; df -h /tmp /dev/shm; which ncu compute-sanitizer nvcc python3; ls /usr/local; python3 --version"
VENDOR = """import importlib.util, pathlib
spec = importlib.util.find_spec("nvidia")
print(*(path for root in (spec.submodule_search_locations if spec else []) for path in pathlib.Path(root).glob("*/lib")))"""


def configured(folder, *options):
    """The command that configures a build in this folder."""
    more = ["-DCMAKE_CXX_COMPILER_LAUNCHER=ccache"] if shutil.which("ccache") else []
    return ["cmake", "-S", ROOT, "-B", folder, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release", "-DFP_BENCH=ON", "-DFP_TESTS=ON", *options, *more]


def done(bench, name, command, text=None):
    """Runs a step of the build and returns its output. It may take as long as it needs, but ends when the run does."""
    bench.say(name)
    code, why, out = bench.children.run(name, command, BUILDING, bench.own, text=text)
    if code != 0:
        print(tail(out, 4000), flush=True)
        raise RuntimeError(f"{name}: {why}")
    return out.read_text(errors="replace")


def build(bench):
    """Builds the programs and computes the reference values that checks compare with. A package holds both."""
    o = bench.o
    if o.packed:
        return
    if o.stand_in:  # which does not read the reference values
        bench.references = bench.work / "references"
        bench.references.mkdir()
        for precision, line in bench.s["gradients"]:
            (bench.references / reference_name(line, precision)).touch()
        return
    if not o.skip_build:
        done(bench, "configure", configured(o.build, *([] if o.dry_run else ["-DFP_CUDA=ON"])))
        done(bench, "build", ["cmake", "--build", o.build, "--target", *(DRY_TARGETS if o.dry_run else TARGETS)])
    bench.references = bench.work / "references" if o.dry_run else o.build / "references"  # a dry run has other sizes
    references.compute(lambda *call: done(bench, *call), o.build / "bin", bench.references, bench.s, bench.work)


def unpack(bench):
    """Unpacks what bench/gpu/pack made: bin/, lib/ and references/. Only our programs get lib/ and the vendor's libraries that
    PyTorch brings; PyTorch itself would load another OpenMP from there."""
    folder = bench.o.build = bench.work / "unpacked"
    with tarfile.open(bench.o.packed) as packed:
        packed.extractall(folder, filter="data")
    vendor = subprocess.run([bench.o.python, "-c", VENDOR], capture_output=True, text=True, timeout=60).stdout.split()
    bench.own["LD_LIBRARY_PATH"] = ":".join([str(folder / "lib"), *vendor, "/usr/local/cuda/lib64", bench.own.get("LD_LIBRARY_PATH", "")]).rstrip(":")
    code, why, _ = bench.run("unpacked", [bench.program("gpu_probe"), "list"], 20)
    if code != 0:
        bench.fail("the packed programs", why)


def prepare(bench):
    """Unpacks the programs, and what PyTorch compiled in an earlier call."""
    o = bench.o
    if o.packed:
        unpack(bench)
        bench.references = o.build / "references"
    if not o.stand_in:
        bench.document["device"]["commit"] = commit(bench)
    if o.caches:
        try:
            with tarfile.open(o.caches) as packed:
                packed.extractall(bench.work, filter="data")
        except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
            shutil.rmtree(bench.work / "caches", ignore_errors=True)
            bench.leave_out(f"{o.caches}: not a whole archive: {error}")


def command_output(*command, **options):
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=60, **options).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return ""


def describe(bench):
    """Reads the name of the card, which every table and the recording of the probes carry."""
    device, o = bench.document["device"], bench.o
    smi = command_output("nvidia-smi", "--query-gpu=name,driver_version,clocks.sm,clocks.max.sm,clocks.mem,power.limit", "--format=csv,noheader")
    name = smi.split(",")[0] if smi else "the emulated machine" if o.dry_run else "no GPU"
    device.update(name=name, details=smi, date=str(datetime.date.today()))
    device["capability"] = command_output("nvidia-smi", "--query-gpu=compute_cap", "--format=csv,noheader").partition("\n")[0]
    total = command_output("nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits").splitlines()
    if total and total[0].strip().isdigit():
        device["gigabytes"] = int(total[0]) * 2**20 / 1e9
    bench.evidence("nvidia-smi.txt").write_text(command_output("nvidia-smi", "-q") + "\n")
    bench.evidence("environment.txt").write_text(command_output("bash", "-c", ENVIRONMENT) + "\n")
    o.recording = o.recording or o.out / f"{dashed(name)}.safetensors"


def commit(bench):
    told = bench.o.build / "commit"  # of packed programs
    return told.read_text().strip() if told.exists() else command_output("git", "-C", str(ROOT), "describe", "--always", "--dirty")
