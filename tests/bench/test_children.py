"""Children and the tests that are sharded over them, without a run around them."""
import os
import pathlib
import stat
import sys
import tempfile
import time
import types
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "bench/gpu"))

import gtests  # noqa: E402
from children import Children, Worker  # noqa: E402

TESTS = """#!/usr/bin/env python3
import os, signal, sys, time
names = ["passes", "ends", "fails", "hangs", "is_skipped", "passes_too"]
if "--gtest_list_tests" in sys.argv:
    print("Suite.")
    for name in names: print("  " + name)
    sys.exit()
asked = sys.argv[1].partition("=")[2].split(":")
for name in names:
    test = "Suite." + name
    if test not in asked: continue
    print("[ RUN      ]", test, flush=True)
    if name == "ends": os.kill(os.getpid(), signal.SIGSEGV)
    if name == "hangs": time.sleep(600)
    mark = {"fails": "[  FAILED  ]", "is_skipped": "[  SKIPPED ]"}.get(name, "[       OK ]")
    print(mark, test, "(1 ms)", flush=True)
sys.exit("Suite.fails" in asked)
"""


class ChildrenTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.path = pathlib.Path(self.folder.name)
        self.children = Children(self.path / "logs")

    def tearDown(self):
        self.children.end_all()
        self.folder.cleanup()

    def python(self, text):
        return [sys.executable, "-c", text]

    def test_a_program_that_is_not_there_is_a_fault_of_its_worker(self):
        worker = Worker(self.children, "none", ["/nowhere/at/all"], None)
        self.assertIsNone(worker.ask("line", 5))
        self.assertIn("/nowhere/at/all", worker.fault)

    def test_an_answer_in_two_pieces_is_one(self):
        worker = Worker(self.children, "slow", self.python("import time; input(); print('one', end=' ', flush=True); time.sleep(0.3); print('two', flush=True); input()"), None)
        self.assertEqual(worker.ask("line", 10), "one two")

    def test_two_answers_at_once_are_two(self):
        worker = Worker(self.children, "quick", self.python("input(); print('one'); print('two', flush=True); input(); input()"), None)
        self.assertEqual([worker.ask("line", 10), worker.ask("again", 10)], ["one", "two"])

    def test_the_exit_code_and_the_last_words_are_told(self):
        code, why, _ = self.children.run("five", self.python("import sys; print('sorry', file=sys.stderr); sys.exit(5)"), 20, None)
        self.assertEqual((code, why), (5, "ended with 5: sorry"))

    def test_what_runs_on_after_its_leader_is_ended_too(self):
        text = "import subprocess, sys; print(subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']).pid)"
        code, _, out = self.children.run("leader", self.python(text), 20, None)
        self.assertEqual(code, 0)
        pid = out.read_text().strip()
        time.sleep(0.3)
        state = pathlib.Path(f"/proc/{pid}/stat")
        self.assertTrue(not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z")

    def test_none_is_started_once_the_run_is_ending(self):
        self.children.end_all()
        self.assertEqual(self.children.run("late", self.python("pass"), 20, None)[0], 127)

    def test_tests_that_end_or_hang_leave_the_others_their_verdict(self):
        program = self.path / "test_kernels"
        program.write_text(TESTS)
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        self.children.patience = 0.2  # of 15 s
        said, checks, failed = [], {}, []
        bench = types.SimpleNamespace(
            children=self.children, own=dict(os.environ), o=types.SimpleNamespace(reserve=1), seconds_left=lambda: 100, document={"tests": {}},
            check=lambda name, passed: checks.update({name: passed}), fail=lambda what, why: failed.append(what), write=lambda kind, **fields: said.append(kind),
            side_by_side=lambda jobs, workers: [job() for job in jobs],
            run=lambda name, command, seconds, environment=None, **options: self.children.run(name, command, seconds, environment or dict(os.environ), **options))
        results = {}
        for job in gtests.jobs(bench, str(program), "*", 1, results):
            job()
        words = {test.removeprefix("Suite."): word for test, (word, _) in results.items()}
        self.assertEqual(words, {"passes": "passed", "ends": "ENDED", "fails": "FAILED", "hangs": "ENDED", "is_skipped": "skipped", "passes_too": "passed"})
        self.assertIn("SIGSEGV", results["Suite.ends"][1])
        gtests.settle(bench, "kernel tests", str(program), results, None)
        self.assertEqual(sorted(failed), ["Suite.ends", "Suite.fails", "Suite.hangs"])
        self.assertIs(checks["kernel tests"], False)
        self.assertEqual(said.count("test again"), 3)


if __name__ == "__main__":
    unittest.main()
