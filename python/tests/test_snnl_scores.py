"""Scores of channels: the formula in float64."""
import unittest

import numpy as np

import fairprune


def oracle(x, groups, temperature, distance):
    """-mean_i log(sum_{j != i, same group} exp(-d_ij / T) / sum_{j != i} exp(-d_ij / T)), per channel."""
    out = []
    for c in range(x.shape[1]):
        f = x[:, c].reshape(len(x), -1).astype(np.float64)
        if distance == "cosine":
            f = f / np.linalg.norm(f, axis=1, keepdims=True)
            d = 1 - f @ f.T
        else:
            d = ((f[:, None] - f[None]) ** 2).sum(2)
        e = np.exp(-d / temperature)
        np.fill_diagonal(e, 0)
        out.append(-np.log((e * (groups[:, None] == groups)).sum(1) / e.sum(1)).mean())
    return np.array(out)


class Scores(unittest.TestCase):
    def setUp(self):
        draw = np.random.default_rng(3)
        self.groups = draw.integers(0, 2, 70)
        self.x = draw.normal(size=(70, 9, 4, 5)).astype(np.float32)
        self.x[:, 2] += self.groups[:, None, None]  # this channel tells the group

    def test_formula(self):
        for temperature, distance in ((1, "cosine"), (.5, "cosine"), (10, "euclidean")):
            got = fairprune.snnl_scores(self.x, self.groups, temperature, distance)
            np.testing.assert_allclose(got["score"], oracle(self.x, self.groups, temperature, distance), atol=2e-6)
            self.assertEqual(got["normalized"].argmin(), 2)
            np.testing.assert_allclose(got["normalized"], got["score"] / got["chance"], rtol=1e-12)

    def test_chance(self):
        sizes = np.bincount(self.groups)
        chance = -(sizes / 70 * np.log((sizes - 1) / 69)).sum()
        self.assertAlmostEqual(fairprune.snnl_scores(self.x, self.groups)["chance"], chance, 12)

    def test_maps_and_vectors_are_the_same(self):
        flat = fairprune.snnl_scores(self.x.reshape(70, 9, 20), self.groups)
        np.testing.assert_array_equal(flat["score"], fairprune.snnl_scores(self.x, self.groups)["score"])

    def test_unknown_groups_do_not_count(self):
        groups = self.groups.astype(object)
        groups[:20] = [None, np.nan] * 10
        got = fairprune.snnl_scores(self.x, groups)
        self.assertEqual(got["samples"], 50)
        np.testing.assert_allclose(got["score"], fairprune.snnl_scores(self.x[20:], self.groups[20:])["score"], atol=2e-6)

    def test_within_classes(self):
        classes = np.arange(70) % 2
        got = fairprune.snnl_scores(self.x, self.groups, within=classes)
        parts = [oracle(self.x[classes == c], self.groups[classes == c], 1, "cosine") for c in (0, 1)]
        np.testing.assert_allclose(got["score"], np.mean(parts, 0), atol=2e-6)

    def test_permutations(self):
        null = fairprune.snnl_scores(self.x, self.groups, permutations=30)["null"]
        self.assertEqual(null["p"][2], 1 / 31)
        self.assertLess(null["z"][2], -5)

    def test_one_group_is_not_estimable(self):
        got = fairprune.snnl_scores(self.x, [1] * 70)
        self.assertTrue(np.isnan(got["score"]).all())
        self.assertIn("one group only", got["reason"])

    def test_what_is_refused(self):
        for words, arguments in (("features", (self.x[0, 0], self.groups)), ("groups: 69", (self.x, self.groups[1:])),
                                 ("temperature", (self.x, self.groups, 0)), ("distance l1", (self.x, self.groups, 1, "l1"))):
            with self.assertRaisesRegex(fairprune.Error, words):
                fairprune.snnl_scores(*arguments)


if __name__ == "__main__":
    unittest.main()
