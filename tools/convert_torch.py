#!/usr/bin/env python3
"""Turns a PyTorch or NumPy archive of weights into a safetensors file that fp_train --weights reads.

    tools/convert_torch.py resnet18.pth resnet18.safetensors

.pt and .pth are read with weights_only=True, so nothing in them can run; .npz without pickles. Needs
PyTorch 1.13 or later (for .pt and .pth) and the package safetensors.
"""
import argparse
import pathlib
import sys


def load_torch(path):
    import torch

    content = torch.load(path, map_location="cpu", weights_only=True)
    # Trainers wrap the weights: {"state_dict": {...}, "epoch": 3, ...}.
    for key in ("state_dict", "model_state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
            break
    tensors = {name: value for name, value in content.items() if isinstance(value, torch.Tensor)}
    left_out = sorted(set(content) - set(tensors))
    if left_out:
        print(f"{path}: left out, since they are no tensors: {' '.join(map(str, left_out))}", file=sys.stderr)
    # clone(): tensors that share memory are written each on its own.
    return {name: value.detach().clone().contiguous() for name, value in tensors.items()}


def load_numpy(path):
    import numpy

    with numpy.load(path, allow_pickle=False) as archive:
        return {name: numpy.ascontiguousarray(archive[name]) for name in archive.files}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("archive", type=pathlib.Path, help=".pt, .pth or .npz")
    parser.add_argument("safetensors", type=pathlib.Path, help="the file to write")
    arguments = parser.parse_args()

    if arguments.archive.suffix == ".npz":
        from safetensors.numpy import save_file

        tensors = load_numpy(arguments.archive)
    else:
        from safetensors.torch import save_file

        tensors = load_torch(arguments.archive)
    if not tensors:
        sys.exit(f"{arguments.archive}: holds no tensors")
    save_file(tensors, arguments.safetensors, metadata={"format": "pt"})
    print(f"{arguments.safetensors}: {len(tensors)} tensors")


if __name__ == "__main__":
    main()
