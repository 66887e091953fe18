#!/usr/bin/env python3
"""Makes augment_pil.csv: what PIL and scipy make of an image made by formula, one row per operation. PIL's
results must be met exactly, so their XXH3-128 is enough; scipy's within one level, so all bytes are there.

    pip install pillow scipy numpy xxhash && python3 tests/data/augment_pil.py > tests/data/augment_pil.csv
"""
import math

import numpy as np
import xxhash
from PIL import Image, ImageEnhance, ImageOps
from scipy import ndimage

SIDE, SPLINE_SIDE = 23, 9


def image(variant, side=SIDE):
    """0: all values occur, 1: a narrow range, 2: two colours, 3: one colour."""
    def value(x, y, c):
        if variant == 1:
            return 90 + 7 * c + (x * 5 + y * 3) % 40
        if variant == 2:
            return 20 + 200 * ((x * y) % 2) + c
        if variant == 3:
            return 50 + 60 * c
        return 255 * ((x + c) % 2) if (x // 5 + y // 3) % 4 == 0 else (
            x * x * 3 + y * 29 + x * y * (c + 1) + 71 * c + (x * 7919 + y * 104729) % 97) % 256
    data = bytes(value(x, y, c) for y in range(side) for x in range(side) for c in range(3))
    return Image.frombytes("RGB", (side, side), data)


def row(op, variant, parameters, out):
    exact = out.width == SIDE
    result = xxhash.xxh3_128_hexdigest(out.tobytes()) if exact else out.tobytes().hex()
    print(op, variant, out.width, ";".join(repr(float(p)) for p in parameters), result, sep=",")


def inverse_affine(degrees, scale, shear):
    """Of scale * rotation * [1, -tan shear; 0, 1] about the middle, inverted numerically."""
    a, s = math.radians(degrees), math.radians(shear)
    rotation = np.array([[math.cos(a), -math.sin(a)], [math.sin(a), math.cos(a)]])
    inverse = np.linalg.inv(scale * rotation @ np.array([[1, -math.tan(s)], [0, 1]]))
    middle = np.array([SIDE / 2, SIDE / 2])
    return np.hstack([inverse, (middle - inverse @ middle)[:, None]])


def spline(img, matrix, shift):
    """Matrix and shift in (row, column) about (side + 1) / 2."""
    middle = np.array([SPLINE_SIDE / 2 + 0.5] * 2)
    offset = middle - matrix @ middle + shift
    planes = [ndimage.affine_transform(np.array(img)[:, :, c], matrix, offset) for c in range(3)]
    return Image.fromarray(np.stack(planes, axis=2))


print("op,variant,side,parameters,result")
for variant in (0, 1, 2, 3):
    img = image(variant)
    row("invert", variant, [], ImageOps.invert(img))
    row("autocontrast", variant, [], ImageOps.autocontrast(img))
    row("equalize", variant, [], ImageOps.equalize(img))
    for factor in (0.0, 0.37, 1.0, 1.81):
        row("brightness", variant, [factor], ImageEnhance.Brightness(img).enhance(factor))
        row("contrast", variant, [factor], ImageEnhance.Contrast(img).enhance(factor))
        row("colour", variant, [factor], ImageEnhance.Color(img).enhance(factor))
        row("sharpness", variant, [factor], ImageEnhance.Sharpness(img).enhance(factor))
img = image(0)
for threshold in (0.0, 99.5, 128.0, 256.0):
    row("solarize", 0, [threshold], ImageOps.solarize(img, threshold))
for bits in (4, 6, 8):
    row("posterize", 0, [bits], ImageOps.posterize(img, bits))
for variant, degrees, scale, shear in ((0, 30, 1.1, 7), (1, -171.5, 0.8, -10), (0, 90, 1, 0)):
    img = image(variant)
    coefficients = inverse_affine(degrees, scale, shear).flatten().tolist()
    for name, how in (("nearest", Image.NEAREST), ("bilinear", Image.BILINEAR),
                      ("bicubic", Image.BICUBIC)):
        row(name, variant, [degrees, scale, shear],
            img.transform((SIDE, SIDE), Image.AFFINE, coefficients, how))
for variant in (0, 1):
    img = image(variant, SPLINE_SIDE)
    for m in (-0.3, 0.11):
        row("shear_x", variant, [m], spline(img, np.array([[1, m], [0, 1]]), np.zeros(2)))
        row("shear_y", variant, [m], spline(img, np.array([[1, 0], [m, 1]]), np.zeros(2)))
        row("translate_x", variant, [m], spline(img, np.eye(2), np.array([0, m * SPLINE_SIDE])))
        row("translate_y", variant, [m], spline(img, np.eye(2), np.array([m * SPLINE_SIDE, 0])))
        t = math.radians(100 * m)
        rotation = np.array([[math.cos(t), -math.sin(t)], [math.sin(t), math.cos(t)]])
        row("rotate", variant, [100 * m], spline(img, rotation, np.zeros(2)))
