#!/usr/bin/env python3
"""Makes resize_pil.csv: what PIL's antialiased BILINEAR gives for an image made by formula.

    pip install pillow && python3 tests/data/resize_pil.py > tests/data/resize_pil.csv
"""
from PIL import Image

SIZES = [  # in width, in height, out width, out height
    (7, 5, 7, 5), (84, 84, 16, 16), (200, 150, 16, 12), (101, 67, 13, 9), (33, 20, 11, 20),
    (33, 20, 33, 7), (5, 7, 12, 15), (1, 1, 6, 6), (1, 40, 3, 11), (40, 1, 11, 3), (16, 16, 15, 15),
    (16, 16, 17, 17), (300, 2, 7, 2), (64, 48, 1, 1), (512, 384, 8, 6),
]


def pixel(x, y, c):
    """Steep edges, gradients and noise: 0 and 255 both occur."""
    if (x // 5 + y // 3) % 4 == 0:
        return 255 * ((x + c) % 2)
    return (x * x * 3 + y * 29 + x * y * (c + 1) + 71 * c + (x * 7919 + y * 104729) % 97) % 256


print("in_width,in_height,out_width,out_height,rgb_hex")
for w, h, ow, oh in SIZES:
    rgb = bytes(pixel(x, y, c) for y in range(h) for x in range(w) for c in range(3))
    out = Image.frombytes("RGB", (w, h), rgb).resize((ow, oh), Image.BILINEAR)
    print(f"{w},{h},{ow},{oh},{out.tobytes().hex()}")
