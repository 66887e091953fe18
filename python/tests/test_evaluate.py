"""Fairness of predictions: fp_eval's numbers of the same rows, scikit-learn's and Fairlearn's."""
import csv
import unittest

import numpy as np
import pandas
from fairlearn.metrics import demographic_parity_difference, equalized_odds_difference
from sklearn import metrics

import fairprune
from commands import WORK, run_json

NAMES = ["MEL", "NV", "akiec"]


def rows(seed=0, n=300, classes=3):
    """Labels, probabilities that know something of them, sex, age and lesion of n samples."""
    draw = np.random.default_rng(seed)
    labels = draw.integers(0, classes, n)
    sex = np.where(draw.random(n) < .45, "female", "male").astype(object)
    p = draw.dirichlet(np.ones(classes), n)
    p[np.arange(n), labels] += np.where(sex == "male", .9, .4)
    p /= p.sum(1, keepdims=True)
    sex[::17] = None
    age = draw.integers(20, 90, n).astype(float)
    age[::23] = np.nan
    return labels, p, {"sex": sex, "age": age}, draw.integers(0, n // 2, n)


def write(name, labels, p, groups, lesions, classes=NAMES):
    with open(WORK / name, "w", newline="") as file:
        out = csv.writer(file)
        out.writerow(["image", "label", *groups, "lesion_id", *(f"prob_{c}" for c in classes)])
        for i, label in enumerate(labels):
            known = ["" if v is None or v != v else v for v in (values[i] for values in groups.values())]
            out.writerow([i, classes[label], *known, lesions[i], *(repr(float(v)) for v in p[i])])
    return WORK / name


def value(report, *path):
    for key in path:
        report = report[key]
    return report["value"]


class AsCommand(unittest.TestCase):
    ATTRIBUTES = ["sex", "age:60", "sex*age:60"]

    def test_evaluate(self):
        labels, p, groups, lesions = rows()
        words = [w for a in self.ATTRIBUTES for w in ("--attribute", a)]
        theirs = run_json("fp_eval", "--predictions", write("one.csv", labels, p, groups, lesions), *words, "--resamples", 100,
                          "--seed", 5, "--positive", "MEL")
        before = theirs.pop("test_reads")
        ours = fairprune.evaluate(labels, p, groups, clusters=lesions, classes=NAMES, attributes=self.ATTRIBUTES, resamples=100,
                                  seed=5, positive="MEL")
        after = ours.pop("test_reads")  # of the same split, on the same record
        self.assertEqual((after["split"], after["images"], after["count"]), (before["split"], 300, before["count"] + 1))
        self.assertEqual(after["by"]["Python"], before["by"].get("Python", 0) + 1)
        self.assertEqual(ours, theirs)
        by_name = fairprune.evaluate([NAMES[i] for i in labels], p, groups, clusters=lesions, classes=NAMES,
                                     attributes=self.ATTRIBUTES, resamples=100, seed=5, positive="MEL")
        by_name.pop("test_reads")
        self.assertEqual(by_name, theirs)

    def test_compare(self):
        labels, p, groups, lesions = rows()
        other = np.random.default_rng(9).dirichlet(np.ones(3), len(labels))
        theirs = run_json("fp_eval", "--predictions", write("one.csv", labels, p, groups, lesions), "--compare",
                          write("two.csv", labels, other, groups, lesions), "--attribute", "sex", "--resamples", 100)
        theirs.pop("test_reads")
        ours = fairprune.compare(labels, p, other, groups, clusters=lesions, classes=NAMES, attributes=["sex"], resamples=100)
        ours.pop("test_reads")
        self.assertEqual(ours, theirs)
        self.assertIn("comparison", ours)


class Reads(unittest.TestCase):
    def test_every_look_at_a_test_split_is_on_record_and_none_at_another(self):
        labels, p, groups, _ = rows(7)
        names = [f"img{i}.jpg" for i in range(len(labels))]

        def look(call=fairprune.evaluate, *more, **options):
            options = {"resamples": 0, "images": names, **options}
            return call(labels, p, *more, {"sex": groups["sex"]}, classes=NAMES, **options).get("test_reads")

        first = look()
        self.assertEqual((first["count"], first["images"], first["by"], first["models"]), (1, 300, {"Python": 1}, 1))
        self.assertIsNone(look(split="val"))
        self.assertIsNone(look(split="train"))
        with self.assertRaisesRegex(fairprune.Error, "hair"):  # what is refused is no read
            look(attributes=["hair"])
        both = look(fairprune.compare, p[::-1])
        self.assertEqual((both["split"], both["count"], both["models"]), (first["split"], 2, 2))
        trainings = fairprune.compare_trainings(labels, [p, p[::-1]], None, {"sex": groups["sex"]}, classes=NAMES, resamples=20, images=names)
        self.assertEqual(trainings["test_reads"]["count"], 3)
        self.assertNotEqual(look(images=names[::-1])["split"], first["split"])
        with self.assertRaisesRegex(fairprune.Error, "split: 'dev' is not train, val or test"):
            look(split="dev")


class AsOthers(unittest.TestCase):
    def test_scikit_learn(self):
        labels, p, groups, _ = rows()
        report = fairprune.evaluate(labels, p, {"sex": groups["sex"]}, resamples=0)
        says = p.argmax(1)
        self.assertAlmostEqual(value(report, "accuracy"), metrics.accuracy_score(labels, says), 12)
        self.assertAlmostEqual(value(report, "balanced_accuracy"), metrics.balanced_accuracy_score(labels, says), 12)
        self.assertAlmostEqual(value(report, "macro_f1"), metrics.f1_score(labels, says, average="macro"), 12)
        self.assertAlmostEqual(value(report, "macro_auc"), metrics.roc_auc_score(labels, p, multi_class="ovr"), 12)
        male = groups["sex"] == "male"
        self.assertAlmostEqual(value(report, "attributes", "sex", "groups", "male", "accuracy"),
                               metrics.accuracy_score(labels[male], says[male]), 12)

    def test_fairlearn_on_two_classes(self):
        labels, p, groups, _ = rows(classes=2)
        known = groups["sex"] != None  # noqa: E711, of each element
        labels, p, sex = labels[known], p[known, 1], groups["sex"][known].astype(str)
        says = (p > .5).astype(int)
        for given in (p, np.stack([1 - p, p], 1), says):
            gaps = fairprune.evaluate(labels, given, {"sex": sex}, resamples=0)["attributes"]["sex"]["gaps"]
            parity = demographic_parity_difference(labels, says, sensitive_features=sex)
            self.assertAlmostEqual(gaps["dp"]["value"], 2 * parity, 12)
            odds = equalized_odds_difference(labels, says, sensitive_features=sex)
            self.assertAlmostEqual(gaps["eodd_max"]["value"], odds, 12)
            self.assertGreater(odds, .01)

    def test_fairlearn_on_each_class_against_the_rest(self):
        labels, p, groups, _ = rows()
        known = groups["sex"] != None  # noqa: E711
        labels, says, sex = labels[known], p[known].argmax(1), groups["sex"][known].astype(str)
        gaps = fairprune.evaluate(labels, says, {"sex": sex}, resamples=0)["attributes"]["sex"]["gaps"]
        for key, agg in (("eodd_max", "worst_case"), ("eodd_mean", "mean")):
            odds = [equalized_odds_difference(labels == c, says == c, sensitive_features=sex, agg=agg) for c in range(3)]
            self.assertAlmostEqual(gaps[key]["value"], np.mean(odds), 12)


class Trainings(unittest.TestCase):
    def test_pairs(self):
        labels, p, groups, lesions = rows()
        rng = np.random.default_rng(3)
        noisy = [(q := p + rng.uniform(0, .05, p.shape)) / q.sum(1, keepdims=True) for _ in range(6)]
        worse = [np.roll(q, 1, axis=1) for q in noisy[3:]]
        r = fairprune.compare_trainings(labels, noisy[:3], worse, {"sex": groups["sex"]}, clusters=lesions, resamples=100)
        self.assertEqual(r["trainings"], 3)
        difference = r["metrics"]["accuracy"]["difference"]
        self.assertEqual(len(difference["values"]), 3)
        self.assertGreater(difference["low"], 0)
        self.assertGreater(difference["detectable"], difference["error"])
        self.assertIn("worst_macro_auc", r["attributes"]["sex"]["figures"])
        alone = fairprune.compare_trainings(labels, noisy[:3], None, {"sex": groups["sex"]}, resamples=50)
        self.assertNotIn("difference", alone["metrics"]["accuracy"])
        with self.assertRaisesRegex(fairprune.Error, "3 trainings are compared with 2"):
            fairprune.compare_trainings(labels, noisy[:3], worse[:2], {"sex": groups["sex"]})


class Inputs(unittest.TestCase):
    def test_one_array_of_groups_and_no_classes(self):
        report = fairprune.evaluate(["b", "a", "b", "a"], ["b", "a", "a", "a"], [0, 0, 1, 1], resamples=0, min_group_size=1)
        self.assertEqual(report["classes"], ["a", "b"])
        self.assertEqual(report["confusion"], [[2, 0], [1, 1]])
        self.assertEqual(value(report, "attributes", "group", "groups", "1", "accuracy"), .5)

    def test_columns_of_pandas(self):
        labels, p, groups, lesions = rows()
        table = pandas.DataFrame({**groups, "label": [NAMES[i] for i in labels], "lesion": lesions})
        named = {"classes": NAMES, "attributes": ["sex", "age:60"], "resamples": 20}
        ours = fairprune.evaluate(table.label, pandas.DataFrame(p), table[["sex", "age"]], clusters=table.lesion, **named)
        theirs = fairprune.evaluate(labels, p, groups, clusters=lesions, **named)
        self.assertEqual(theirs.pop("test_reads")["count"], ours.pop("test_reads")["count"] + 1)
        self.assertEqual(ours, theirs)
        self.assertGreater(ours["attributes"]["sex"]["unknown"], 0)
        self.assertGreater(ours["attributes"]["age:60"]["unknown"], 0)

    def refused(self, code, words, *arguments, **named):
        with self.assertRaises(fairprune.Error) as caught:
            fairprune.evaluate(*arguments, **named)
        self.assertEqual(caught.exception.exit_code, code)
        self.assertIn(words, str(caught.exception))

    def test_what_is_refused(self):
        labels, p, groups, _ = rows()
        sex = {"sex": groups["sex"]}
        self.refused(3, "predictions:0: prob_0 is", labels, 1 + p, sex)
        self.refused(3, "no attribute 'race'", labels, p, sex, attributes=["race"])
        self.refused(3, "classes 0 to 2, there are 2", labels, p[:, :2], sex)
        self.refused(2, "3 columns for 2 classes", labels, p, sex, classes=["a", "b"])
        self.refused(2, "sex: 299 values for 300 predictions", labels, p, {"sex": groups["sex"][1:]})
        self.refused(2, "label: 299 values for 300 predictions", labels[1:], p, sex)
        self.refused(2, "confidence: 95", labels, p, sex, confidence=95)
        self.refused(2, "probabilities: int64 (300, 3)", labels, p.astype(np.int64), sex)
        self.refused(3, "is not among", ["x"] * 300, p, sex)


if __name__ == "__main__":
    unittest.main()
