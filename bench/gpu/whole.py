"""Whether outputs are right: whole tensors against another engine's, samples against double, intact guards, no unwritten
elements, the same bits each time. One verdict per precision and line; a timing counts only where it is positive."""
import json
import queue
import threading

from bench import ANSWER, FIRST_ANSWER
from sizes import resnet18_widths

# Relative root mean square that the rounding of outputs and of sums of a few thousand products can lose, beside another
# engine and beside double. tf32 keeps 10 bits of each operand.
LIMITS = {"bf16": {"beside": 6e-3, "double": 6e-3}, "tf32": {"beside": 3e-3, "double": 1e-3}, "fp32": {"beside": 3e-4, "double": 1e-4}}
MOMENTS = 1e-3  # of the mean in standard deviations, of the variance relative
DBIAS = 1e-3  # of a sum over all pixels in float32, relative to the root mean square of such a sum
# A training step's gradients, relative root mean square of the difference: in float32 beside the host's, in bf16 beside
# the emulated machine's, which rounds alike. Deep layers amplify the rounding of activations (tf32 beside float32: 0.1;
# bf16 beside float32 would be 0.3, and tell nothing), and a ReLU at zero may fall either way.
GRADIENTS = {"fp32": 1e-3, "tf32": 0.25, "bf16": 5e-2}
LONG_ANSWER = 30  # of a check that copies gigabytes to the host


def key_of(precision, line):
    return f"{precision} {line}"


def faults_in(answer, precision, peer):
    """What is wrong with an answer of `check`, in words; empty where nothing is. peer: whether a comparison was asked for."""
    limits, out = LIMITS[precision], []
    if not answer["same_bits"]:
        out.append("other bits from run to run")
    if not answer["guards"]:
        out.append("wrote outside its output")
    if answer["unwritten"]:
        out.append(f"{answer['unwritten']} elements unwritten or NaN")
    if (double := answer.get("double")) and not double["rms"] <= limits["double"]:
        out.append(f"{double['rms']:.1e} from double")
    if double and double.get("moments", 0) > MOMENTS:
        out.append(f"moments off by {double['moments']:.1e}")
    if double and not double.get("dbias", 0) <= DBIAS:
        out.append(f"dbias off by {double['dbias']:.1e}")
    if peer and not answer.get("beside") and (answer.get("device") or not double):  # without a device: ours alone
        out.append("nothing was compared with a peer")
    for beside in answer.get("beside") or []:
        if beside["wrong"] or not beside["rms"] <= limits["beside"]:
            first = f", first (n, h, w, c, got, want) {beside['first'][0]}" if beside.get("first") else ""
            out.append(f"{beside['output']} beside {answer['device']}: rms {beside['rms']:.1e}, {beside['wrong']} of {beside['elements']} wrong{first}")
    return out


class Checker:
    """Workers that take cases from one queue, one thread per worker."""

    def __init__(self, bench):
        self.bench, self.cases = bench, queue.Queue()
        self.memory, self.free = threading.Condition(), bench.s["check_bytes"]
        self.added = []  # (precision, line) of all

    def add(self, precision, line, peer=None):
        self.added.append((precision, line))
        self.cases.put((precision, line, peer))

    def jobs(self, threads):
        return [self.work for _ in range(min(threads, self.cases.qsize()))]

    def work(self):
        workers = {}
        try:
            while True:
                precision, line, peer = self.cases.get_nowait()
                if self.bench.children.closed:
                    return
                if self.bench.seconds_left() < self.bench.o.reserve:
                    self.bench.leave_out(f"check: {precision} {line}")
                    continue
                wanted = min(bytes_of(line), self.bench.s["check_bytes"])
                with self.memory:
                    self.memory.wait_for(lambda: self.free >= wanted)
                    self.free -= wanted
                try:
                    self.case(workers, precision, line, peer)
                except Exception as error:  # the other cases still get their verdict
                    self.bench.fail(f"check: {precision} {line}", f"{type(error).__name__}: {error}")
                finally:
                    with self.memory:
                        self.free += wanted
                        self.memory.notify_all()
        except queue.Empty:
            pass
        finally:
            for worker in workers.values():
                worker.close()

    def ask(self, workers, precision, line, question):
        """The answer to a question about a line, or None, with the reason recorded."""
        bench, command = self.bench, self.bench.ours(precision)
        if why := bench.dead(command, line):
            return bench.leave_out(f"check: {precision} {line}: this path is dead: {why[:120]}")
        worker = workers.get(precision)
        if worker is None or worker.fault is not None:
            worker = workers[precision] = bench.worker(f"check {precision}", command)
        ready = worker.begin(line, FIRST_ANSWER if worker.fresh else ANSWER)
        answer = worker.ask(question, LONG_ANSWER) if ready and ready.startswith("ready") else None
        if worker.fault is not None:
            bench.blame(command, line, worker, ours=not question.startswith("check "))  # a peer may be at fault; then ours is checked alone
        elif answer is None:
            bench.fail(f"{precision} {line}", f"answered: {ready}")
        return answer

    def case(self, workers, precision, line, peer):
        answer = self.ask(workers, precision, line, f"check {peer}" if peer else "check")
        worker = workers.get(precision)  # none where the path was dead already
        if answer is None and peer and worker and worker.fault is not None and not self.bench.dead(self.bench.ours(precision), line):
            # The peer may have failed: ours alone, in a new process.
            answer = self.ask(workers, precision, line, "check")
        try:
            found = json.loads(answer) if answer else None
            wrong = faults_in(found, precision, bool(peer)) if found else ["no answer"]
        except (ValueError, KeyError, TypeError) as error:
            found, wrong = None, [f"an answer that is none: {error}"]
        self.bench.write("whole", precision=precision, line=line, answer=found, wrong=wrong)
        with self.bench.lock:
            self.bench.verdicts[key_of(precision, line)] = not wrong
            self.bench.errors[key_of(precision, line)] = ((found or {}).get("double") or {}).get("rms")
        if found and wrong:
            self.bench.fail(f"check: {precision} {line}", "; ".join(wrong))


