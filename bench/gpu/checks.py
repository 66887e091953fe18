"""The checks of both calls: all side by side, while PyTorch compiles in the background."""
import json

import gtests
import profiles
import references
import whole
from bench import ROOT

LONG = 90  # seconds of a training while everything else runs too
APART = 1.0  # times the distance between two seeds on the host, on average over epochs


def curve_jobs(bench):
    """Trains on the device as on the host, from the same weights over the same batches. On average over epochs the losses may be
    no further apart than those of two seeds on the host."""
    file = bench.references / references.CURVES
    if not file.exists():
        bench.leave_out("loss curves: there are no references")
        return []
    told = json.loads(file.read_text())
    host, other = told["losses"]["1"], told["losses"]["2"]
    apart = lambda a, b: sum(abs(x - y) for x, y in zip(a, b, strict=True)) / len(a)

    def job(precision):
        def loss_curve():
            run = bench.work / f"curve-{precision}"
            s = {"curve": told["curve"]}
            code, why, _ = bench.run(f"curve {precision}", references.command_of_curve(bench.program("fp_train"), s, bench.s["device"], precision, 1, run), LONG)
            curve = references.losses_of(run) if code == 0 else None
            passed = None if code is None else bool(curve) and apart(curve, host) <= APART * apart(other, host)
            bench.document.setdefault("loss_curves", {})[precision] = {"device": curve, "host": host, "host, other seed": other}
            bench.write("loss curve", precision=precision, device=curve, host=host, other=other, why=why)
            bench.check(f"loss curve, {precision}", passed)
            if passed is False:
                bench.fail(f"loss curve, {precision}", why or f"{apart(curve, host):.2e} from the host's, another seed {apart(other, host):.2e}")
        return loss_curve

    return [job(p) for p in bench.s["curve_precisions"]]


def end_to_end_jobs(bench):
    def job(precision):
        def end_to_end():
            code, why, out = bench.run(f"end to end {precision}", [ROOT / "tests/end_to_end/device", bench.o.build / "bin", bench.s["device"], precision], LONG)
            bench.check(f"end to end, {precision}", None if code is None else code == 0)
            if code != 0:
                bench.fail(f"end to end, {precision}", why)
        return end_to_end

    return [job(p) for p in bench.s["end_to_end"]]


def correctness(bench, everything):
    """everything: all checks, for --check; otherwise those that the timed rows rest on."""
    s = bench.s
    checker, tests = whole.checker(bench, everything), {}
    jobs = checker.jobs(s["checkers"])  # the longest first
    if everything:
        for name, filter in s["tests"].items():
            tests[name] = {}
            jobs += gtests.jobs(bench, bench.program(name), filter, s["shards"], tests[name])
    jobs += whole.gradients(bench)
    if everything:
        jobs += end_to_end_jobs(bench) + curve_jobs(bench)
    if everything and (sanitizer := profiles.tool(bench, "compute-sanitizer")):
        jobs += profiles.sanitizer_jobs(bench, sanitizer)
    else:
        sanitizer = None
    bench.side_by_side(jobs, s["processes"])
    whole.judge(bench, checker)
    if everything:
        profiles.settle_sanitizer(bench)
        for name, results in tests.items():
            gtests.settle(bench, name, bench.program(name), results, sanitizer[0] if sanitizer and not s.get("stand_in") else None)
