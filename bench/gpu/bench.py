"""One run: its options, its time, its engines, and what it found, as the JSON document keeps it."""
import json
import pathlib
import random
import statistics
import subprocess
import time

import tables
from engines import Engines

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent


def interval(values, resamples=1000):
    """95 % of the median, by resampling rounds."""
    draw = random.Random(1)
    medians = sorted(statistics.median(draw.choices(values, k=len(values))) for _ in range(resamples))
    return medians[int(0.025 * resamples)], medians[int(0.975 * resamples)]


def geomean(values):
    return statistics.geometric_mean(values) if values else float("nan")


class Bench:
    def __init__(self, options, sizes, environment):
        self.o, self.s, self.environment = options, sizes, environment
        self.begin = time.monotonic()
        self.engines = Engines(environment)
        self.rows, self.left_out, self.goals = [], [], []
        self.document = {"dry_run": options.dry_run, "device": {}, "checks": {}, "machine": [], "probes": [], "rows": self.rows,
                         "goals": self.goals, "left_out": self.left_out, "parts": {}}
        self.torch_here = None

    def seconds_left(self):
        return 60 * self.o.minutes - (time.monotonic() - self.begin)

    def spare(self, seconds):
        """So many at most, of which enough are left to what is timed."""
        left = self.seconds_left()
        return min(seconds, max(left - 240, left / 3))

    def program(self, name):
        return str(self.o.build / "bin" / name)

    def ours(self, device, precision):
        return [self.program("gpu_worker"), device, precision]

    def torch(self, precision, *words):
        return [self.o.python, str(HERE / "torch_worker.py"), self.s["torch"], precision, *words, *(["patient"] if self.o.patient else [])]

    def has_torch(self):
        if self.torch_here is None:
            asked = subprocess.run([self.o.python, "-c", "import torch, torchvision; print(torch.__version__, torch.backends.cudnn.version())"],
                                   capture_output=True, text=True)
            self.torch_here = asked.returncode == 0
            if self.torch_here:
                self.document["device"]["torch"] = asked.stdout.strip()
            else:
                self.left_out.append(f"PyTorch: {self.o.python} has none")
        return self.torch_here

    def in_turns(self, sides, rounds):
        """What Engines.in_turns finds, or None where the time is up or nobody could."""
        if self.seconds_left() < 0:
            self.left_out.append(next(iter(sides.values()))[1])
            return None
        found, failed = self.engines.in_turns(sides, rounds, self.s["seconds"], self.seconds_left)
        self.left_out += failed
        return found or None

    def row(self, goal, case, line, found, count=1.0, unit="s", peers=None, **more):
        """Adds a row and answers the ratio over the fastest peer where the result is as close as the peer's, else None.
        peers: the names that count as such; all others but ours where it is not given."""
        figures = {name: statistics.median(f["seconds"]) for name, f in found.items() if f["seconds"]}
        row = {"goal": goal, "case": case, "command": line, "seconds": figures, "rounds": {n: f["seconds"] for n, f in found.items()},
               "ready_after": {n: f["ready_after"] for n, f in found.items()},
               "count": count, "unit": unit, **more}
        errors = {name: f["error"][0] for name, f in found.items() if "error" in f}
        if errors:
            row["error"] = errors
        if "fairprune" in figures:
            row.update(zip(("flops", "floor", "expected"), found["fairprune"]["ready"]))
            if "memory" in found["fairprune"]:
                row.update(zip(("input_bytes", "scratch_bytes"), found["fairprune"]["memory"]))
            rivals = {n: v for n, v in figures.items() if n != "fairprune" and (peers is None or n in peers)}
            if rivals:
                best = min(rivals, key=rivals.get)
                ratios = [b / a for a, b in zip(found["fairprune"]["seconds"], found[best]["seconds"])]
                low, high = interval(ratios)
                counts = best not in errors or errors["fairprune"] <= 1.25 * errors[best] + 1e-7
                orders = [statistics.median(ratios[first::2] or ratios) for first in (0, 1)]  # who came first
                row.update(best_peer=best, ratio=statistics.median(ratios), low=low, high=high, counts=counts, orders=orders,
                           clear=min(low, *orders) > 1 or max(high, *orders) < 1)
        self.rows.append(row)
        print(f"  {goal:<4}{case:<46}" + "  ".join(f"{n} {1e6 * v:.1f} us" for n, v in figures.items()) +
              (f"  {row['ratio']:.2f}x" if "ratio" in row else ""), flush=True)
        return row.get("ratio") if row.get("counts", True) else None

    def goal(self, name, what, value, floor, moonshot):
        self.goals.append({"goal": name, "what": what, "value": value, "floor": floor, "moonshot": moonshot})

    def save(self):
        self.o.json.parent.mkdir(parents=True, exist_ok=True)
        self.o.json.write_text(json.dumps(self.document, indent=1) + "\n")
        self.o.json.with_suffix(".md").write_text(tables.markdown(self.document) + "\n")


def median(found, name="fairprune"):
    return statistics.median(found[name]["seconds"])
