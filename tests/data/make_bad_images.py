#!/usr/bin/env python3
"""Makes bad-images: files as data sets in the wild have them, sound, unusual and damaged, and what reading each must give (expected.csv).

    pip install pillow==13.0.0 && python3 tests/data/make_bad_images.py

expect: `ok` must load with this size and these channel means and this centre pixel (PIL's, exactly), `error` must be refused, `ok-or-error` either.
The picture is drawn by formula. Two rows of expected.csv name no file of the folder.
"""
import csv
import math
import pathlib
import shutil
import struct
import zlib

from PIL import Image, ImageStat

FOLDER = pathlib.Path(__file__).parent / "bad-images"
WIDTH, HEIGHT = 200, 150
rows = []


def pixel(x, y):
    """A dark spot with a ragged edge on skin, some texture everywhere."""
    radius = math.hypot((x - 104) / 46, (y - 71) / 34) + 0.12 * math.sin(5 * math.atan2(y - 71, x - 104))
    spot = 1 / (1 + math.exp(9 * (radius - 1)))
    texture = 6 * math.sin(x * 0.9 + y * 0.4) + 4 * math.sin(y * 1.3 - x * 0.2) + (x * 7919 + y * 104729) % 7
    return tuple(round(skin + (dark - skin) * spot + texture) for skin, dark in [(214, 122), (168, 74), (160, 58)])


