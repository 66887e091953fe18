def conv(name, channels_in, window, stride=1):
    """A convolution without bias, as wide as WIDTHS says, which keeps the size of the map divided by its stride."""
    return nn.Conv2d(channels_in, WIDTHS[name], window, stride, window // 2, bias=False)


class BasicBlock(nn.Module):
    """relu(x + F(x)); F is two 3x3 convolutions."""

    def __init__(self, name, channels_in, stride):
        super().__init__()
        self.conv1 = conv(f"{name}.conv1", channels_in, 3, stride)
        self.bn1 = nn.BatchNorm2d(self.conv1.out_channels)
        self.conv2 = conv(f"{name}.conv2", self.conv1.out_channels, 3)
        self.bn2 = nn.BatchNorm2d(self.conv2.out_channels)
        self.downsample = shortcut(name, channels_in, stride)
        self.channels = self.conv2.out_channels

    def forward(self, x):
        y = torch.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return torch.relu(y + (self.downsample(x) if self.downsample else x))


class Bottleneck(nn.Module):
    """relu(x + F(x)); F is convolutions of 1x1, 3x3 (which has the stride) and 1x1."""

    def __init__(self, name, channels_in, stride):
        super().__init__()
        self.conv1 = conv(f"{name}.conv1", channels_in, 1)
        self.bn1 = nn.BatchNorm2d(self.conv1.out_channels)
        self.conv2 = conv(f"{name}.conv2", self.conv1.out_channels, 3, stride)
        self.bn2 = nn.BatchNorm2d(self.conv2.out_channels)
        self.conv3 = conv(f"{name}.conv3", self.conv2.out_channels, 1)
        self.bn3 = nn.BatchNorm2d(self.conv3.out_channels)
        self.downsample = shortcut(name, channels_in, stride)
        self.channels = self.conv3.out_channels

    def forward(self, x):
        y = torch.relu(self.bn1(self.conv1(x)))
        y = torch.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return torch.relu(y + (self.downsample(x) if self.downsample else x))


def shortcut(name, channels_in, stride):
    """A 1x1 convolution and its norm, only where the block changes the size or the width of its input."""
    if f"{name}.downsample.0" not in WIDTHS:
        return None
    projection = conv(f"{name}.downsample.0", channels_in, 1, stride)
    return nn.Sequential(projection, nn.BatchNorm2d(projection.out_channels))


class Network(nn.Module):
    """A ResNet with torchvision's names: a stem, four stages of residual blocks, the mean over the map, a classifier."""

    def __init__(self):
        super().__init__()
        small = STEM == "small"  # 3x3 of stride 1 and no pooling, for small images; otherwise 7x7 of stride 2
        self.conv1 = conv("conv1", 3, 3 if small else 7, 1 if small else 2)
        self.bn1 = nn.BatchNorm2d(self.conv1.out_channels)
        self.maxpool = nn.Identity() if small else nn.MaxPool2d(3, stride=2, padding=1)
        channels = self.conv1.out_channels
        for stage in range(1, 5):
            blocks = []
            while f"layer{stage}.{len(blocks)}.conv1" in WIDTHS:
                name = f"layer{stage}.{len(blocks)}"
                block = Bottleneck if f"{name}.conv3" in WIDTHS else BasicBlock
                blocks.append(block(name, channels, 2 if stage > 1 and not blocks else 1))
                channels = blocks[-1].channels
            setattr(self, f"layer{stage}", nn.Sequential(*blocks))
        self.fc = nn.Linear(channels, len(CLASSES))

    def forward(self, x):
        x = self.maxpool(torch.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(x.mean((2, 3)))
