from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any, Sequence, TypeVar

import numpy as np

from . import _core
from ._error import Error

if TYPE_CHECKING:
    import torch

    Images = TypeVar("Images", np.ndarray, torch.Tensor)


def load(path: str | os.PathLike[str], device: str = "cpu", threads: int = 0) -> Model:
    """Opens a checkpoint of fp_train or fp_prune, dense or pruned.

    device: cpu, cuda, cuda:1, or auto (CUDA where a GPU is present and built in, else cpu).
    threads: of the host; 0 is one per core.
    """
    return Model(path, device, threads)


class Model:
    """A network with its classes and preprocessing.

    classes: names, in the order of the columns of predictions
    image_size: side of the square that the network sees, in pixels
    mean, std: of R, G and B, in the scale [0, 1]
    spec: arch, classes, stem, width, and by layer the widths that pruning has left
    parameters, macs: trained numbers; multiply-adds of one image
    """

    def __init__(self, path: str | os.PathLike[str], device: str = "cpu", threads: int = 0) -> None:
        self.path = os.fspath(path)
        self._core = _core.Model(self.path, device, threads)
        card = json.loads(self._core.card)
        preprocessing = card["preprocessing"]
        self.spec: dict[str, Any] = card["spec"]
        self.classes: list[str] = card["classes"]
        self.image_size: int = preprocessing["image_size"]
        self.mean: tuple[float, float, float] = tuple(preprocessing["mean"])
        self.std: tuple[float, float, float] = tuple(preprocessing["std"])
        self.parameters: int = self._core.parameters
        self.macs: int = self._core.macs
        self.device: str = self._core.device

    def __repr__(self) -> str:
        return (f"<fairprune.Model {self.path}: {self.spec['arch']}, {len(self.classes)} classes, {self.image_size} pixels, "
                f"{self.parameters} parameters, {self.macs} multiply-adds, on {self.device}>")

    def predict(self, images: Images, batch_size: int = 32) -> Images:
        """Probabilities (N, classes) of images at the model's size, as float32 of the same kind: array or tensor.

        images: uint8 (N, size, size, 3), or floating point (N, 3, size, size) in [0, 1]; RGB. The mean is subtracted and
        the deviation divides here, and nothing else is done: no resize, no crop. For files see predict_files().
        """
        return self._run(images, False, batch_size)

    def logits(self, images: Images, batch_size: int = 32) -> Images:
        """What predict() takes the softmax of."""
        return self._run(images, True, batch_size)

    def predict_files(self, files: Sequence[str | os.PathLike[str]], batch_size: int = 32, skip_bad: bool = False) -> np.ndarray:
        """Probabilities (N, classes) of image files (JPEG, PNG, BMP), read as the commands read them: decoded to RGB, the
        short side scaled to image_size with an antialiased triangle filter, the centre cropped, normalised.

        A file that cannot be read is an Error; with skip_bad its row is NaN.
        """
        names = [os.fspath(file) for file in files]
        if not names:
            return np.empty((0, len(self.classes)), np.float32)
        return self._core.run_files(names, _at_least_one(batch_size), skip_bad)

    def state_dict(self) -> dict[str, np.ndarray]:
        """Copies of all weights and statistics by torchvision's names and in its shapes."""
        return self._core.state_dict()

    def to_torch(self) -> torch.nn.Module:
        """The same network of plain PyTorch layers, in evaluation mode: its logits differ by rounding alone, its state dict
        has torchvision's names. It takes (N, 3, size, size) after the preprocessing: ([0, 1] - mean) / std, per channel."""
        import torch

        names: dict[str, Any] = {"__name__": "fairprune.exported", "__file__": self.path}
        exec(self._core.torch_module, names)  # the module that fp_export --torch writes
        network = names["Network"]()
        network.load_state_dict({name: torch.as_tensor(value) for name, value in self.state_dict().items()})
        return network.eval()

    def _run(self, images: Images, logits: bool, batch_size: int) -> Images:
        tensor = images if hasattr(images, "detach") else None
        x = np.asarray(images if tensor is None else tensor.detach().cpu().numpy())
        size, whole = self.image_size, x.dtype == np.uint8
        if x.shape[1:] != ((size, size, 3) if whole else (3, size, size)) or not (whole or x.dtype.kind == "f"):
            raise Error(f"images: {x.dtype} {x.shape}; this model takes uint8 (N, {size}, {size}, 3) or "
                        f"floating point (N, 3, {size}, {size})", 2)
        if not whole:
            x = x.astype(np.float32, copy=False)
            if x.size and not (x.min() >= 0 and x.max() <= 1):
                raise Error(f"images: values from {x.min():g} to {x.max():g}, not of 0 to 1", 2)
        run = self._core.run_bytes if whole else self._core.run_floats
        out = run(np.ascontiguousarray(x), logits, _at_least_one(batch_size))
        if tensor is None:
            return out
        import torch

        return torch.from_numpy(out).to(tensor.device)


def _at_least_one(batch_size: int) -> int:
    if batch_size < 1:
        raise Error(f"batch_size: {batch_size} is not at least 1", 2)
    return batch_size
