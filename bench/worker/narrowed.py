"""torchvision's ResNet-18 with named convolutions (and the norms behind them) narrowed: LAYER=CHANNELS."""
import sys

import torch
import torchvision


def build(arch, widths, stem="imagenet"):
    """stem: imagenet, or small: a 3x3 convolution of stride 1 and no pooling."""
    net = getattr(torchvision.models, arch)(num_classes=8)
    if not widths and stem == "imagenet":
        return net
    if arch != "resnet18":
        sys.exit("only resnet18 is narrowed")

    def narrow(block, conv, norm, inputs, name, **shape):
        old = getattr(block, conv) if isinstance(conv, str) else block[conv]
        outputs = widths.get(name, old.out_channels)
        shape = {"kernel_size": old.kernel_size, "stride": old.stride, "padding": old.padding, **shape}
        new = torch.nn.Conv2d(inputs, outputs, bias=False, **shape)
        if isinstance(conv, str):
            setattr(block, conv, new)
            setattr(block, norm, torch.nn.BatchNorm2d(outputs))
        else:
            block[conv], block[norm] = new, torch.nn.BatchNorm2d(outputs)
        return outputs

    small = {"kernel_size": 3, "stride": 1, "padding": 1} if stem == "small" else {}
    width = narrow(net, "conv1", "bn1", 3, "conv1", **small)
    if small:
        net.maxpool = torch.nn.Identity()
    for stage in range(1, 5):
        for i, block in enumerate(getattr(net, f"layer{stage}")):
            name = f"layer{stage}.{i}"
            inside = narrow(block, "conv1", "bn1", width, name + ".conv1")
            out = narrow(block, "conv2", "bn2", inside, name + ".conv2")
            if block.downsample is not None:
                narrow(block.downsample, 0, 1, width, name + ".downsample.0")
            width = out
    net.fc = torch.nn.Linear(width, 8)
    return net


def widths_of(words):
    return {name: int(value) for name, value in (word.split("=") for word in words)}
