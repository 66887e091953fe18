"""Prints the values in test_fairlearn.cpp. Made with

    python3 -m venv .venv && .venv/bin/pip install fairlearn==0.15.0 scikit-learn==1.9.1
    .venv/bin/python tests/fairness/fairlearn_values.py

Data by the formula of tests/reference_values.h: case i has label floor(2 u(4i)), a prediction that is right
where u(4i+1) < 0.75 and a group floor(3 u(4i+2)) under the name `fairlearn`.
"""

import fairlearn.metrics as fm
import sklearn.metrics as sm

G = 0x9E3779B97F4A7C15
M = (1 << 64) - 1


def u(name, i):
    h = 0xCBF29CE484222325
    for c in name.encode():
        h = ((h ^ c) * 0x100000001B3) & M
    z = (h + (i + 1) * G) & M
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & M
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & M
    return ((z ^ (z >> 31)) >> 11) * 2.0**-53


n = 300
label = [int(2 * u("fairlearn", 4 * i)) for i in range(n)]
pred = [y if u("fairlearn", 4 * i + 1) < 0.75 else 1 - y for i, y in enumerate(label)]
group = [int(3 * u("fairlearn", 4 * i + 2)) for i in range(n)]
two = [i for i in range(n) if group[i] < 2]


def take(values):
    return [values[i] for i in two]


def show(name, value):
    print(f"{name:40} {float(value):.17g}")


for name, rows in (("two", (take(label), take(pred), take(group))), ("three", (label, pred, group))):
    y, p, g = rows
    show(name + " demographic_parity_difference", fm.demographic_parity_difference(y, p, sensitive_features=g))
    show(name + " equalized_odds_difference", fm.equalized_odds_difference(y, p, sensitive_features=g))
    show(
        name + " equalized_odds_difference mean",
        fm.equalized_odds_difference(y, p, sensitive_features=g, agg="mean"),
    )
    frame = fm.MetricFrame(metrics=sm.accuracy_score, y_true=y, y_pred=p, sensitive_features=g)
    show(name + " accuracy difference", frame.difference())
    show(name + " accuracy ratio", frame.ratio())
    for k, v in frame.by_group.items():
        show(f"{name} accuracy of group {k}", v)
    balanced = fm.MetricFrame(metrics=sm.balanced_accuracy_score, y_true=y, y_pred=p, sensitive_features=g)
    show(name + " balanced accuracy difference", balanced.difference())
