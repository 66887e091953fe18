"""One run: its options, its clock, its child processes and its findings. Each finding is written at once, the report by rename."""
import json
import os
import pathlib
import queue
import random
import re
import shutil
import statistics
import tarfile
import tempfile
import threading
import time
import traceback

import tables
from children import Children, Worker

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
ANSWER, FIRST_ANSWER, COMPILED = 12, 20, 120  # seconds: of our programs, of a process's first, of PyTorch's compiler
MOST_FAULTS = 2  # cases of a path that may fault before the path counts as dead; one hang is enough
# What PyTorch there is, without the many seconds of importing it.
TORCH = """from importlib.metadata import distributions
names = {d.name.lower(): d.version for d in distributions()}
print(names["torch"], "torchvision", names["torchvision"], *(f"{n} {v}" for n, v in names.items() if n.startswith("nvidia-cudnn")))"""
MOST_LOG = 1 << 18  # bytes that the archive keeps of the beginning of a log, and of its end


def interval(values, resamples=1000):
    """The 95 % interval of the median, by resampling rounds."""
    draw = random.Random(1)
    medians = sorted(statistics.median(draw.choices(values, k=len(values))) for _ in range(resamples))
    return medians[int(0.025 * resamples)], medians[int(0.975 * resamples)]


def geomean(values):
    return statistics.geometric_mean(values) if values else float("nan")


def is_torch(command):
    return "torch_worker" in " ".join(map(str, command))


def path_of(command, line):
    """The path of a line: program, device and kernel family. Lines of one path hang or fault for the same reason."""
    words, command = line.split(), list(map(str, command))
    family = words[:2] if words[0] in ("conv", "network", "op", "small") else words[:1]
    if words[0] == "snnl":  # one kernel may be broken and another not
        family += [word for word in words if word.startswith("kernel=")]
    programs = [pathlib.Path(word).stem for word in command if "/" in word]  # the last one; an interpreter stands before it
    return " ".join([*programs[-1:], *(word for word in command if "/" not in word), *family])


