"""The vendor's tools: compute-sanitizer on a small shape of each kernel template, and ncu on one pass of a network."""
import csv
import io
import pathlib
import shutil

METRICS = "gpu__time_duration.sum,dram__bytes_read.sum,dram__bytes_write.sum,lts__t_bytes.sum,sm__inst_executed.sum,sm__inst_executed_pipe_tensor.sum,launch__registers_per_thread,launch__grid_size"
SECTIONS = [word for name in ("SpeedOfLight", "WarpStateStats", "SchedulerStats", "MemoryWorkloadAnalysis", "Occupancy", "LaunchStats") for word in ("--section", name)]
BINDING = ("memcheck", "initcheck")  # racecheck and synccheck only inform: they do not know all asynchronous copies
SKIPPED = ("fill_", "philox", "memset")


def tool(bench, name):
    if bench.s.get("stand_in"):
        return [*bench.s["stand_in"], name]
    found = shutil.which(name) or next((p for p in (f"/usr/local/cuda/bin/{name}", f"/opt/nvidia/nsight-compute/{name}") if pathlib.Path(p).exists()), None)
    if not found:
        bench.leave_out(f"{name} is not installed")
    return [found] if found else None


def sanitizer_jobs(bench, program):
    """One process per tool and group of lines, each with a log."""
    def job(name, number, lines):
        def under_the_sanitizer():
            log = bench.children.log(f"{name} {number}", "log")
            text = "".join(f"once {line}\n" for line in lines)
            command = [*program, "--tool", name, "--error-exitcode", "9", "--print-limit", "20", "--log-file", log, *bench.ours(bench.s["precisions"][0])]
            code, why, _ = bench.run(f"{name} {number}", command, 60, text=text)
            passed = None if code is None else code == 0
            bench.write("sanitizer", tool=name, lines=lines, code=code, why=why, log=log.name)
            with bench.lock:
                told = bench.document["profiles"].setdefault("sanitizer", {}).setdefault(name, {"passed": 0, "failed": 0, "not done": 0})
                told["not done" if passed is None else "passed" if passed else "failed"] += 1
            if passed is False and name in BINDING:
                bench.fail(f"{name} {lines}", why)
            elif not passed:
                bench.leave_out(f"{name}, group {number}: {why[:120]}")
        return under_the_sanitizer

    groups = bench.s["sanitized"]
    return [job(name, i, group) for name in (*BINDING, "racecheck", "synccheck") for i, group in enumerate(groups)]


def settle_sanitizer(bench):
    for name, told in bench.document["profiles"].get("sanitizer", {}).items():
        if name in BINDING:
            bench.check(name, False if told["failed"] else None if told["not done"] else True)


def kernels_of(text):
    """[(kernel, {metric: value})] in the order of launches, from ncu's CSV."""
    begin = text.find('"ID"')
    if begin < 0:
        return []
    kernels = {}
    for row in csv.DictReader(io.StringIO(text[begin:])):
        if (row.get("ID") or "").isdigit():
            kernels.setdefault(int(row["ID"]), (row["Kernel Name"], {}))[1][row["Metric Name"]] = row["Metric Value"], row.get("Metric Unit", "")
    return [kernels[i] for i in sorted(kernels)]


def microseconds(metrics):
    value, unit = metrics.get("gpu__time_duration.sum", ("0", "us"))
    return float(value.replace(",", "")) * {"ns": 1e-3, "nsecond": 1e-3, "us": 1, "usecond": 1, "ms": 1e3, "msecond": 1e3}.get(unit, 1)


def one_pass(bench, ncu, name, line, seconds, most=1500):
    """Each kernel of the first pass of a network, which has no graph yet, into evidence/NAME.csv and a table."""
    command = [*ncu, "--clock-control", "none", "--csv", "--metrics", METRICS, "--launch-count", str(most), *bench.ours(bench.s["precisions"][0])]
    code, why, out = bench.run(f"ncu {name}", command, seconds, text=f"once {line}\n", stdout=bench.evidence(f"{name}.csv"))
    kernels = kernels_of(out.read_text(errors="replace"))
    if code != 0 or not kernels:
        bench.fail(f"ncu {name}", why or "no kernels were profiled", ours=False)  # profiling may be forbidden here
        return []
    times = [(kernel.split("(")[0][-90:], microseconds(metrics)) for kernel, metrics in kernels]
    total = sum(t for _, t in times)
    by_name = {}
    for kernel, t in times:
        count, sum_ = by_name.get(kernel, (0, 0.0))
        by_name[kernel] = count + 1, sum_ + t
    table = sorted(by_name.items(), key=lambda item: -item[1][1])
    bench.document["profiles"][name] = {"line": line, "kernels": len(times), "microseconds": total, "dearest": [[k, c, t] for k, (c, t) in table[:30]]}
    bench.write("profile", name=name, line=line, kernels=times)
    bench.say(f"  {name}: {len(times)} kernels, {total:.0f} us")
    return times


def dearest(bench, ncu, name, line, times, keep, how_many=12):
    """Speed of light and stall reasons of the kernels that take longest, one launch per name."""
    seen, order = set(), sorted(range(len(times)), key=lambda i: -times[i][1])
    for i in order:
        kernel, t = times[i]
        if kernel in seen or len(seen) >= how_many:
            continue
        seen.add(kernel)
        if bench.seconds_left() < keep + 14:
            bench.leave_out(f"stalls of {kernel}, {t:.0f} us")
            continue
        command = [*ncu, "--clock-control", "none", *SECTIONS, "--launch-skip", str(i), "--launch-count", "1", *bench.ours(bench.s["precisions"][0])]
        code, why, _ = bench.run(f"stalls {kernel}", command, 14, text=f"once {line}\n", stdout=bench.evidence(f"stalls-{name}-{len(seen):02}.txt"))
        bench.write("stalls", kernel=kernel, launch=i, microseconds=t, code=code, why=why)


def profiles(bench, networks, seconds, keep):
    """keep: seconds that must remain afterwards."""
    if not (ncu := tool(bench, "ncu")):
        return
    first = None
    for name, line in networks:
        if bench.seconds_left() < keep + 15:
            bench.leave_out(f"ncu: {name}")
            continue
        times = one_pass(bench, ncu, name, line, seconds)
        first = first or (name, line, times)
    if first:
        dearest(bench, ncu, *first, keep)