def add(name, data, what, expect, size=None, means=None):
    """Writes a file and its row. With `size` the row has the means and centre that PIL reads; with `means` those, and no centre."""
    if data is not None:
        (FOLDER / name).write_bytes(data)
    row = {"image": name, "what": what, "expect": expect}
    if size:
        row |= {"width": size[0], "height": size[1]}
        if not means:
            image = Image.open(FOLDER / name).convert("RGB")
            means = ImageStat.Stat(image).mean
            row |= {f"centre_{c}": value for c, value in zip("rgb", image.getpixel((size[0] // 2, size[1] // 2)))}
        row |= {f"mean_{c}": f"{mean:.3f}" for c, mean in zip("rgb", means)}
    rows.append(row)


def encoded(image, kind, **options):
    path = FOLDER / "scratch"
    image.save(path, kind, **options)
    data = path.read_bytes()
    path.unlink()
    return data


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, bits, colour, idat, interlaced=False):
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, interlaced)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", idat) + chunk(b"IEND", b"")


def adam7(image):
    lines = b""
    for x0, y0, dx, dy in [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]:
        for y in range(y0, image.height, dy):
            lines += b"\0" + b"".join(bytes(image.getpixel((x, y))) for x in range(x0, image.width, dx))
    return zlib.compress(lines, 9)


def with_size(jpeg, width, height):
    at = jpeg.index(b"\xff\xc0") + 5
    return jpeg[:at] + struct.pack(">HH", height, width) + jpeg[at + 4:]


shutil.rmtree(FOLDER, ignore_errors=True)
(FOLDER / "directory.jpg").mkdir(parents=True)
(FOLDER / "directory.jpg" / "README").write_text("A folder with an image's name.\n")
picture = Image.new("RGB", (WIDTH, HEIGHT))
picture.putdata([pixel(x, y) for y in range(HEIGHT) for x in range(WIDTH)])
small = picture.resize((64, 48))
whole, part = picture.size, small.size
colour_means, grey_means = ImageStat.Stat(small).mean, ImageStat.Stat(small.convert("L")).mean * 3

plain = encoded(picture, "JPEG")
add("plain.jpg", plain, "baseline JPEG 4:2:0", "ok", whole)
add("gray.jpg", encoded(picture.convert("L"), "JPEG"), "grayscale JPEG", "ok", whole)
add("cmyk.jpg", encoded(picture.convert("CMYK"), "JPEG"), "CMYK JPEG, Adobe marker, inverted; tolerance 3", "ok-or-error",
    whole, ImageStat.Stat(picture).mean)
add("progressive.jpg", encoded(picture, "JPEG", progressive=True), "progressive JPEG", "ok-or-error", whole)
add("subsampling-444.jpg", encoded(picture, "JPEG", subsampling=0), "baseline JPEG 4:4:4", "ok", whole)
add("subsampling-422.jpg", encoded(picture, "JPEG", subsampling=1), "baseline JPEG 4:2:2", "ok", whole)
add("odd-size.jpg", encoded(picture.resize((101, 67)), "JPEG"), "neither side a multiple of 8", "ok", (101, 67))
turned = Image.Exif()
turned[0x0112] = 6
add("exif-rotated.jpg", encoded(picture, "JPEG", exif=turned), "EXIF orientation 6: size and means are of the file as stored", "ok", whole)
add("trailing-garbage.jpg", plain + bytes(i * 37 % 256 for i in range(512)), "512 bytes after the end marker", "ok", whole)
add("truncated-half.jpg", plain[:len(plain) // 2], "JPEG cut at half its bytes", "error")
add("truncated-header.jpg", plain[:60], "JPEG cut inside its header", "error")
add("missing-eoi.jpg", plain[:-2], "JPEG without its end marker, all pixels there", "ok-or-error")
table = plain.index(b"\xff\xc4") + 5
add("corrupt-huffman.jpg", plain[:table] + b"\xff" * 16 + plain[table + 16:], "all counts of the first Huffman table are 255", "error")
add("bomb-dimensions.jpg", with_size(plain, 65500, 65500), "header says 65500 x 65500", "error")
add("zero-dimensions.jpg", with_size(plain, 0, 0), "header says 0 x 0", "error")

good = encoded(small, "PNG")
add("1x1.png", encoded(Image.new("RGB", (1, 1), (200, 120, 90)), "PNG"), "one pixel", "ok", (1, 1))
add("1x400.png", encoded(picture.crop((100, 0, 101, HEIGHT)).resize((1, 400)), "PNG"), "1 wide, 400 high", "ok", (1, 400))
see_through = small.copy()
see_through.putalpha(Image.linear_gradient("L").resize(part))
add("rgba.png", encoded(see_through, "PNG"), "RGBA PNG: alpha is dropped", "ok", part, colour_means)
grey_alpha = small.convert("L")
grey_alpha.putalpha(Image.linear_gradient("L").resize(part))
add("gray-alpha.png", encoded(grey_alpha, "PNG"), "gray and alpha: alpha is dropped", "ok", part, grey_means)
add("palette.png", encoded(small.quantize(64), "PNG"), "8-bit palette PNG", "ok-or-error", part)
add("1bit.png", encoded(small.convert("1"), "PNG"), "1-bit PNG: 0 and 255", "ok-or-error", part)
doubled = [bytes(v for v in line for _ in "hl") for line in
           (small.convert("L").crop((0, y, 64, y + 1)).tobytes() for y in range(48))]
add("gray16.png", png(64, 48, 16, 0, zlib.compress(b"".join(b"\0" + line for line in doubled), 9)),
    "16-bit grayscale PNG, scaled by 1/257", "ok-or-error", part, grey_means)
doubled = [bytes(v for v in small.crop((0, y, 64, y + 1)).tobytes() for _ in "hl") for y in range(48)]
add("rgb16.png", png(64, 48, 16, 2, zlib.compress(b"".join(b"\0" + line for line in doubled), 9)),
    "16-bit RGB PNG, scaled by 1/257", "ok-or-error", part, colour_means)
add("interlaced.png", png(64, 48, 8, 2, adam7(small), True), "Adam7 interlaced PNG", "ok-or-error", part)
zeros = zlib.compress(bytes(1000), 9)
add("bomb-dimensions.png", png(100000, 100000, 8, 2, zeros), "header says 100000 x 100000", "error")
add("bomb-int-overflow.png", png(65537, 65537, 8, 2, zeros), "65537 x 65537: the product overflows 32 bits", "error")
add("bomb-zlib.png", png(64, 48, 8, 2, zlib.compress(bytes(50_000_000), 9)), "IDAT inflates to 50 MB, 9264 bytes are due", "ok-or-error")
flip = good.index(b"IDAT") + 100
add("bad-crc.png", good[:flip] + bytes([good[flip] ^ 0x55]) + good[flip + 1:], "one byte of IDAT flipped", "error")
add("truncated.png", good[:len(good) // 2], "PNG cut at half its bytes", "error")

add("png-named.jpg", good, "a good PNG named .jpg", "ok-or-error", part)
add("jpeg-named.png", plain, "a good JPEG named .png", "ok-or-error", whole)
add("bmp-named.jpg", encoded(small, "BMP"), "a BMP named .jpg", "ok-or-error", part)
add("text.jpg", b"image,label\nthis is not an image\n" * 20, "plain text", "error")
add("html-404.jpg", b"<!DOCTYPE html><html><head><title>404 Not Found</title></head><body>Not Found</body></html>\n",
    "what a failed download leaves", "error")
add("lfs-pointer.jpg", b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 12345\n", "a Git LFS pointer", "error")
add("random.jpg", bytes((i * i * 2654435761 + i * 40503 >> 13) % 256 for i in range(1, 4097)), "noise", "error")
add("soi-only.jpg", b"\xff\xd8", "the JPEG start marker alone", "error")
add("empty.jpg", b"", "an empty file", "error")
add("directory.jpg", None, "a folder", "error")
for name in ["name with spaces.jpg", "名前-é-皮膚.jpg", "comma, name.jpg", "UPPER.JPG"]:
    add(name, plain, "a good JPEG, unusual name", "ok", whole)
add("no-such-file.jpg", None, "named here, not on disk", "error")
add("../bad-images/plain.jpg", None, "a path out of the folder and back", "ok-or-error", whole)

with open(FOLDER / "expected.csv", "w", newline="") as out:
    names = ["image", "what", "expect", "width", "height", "mean_r", "mean_g", "mean_b", "centre_r", "centre_g", "centre_b"]
    writer = csv.DictWriter(out, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
print(len(rows), "rows")
