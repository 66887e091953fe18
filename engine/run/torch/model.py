"""{summary} It needs PyTorch alone; `preprocess` Pillow too.

    from model import load, preprocess
    logits = load()(preprocess(PIL.Image.open("image.jpg")))        # the logits of CLASSES

As a program, `model.py IMAGE...` prints a line per image: its likeliest class and that class's probability.
"""
import json
import pathlib

import torch
from torch import nn

{constants}

{network}

def read_safetensors(path):
    """The tensors by name: a JSON header of so many bytes says where each lies in what follows."""
    types = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "I64": torch.int64}
    with open(path, "rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        data = bytearray(file.read())
    header.pop("__metadata__", None)
    tensors = {}
    for name, place in header.items():
        begin, end = place["data_offsets"]
        tensors[name] = torch.frombuffer(data[begin:end], dtype=types[place["dtype"]]).reshape(place["shape"])
    return tensors


def load(path=pathlib.Path(__file__).with_name("model.safetensors")):
    model = Network()
    model.load_state_dict(read_safetensors(path))
    return model.eval()


def preprocess(image):
    """A PIL image as the network takes it, (1, 3, IMAGE_SIZE, IMAGE_SIZE): short side to IMAGE_SIZE, centre crop, scaled to
    [0, 1], less MEAN, by STD."""
    from PIL import Image

    short = min(image.size)
    size = [int(IMAGE_SIZE * side / short) for side in image.size]
    left, top = (round((side - IMAGE_SIZE) / 2) for side in size)
    image = image.convert("RGB").resize(size, Image.BILINEAR).crop((left, top, left + IMAGE_SIZE, top + IMAGE_SIZE))
    pixels = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8).reshape(IMAGE_SIZE, IMAGE_SIZE, 3)
    return ((pixels.float() / 255 - torch.tensor(MEAN)) / torch.tensor(STD)).permute(2, 0, 1)[None]


if __name__ == "__main__":
    import sys

    from PIL import Image

    model = load()
    for file in sys.argv[1:]:
        with torch.no_grad():
            probability, index = model(preprocess(Image.open(file))).softmax(1)[0].max(0)
        print(f"{file}: {CLASSES[index]} {probability:.4f}")
