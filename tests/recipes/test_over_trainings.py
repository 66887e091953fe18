"""What the table over several trainings says.

    python3 -m unittest discover -s tests/recipes
"""
import contextlib
import io
import json
import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "recipes"))
import over_trainings as over  # noqa: E402


def told(call):
    with contextlib.redirect_stdout(io.StringIO()) as out:
        call()
    return out.getvalue()


def report(gaps, val, reads, chosen_gap=.1):
    """Of one training with two attributes: rms^2 of the control at gaps[0], of the point at gaps[1]; by age both at .1. The
    gap that is shown alone, eodd_mean, grows where rms^2 shrinks."""
    def test(gap):
        return {"balanced_accuracy": .8, "gaps": {
            "sex": {"rms": abs(gap) ** .5, "rms_squared": gap, "fair_high": .06, "eodd_mean": .9 - gap},
            "age": {"rms": chosen_gap ** .5, "rms_squared": chosen_gap, "fair_high": .2, "eodd_mean": .3}}}

    def point(name, control, gap, objective):
        return {"name": name, "control": control, "latency": 1, "latency_low": 1, "latency_high": 1,
                "val": {"balanced_accuracy": {"mean": .8}, "objective": {"mean": objective}}, "runs": [{"test": test(gap)}]}

    return {"test_reads": {"split": "0123456789abcdef", "images": 50, "count": reads, "since": "2026-11-28T05:00:00Z"},
            "sweep": {"attributes": ["sex", "age"], "gap": "eodd_rms",
                      "dense": {"val": {"balanced_accuracy": .8}, "objective": -.3, "test": test(.4)},
                      "points": [point("dense, tuned alike", True, gaps[0], val[0]), point("l1 5", False, gaps[1], val[1])]}}


class OverTrainings(unittest.TestCase):
    def table(self, reports, *options):
        with tempfile.TemporaryDirectory() as folder:
            files = []
            for number, document in enumerate(reports):
                files.append(pathlib.Path(folder) / f"{number}.json")
                files[-1].write_text(json.dumps(document))
            sys.argv = ["over_trainings.py", *options, *map(str, files)]
            return told(over.main)

    def test_the_t_that_so_many_tests_need(self):
        self.assertAlmostEqual(over.t_of_p(.05, 2), 4.3027, 3)
        self.assertAlmostEqual(over.t_of_p(.05 / 24, 2), 21.9, 1)
        self.assertAlmostEqual(over.t_of_p(.05 / 85, 2), 41.2, 1)

    def test_it_says_what_is_not_excluded_and_what_could_not_pass(self):
        text = self.table([report((.20, .05), (-.1, -.2), 1), report((.22, .20), (-.1, -.2), 2),
                           report((.24, .21), (-.1, -.2), 3)])
        # rms^2 -.0667 [-.2464, .1131] beside .22
        self.assertIn("no difference detected; beside the control's 0.469, a gap of 0.000 to 0.577 is not excluded; no fall "
                      "could have passed: rms^2 must fall by 0.2592, and the control's is 0.2200", text)
        self.assertRegex(text, r"dense, tuned alike .* 0\.060 +0\.680 ")  # fair to, and the mean of eodd_mean
        self.assertIn("by age", text)
        self.assertIn("over 3 trainings, corrected by Holm: the first passes at |t| >=", text)
        self.assertIn("the test split (n=50, 01234567) was read 3 times on record since 2026-11-28", text)

    def test_marks_come_from_validation(self):
        # On test the point is the better one, on validation the control.
        text = self.table([report((.3, .1), (-.1, -.2), 1)] * 2)
        marked = [line.split("  ")[0] for line in text.splitlines() if "1.00x P" in line]
        self.assertEqual(set(marked), {"dense, tuned alike"})

    def test_an_objective_that_is_not_known_is_the_worst(self):
        val = {"known": [(.8, -.2)], "unknown": [(.8, None)]}
        self.assertEqual(over.undominated(val, {name: [(1, 1, 1)] for name in val}), {"known"})

    def test_only_the_named_rows_are_tested(self):
        reports = [report((.3, .1 + k), (-.1, -.2), 1, .1 + k) for k in (0, .001, .002)]
        some = self.table(reports, "--tested", "l1 5")
        self.assertIn("1 tests over 3", some)
        self.assertEqual(some.count("smaller gap"), 1)
        self.assertEqual(sum(line.startswith("dense ") and "not tested" in line for line in some.splitlines()), 2)

    def test_two_controls_are_compared_once(self):
        rows = {name: [(.8, gap + k * .01 * number) for k in range(3)]
                for number, (name, gap) in enumerate([("a", .1), ("b", .2), ("c", .3)], 1)}
        self.assertIn("3 tests over 3 trainings", told(lambda: over.tables({"": rows}, ["a", "b"])))

    def test_the_primary_gap_decides_and_not_the_one_that_is_shown(self):
        text = self.table([report((.30 + k, .10), (-.1, -.2), 1) for k in (0, .001, .002)])
        self.assertIn("the gap is eodd_rms by sex, age", text)
        line = next(line for line in text.splitlines() if line.startswith("l1 5") and "smaller gap" in line)
        self.assertIn("-0.2010 [", line)  # of rms^2

    def test_a_search_by_another_gap_is_refused(self):
        old = report((.3, .1), (-.1, -.2), 1)
        old["sweep"]["gap"] = "eodd_mean"
        with self.assertRaisesRegex(SystemExit, "compared by eodd_mean and not by the primary gap"):
            self.table([old])

    def test_below_noise_the_gap_is_0(self):
        self.assertEqual(over.root(-.01), 0)
        self.assertAlmostEqual(over.root(.04), .2)

    def test_one_training_tests_nothing(self):
        self.assertIn("one training: nothing is tested", self.table([report((.3, .1), (-.1, -.2), 1)]))


if __name__ == "__main__":
    unittest.main()
