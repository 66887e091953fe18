#!/usr/bin/env python3
"""Packs the golden values of this folder from the folder that holds the originals (README.md says what made those).

    tests/golden/make.py ORIGINALS

JSON keeps every digit (float64). The probabilities of the predictions are float32 that was printed as float64; they are
written with the fewest digits that name the same float32, which halves the files. Ranks, ties and the most probable class stay
what they were, and the measures depend on nothing else. gzip is told neither time nor name, so the bytes repeat.
"""
import csv
import gzip
import io
import pathlib
import struct
import sys

HERE = pathlib.Path(__file__).parent


def float32(text):
    return struct.unpack("f", struct.pack("f", float(text)))[0]


def shortest(text):
    value = float(text)
    assert float32(value) == value, f"{text} is no float32"
    for digits in range(1, 10):
        short = f"{value:.{digits}g}"
        if float32(short) == value:
            return short
    raise AssertionError(text)


def shorten(text):
    rows = list(csv.reader(io.StringIO(text)))
    is_probability = [name.startswith("prob_") for name in rows[0]]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(rows[0])
    for row in rows[1:]:
        writer.writerow([shortest(cell) if p else cell for p, cell in zip(is_probability, row)])
    return out.getvalue()


def write(name, text):
    packed = gzip.compress(text.encode(), compresslevel=9, mtime=0)
    (HERE / (name + ".gz")).write_bytes(packed)
    print(f"{name}: {len(text)} bytes, packed {len(packed)}")


originals = pathlib.Path(sys.argv[1])
for name in ["models.json", "snnl.json"]:
    write(name, (originals / name).read_text())
for name in ["fairness.json", "fitz-like.csv", "isic-like.csv", "tiny.csv"]:
    text = (originals / "fairness" / name).read_text()
    write(name, shorten(text) if name.endswith(".csv") else text)
