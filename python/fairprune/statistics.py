from __future__ import annotations

import json
from typing import Any, Mapping, Sequence

import numpy as np

from . import _core
from ._error import Error

Values = Sequence[Any]  # a list, an array, a tensor, or a column of pandas
Columns = list[tuple[str, list[str]]]


_SPLITS = ("train", "val", "test")


def _texts(values: Values) -> list[str]:
    return [str(v) for v in (values.tolist() if hasattr(values, "tolist") else values)]


def _predicted(predicted: Any, classes: list[str] | None) -> tuple[Columns, list[str] | None]:
    """The columns of what a classifier says, and the classes, where they are known."""
    x = np.asarray(predicted.detach().cpu() if hasattr(predicted, "detach") else predicted)
    if x.ndim == 1 and x.dtype.kind == "f":
        x = np.stack([1 - x, x], 1)
    if x.ndim == 1:
        return [("pred", _names(x, classes, "predictions"))], classes
    if x.ndim != 2 or x.dtype.kind != "f":
        raise Error(f"probabilities: {x.dtype} {x.shape}; floating point (N, classes) or (N,), or classes (N,) are wanted", 2)
    classes = classes or [str(c) for c in range(x.shape[1])]
    if len(classes) != x.shape[1]:
        raise Error(f"probabilities: {x.shape[1]} columns for {len(classes)} classes", 2)
    return [(f"prob_{name}", _texts(x[:, c])) for c, name in enumerate(classes)], classes


def _names(values: Values, classes: list[str] | None, what: str) -> list[str]:
    """Class names: integers are indices into the classes."""
    x = np.asarray(values.detach().cpu() if hasattr(values, "detach") else values)
    if classes is None or x.dtype.kind not in "iu":
        return _texts(x)
    if x.size and not (0 <= x.min() and x.max() < len(classes)):
        raise Error(f"{what}: classes {x.min()} to {x.max()}, there are {len(classes)}", 3)
    return [classes[i] for i in x]


def _table(labels: Values, predicted: Any, groups: Mapping[str, Values], clusters: Values | None, classes: Values | None,
           images: Values | None, split: str) -> Columns:
    says, known = _predicted(predicted, None if classes is None else _texts(classes))
    rows = len(says[0][1])
    columns = [("image", _texts(range(rows) if images is None else images)), ("label", _names(labels, known, "labels"))]
    columns += [(name, _texts(values)) for name, values in groups.items()]
    if clusters is not None:
        columns.append(("lesion_id", _texts(clusters)))
    if split not in _SPLITS:
        raise Error(f"split: {split!r} is not train, val or test", 2)
    if split != "test":
        columns.append(("split", [split] * rows))
    columns += says
    for name, cells in columns:
        if len(cells) != rows:
            raise Error(f"{name}: {len(cells)} values for {rows} predictions", 2)
    return columns


def _within(low: float, high: float, **values: float) -> None:
    for name, value in values.items():
        if not low <= value <= high:
            raise Error(f"{name}: {value} is not of {low:g} to {high:g}", 2)


def evaluate(labels: Values, probabilities: Any, groups: Mapping[str, Values] | Values, *, theirs: Any = None,
             clusters: Values | None = None, classes: Values | None = None, attributes: Sequence[str] | None = None,
             resamples: int = 2000, confidence: float = .95, min_group_size: int = 10, positive: str = "", specificity: float = .8,
             margin: float = .02, seed: int = 1, threads: int = 0, images: Values | None = None,
             split: str = "test") -> dict[str, Any]:
    """Metrics of a classifier overall and per group, and gaps between groups: the document of `fp_eval --json`.

    labels: (N,) true classes: indices into the classes (integers), or names (text)
    probabilities: (N, classes), or (N,) that of the second of two classes; or, not floating point, predicted classes (N,)
    groups: by name (a dict, a table of pandas) the group of each sample, any values; None, NaN, "" and "unknown" are unknown
        and left out of gaps
    theirs: another model's probabilities of the same samples: see compare()
    clusters: (N,) what is resampled as a whole, as lesions or patients are
    classes: names in the order of the columns; without them "0", "1", ..., or the labels found
    attributes: as fp_eval's --attribute, to cut and cross groups: ["sex", "age:60", "sex*age:60"]; default all names
    resamples: bootstrap resamples and permutations; 0 gives values alone
    min_group_size: in clusters where there are any, else samples; smaller groups are shown and in no gap
    positive, specificity: report the sensitivity of this class at this specificity
    margin: of a comparison: a loss of accuracy, balanced accuracy, macro-F1 or macro-AUC up to this much counts as none
    images: (N,) file names, by which the record of test reads knows a split again; without them the samples are numbered
    split: what the samples are of: "test", or "val" or "train". Each call on a test split is one more look at it, and goes on
        record as the commands' do ("test_reads" says how many there were; docs/formats.md). FAIRPRUNE_STATE=off keeps none

    Overall figures are scikit-learn's: accuracy, balanced_accuracy, macro_f1 over the classes that have labels or
    predictions, macro_auc one against the rest. Gaps (docs/method.md): of two groups eodd_max and eodd_mean are
    Fairlearn's equalized_odds_difference, worst case and mean, of each class against the rest, averaged over classes. Of more
    they are those of the worst pair of groups, at most Fairlearn's, which adds the TPR range of one pair to the FPR range of
    another. dp is the paper's sum
    over classes: with two classes twice Fairlearn's demographic_parity_difference. In the paper's eodd opposite signs cancel.
    One gap of each attribute decides, attributes.NAME.primary (eodd_rms), with p_holm over the attributes; the others describe.
    """
    _within(0, 1e6, resamples=resamples)
    _within(.5, .999, confidence=confidence)
    _within(1, 1e9, min_group_size=min_group_size)
    _within(0, 1, specificity=specificity)
    named = groups if isinstance(groups, Mapping) or hasattr(groups, "columns") else {"group": groups}
    ours, other = (None if p is None else _table(labels, p, named, clusters, classes, images, split)
                   for p in (probabilities, theirs))
    asked = list(named if attributes is None else attributes)
    return json.loads(_core.evaluate(ours, other, asked, resamples, confidence, min_group_size, positive, specificity, margin, seed,
                                     threads))


