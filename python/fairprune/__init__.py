"""Models of fairprune, fairness of any classifier's predictions, and scores of channels.

    import fairprune

    model = fairprune.load("runs/pruned/best.safetensors")
    p = model.predict_files(["a.jpg", "b.jpg"])                      # (2, classes)
    report = fairprune.evaluate(labels, p, {"sex": sex}, classes=model.classes)
    report["attributes"]["sex"]["gaps"]["eodd"]["value"]

The engine computes; its threads leave Python's lock free, and Ctrl-C ends long work.
"""

import os as _os

# OpenMP's idle threads sleep after some 20 us (engine/run/threads.h). Its library reads this variable once, when it is loaded.
_ours = not {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"} & _os.environ.keys()
if _ours:
    _os.environ["GOMP_SPINCOUNT"] = "2000"
from . import _core  # noqa: E402

if _ours:
    del _os.environ["GOMP_SPINCOUNT"]
from ._error import Error
from .model import Model, load
from .statistics import compare, compare_trainings, evaluate, snnl_scores

__version__: str = _core.version
__all__ = ["Error", "Model", "compare", "compare_trainings", "evaluate", "load", "snnl_scores"]
