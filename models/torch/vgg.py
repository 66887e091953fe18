class Network(nn.Module):
    """A VGG with torchvision's names: 3x3 convolutions, in groups with max pooling behind each; the mean to 7x7; three
    linear layers. A layer's number counts every module before it."""

    def __init__(self):
        super().__init__()
        last = max(int(name.split(".")[1]) for name in WIDTHS if name.startswith("features."))
        layers, channels = [], 3
        while len(layers) <= last:
            width = WIDTHS.get(f"features.{len(layers)}")
            if width is None:
                layers.append(nn.MaxPool2d(2, stride=2))
                continue
            layers.append(nn.Conv2d(channels, width, 3, padding=1))
            if ARCHITECTURE.endswith("_bn"):
                layers.append(nn.BatchNorm2d(width))
            layers.append(nn.ReLU())
            channels = width
        self.features = nn.Sequential(*layers, nn.MaxPool2d(2, stride=2))
        self.avgpool = nn.AdaptiveAvgPool2d(7)
        first, second = WIDTHS["classifier.0"], WIDTHS["classifier.3"]
        self.classifier = nn.Sequential(
            nn.Linear(channels * 7 * 7, first), nn.ReLU(), nn.Dropout(0.5),
            nn.Linear(first, second), nn.ReLU(), nn.Dropout(0.5),
            nn.Linear(second, len(CLASSES)))

    def forward(self, x):
        return self.classifier(self.avgpool(self.features(x)).flatten(1))
