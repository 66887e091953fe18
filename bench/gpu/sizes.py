"""What is measured: the shapes of the networks and how often, whole (real) and in little (tiny, for a dry run)."""

# (case, H, C, K, R, stride) of the distinct convolutions of ResNet-18, ResNet-50 and VGG-11 at 224 pixels.
STEM = [("stem", 224, 3, 64, 7, 2)]
RESNET18 = [
    ("3x3", 56, 64, 64, 3, 1), ("3x3/2", 56, 64, 128, 3, 2), ("1x1/2", 56, 64, 128, 1, 2),
    ("3x3", 28, 128, 128, 3, 1), ("3x3/2", 28, 128, 256, 3, 2), ("1x1/2", 28, 128, 256, 1, 2),
    ("3x3", 14, 256, 256, 3, 1), ("3x3/2", 14, 256, 512, 3, 2), ("1x1/2", 14, 256, 512, 1, 2),
    ("3x3", 7, 512, 512, 3, 1),
]
RESNET50 = [
    ("1x1", 56, 64, 64, 1, 1), ("1x1", 56, 64, 256, 1, 1), ("1x1", 56, 256, 64, 1, 1), ("1x1", 56, 256, 128, 1, 1),
    ("3x3/2", 56, 128, 128, 3, 2), ("1x1", 28, 128, 512, 1, 1), ("1x1/2", 56, 256, 512, 1, 2), ("1x1", 28, 512, 128, 1, 1),
    ("1x1", 28, 512, 256, 1, 1), ("3x3/2", 28, 256, 256, 3, 2), ("1x1", 14, 256, 1024, 1, 1), ("1x1/2", 28, 512, 1024, 1, 2),
    ("1x1", 14, 1024, 256, 1, 1), ("1x1", 14, 1024, 512, 1, 1), ("3x3/2", 14, 512, 512, 3, 2), ("1x1", 7, 512, 2048, 1, 1),
    ("1x1/2", 14, 1024, 2048, 1, 2), ("1x1", 7, 2048, 512, 1, 1),
]
VGG11 = [
    ("vgg", 224, 3, 64, 3, 1), ("vgg", 112, 64, 128, 3, 1), ("vgg", 56, 128, 256, 3, 1), ("vgg", 56, 256, 256, 3, 1),
    ("vgg", 28, 256, 512, 3, 1), ("vgg", 28, 512, 512, 3, 1), ("vgg", 14, 512, 512, 3, 1),
]
# Those that are measured with inputs as behind a ReLU too.
RECTIFIED = [RESNET18[0], RESNET18[3], RESNET18[6], RESNET18[9], RESNET50[1], RESNET50[10]]

# GPU.md 2.9, ResNet-18, batch 256, bf16: what share of every width is kept; dense time over pruned at the device's limits.
LIMIT = {0.98: 1.04, 0.95: 1.10, 0.90: 1.21, 0.85: 1.34, 0.80: 1.49, 0.75: 1.66,
         0.70: 1.86, 0.60: 2.40, 0.50: 3.15, 0.40: 4.26, 0.30: 6.16, 0.25: 7.50}

# ResNet-18's convolutions at 128 pixels: (channels, side of their maps, how many), 4800 channels together.
RESNET18_MAPS_128 = [(64, 64, 1), (64, 32, 4), (128, 16, 5), (256, 8, 5), (512, 4, 5)]


def resnet18_widths(stages):
    """LAYER=CHANNELS of every convolution, given the channels of the four stages; the stem has the first's."""
    words = [f"conv1={stages[0]}"]
    for stage, width in enumerate(stages, 1):
        for block in (0, 1):
            name = f"layer{stage}.{block}"
            words += [f"{name}.conv1={width}", f"{name}.conv2={width}"]
            if block == 0 and stage > 1:
                words.append(f"{name}.downsample.0={width}")
    return " ".join(words)


def real(rounds=30):
    return dict(
        device="cuda", peer="cudnn", torch="cuda", host="cpu", batch=256, rounds=rounds, conv_rounds=12, seconds=0.02,
        precisions=["bf16", "fp32"], copy=1 << 31, product=8192,
        # (what, variant, blocks, steps): rates/rates.h
        rates=[("l2", 16384, 132, 2000), ("l2", 4096, 132, 2000), *(("wgmma", n, 132, 2000) for n in (64, 96, 128, 192, 256)),
               *(("ex2", beside, 1056, 2000) for beside in (0, 4, 8)), ("start", 1000, 1, 1)],
        convs=STEM + RESNET18 + RESNET50 + VGG11, convs_fp32=RESNET18, rectified=RECTIFIED,
        directions=["forward", "backward_data", "backward_filter"],
        networks=[("resnet18", 224, 256), ("resnet50", 224, 256), ("resnet18", 64, 256)], latency=[("resnet18", 224, 1)], stem="imagenet",
        stages=[64, 128, 256, 512], kept=list(LIMIT), pruned_rounds=10,
        channels=[*range(66, 61, -1), *range(58, 53, -1), *range(50, 45, -1), 33], side=56,
        snnl=[(128, 512, 7), (1024, 512, 7), (4096, 256, 14), (10000, 64, 56)],
        snnl_peers={(128, 512, 7): ["loop", "bmm", "compile"], (1024, 512, 7): ["loop", "bmm", "compile"],
                    (4096, 256, 14): ["loop", "bmm"], (10000, 64, 56): ["loop"]},
        snnl_network=(10000, RESNET18_MAPS_128),
        curve=["--data", "synth:n=1024,size=32,classes=4,groups=2,bias=0.8,seed=1", "--width", "0.25", "--epochs", "8", "--batch-size", "32"],
    )


def tiny():
    return dict(
        device="emulated", peer="reference", torch="cpu", host="reference", batch=1, rounds=2, conv_rounds=2, seconds=0.0,
        precisions=["fp32"], copy=1 << 16, product=32,
        rates=[("l2", 64, 2, 16), ("wgmma", 64, 1, 2), ("wgmma", 256, 1, 2), ("ex2", 4, 1, 4), ("start", 4, 1, 1)],
        convs=[("3x3", 6, 8, 8, 3, 1), ("1x1/2", 6, 8, 16, 1, 2)], convs_fp32=[("3x3", 6, 8, 8, 3, 1), ("1x1/2", 6, 8, 16, 1, 2)],
        rectified=[("3x3", 6, 8, 8, 3, 1)], directions=["forward", "backward_data", "backward_filter"],
        networks=[("resnet18", 8, 2)], latency=[], stem="small",
        stages=[2, 4, 8, 16], kept=[0.5], pruned_rounds=2, channels=[9], side=6,
        snnl=[(8, 4, 2)], snnl_peers={(8, 4, 2): ["loop", "bmm"]}, snnl_network=(8, [(4, 2, 1), (8, 1, 2)]),
        curve=["--data", "synth:n=32,size=16,classes=2,groups=2,bias=0.8,seed=1", "--width", "0.0625", "--epochs", "1", "--batch-size", "8"],
    )
