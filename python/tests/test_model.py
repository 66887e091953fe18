"""Models: what the commands predict of the same files and bytes, and PyTorch of the same weights."""
import csv
import json
import os
import signal
import struct
import threading
import unittest

import numpy as np

import fairprune
from commands import SIZE, WORK, data, dense, pruned, run

try:
    import torch
except ImportError:
    torch = None


def bmp(name, pixels):
    """Writes (H, W, 3) bytes as an image file."""
    h, w, _ = pixels.shape
    row = np.zeros((h, (3 * w + 3) // 4 * 4), np.uint8)
    row[:, :3 * w] = pixels[::-1, :, ::-1].reshape(h, -1)
    head = struct.pack("<2sIHHIIiiHHIIiiII", b"BM", 54 + row.size, 0, 0, 54, 40, w, h, 1, 24, 0, row.size, 0, 0, 0, 0)
    (WORK / name).write_bytes(head + row.tobytes())
    return WORK / name


def images(n=7, seed=1):
    return np.random.default_rng(seed).integers(0, 256, (n, SIZE, SIZE, 3), np.uint8)


def as_float(x):
    return x.transpose(0, 3, 1, 2).astype(np.float32) / 255


def softmax(x):
    e = np.exp(x - x.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


class Card(unittest.TestCase):
    def test_what_a_model_says(self):
        wide, cut = fairprune.load(dense()), fairprune.load(pruned())
        self.assertEqual((wide.classes, wide.image_size, wide.device), (cut.classes, SIZE, "cpu"))
        self.assertEqual(len(wide.classes), 3)
        np.testing.assert_allclose(wide.mean, (.485, .456, .406), atol=1e-6)
        np.testing.assert_allclose(wide.std, (.229, .224, .225), atol=1e-6)
        self.assertEqual((wide.spec["arch"], wide.spec["stem"], wide.spec["width"]), ("resnet18", "imagenet", .125))
        self.assertTrue(cut.spec["widths"] and not wide.spec["widths"])
        for model in (wide, cut):
            weights = [v for k, v in model.state_dict().items() if "running" not in k and "num_batches" not in k]
            self.assertEqual(model.parameters, sum(v.size for v in weights))
        self.assertLess(cut.parameters, wide.parameters)
        self.assertLess(cut.macs, wide.macs)
        self.assertGreater(cut.macs, 100_000)
        self.assertIn("resnet18", repr(wide))

    def test_state_dict_is_the_file(self):
        file = pruned().read_bytes()
        (length,) = struct.unpack("<Q", file[:8])
        header = json.loads(file[8:8 + length])
        header.pop("__metadata__")
        state = fairprune.load(pruned()).state_dict()
        self.assertEqual(set(state), set(header))
        for name, tensor in header.items():
            begin, end = tensor["data_offsets"]
            self.assertEqual(list(state[name].shape), tensor["shape"])
            self.assertEqual(state[name].tobytes(), file[8 + length + begin:8 + length + end], name)


class Predictions(unittest.TestCase):
    def test_files_as_fp_eval(self):
        for checkpoint in (dense(), pruned()):
            table = WORK / "p.csv"
            run("fp_eval", "--checkpoint", checkpoint, "--data", f"csv:{data()}", "--split", "test", "--resamples", 0, "--quiet",
                "--predictions-out", table)
            with open(table, newline="") as file:
                rows = list(csv.DictReader(file))
            model = fairprune.load(checkpoint)
            p = model.predict_files([data().parent / row["image"] for row in rows])
            self.assertEqual((p.shape, p.dtype), ((len(rows), 3), np.float32))
            np.testing.assert_allclose(p, [[float(row[f"prob_{c}"]) for c in model.classes] for row in rows], atol=2e-7)

    def test_bytes_and_numbers_are_the_file(self):
        x = images()
        model = fairprune.load(pruned())
        p = model.predict_files([bmp(f"{i}.bmp", image) for i, image in enumerate(x)])
        np.testing.assert_allclose(model.predict(x), p, atol=2e-7)
        np.testing.assert_allclose(model.predict(as_float(x)), p, atol=2e-6)
        np.testing.assert_allclose(softmax(model.logits(x)), p, atol=2e-6)
        np.testing.assert_allclose(model.predict(x, batch_size=2), p, atol=2e-6)
        np.testing.assert_array_equal(model.predict(x[::-1].copy()[::-1]), model.predict(x))  # not contiguous
        self.assertGreater(np.ptp(model.logits(x), axis=0).max(), 1e-3)  # images differ

    def test_none(self):
        model = fairprune.load(dense())
        self.assertEqual(model.predict(images(0)).shape, (0, 3))
        self.assertEqual(model.predict_files([]).shape, (0, 3))

    def test_threads_share_a_model(self):
        model, x = fairprune.load(dense(), threads=1), images(40)
        expected, got = model.predict(x), [None] * 4
        threads = [threading.Thread(target=lambda i=i: got.__setitem__(i, model.predict(x))) for i in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for p in got:
            np.testing.assert_allclose(p, expected, atol=2e-6)

    def test_unreadable_file(self):
        model, good = fairprune.load(dense()), bmp("good.bmp", images(1)[0])
        bad = WORK / "bad.jpg"
        bad.write_text("no image")
        with self.assertRaisesRegex(fairprune.Error, "bad.jpg") as caught:
            model.predict_files([good, bad])
        self.assertEqual(caught.exception.exit_code, 3)
        self.assertNotIn("--", str(caught.exception))  # no word of a command line
        p = model.predict_files([bad, good, bad, good], skip_bad=True)
        self.assertTrue(np.isnan(p[[0, 2]]).all())
        np.testing.assert_array_equal(p[1], p[3])
        np.testing.assert_allclose(p[1].sum(), 1, atol=1e-6)

    def test_what_is_refused(self):
        model, x = fairprune.load(dense()), images(2)
        for words, wrong in (("takes uint8", x[:, :16]), ("takes uint8", x.transpose(0, 3, 1, 2)), ("takes uint8", x.astype(np.int64)),
                             ("takes uint8", as_float(x)[0]), ("values from 0 to 255", as_float(x) * 255),
                             ("values from nan", np.full((1, 3, SIZE, SIZE), np.nan))):
            with self.assertRaisesRegex(fairprune.Error, words) as caught:
                model.predict(wrong)
            self.assertEqual(caught.exception.exit_code, 2)
        with self.assertRaisesRegex(fairprune.Error, "batch_size"):
            model.predict(x, batch_size=0)
        for code, arguments in ((6, (WORK / "none.safetensors",)), (2, (dense(), "gpu")), (6, (bmp("a.safetensors", x[0]),))):
            with self.assertRaises(fairprune.Error) as caught:
                fairprune.load(*arguments)
            self.assertEqual(caught.exception.exit_code, code)

    def test_ctrl_c_ends_long_work(self):
        model = fairprune.load(dense(), threads=1)
        x = np.zeros((1, SIZE, SIZE, 3), np.uint8).repeat(60_000, 0)
        halves, maps = np.arange(2000) % 2, np.random.default_rng(0).random((300, 8, 64))
        for work in (lambda: model.predict(x), lambda: fairprune.evaluate(halves, halves[::-1], halves, resamples=1_000_000),
                     lambda: fairprune.snnl_scores(maps, halves[:300], permutations=20_000)):
            timer = threading.Timer(.3, os.kill, (os.getpid(), signal.SIGINT))
            timer.start()
            with self.assertRaises(KeyboardInterrupt):
                work()
        self.assertEqual(model.predict(images(1)).shape, (1, 3))  # and it goes on


@unittest.skipIf(torch is None, "no Python package torch")
class Torch(unittest.TestCase):
    def test_same_logits(self):
        x = as_float(images())
        for checkpoint in (dense(), pruned(), pruned("resnet18", "--stem", "small"), pruned("resnet50"), pruned("vgg11_bn"),
                           pruned("vgg11")):
            model = fairprune.load(checkpoint)
            module = model.to_torch()
            mean, std = (np.array(v, np.float32).reshape(3, 1, 1) for v in (model.mean, model.std))
            with torch.no_grad():
                theirs = module(torch.from_numpy((x - mean) / std)).numpy()
            np.testing.assert_allclose(model.logits(x), theirs, atol=1e-5, err_msg=str(checkpoint))
            self.assertEqual({k: v.numpy().tobytes() for k, v in module.state_dict().items()},
                             {k: v.tobytes() for k, v in model.state_dict().items()})

    def test_tensors_in_tensors_out(self):
        model, x = fairprune.load(dense()), images()
        for run, given in ((model.predict, x), (model.logits, as_float(x))):
            got = run(torch.from_numpy(given))
            self.assertIsInstance(got, torch.Tensor)
            np.testing.assert_array_equal(got.numpy(), run(given))
        labels = torch.arange(7) % 3
        report = fairprune.evaluate(labels, model.predict(torch.from_numpy(x)), {"g": labels > 0}, resamples=0)
        self.assertEqual(report["samples"], 7)


if __name__ == "__main__":
    unittest.main()
