#!/usr/bin/env python3
"""Makes corpus/image: the same small picture, 9 x 7, in every form that the decoder knows.

    pip install pillow && python3 tests/fuzz/make_image_corpus.py
"""
import pathlib

from PIL import Image

WIDTH, HEIGHT = 9, 7
FOLDER = pathlib.Path(__file__).parent / "corpus" / "image"


def picture(mode):
    image = Image.new("RGB", (WIDTH, HEIGHT))
    image.putdata([((x * 31 + y * 7) % 256, (x * y * 13) % 256, (255 - x * 20) % 256)
                   for y in range(HEIGHT) for x in range(WIDTH)])
    image = image.convert(mode)
    if mode == "RGBA":
        image.putalpha(Image.linear_gradient("L").resize((WIDTH, HEIGHT)))
    return image


def save(name, image, **options):
    image.save(FOLDER / name, **options)


FOLDER.mkdir(parents=True, exist_ok=True)
few = picture("RGB").quantize(7)
save("rgb.png", picture("RGB"))
save("rgba.png", picture("RGBA"))
save("grey.png", picture("L"))
save("greyalpha.png", picture("LA"))
save("grey16.png", Image.frombytes("I;16", (WIDTH, HEIGHT), bytes(range(2 * WIDTH * HEIGHT))))
save("palette.png", few)
save("palette2.png", picture("RGB").quantize(3), bits=2)
save("transparent.png", few, transparency=1)
save("bits1.png", picture("1"))
save("baseline.jpg", picture("RGB"), quality=75)
save("s444.jpg", picture("RGB"), subsampling=0)
save("s422.jpg", picture("RGB"), subsampling=1)
save("restart.jpg", picture("RGB"), restart_marker_blocks=1)
save("progressive.jpg", picture("RGB"), progressive=True, quality=60)
save("grey.jpg", picture("L"))
save("cmyk.jpg", picture("CMYK"))
save("rgb.bmp", picture("RGB"))
save("rgba.bmp", picture("RGBA"))
save("grey.bmp", picture("L"))
save("palette.bmp", picture("RGB").quantize(16))
save("bits1.bmp", picture("1"))
