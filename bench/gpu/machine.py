"""What the models of kernels rest on: the probes of the machine layer, the ceilings of the device, and the rates of its
parts beside those that the models assume."""
import re
import statistics
import subprocess

from bench import ANSWER, FIRST_ANSWER, median


def probes(bench):
    """Records every probe and compares it with the emulated machine. Where a probe hangs or ends its process (after a fault of
    a kernel a process can no longer use the GPU), this is recorded, and the next ones run in a new process."""
    program, path = bench.program("gpu_probe"), bench.o.recording
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    results = bench.document["probes"]

    def tell(name, said):
        held = said.startswith(("the same", "recorded, open"))
        results.append({"probe": name, "said": said, "held": held})
        bench.write("probe", probe=name, said=said, held=held)
        if not held:
            bench.say(f"  {name}: {said}")

    code, why, out = bench.run("probes, list", [program, "list"], FIRST_ANSWER)
    if code != 0:
        bench.fail("probes", why)
        return bench.check("probes", False)
    rest = out.read_text().split()
    while rest:
        if bench.seconds_left() < bench.o.reserve:
            bench.leave_out(f"{len(rest)} probes")
            break
        before = len(rest)
        code, why, out = bench.run("probes", [program, "record", path, bench.s["device"], *rest], 40)
        for line in out.read_text(errors="replace").splitlines():
            name, _, said = line.partition(": ")
            if name not in rest:
                continue
            rest.remove(name)
            tell(name, said or f"FAILED, {why}")  # it began, and its process ended
            if re.search(r"FAILED.* at .*\.c", said):  # a fault of the device: that process can do nothing more
                break
        if len(rest) == before:
            tell(rest.pop(0), f"FAILED, {why}")
    bench.check("probes", bool(results) and all(r["held"] for r in results) and not rest)
    bench.document["device"]["recording"] = path.name
    bench.say(f"  {sum(r['held'] for r in results)} of {len(results)} probes agree")


class Clocks:
    """The clock and the power draw of the device while something runs, by nvidia-smi."""

    def __init__(self, bench):
        self.children, self.samples = bench.children, []

    def __enter__(self):
        self.out = self.children.log("clocks", "out")
        try:
            with open(self.out, "wb") as file:
                self.process = self.children.start("clocks", ["nvidia-smi", "--query-gpu=clocks.sm,power.draw", "--format=csv,noheader,nounits", "-lms", "100"],
                                                   None, stdin=subprocess.DEVNULL, stdout=file)
        except OSError:
            self.process = None
        return self

    def __exit__(self, *_):
        if self.process:
            self.children.end(self.process)
        for line in self.out.read_text(errors="replace").splitlines():
            try:
                clock, watts = map(float, line.split(","))
            except ValueError:  # "[N/A]", or a line cut off at the end
                continue
            self.samples.append([clock, watts])

    def medians(self):
        return [statistics.median(column) for column in zip(*self.samples)] if self.samples else None


def ceilings(bench):
    s, device = bench.s, bench.document["device"]
    for precision in s["precisions"]:
        for inputs in ("", " zeros") if precision == s["precisions"][0] else ("",):
            line = f"product {s['product']}{inputs}"
            sides = bench.beside_peer(precision, line)
            with Clocks(bench) as clocks:
                found = bench.engines.in_turns(sides, 5)
            if not found:
                continue
            bench.row("-", f"{line.replace(' ', 's of ', 1)} {precision}", line, found, verdict=True)
            if clocks.medians() and not inputs:
                device[f"clock and watts, {precision} products"] = clocks.medians()
            if not inputs and "fairprune" in found:  # the ceiling: the fastest that any engine reached
                add(bench, "product", precision, found, min(median(found, n) for n in found))
    if found := bench.engines.in_turns({"fairprune": (bench.ours("fp32"), f"copy {s['copy']}")}, 5):
        bench.row("-", "copy, read and write", f"copy {s['copy']}", found, verdict=True)
        add(bench, "copy", s["copy"] >> 20, found, median(found))


RATES = {"copy": ("copy of {variant} MiB, read and write", "TB/s", 1e12),
         "product": ("matrix products, {variant}, the fastest engine", "TFLOP/s", 1e12),
         "l2": ("L2 to shared memory, {variant} KiB read again and again", "TB/s", 1e12),
         "wgmma": ("bf16 wgmma from shared memory, 64 x {variant} a warpgroup, two a block", "TFLOP/s", 1e12),
         "ex2": ("exponentials, {variant} multiply-adds beside each", "10^12/s", 1e12),
         "start": ("from kernel to kernel in a graph of {variant}", "us", 1e-6)}


def add(bench, rate, variant, found, seconds):
    """Adds a row to the table "machine": {what, unit, measured, assumed}, in units per second; for `start` in seconds per kernel."""
    units, _, expected = found["fairprune"]["ready"]
    words, unit, scale = RATES[rate]
    measured, assumed = seconds / units, expected / units
    if rate != "start":
        measured, assumed = 1 / measured, 1 / assumed
    row = {"rate": rate, "variant": variant, "what": words.format(variant=variant), "unit": unit, "measured": measured / scale, "assumed": assumed / scale}
    bench.document["machine"].append(row)
    bench.write("machine", **row)
    bench.say(f"  {row['what']}: {row['measured']:.3g} {unit}, assumed {row['assumed']:.3g}")


def rates(bench):
    s = bench.s
    for what, variant, blocks, steps in s["rates"]:
        line = f"rate {what} {variant} {blocks} {steps}"
        found = bench.engines.in_turns({"fairprune": (bench.ours("bf16"), line)}, 5)
        if found:
            add(bench, what, variant, found, median(found))


def per_second(bench, rate, variant=None):
    """The best measured rate of a kind, or None."""
    values = [r["measured"] * RATES[rate][2] for r in bench.document["machine"] if r["rate"] == rate and variant in (None, r["variant"])]
    return max(values, default=None)


class Expected:
    """Floors and expected times by the models of the kernels, which describe an H200, scaled to this card by its measured rates
    of copies and products."""

    def __init__(self, bench):
        self.bench, self.workers = bench, {}
        copies = next((r for r in bench.document["machine"] if r["rate"] == "copy"), None)
        self.memory = copies["assumed"] / copies["measured"] if copies else 1.0

    def of(self, line, precision):
        """(floor, expected) in seconds; zeros where the models do not know the line."""
        worker = self.workers.get(precision)
        if worker is None or worker.fault:
            worker = self.workers[precision] = self.bench.worker("model", self.bench.ours(precision, "model"))
        answer = worker.ask(line, ANSWER)
        if answer is None:
            return 0.0, 0.0
        flops, size, floor, expected = map(float, answer.split()[:4])
        limiter = answer.split()[4]
        product = next((r for r in self.bench.document["machine"] if r["rate"] == "product" and r["variant"] == precision), None)
        rate, copy = per_second(self.bench, "product", precision), per_second(self.bench, "copy")
        if rate and copy:
            floor = max(flops / rate, size / copy)
        matrix = product["assumed"] / product["measured"] if product else 1.0
        return floor, expected * (self.memory if limiter == "memory" else matrix if limiter == "matrix" else 1.0)

    def close(self):
        for worker in self.workers.values():
            worker.close()
