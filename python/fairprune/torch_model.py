"""Networks of plain PyTorch, with the widths of a state dict: dense or pruned."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from .model import Model

State = dict[str, torch.Tensor]


def _conv(state: State, name: str, stride: int = 1) -> nn.Conv2d:
    k, c, window, _ = state[name + ".weight"].shape
    return nn.Conv2d(c, k, window, stride, window // 2, bias=name + ".bias" in state)


def _norm(state: State, name: str) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(len(state[name + ".weight"]))


def _linear(state: State, name: str) -> nn.Linear:
    k, c = state[name + ".weight"].shape
    return nn.Linear(c, k)


class Block(nn.Module):
    """relu(x + F(x)): F is two 3x3 convolutions, or 1x1, 3x3, 1x1; the first 3x3 one has the stride."""

    def __init__(self, state: State, name: str, stride: int) -> None:
        super().__init__()
        self.depth = 3 if f"{name}.conv3.weight" in state else 2
        for i in range(1, self.depth + 1):
            setattr(self, f"conv{i}", _conv(state, f"{name}.conv{i}", stride if i == self.depth - 1 else 1))
            setattr(self, f"bn{i}", _norm(state, f"{name}.bn{i}"))
        self.downsample = None
        if f"{name}.downsample.0.weight" in state:
            self.downsample = nn.Sequential(_conv(state, f"{name}.downsample.0", stride), _norm(state, f"{name}.downsample.1"))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = x
        for i in range(1, self.depth + 1):
            y = getattr(self, f"bn{i}")(getattr(self, f"conv{i}")(y))
            if i < self.depth:
                y = torch.relu(y)
        return torch.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNet(nn.Module):
    def __init__(self, state: State, stem: str) -> None:
        super().__init__()
        self.conv1 = _conv(state, "conv1", 1 if stem == "small" else 2)
        self.bn1 = _norm(state, "bn1")
        self.maxpool = nn.Identity() if stem == "small" else nn.MaxPool2d(3, 2, 1)
        for stage in range(1, 5):
            blocks = 1 + max(int(m[1]) for name in state if (m := re.match(rf"layer{stage}\.(\d+)\.", name)))
            setattr(self, f"layer{stage}", nn.Sequential(
                *(Block(state, f"layer{stage}.{i}", 2 if i == 0 and stage > 1 else 1) for i in range(blocks))))
        self.fc = _linear(state, "fc")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.maxpool(torch.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(x.mean((2, 3)))


class Vgg(nn.Module):
    def __init__(self, state: State) -> None:
        super().__init__()
        # torchvision numbers the modules: ReLU and pooling, which have no weights, are the numbers that lack.
        numbers = sorted({int(m[1]) for name in state if (m := re.match(r"features\.(\d+)\.", name))})
        layers: list[nn.Module] = []
        for number in numbers:
            if number - len(layers) == 2:
                layers += [nn.ReLU(), nn.MaxPool2d(2)]
            elif number - len(layers) == 1:
                layers.append(nn.ReLU())
            convolution = state[f"features.{number}.weight"].dim() == 4
            layers.append((_conv if convolution else _norm)(state, f"features.{number}"))
        self.features = nn.Sequential(*layers, nn.ReLU(), nn.MaxPool2d(2))
        self.avgpool = nn.AdaptiveAvgPool2d(7)
        first, second, head = (_linear(state, f"classifier.{i}") for i in (0, 3, 6))
        self.classifier = nn.Sequential(first, nn.ReLU(), nn.Dropout(), second, nn.ReLU(), nn.Dropout(), head)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classifier(self.avgpool(self.features(x)).flatten(1))


def module_of(model: Model) -> nn.Module:
    state = {name: torch.as_tensor(value) for name, value in model.state_dict().items()}
    network = Vgg(state) if model.spec["arch"].startswith("vgg") else ResNet(state, model.spec["stem"])
    network.load_state_dict(state)
    return network.eval()
