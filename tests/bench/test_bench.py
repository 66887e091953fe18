"""A run's own rules: which paths share their fate, what counts as right, and how a run ends."""
import importlib.machinery
import importlib.util
import os
import pathlib
import signal
import sys
import tempfile
import time
import types
import unittest
from unittest import mock

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "bench/gpu"))
sys.dont_write_bytecode = True

import build  # noqa: E402
import sizes  # noqa: E402
import whole  # noqa: E402
from bench import Bench, path_of  # noqa: E402
from children import Worker  # noqa: E402
from engines import Engines  # noqa: E402

LOADER = importlib.machinery.SourceFileLoader("bench_gpu_run", str(ROOT / "bench/gpu/run"))
RUN = importlib.util.module_from_spec(importlib.util.spec_from_loader(LOADER.name, LOADER))
LOADER.exec_module(RUN)

CONV, OTHER = "conv forward 1 6 8 8 3 1", "conv backward_data 1 6 8 8 3 1"


class Ended(BaseException):
    pass


class BenchTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        out = pathlib.Path(self.folder.name) / "out"
        options = types.SimpleNamespace(out=out, dry_run=False, check=True, only=None, seconds=100, reserve=1, python=sys.executable, build=out)
        with mock.patch.dict(os.environ, {"TMPDIR": self.folder.name}), mock.patch.object(tempfile, "tempdir", None):
            self.bench = Bench(options, sizes.stand_in(0.2))

    def tearDown(self):
        self.bench.end()
        self.folder.cleanup()

    def faulting(self, fault):
        self.bench.own["FAULT"] = fault

    # ---- programs

    def test_every_program_of_a_call_is_a_target_of_the_build(self):
        cmake = "".join((ROOT / name).read_text() for name in ("bench/CMakeLists.txt", "cmake/cuda.cmake"))
        for target in (*build.TARGETS, *build.DRY_TARGETS):
            kind, _, name = target.partition("_")
            found = {"test": (ROOT / "tests" / name).is_dir(), "fp": (ROOT / "tools" / f"{target}.cpp").is_file()}
            self.assertTrue(found.get(kind, f"({target} " in cmake), target)
        self.assertLessEqual(set(sizes.real()["tests"]), set(build.TARGETS))

    def test_wgmma_is_asked_of_hopper_alone(self):
        for capability, dry_run, kernels in (("9.0", False, ["tensor", "wgmma"]), ("8.0", False, ["tensor"]), ("10.0", False, ["tensor"]), ("", True, ["tensor", "wgmma"])):
            self.bench.document["device"]["capability"], self.bench.o.dry_run = capability, dry_run
            self.assertEqual(self.bench.snnl_kernels(), kernels)
            asked = [line for _, line, _ in whole.tasks(self.bench, True) if "kernel=wgmma" in line]
            self.assertEqual(bool(asked), "wgmma" in kernels)
        self.bench.o.dry_run = False

    # ---- paths

    def test_our_worker_and_pytorchs_do_not_share_a_path_on_a_device_of_one_name(self):
        for line in (CONV, "snnl 8 4 2"):
            ours = path_of(["/there/bin/bench_worker", "cpu", "fp32"], line)
            theirs = path_of(["/usr/bin/python3", "/there/torch_worker.py", "cpu", "fp32"], line)
            self.assertNotEqual(ours, theirs)
        self.assertEqual(ours, path_of(["/elsewhere/bench_worker", "cpu", "fp32"], "snnl 9 9 9"))

    def test_a_hang_of_pytorch_leaves_our_path_alive(self):
        ours, theirs = ["/there/bin/bench_worker", "cpu", "fp32"], ["/usr/bin/python3", "/there/torch_worker.py", "cpu", "fp32"]
        self.bench.blame(theirs, CONV, types.SimpleNamespace(fault="no answer", hung=True))
        self.assertIsNotNone(self.bench.dead(theirs, CONV))
        self.assertIsNone(self.bench.dead(ours, CONV))
        self.assertFalse(self.bench.document["failed"][0]["ours"])
        self.assertEqual([self.bench.is_ours(self.bench.ours("fp32", device)) for device in ("emulated", "reference")], [True, False])

    # ---- whole tensors

    def checked(self, *lines):
        checker = whole.Checker(self.bench)
        for line in lines:
            checker.add("fp32", line, self.bench.s["peer"])
        checker.work()
        whole.judge(self.bench, checker)
        return self.bench.document["checks"]

    def test_a_path_that_was_dead_before_a_thread_met_it_is_one_case_alone(self):
        self.bench.blame(self.bench.ours("fp32"), CONV, types.SimpleNamespace(fault="no answer", hung=True))
        told = self.checked(CONV, OTHER)
        self.assertEqual(told, {"fp32 conv forward, 1 cases": False, "fp32 conv backward_data, 1 cases": True})

    def test_a_case_that_throws_is_one_case_alone(self):
        case = whole.Checker.case

        def throws_once(checker, workers, precision, line, peer):
            if line == CONV:
                raise KeyError(line)
            return case(checker, workers, precision, line, peer)

        with mock.patch.object(whole.Checker, "case", throws_once):
            told = self.checked(CONV, OTHER)
        self.assertEqual(told, {"fp32 conv forward, 1 cases": None, "fp32 conv backward_data, 1 cases": True})
        self.assertIn("KeyError", self.bench.document["failed"][0]["why"])

    def test_a_check_in_which_nothing_was_compared_has_not_passed(self):
        answer = {"same_bits": True, "guards": True, "unwritten": 0, "device": "cudnn", "beside": None, "double": {"rms": 0.0}}
        beside = {"output": "y", "elements": 9, "rms": 0.0, "wrong": 0}
        self.assertTrue(whole.faults_in(answer, "fp32", True))
        self.assertFalse(whole.faults_in({**answer, "beside": [beside]}, "fp32", True))
        self.assertTrue(whole.faults_in({**answer, "beside": [beside], "double": {"rms": 0.0, "dbias": 0.1}}, "fp32", True))

    # ---- networks

    def test_networks_are_right_where_all_that_was_to_be_checked_has_passed(self):
        name = whole.gradient_check(*self.bench.s["gradients"][0])
        whole.gradients(self.bench)
        self.checked(CONV)
        self.assertFalse(whole.networks_right(self.bench, "fp32"))  # no gradients
        self.bench.check(name, True)
        self.assertTrue(whole.networks_right(self.bench, "fp32"))
        self.bench.check("fp32 conv backward_filter, 2 cases", None)  # a case without a verdict
        self.assertFalse(whole.networks_right(self.bench, "fp32"))

    def test_a_case_without_a_verdict_is_no_pass(self):
        checker = whole.Checker(self.bench)
        checker.add("fp32", CONV)
        whole.judge(self.bench, checker)
        self.assertEqual(self.bench.document["checks"], {"fp32 conv forward, 1 cases": None})

    # ---- the verdict

    def test_the_verdict(self):
        told = lambda: RUN.verdict(self.bench, False)
        self.assertIn("nothing was checked", told())
        self.bench.check("tests", True)
        self.assertIsNone(told())
        self.bench.fail("PyTorch", "no memory", ours=False)
        self.assertIsNone(told())
        self.bench.check("loss curve", None)
        self.assertIn("not done: loss curve", told())
        self.bench.check("loss curve", True)
        self.bench.fail("bench_worker", "ended")
        self.assertIn("failed: bench_worker", told())

    def test_checks_for_which_no_time_was_left_were_not_done(self):
        self.bench.o.seconds = 0
        self.bench.engines = Engines(self.bench)
        RUN.measure(self.bench)
        self.assertIsNone(self.bench.document["checks"]["correctness"])
        self.assertIn("not done", RUN.verdict(self.bench, False))

    # ---- engines

    def test_a_worker_that_ended_after_its_figures_does_not_meet_the_next_line(self):
        self.faulting(f"segfault timed {CONV}")
        engines, command = Engines(self.bench), self.bench.ours("fp32")
        found = [engines.in_turns({"fairprune": (command, line)}, 2) for line in (CONV, OTHER)]
        self.assertEqual([len(f["fairprune"]["seconds"]) for f in found], [2, 2])
        self.assertIn("SIGSEGV", self.bench.document["failed"][0]["why"])
        self.assertEqual(len(self.bench.document["failed"]), 1)

    def test_a_worker_that_ended_is_replaced(self):
        engines, command = Engines(self.bench), self.bench.ours("fp32")
        first = engines.get("fairprune", command, CONV)
        first.begin(CONV, 20)
        first.end_with("ended")
        self.assertIsNot(engines.get("fairprune", command, OTHER), first)

    def test_sides_are_set_up_one_after_another(self):
        sides = self.bench.beside_peer("fp32", CONV)
        sent, send = [], Worker.send

        def noting(worker, line):
            sent.append([w.sent is not None for w in engines.workers.values()])
            send(worker, line)

        engines = Engines(self.bench)
        with mock.patch("children.Worker.send", noting):
            engines.in_turns(sides, 1)
        self.assertFalse(any(any(waiting) for waiting in sent))

    # ---- the end

    def test_the_end_does_not_wait_for_a_thread_that_is_stuck(self):
        def end(*_):
            raise Ended

        before = signal.signal(signal.SIGALRM, end)
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        begin = time.monotonic()
        try:
            with self.assertRaises(Ended):
                self.bench.side_by_side([lambda: time.sleep(20)], 1)
        finally:
            signal.signal(signal.SIGALRM, before)
        self.assertLess(time.monotonic() - begin, 10)
        self.assertTrue(self.bench.children.closed)

    def test_a_run_whose_end_hangs_ends_hard_with_what_it_has(self):
        bench, begin = self.bench, time.monotonic()
        pid = os.fork()
        if pid == 0:  # a run that waits and does not mind a SIGTERM
            try:
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
                bench.o.seconds, bench.begin = 2, time.monotonic()
                child = bench.worker("stuck", ["sleep", "600"])
                (bench.o.out / "pid").write_text(str(child.process.pid))
                RUN.watch(bench)
                time.sleep(60)
            finally:
                os._exit(9)
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 3)
        self.assertLess(time.monotonic() - begin, 20)
        self.assertIn("its time was up", (bench.o.out / "report.json").read_text())
        time.sleep(0.2)
        state = pathlib.Path("/proc", (bench.o.out / "pid").read_text(), "stat")
        self.assertTrue(not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z")

    def test_half_an_archive_is_never_there(self):
        (self.bench.work / "caches").mkdir()
        with mock.patch("tarfile.TarFile.add", side_effect=OSError("full")), self.assertRaises(OSError):
            self.bench.pack("caches.tar.gz", "caches")
        self.assertFalse((self.bench.o.out / "caches.tar.gz").exists())


if __name__ == "__main__":
    unittest.main()