class Bench:
    def __init__(self, options, sizes):
        self.o, self.s = options, sizes
        self.start_clock()
        self.work = pathlib.Path(tempfile.mkdtemp(prefix="fairprune-gpu-"))
        self.o.out.mkdir(parents=True, exist_ok=True)
        self.children = Children(self.work / "logs", sizes.get("patience", 1.0))
        # PyTorch must not load our libraries: `own` is for our programs alone.
        self.environment = {"TORCHINDUCTOR_COMPILE_THREADS": "4", "TORCHINDUCTOR_CACHE_DIR": str(self.work / "caches/inductor"),
                            "TRITON_CACHE_DIR": str(self.work / "caches/triton"), **os.environ}
        self.own = {**os.environ, "OMP_WAIT_POLICY": "passive"}
        self.references = None  # the folder of reference values (references.py)
        self.lock = threading.RLock()
        self.document = {"dry_run": options.dry_run, "mode": "check" if options.check else "run", "device": {}, "checks": {}, "machine": [], "probes": [],
                         "rows": [], "verdicts": {}, "goals": [], "left_out": [], "failed": [], "dead": {}, "tests": {}, "profiles": {}, "parts": {}}
        self.rows, self.goals = self.document["rows"], self.document["goals"]
        self.verdicts = self.document["verdicts"]  # by precision and line: whether the whole-tensor check passed
        self.errors = {}  # by the same: root mean square of the distance from double
        self.faults = {}  # by path: the lines at which a process ended
        self.lines = open(options.out / "rows.jsonl", "w")
        self.torch_here = None
        self.ended = False

    # ---- time

    def start_clock(self):
        self.begin = time.monotonic()

    def seconds_left(self):
        return self.o.seconds - (time.monotonic() - self.begin)

    # ---- what is written

    def say(self, *words):
        with self.lock:
            print(f"[{time.monotonic() - self.begin:5.1f}]", *words, flush=True)

    def write(self, kind, **fields):
        with self.lock:
            if not self.lines.closed:
                self.lines.write(json.dumps({"kind": kind, "at": round(time.monotonic() - self.begin, 2), **fields}) + "\n")
                self.lines.flush()

    def leave_out(self, what):
        with self.lock:
            self.document["left_out"].append(what)
        self.write("left out", what=what)

    def fail(self, what, why, ours=True):
        """ours: False for a fault of a peer or of a vendor's tool, which does not make the run fail."""
        if self.children.closed:  # by the end of the run itself
            return
        with self.lock:
            self.document["failed"].append({"what": what, "why": why, "ours": ours})
        self.write("failed", what=what, why=why, ours=ours)
        self.say("  FAILED", what, "|", why.replace("\n", " | ")[:300])

    def check(self, name, passed):
        """passed: True, False, or None where it was not done."""
        with self.lock:
            self.document["checks"][name] = passed
        self.write("check", name=name, passed=passed)

    def save(self):
        with self.lock:
            for name, text in (("report.json", json.dumps(self.document, indent=1)), ("report.md", tables.markdown(self.document))):
                fresh = self.o.out / (name + ".new")
                fresh.write_text(text + "\n")
                fresh.replace(self.o.out / name)

    def archive(self):
        """Packs all logs into one file, long ones without their middle, and PyTorch's compiler caches into another."""
        for log in self.children.logs.glob("*"):
            if log.is_file() and log.stat().st_size > 2 * MOST_LOG:
                with open(log, "rb") as file:
                    head = file.read(MOST_LOG)
                    file.seek(-MOST_LOG, os.SEEK_END)
                    kept = head + b"\n.. left out ..\n" + file.read()
                log.write_bytes(kept)
        self.pack("evidence.tar.gz", "logs", "evidence")
        if self.o.check and self.seconds_left() > 4 and (self.work / "caches").exists():
            self.pack("caches.tar.gz", "caches", compresslevel=3)

    def pack(self, name, *folders, **options):
        """Written under another name and renamed, so that nobody reads half an archive."""
        fresh = self.o.out / (name + ".new")
        with tarfile.open(fresh, "w:gz", **options) as packed:
            for folder in folders:
                if (self.work / folder).exists():
                    packed.add(self.work / folder, folder)
        fresh.replace(self.o.out / name)

    def end(self):
        """Ends all children, saves and packs. Only the first call does."""
        with self.lock:
            if self.ended:
                return
            self.ended = True
        self.children.end_all()
        self.save()
        try:
            self.archive()
        finally:
            with self.lock:
                self.lines.close()
            shutil.rmtree(self.work, ignore_errors=True)

    def evidence(self, name):
        folder = self.work / "evidence"
        folder.mkdir(exist_ok=True)
        return folder / name

    # ---- children

    def program(self, name):
        return str(self.o.build / "bin" / name)

    def ours(self, precision, device=None):
        """The command of our worker: on the device that is measured, or another."""
        worker = self.s["worker"] if "worker" in self.s else [self.program("bench_worker")]
        return [*worker, device or self.s["device"], precision]

    def snnl_kernels(self):
        """Those that the device has: wgmma is of compute capability 9.0 alone, which the emulated machine plays."""
        hopper = self.o.dry_run or self.document["device"].get("capability") == "9.0"
        return [kernel for kernel in self.s["snnl_kernels"] if kernel != "wgmma" or hopper]

    def beside_peer(self, precision, line, peers_line=None):
        """Two sides that take turns: the device, and the vendor's library on it."""
        return {"fairprune": (self.ours(precision), line), self.s["peer"]: (self.ours(precision, self.s["peer"]), peers_line or line)}

    def torch(self, precision, *words):
        return [self.o.python, str(ROOT / "bench/worker/torch_worker.py"), self.s["torch"], precision, *words]

    def environment_of(self, command):
        return self.environment if is_torch(command) else self.own

    def worker(self, name, command):
        return Worker(self.children, name, command, self.environment_of(command))

    def run(self, name, command, seconds, **options):
        """(exit code or None, why it failed, the file of its output)"""
        return self.children.run(name, command, min(seconds, self.seconds_left()), options.pop("environment", self.own), **options)

    def has_torch(self):
        if self.torch_here is None:
            code, why, out = self.run("torch", [self.o.python, "-c", TORCH], FIRST_ANSWER, environment=self.environment)
            self.torch_here = code == 0
            if self.torch_here:
                self.document["device"]["torch"] = out.read_text().strip()
            elif self.s.get("stand_in"):
                self.torch_here = True
                self.document["device"]["torch"] = "a stand-in"
                self.torch = lambda precision, *words: [*self.s["stand_in"], "torch_worker", precision, *words]
            else:
                self.leave_out(f"PyTorch: {self.o.python} has none")
        return self.torch_here

    # ---- paths that hang or fault are not tried again and again

    def dead(self, command, line):
        """Why this path is no longer tried, or None."""
        return self.document["dead"].get(path_of(command, line))

    def is_ours(self, command):
        return self.s["peer"] not in command and not is_torch(command)

    def blame(self, command, line, worker, ours=True):
        """Records that the worker ended at this line. ours: False where a peer may be at fault."""
        path = path_of(command, line)
        self.fail(f"{path}: {line}", worker.fault or "no answer", ours and self.is_ours(command))
        if self.children.closed:
            return
        with self.lock:
            self.faults.setdefault(path, set()).add(line)
            if worker.hung or len(self.faults[path]) >= MOST_FAULTS:
                self.document["dead"].setdefault(path, worker.fault)

    def side_by_side(self, jobs, workers):
        """Runs functions in order, in so many threads. One that fails is recorded and does not stop the others. The end of the
        run does not wait for a thread: its child may be stuck in the driver, where no signal reaches it."""
        left = queue.SimpleQueue()
        for job in jobs:
            left.put(job)

        def work():
            while not self.children.closed:
                try:
                    job = left.get_nowait()
                except queue.Empty:
                    return
                try:
                    job()
                except Exception as error:
                    self.fail(getattr(job, "__name__", "a job"), f"{type(error).__name__}: {error}\n{traceback.format_exc()[-600:]}")

        threads = [threading.Thread(target=work, daemon=True) for _ in range(min(workers, len(jobs)))]
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        except BaseException:
            self.children.end_all()
            raise

    # ---- what a timed case becomes

    def row(self, goal, case, line, found, count=1.0, unit="s", peers=None, verdict=None, **more):
        """Adds a row. Returns the ratio over the fastest peer, or None where the row does not count. verdict: whether the check
        of the same line has passed; peers: the names of the peers, by default all sides but ours."""
        figures = {name: statistics.median(f["seconds"]) for name, f in found.items() if f["seconds"]}
        row = {"goal": goal, "case": case, "command": line, "seconds": figures, "rounds": {n: f["seconds"] for n, f in found.items()},
               "ready_after": {n: f["ready_after"] for n, f in found.items()}, "timed": {n: f["timed"] for n, f in found.items() if "timed" in f},
               "count": count, "unit": unit, "counts": bool(verdict), **more}
        if "fairprune" in figures:
            row.update(zip(("flops", "floor", "expected"), found["fairprune"]["ready"]))
            if "memory" in found["fairprune"]:
                row.update(zip(("input_bytes", "scratch_bytes"), found["fairprune"]["memory"]))
            rivals = {n: v for n, v in figures.items() if n != "fairprune" and (peers is None or n in peers)}
            if rivals:
                best = min(rivals, key=rivals.get)
                ratios = [b / a for a, b in zip(found["fairprune"]["seconds"], found[best]["seconds"])]
                low, high = interval(ratios)
                orders = [statistics.median(ratios[first::2] or ratios) for first in (0, 1)]  # who came first
                row.update(best_peer=best, ratio=statistics.median(ratios), low=low, high=high, orders=orders,
                           clear=min(low, *orders) > 1 or max(high, *orders) < 1)
        with self.lock:
            self.rows.append(row)
        self.write("timed", **row)
        self.say(f"  {goal:<4}{case:<46}" + "  ".join(f"{n} {1e6 * v:.1f} us" for n, v in figures.items()) +
                 (f"  {row['ratio']:.2f}x" if "ratio" in row else "") + ("" if verdict else "  (does not count)"))
        return row.get("ratio") if row["counts"] else None

    def goal(self, name, what, value, floor, moonshot, why=None):
        """value: None where a figure behind it is missing or wrong, which `why` names; the goal is then missed."""
        goal = {"goal": name, "what": what, "value": value, "floor": floor, "moonshot": moonshot, "met": value is not None and value >= floor}
        if why:
            goal["why"] = why
        with self.lock:
            self.goals.append(goal)
        self.write("goal", **goal)

    def goal_over(self, name, what, ratios, floor, moonshot, least=False):
        """ratios: one per case, None where it is missing or wrong."""
        bad = [case for case, ratio in ratios.items() if ratio is None]
        there = [ratio for ratio in ratios.values() if ratio is not None]
        value = None if bad or not there else min(there) if least else geomean(there)
        rest = f"; of the other {len(there)}: {(min(there) if least else geomean(there)):.2f}" if bad and there else ""
        self.goal(name, what, value, floor, moonshot, f"missing or wrong: {', '.join(bad[:6])}{' ..' if len(bad) > 6 else ''}{rest}" if bad else None)


def median(found, name="fairprune"):
    return statistics.median(found[name]["seconds"])


def dashed(name):
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