def compare(labels: Values, ours: Any, theirs: Any, groups: Mapping[str, Values] | Values, **options: Any) -> dict[str, Any]:
    """evaluate() of `ours`, with the same options, and "comparison": differences ours - theirs on the same samples, as
    `fp_eval --compare --json` has them."""
    return evaluate(labels, ours, groups, theirs=theirs, **options)


def compare_trainings(labels: Values, ours: Sequence[Any], theirs: Sequence[Any] | None, groups: Mapping[str, Values] | Values, *,
                      clusters: Values | None = None, classes: Values | None = None, attributes: Sequence[str] | None = None,
                      resamples: int = 2000, confidence: float = .95, min_group_size: int = 10, positive: str = "",
                      specificity: float = .8, seed: int = 1, threads: int = 0, images: Values | None = None,
                      split: str = "test") -> dict[str, Any]:
    """Several trainings of one method on the same samples, alone (theirs=None) or against as many of another, paired in order:
    the document of `fp_eval --predictions 'a/*.csv' --compare 'b/*.csv' --json`.

    ours, theirs: the probabilities, or predicted classes, of each training, as evaluate() takes them
    The other arguments are those of evaluate().

    The intervals hold for other samples (lesions) and other trainings: "mean", "low", "high", "p", and "detectable", the
    smallest difference that this many trainings would have found with power 0.8.
    """
    _within(0, 1e6, resamples=resamples)
    _within(.5, .999, confidence=confidence)
    _within(1, 1e9, min_group_size=min_group_size)
    _within(0, 1, specificity=specificity)
    named = groups if isinstance(groups, Mapping) or hasattr(groups, "columns") else {"group": groups}
    if not len(ours):
        raise Error("ours: no training", 2)
    tables = [[_table(labels, p, named, clusters, classes, images, split) for p in side] for side in (ours, [] if theirs is None else theirs)]
    asked = list(named if attributes is None else attributes)
    return json.loads(_core.compare_trainings(*tables, asked, resamples, confidence, min_group_size, positive, specificity, seed, threads))


def snnl_scores(features: Any, groups: Values, temperature: float = 1, distance: str = "cosine", definition: str = "exact", *,
                within: Values | None = None, block: int | None = None, permutations: int = 0, seed: int = 1,
                device: str = "cpu") -> dict[str, Any]:
    """Soft nearest neighbour scores of channels against groups of samples (docs/method.md).

    features: (N, C, H, W) or (N, C, D), computed in float32
    groups: (N,); None, NaN, "" and "unknown" do not count
    distance: cosine or euclidean      definition: exact or as-released
    within: (N,) classes: neighbours are sought among samples of one class only
    block: samples at a time, scores averaged; 0 all at once; default 128 for as-released, else 0
    permutations: of the groups, for "null": mean, sd, z and p of each channel

    Returns score and normalized (C,) as arrays, NaN where not estimable ("reason" says why), and chance: a normalized
    score of 1 says that neighbours tell nothing of the group, 0 that they tell it.
    """
    x = np.asarray(features.detach().cpu() if hasattr(features, "detach") else features)
    if x.ndim not in (3, 4) or x.dtype.kind != "f" or 0 in x.shape:
        raise Error(f"features: {x.dtype} {x.shape}; floating point (N, C, H, W) or (N, C, D) is wanted", 2)
    if not temperature > 0:
        raise Error(f"temperature: {temperature} is not above 0", 2)
    x = np.ascontiguousarray(x.reshape(*x.shape[:3], -1), np.float32)
    if not np.isfinite(x).all():
        raise Error("features: not all are finite", 3)
    columns = {"groups": _texts(groups), "within": [] if within is None else _texts(within)}
    for name, cells in columns.items():
        if len(cells) != len(x) and (cells or name == "groups"):
            raise Error(f"{name}: {len(cells)} values for {len(x)} samples", 2)
    if block is None:
        block = 128 if definition == "as-released" else 0
    out = json.loads(_core.snnl_scores(x, *columns.values(), temperature, distance, definition, block, permutations, seed, device))
    for name in ("layer", "tap", "attribute", "seconds"):
        del out[name]
    for holder in (out, out.get("null", {})):
        holder.update({k: np.array(v, np.float64) for k, v in holder.items() if isinstance(v, list)})
    return out
