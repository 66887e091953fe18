"""bench/host/compare_host with a stand-in on all sides (stand_in.py): every table is made, and a fault is told."""
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
STAND_IN = ROOT / "tests/bench/stand_in.py"


class CompareHost(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.path = pathlib.Path(self.folder.name)
        (self.path / "bin").mkdir()
        self.script("bin/bench_worker", f'exec {sys.executable} {STAND_IN} worker "$1" fp32')
        self.script("python", f'[ "$1" = -c ] && exec echo 0.0\nexec {sys.executable} {STAND_IN} torch_worker')

    def tearDown(self):
        self.folder.cleanup()

    def script(self, name, text):
        (self.path / name).write_text(f"#!/bin/sh\n{text}\n")
        (self.path / name).chmod(0o755)

    def compare(self):
        command = [sys.executable, ROOT / "bench/host/compare_host", "--build", self.path, "--python", self.path / "python", "--rounds", "2", "--seconds", "0",
                   "--json", self.path / "out.json"]
        return subprocess.run(command, capture_output=True, text=True, timeout=100)

    def test_every_table(self):
        done = self.compare()
        self.assertEqual(done.returncode, 0, done.stderr)
        rows = json.loads((self.path / "out.json").read_text())["rows"]
        self.assertEqual(len(rows), 6 + 3 + 6 + 15 + 3)
        self.assertEqual({row["best"] for row in rows if "best" in row}, {"PyTorch nchw", "loop", "bmm"})
        of = lambda case: set(next(row for row in rows if row["case"] == case)["figures"])
        trained = {"fairprune", "PyTorch nchw", "PyTorch channels_last"}
        self.assertEqual(of("train, 64x64, batch 128"), trained)
        self.assertEqual(of("infer, 64x64, batch 1"), trained | {"PyTorch jit", "PyTorch compile", "ONNX Runtime", "OpenVINO latency", "OpenVINO throughput"})

    def test_a_worker_that_ends(self):
        self.script("bin/bench_worker", "echo no memory >&2; exit 4")
        done = self.compare()
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("compare_host: fairprune: network train 64 128 resnet18 imagenet: ended with 4: no memory", done.stderr)


if __name__ == "__main__":
    unittest.main()
