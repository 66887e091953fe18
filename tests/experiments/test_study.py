"""bench/experiments/study.py with tools that only pretend: what is chosen, kept, skipped, and counted as support.

    python3 -m unittest discover -s tests/experiments
"""
import contextlib
import io
import json
import pathlib
import sys
import tempfile
import unittest
from unittest import mock

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bench/experiments"))
import study  # noqa: E402
import study_tables  # noqa: E402

HELP = "--placebo SEED  --criterion NAME  --snnl-weight X  trainings of no method"


def group(auc):
    return {"macro_auc": {"value": auc}, "macro_f1": {"value": auc}, "accuracy": {"value": auc}, "units": 9, "in_gaps": True}


def several(ours, theirs):
    """Of trainings, for other lesions too: a gap that is smaller, and an accuracy whose loss is not excluded."""
    def figure(low, high, p):
        estimate = {"mean": (low + high) / 2, "low": low, "high": high, "p": p, "detectable": 0.1}
        return {"formula": f"of {ours} and {theirs}", "ours": estimate, "other": estimate | {"mean": 0.0025}, "difference": estimate}
    return {"metrics": {"accuracy": figure(-.1, .1, 1), "balanced_accuracy": figure(-.03, .01, .3)},
            "attributes": {"a": {"figures": {"rms_squared": figure(-.03, -.01, .004), "worst_macro_auc": figure(-.01, .02, .5)}}}}


def pretend(command):
    """What a tool prints. A model is a file with its options; what fp_eval says of it follows from these alone."""
    tool, words = pathlib.Path(command[0]).name, list(map(str, command[1:]))
    if words == ["--help"]:
        return HELP
    options = {words[i][2:]: words[i + 1] for i in range(len(words) - 1) if words[i].startswith("--")}
    if tool != "fp_eval":
        folder = pathlib.Path(options["out"])
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "best.safetensors").write_text(json.dumps(options))
        return ""
    if "checkpoint" in options:
        pathlib.Path(options["predictions-out"]).write_text(pathlib.Path(options["checkpoint"]).read_text())
        return "{}"
    if words.count("--predictions") > 1:
        return json.dumps(several(words.count("--predictions"), words.count("--compare")))
    of = json.loads(pathlib.Path(options["predictions"]).read_text())
    weight, seed = float(of.get("snnl-weight", 0)), int(of["seed"])
    gap = (.04 if "placebo" in of else .04 - .001 * weight) + .0001 * ((seed * 7 + len(of)) % 5)
    accuracy = .7 - (.1 if weight > 20 else 0) - abs(float(of["lr"]) - .01)
    return json.dumps({"balanced_accuracy": {"value": accuracy}, "accuracy": {"value": .5}, "attributes": {options["attribute"]: {
        "groups": {"x": group(.9), "y": group(.8)}, "gaps": {
            "eodd": {"value": .1, "fair_low": 0, "fair_high": .2}, "macro_auc": {"rms_squared": .01 + gap},
            "accuracy_standardised": {"rms_squared": None}},
        "primary": {"rms_squared": gap, "fair_high": .05, "p": .01}}}})


PROTOCOL = '''
margin = 0.02
endpoint = "primary"
first = 1
trainings = 5
choice_seeds = [101, 102]
common = {lr = 0.05, sampler = "class", device = "cpu"}
train = {model = "resnet18"}
tune = {finetune-epochs = 3}
[protocols.one]
title = "One"
primary = true
data = "csv:{data}/one.csv"
attribute = "a"
published = "spare-fitz-vgg11"
train = {epochs = 2}
[protocols.other]
title = "Other"
primary = true
data = "csv:{data}/one.csv"
attribute = "b"
train = {epochs = 2}
[arms.erm]
title = "ERM"
[arms.penalty]
title = "penalty"
like = "tuned"
grid = [{snnl-weight = 3}, {snnl-weight = 10}, {snnl-weight = 30}]
[arms.tuned]
title = "tuned"
set = {criterion = "none"}
grid = [{lr = 0.1}, {lr = 0.01}, {lr = 0.001}]
[arms.placebo]
title = "placebo"
needs = ["fp_prune", "--placebo"]
like = "penalty"
set = {placebo = 1}
[arms.dro]
title = "dro"
needs = ["fp_prune", "--group-dro"]
like = "tuned"
[[contrasts]]
arm = "penalty"
control = "tuned"
'''


