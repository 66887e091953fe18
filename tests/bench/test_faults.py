"""Drills: whatever a child does, bench/gpu/run leaves a complete report that names the fault, does not leave processes
behind, goes on with the other cases and ends in time. A stand-in plays our programs (stand_in.py); no GPU is needed."""
import json
import os
import pathlib
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PARTS = ["compiling", "networks", "forward", "backward", "snnl_layers"]
IN_TIME = 60  # seconds, on a busy machine; a drill takes about five


def still_alive(pids):
    time.sleep(0.2)
    alive = []
    for pid in pids:
        try:
            if pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
                alive.append(pid)
        except OSError:
            pass
    return alive


class Drill(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.out = pathlib.Path(self.folder.name) / "out"
        self.children, self.asked = (pathlib.Path(self.folder.name) / name for name in ("children", "asked"))

    def tearDown(self):
        self.folder.cleanup()

    def start(self, fault, seconds=120, parts=PARTS, patience=0.2, more=()):
        environment = {**os.environ, "FAULT": fault, "CHILDREN": str(self.children), "ASKED": str(self.asked), "TMPDIR": self.folder.name}
        command = [sys.executable, str(ROOT / "bench/gpu/run"), "--dry-run", "--stand-in", str(patience), "--out", str(self.out), "--seconds", str(seconds), "--only", *parts, *more]
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def drill(self, fault, **options):
        """The report of a run with this fault, which ended by itself, in time and without orphans."""
        begin = time.monotonic()
        process = self.start(fault, **options)
        try:
            self.said, _ = process.communicate(timeout=IN_TIME)
        finally:
            process.kill()
        self.took, self.code = time.monotonic() - begin, process.returncode
        return self.report()

    def report(self):
        report = json.loads((self.out / "report.json").read_text())
        for name in ("report.md", "rows.jsonl", "evidence.tar.gz"):
            self.assertTrue((self.out / name).exists(), name)
        for line in (self.out / "rows.jsonl").read_text().splitlines():
            json.loads(line)
        pids = self.children.read_text().split() if self.children.exists() else []
        self.assertEqual(still_alive(pids), [], "orphans")
        left = [p.name for p in pathlib.Path(self.folder.name).iterdir() if p.name.startswith("fairprune-gpu-")]
        self.assertEqual(left, [], "its scratch folder")
        return report

    def named(self, report, what, why):
        """That something is told to have failed, with this in its reason."""
        found = [told for told in report["failed"] if what in told["what"] and why in told["why"]]
        self.assertTrue(found, f"{what}, {why}: {report['failed']}")

    def cases(self, report):
        return {row["command"].partition(" rectified")[0]: row for row in report["rows"] if "fairprune" in row["seconds"]}

    def test_without_a_fault_all_is_measured_and_counts(self):
        report = self.drill("")
        self.assertEqual((self.code, report["failed"], report["dead"]), (0, [], {}), self.said)
        self.assertTrue(all(row["counts"] for row in report["rows"]))

    def test_a_hang_is_named_and_its_path_is_dead(self):
        report = self.drill("hang check conv backward_data")
        self.named(report, "emulated fp32 conv backward_data", "no answer within")
        self.assertIn("stand_in worker emulated fp32 conv backward_data", report["dead"])
        cases = self.cases(report)
        self.assertFalse(any("backward_data" in line for line in cases))
        self.assertTrue(any("backward_filter" in line for line in cases))
        self.assertTrue(cases["snnl 8 4 2"]["counts"])
        # Nothing of a dead path is asked for again: two shapes were to be checked and timed.
        asked = [line for line in self.asked.read_text().splitlines() if "emulated fp32 check" not in line and "conv backward_data" in line and line.startswith("emulated")]
        self.assertLessEqual(len(asked), 2)
        goals = [goal for goal in report["goals"] if goal["what"].startswith("backward_data")]
        self.assertTrue(goals and all(goal["value"] is None and not goal["met"] and "missing or wrong" in goal["why"] for goal in goals))
        self.assertLess(self.took, IN_TIME)

    def test_a_hang_while_it_is_timed(self):
        report = self.drill("hang time conv forward ")
        self.named(report, "emulated fp32 conv forward", "no answer within")
        self.assertTrue(any("backward_filter" in line for line in self.cases(report)))

    def test_a_segmentation_fault(self):
        report = self.drill("segfault check conv forward 1 6 8 8 3 1")
        self.named(report, "conv forward", "SIGSEGV")
        self.assertTrue(self.cases(report)["conv forward 1 6 8 16 1 2"]["counts"])  # another shape of the same path
        goal = next(goal for goal in report["goals"] if goal["what"].startswith("forward fp32"))
        self.assertIsNone(goal["value"])
        self.assertIn("3x3 8>8 @6", goal["why"])

    def test_a_fault_of_the_device_keeps_its_message(self):
        report = self.drill("device conv backward_filter")
        self.named(report, "conv backward_filter", "an illegal memory access was encountered at kernels/cuda/conv/conv.cu:99")
        self.assertIn("stand_in worker emulated fp32 conv backward_filter", report["dead"])  # after two
        self.assertTrue(any("conv forward" in line for line in self.cases(report)))

    def test_one_wrong_tile_is_timed_and_does_not_count(self):
        report = self.drill("wrong check conv forward 1 6 8 8 3 1")
        self.named(report, "conv forward 1 6 8 8 3 1", "12 of 1000 wrong, first (n, h, w, c, got, want) [0, 3, 5, 17, 'nan', '0.25']")
        cases = self.cases(report)
        self.assertFalse(cases["conv forward 1 6 8 8 3 1"]["counts"])
        self.assertTrue(cases["conv forward 1 6 8 16 1 2"]["counts"])
        self.assertFalse(any(row["counts"] for line, row in cases.items() if line.startswith("network")))
        goal = next(goal for goal in report["goals"] if goal["what"].startswith("forward fp32"))
        self.assertTrue(goal["value"] is None and not goal["met"])
        self.assertNotEqual(self.code, 0)

    def test_a_worker_that_dies_at_start(self):
        report = self.drill("unstartable reference")
        self.named(report, "reference fp32", "no such library")
        self.assertTrue(all("fairprune" in row["seconds"] for row in report["rows"]))
        self.assertTrue(all(row["best_peer"] == "PyTorch" for row in report["rows"] if row["command"].startswith("conv")))

    def test_a_device_that_is_not_there_ends_the_run(self):
        report = self.drill("unstartable emulated")
        self.assertIs(report["checks"]["the device answers"], False)
        self.named(report, "device emulated", "no such library")
        self.assertEqual(report["rows"], [])

    def test_ten_megabytes_of_output(self):
        report = self.drill("noise check conv forward 1 6 8 8 3 1")
        self.named(report, "conv forward", "an answer of more than 1 MiB")
        self.assertTrue(any("backward_filter" in line for line in self.cases(report)))

    def test_ten_megabytes_of_errors_are_no_fault(self):
        report = self.drill("loud check conv forward 1 6 8 8 3 1")
        self.assertEqual(report["failed"], [])
        self.assertLess((self.out / "evidence.tar.gz").stat().st_size, 1 << 20)

    def test_one_that_ignores_sigterm_and_has_children(self):
        report = self.drill("stubborn time network train")
        self.assertTrue(self.children.read_text().split())
        self.named(report, "network train", "no answer within")
        self.assertTrue(any("conv forward" in line for line in self.cases(report)))

    def test_sigterm_saves_and_ends(self):
        process = self.start("hang time network infer", parts=["compiling", "networks", "forward"])
        try:
            for _ in range(400):
                if self.children.exists() or process.poll() is not None:
                    break
                time.sleep(0.05)
            begin = time.monotonic()
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=IN_TIME)
        finally:
            process.kill()
        self.assertLess(time.monotonic() - begin, 20)
        self.assertNotEqual(process.returncode, 0)
        report = self.report()
        self.assertIn("the run was told to end before it was done", report["left_out"])
        self.assertTrue(report["verdicts"])  # what was found till then

    def test_it_ends_within_its_time(self):
        report = self.drill("hang check", seconds=12, patience=1)  # an answer's limit is 30 s
        self.assertLess(self.took, 15)
        self.assertIn("stopped: its time was up", report["left_out"])
        self.assertIs(report["checks"]["the device answers"], True)

    def test_half_an_archive_of_caches_is_left_out(self):
        caches = pathlib.Path(self.folder.name) / "caches.tar.gz"
        with tarfile.open(caches, "w:gz") as packed:
            packed.add(ROOT / "bench/gpu", "caches")
        caches.write_bytes(caches.read_bytes()[:2000])
        report = self.drill("", parts=["compiling", "forward"], more=["--caches", str(caches)])
        self.assertEqual(self.code, 0, self.said)
        self.assertTrue(any("not a whole archive" in what for what in report["left_out"]), report["left_out"])
        self.assertTrue(report["rows"])

    def with_a_cmake(self, script, seconds):
        """A run that builds with this in place of cmake."""
        folder = pathlib.Path(self.folder.name)
        (folder / "cmake").write_text("#!/bin/sh\n" + script)
        (folder / "cmake").chmod(0o755)
        environment = {**os.environ, "CHILDREN": str(self.children), "TMPDIR": self.folder.name, "PATH": f"{folder}:{os.environ['PATH']}"}
        command = [sys.executable, str(ROOT / "bench/gpu/run"), "--dry-run", "--out", str(self.out), "--seconds", str(seconds), "--build", str(folder / "build")]
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def test_sigterm_ends_a_build_and_its_compilers(self):
        process = self.with_a_cmake('sleep 600 &\necho $! >"$CHILDREN"\nwait\n', 100)
        try:
            for _ in range(400):
                if self.children.exists() and self.children.read_text():
                    break
                time.sleep(0.05)
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=IN_TIME)
        finally:
            process.kill()
        self.assertNotEqual(process.returncode, 0)
        self.assertIn("the run was told to end before it was done", self.report()["left_out"])

    def test_a_build_takes_none_of_the_seconds(self):
        process = self.with_a_cmake('sleep 2\necho built >>"$CHILDREN.built"\n[ "$1" = -S ] || { echo no such target; exit 3; }\n', 1)
        process.communicate(timeout=IN_TIME)
        report = self.report()
        self.named(report, "the run", "no such target")  # what the build said, in place of an end in its middle
        self.assertEqual(pathlib.Path(f"{self.children}.built").read_text(), "built\n" * 2)
        self.assertNotEqual(process.returncode, 0)

    def refused(self, *words):
        done = subprocess.run([sys.executable, str(ROOT / "bench/gpu/run"), *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=IN_TIME)
        self.assertNotEqual(done.returncode, 0)
        self.assertNotIn("Traceback", done.stdout)
        return done.stdout

    def test_what_a_call_does_not_have_is_told_at_once(self):
        self.assertIn("/nowhere/caches: there is no such file", self.refused("--caches", "/nowhere/caches"))
        self.assertIn("probes: not a part of this call, which has alive, compiling", self.refused("--only", "probes"))
        self.assertIn("/nowhere/bin/bench_worker: there is no such program", self.refused("--model", "--build", "/nowhere"))


if __name__ == "__main__":
    unittest.main()
