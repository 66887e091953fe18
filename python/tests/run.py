#!/usr/bin/env python3
"""The tests of the Python package.

    run.py BIN_FOLDER [PACKAGE_FOLDER]

BIN_FOLDER holds the commands, which the package is compared with; PACKAGE_FOLDER the package, unless it is installed.
Ends with 77 (skipped) where this Python lacks a package.
"""
import os
import pathlib
import sys
import sysconfig
import unittest

here = pathlib.Path(__file__).resolve().parent
os.environ["FP_BIN"] = str(pathlib.Path(sys.argv[1]).resolve())
sys.path[:0] = sys.argv[2:3]
try:
    import fairlearn  # noqa: F401
    import fairprune  # noqa: F401
    import sklearn  # noqa: F401
except ModuleNotFoundError as missing:
    print(f"skipped: no Python package {missing.name}: configure with -DFP_PYTHON_MODULE=ON (docs/python.md), "
          "pip install scikit-learn fairlearn, and name that Python in FP_PYTHON")
    sys.exit(77)
except ImportError:
    built = [p for folder in sys.argv[2:3] for p in pathlib.Path(folder).glob("fairprune/_core.*")]
    if not built or any(p.name == "_core" + sysconfig.get_config_var("EXT_SUFFIX") for p in built):
        raise
    print(f"skipped: the Python package was built for another Python than {sys.executable}: {built[0].name}")
    sys.exit(77)
suite = unittest.defaultTestLoader.discover(str(here))
sys.exit(not unittest.TextTestRunner(verbosity=2).run(suite).wasSuccessful())