class Study(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        (self.folder / "study.toml").write_text(PROTOCOL)

    def run_study(self, *words):
        """What it told, and the commands that it ran."""
        told, errors, log = io.StringIO(), io.StringIO(), []

        def called(command, **_):
            if command[1] != "--help":
                log.append(" ".join([pathlib.Path(command[0]).name, *command[1:]]))
            return mock.Mock(stdout=pretend(command))

        arguments = ["study.py", *words, "--toml", str(self.folder / "study.toml"), "--out", str(self.folder / "out"), "--bin", str(self.folder / "bin")]
        with mock.patch.object(sys, "argv", arguments), mock.patch.object(study.subprocess, "run", called), \
                contextlib.redirect_stdout(told), contextlib.redirect_stderr(errors):
            study.main()
        self.errors = errors.getvalue()
        return told.getvalue(), log

    def read(self, name):
        return json.loads((self.folder / "out" / name).read_text())

    def test_choice_is_by_validation_within_the_margin(self):
        self.run_study("choose", "one")
        choice = self.read("one/choice.json")
        self.assertEqual(choice["tuned"]["settings"], {"lr": 0.01})
        # Weight 30 has the smallest gap and costs too much accuracy.
        self.assertEqual(choice["penalty"]["settings"], {"snnl-weight": 10})
        self.assertEqual(list(choice), ["tuned", "penalty"])
        self.assertIn("dro skipped: this fp_prune has no --group-dro", self.errors)
        self.assertEqual(self.run_study("choose", "one")[1], [])

    def test_only_validation_is_read_to_choose(self):
        _, commands = self.run_study("choose", "one")
        splits = {word for command in commands for before, word in zip(command.split(), command.split()[1:]) if before == "--split"}
        self.assertEqual(splits, {"val"})
        self.assertTrue(all("--seed 101" in c or "--seed 102" in c for c in commands if c.startswith(("fp_train", "fp_prune"))))

    def test_an_arm_of_few_trainings_is_in_the_first_ones(self):
        text = PROTOCOL.replace("[arms.penalty]\n", "[arms.penalty]\ntrainings = 2\n")
        self.assertNotEqual(text, PROTOCOL)
        (self.folder / "study.toml").write_text(text)
        _, commands = self.run_study("choose", "one")
        self.assertFalse(any("penalty" in c and "--seed 102" in c for c in commands))
        self.run_study("run", "one")
        arms = self.read("one/results.json")["arms"]
        self.assertEqual((arms["penalty"]["gap_squared"]["trainings"], arms["tuned"]["gap_squared"]["trainings"]), (2, 5))
        difference = next(d for d in self.read("one/results.json")["differences"] if d["arm"] == "penalty")
        self.assertEqual(difference["gap_squared"]["trainings"], 2)

    def test_run_needs_a_choice(self):
        with self.assertRaisesRegex(SystemExit, "nothing was chosen for tuned"):
            self.run_study("run", "one")

    def test_settings_follow_the_arm_that_they_are_like(self):
        self.run_study("choose", "one")
        _, commands = self.run_study("run", "one")
        placebo = next(c for c in commands if "--placebo" in c)
        for words in ("--lr 0.01", "--snnl-weight 10", "--criterion none", "--placebo 1 ", "--finetune-epochs 3", "--sampler class"):
            self.assertIn(words, placebo)

    def test_done_stays_done_and_protocols_share_erm(self):
        self.run_study("choose", "one")
        _, commands = self.run_study("run", "one")
        self.assertEqual(sum(c.startswith("fp_train") for c in commands), 5)
        self.assertEqual(self.run_study("run", "one")[1], [])
        shared = {c.split("--out ")[1].split()[0] for c in commands if c.startswith("fp_train")}
        self.assertTrue(all(pathlib.Path(folder).parent.name == "erm" for folder in shared))

    def test_contrasts_are_corrected_for_all_that_were_planned(self):
        self.run_study("choose", "one")
        self.run_study("run", "one")
        found = self.read("contrasts.json")
        self.assertEqual(len(found), 1)
        self.assertAlmostEqual(found[0]["p_holm"], min(1, 2 * found[0]["gap_squared"]["p"]))
        self.assertTrue(found[0]["supports"])
        self.assertLess(found[0]["gap_squared"]["mean"], 0)

    def test_intervals_for_other_lesions_count_where_fp_eval_has_them(self):
        self.run_study("choose", "one")
        with mock.patch.object(sys.modules[__name__], "HELP", HELP.replace("no method", "one method")):
            study.help_of.cache_clear()
            told, commands = self.run_study("run", "one")
        study.help_of.cache_clear()
        found = self.read("contrasts.json")[0]
        self.assertEqual(found["over_lesions"]["difference"]["gap_squared"]["formula"], "of 5 and 5")
        self.assertAlmostEqual(found["p_holm"], 0.008)
        self.assertIn("other lesions and other trainings", told)
        self.assertEqual(found["guardrails"], {"balanced_accuracy": "a loss of 0.030 is not excluded", "worst_auc": "not worse by more than 0.02"})
        self.assertFalse(found["supports"])
        self.assertEqual(sum(c.count("--compare") == 5 for c in commands), 3)  # each arm minus "tuned"
        self.assertIn("crossed random effects", told)
        self.assertRegex(told, r"tuned +0\.050 \[")

    def test_second_endpoints_are_described(self):
        self.run_study("choose", "one")
        told, _ = self.run_study("run", "one")
        self.assertRegex(told, r"penalty - tuned +-10\.000 \[.*\] +n/a")
        difference = next(d for d in self.read("one/results.json")["differences"] if d["arm"] == "penalty")
        self.assertAlmostEqual(difference["macro_auc"]["mean"], difference["gap_squared"]["mean"])

    def test_a_part_is_tested_when_its_trainings_are_all_there(self):
        self.run_study("choose", "one")
        told, _ = self.run_study("run", "one", "--trainings", "3")
        self.assertIn("One: penalty - tuned: 3 of 5 trainings, not tested yet", told)
        self.assertEqual(self.read("contrasts.json"), [])
        told, commands = self.run_study("run", "one")
        self.assertEqual(sum(c.startswith("fp_train") for c in commands), 2)
        self.assertIn("1 of 2 contrasts", told)
        self.assertEqual(len(self.read("contrasts.json")), 1)

    def test_parts_conclude_together_whenever_they_ran(self):
        for name in ("one", "other"):
            self.run_study("choose", name)
            told, _ = self.run_study("run", name)
        self.assertIn("2 of 2 contrasts", told)
        self.assertEqual([c["protocol"] for c in self.read("contrasts.json")], ["other", "one"])
        self.assertNotIn("One: 5 trainings", told)

    def test_what_a_tool_refuses_ends_in_a_line(self):
        def refuse(command, **_):
            if "--help" in command:
                return HELP
            raise study.subprocess.CalledProcessError(2, command)

        with mock.patch.object(sys.modules[__name__], "pretend", refuse), self.assertRaisesRegex(SystemExit, "fp_train ended with exit code 2"):
            self.run_study("choose", "one")

    def test_an_option_that_is_true_stands_alone(self):
        self.assertEqual(study.arguments({"fixed-features": True, "lr": .1, "image-size": ""}), ["--fixed-features", "--lr", "0.1"])

    def test_published_rows_stand_beside_ours(self):
        self.run_study("choose", "one")
        told, _ = self.run_study("run", "one")
        self.assertRegex(told, r"VGG-11 dense \(SPARE\) +0\.449 +0\.054 +0\.142 +not published")
        self.assertRegex(told, r"tuned +0\.850 +0\.100 +0\.100 +0\.000 to 0\.200")

    def test_a_loss_that_is_not_excluded_is_no_support(self):
        text = (self.folder / "study.toml").read_text().replace("margin = 0.02", "margin = 0.2")
        (self.folder / "study.toml").write_text(text)
        self.run_study("choose", "one")
        self.assertEqual(self.read("one/choice.json")["penalty"]["settings"], {"snnl-weight": 30})
        self.run_study("run", "one")
        self.assertTrue(self.read("contrasts.json")[0]["supports"])
        (self.folder / "study.toml").write_text(text.replace("margin = 0.2", "margin = 0.02"))
        self.run_study("table", "one")
        self.assertFalse(self.read("contrasts.json")[0]["supports"])
        self.assertEqual(self.read("contrasts.json")[0]["guardrails"]["balanced_accuracy"], "worse")


class StudentsT(unittest.TestCase):
    def test_over_trainings(self):
        one = study_tables.over_trainings([1.0, 2.0, 3.0, 4.0, 5.0])
        self.assertAlmostEqual(one["low"], 3 - 2.776445 * 0.5 ** 0.5, places=4)
        self.assertAlmostEqual(one["p"], 0.0132, places=4)
        self.assertAlmostEqual(one["detectable"], (2.776445 + 0.940965) * 0.5 ** 0.5, places=4)


if __name__ == "__main__":
    unittest.main()