def verdict(bench, precision, line):
    """Whether the check of what a line runs has passed."""
    return bench.verdicts.get(key_of(precision, line), False)


def error_of(bench, precision, line):
    """Its root mean square from double, relative; None where it was not computed."""
    return bench.errors.get(key_of(precision, line))


def bytes_of(line):
    """About how much device memory the check of a convolution needs, for both engines together; other checks need little."""
    words = line.split()
    if words[0] != "conv":
        return 2 << 30
    n, h, c, k, _, stride = map(int, words[2:8])
    return 4 * n * (h * h * max(c, 8) + 3 * (h // stride) ** 2 * k)


def convolution_lines(bench, shapes, directions):
    for kind, h, c, k, r, stride in shapes:
        for direction in directions:
            if not (direction.startswith("backward_data") and c == 3):
                yield f"conv {direction} {bench.s['batch']} {h} {c} {k} {r} {stride}"


def tasks(bench, everything):
    """(precision, line, peer) of all cases, or only of those that are timed. Slow ones come first."""
    s = bench.s
    main = s["precisions"][0]
    directions = s["checked"] if everything else [*s["directions"], "forward_moments", "infer", "infer_residual"]
    for line in convolution_lines(bench, sorted(s["convs"], key=lambda v: -v[1] * v[1] * (v[2] + v[3])), directions):
        yield main, line, s["peer"]
    for kind, h, c, k, r, stride in s["convs"]:  # one image: kernels of their own
        yield main, f"conv infer_residual 1 {h} {c} {k} {r} {stride}", s["peer"]
    for line in convolution_lines(bench, s["convs_fp32"], s["directions"]):
        yield "fp32", line, s["peer"]
        if everything and "tf32" in s["check_precisions"]:
            yield "tf32", line, s["peer"]
    for line in s["ops"]:
        yield main, line, None
    for precision in s["check_precisions"] if everything else [main]:
        for line in s["small"]:
            yield precision, line, "reference"
    for n, c, side in s["snnl"]:
        for word in ("", *(f" kernel={kernel}" for kernel in bench.snnl_kernels())):
            yield "fp32", f"snnl {n} {c} {side}{word}", None
    yield "fp32", "snnl %d %d %d" % s["snnl_double"], None
    for channels in sorted({c - less for c in s["channels"] for less in (0, 1)}):
        yield main, f"conv infer {s['batch']} {s['side']} {channels} {channels} 3 1", s["peer"]


def checker(bench, everything):
    c = Checker(bench)
    for task in tasks(bench, everything):
        c.add(*task)
    return c


def judge(bench, checker):
    """The check of each family, from the verdicts of its cases. Where one has none, the check counts as not done."""
    families = {}
    for precision, line in dict.fromkeys(checker.added):
        words = line.split()
        family = f"{precision} {' '.join(words[:2] if words[0] in ('conv', 'op', 'small') else words[:1])}"
        families.setdefault(family, []).append(bench.verdicts.get(key_of(precision, line)))
    for family, passed in sorted(families.items()):
        bench.check(f"{family}, {len(passed)} cases", False if False in passed else None if None in passed else True)


def network_cases(bench):
    """(mode, arch, size, batch, line) of the networks that are timed."""
    s = bench.s
    for mode in ("infer", "train"):
        for arch, size, batch in s["networks"] + (s["latency"] if mode == "infer" else []):
            widths = " " + resnet18_widths(s["stages"]) if s["stem"] == "small" else ""
            yield mode, arch, size, batch, f"network {mode} {size} {batch} {arch} {s['stem']}{widths}"


def reference_name(line, precision):
    """bf16 has reference values of its own."""
    return "-".join(["gradients", *line.split()[1:5], *(["bf16"] if precision == "bf16" else [])]) + ".safetensors"


def gradient_check(precision, line):
    return f"gradients, {precision} {' '.join(line.split()[1:5])}"


def gradients(bench):
    """Jobs that compare the gradients of a training step with the reference values, in every precision."""
    def job(precision, line):
        def gradients_of_a_step():
            file = bench.references / reference_name(line, precision)
            if not file.exists():
                return bench.leave_out(f"gradients: {file.name} is not there")
            c, workers = Checker(bench), {}
            try:
                answer = c.ask(workers, precision, line, f"gradients {file}")
            finally:
                for worker in workers.values():
                    worker.close()
            found = json.loads(answer) if answer else None
            passed = bool(found) and found["rms"] <= GRADIENTS[precision]
            bench.write("gradients", precision=precision, line=line, answer=found, passed=passed)
            bench.check(gradient_check(precision, line), passed)
            if found and not passed:
                bench.fail(f"gradients, {precision} {line[:60]}", f"rms {found['rms']:.2e}, most of {found['worst_parameter']}: {found['worst']:.2e}")
        return gradients_of_a_step

    for precision, line in bench.s["gradients"]:  # not done, until it is
        bench.check(gradient_check(precision, line), None)
    return [job(p, line) for p, line in bench.s["gradients"]]


def networks_right(bench, precision):
    """Whether rows of networks count: all gradients, convolutions and ops of that precision have passed. A check that was not
    done has not passed."""
    checks = bench.document["checks"]
    gradients_of = [checks.get(gradient_check(p, line)) for p, line in bench.s["gradients"] if p == precision]
    families = [passed for name, passed in checks.items() if name.startswith((f"{precision} conv", f"{precision} op"))]
    return bool(families) and all(passed is True for passed in gradients_of + families)
