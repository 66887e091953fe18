"""What is measured: shapes, networks and numbers of rounds, in full (real) and small (tiny, for a dry run)."""
import pathlib
import sys

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
# Words of a line (bench/worker/forced.h): no sums split over clusters; no kernel begins before those in front are complete.
WITHOUT_SPLIT, NOT_EARLY = " without=split", " late=1"
# Those that are measured with inputs as behind a ReLU too.
RECTIFIED = [RESNET18[0], RESNET18[3], RESNET18[6], RESNET18[9], RESNET50[1], RESNET50[10]]

# ResNet-18, batch 256, bf16: by what share of every width is kept, dense time over pruned where every layer takes the longer of
# its arithmetic at an H200's peak and its bytes at the bandwidth.
LIMIT = {0.98: 1.04, 0.95: 1.10, 0.90: 1.21, 0.85: 1.34, 0.80: 1.49, 0.75: 1.66,
         0.70: 1.86, 0.60: 2.40, 0.50: 3.15, 0.40: 4.26, 0.30: 6.16, 0.25: 7.50}

# ResNet-18's convolutions at 128 pixels: (channels, side of their maps, how many), 4800 channels together.
RESNET18_MAPS_128 = [(64, 64, 1), (64, 32, 4), (128, 16, 5), (256, 8, 5), (512, 4, 5)]


def resnet18_widths(stages, inside_only=False):
    """LAYER=CHANNELS of every convolution, given the channels of the four stages; the stem has the first's. inside_only: of
    the first convolution of each block alone."""
    words = [] if inside_only else [f"conv1={stages[0]}"]
    for stage, width in enumerate(stages, 1):
        for block in (0, 1):
            name = f"layer{stage}.{block}"
            words.append(f"{name}.conv1={width}")
            if not inside_only:
                words += [f"{name}.conv2={width}"] + [f"{name}.downsample.0={width}"] * (block == 0 and stage > 1)
    return " ".join(words)


# (H, C, residual) of ResNet-18's batch norms at 224 pixels, and of the widest of ResNet-50.
NORMS = [(112, 64, 0), (56, 64, 0), (56, 64, 1), (28, 128, 0), (28, 128, 1), (14, 256, 1), (7, 512, 1), (56, 256, 1)]


def moving(batch, norms, pools, image):
    """Lines of bench/worker/ops.cpp: ops that memory bounds."""
    lines = []
    for h, c, residual in norms:
        flag = " residual" if residual else ""
        lines += [f"op bn_forward {batch} {h} {c}{flag} bits", f"op bn_backward {batch} {h} {c}{flag} {'bits' if residual else 'again'}"]
    for h, c in pools:
        lines += [f"op {op} {batch} {h} {c}" for op in ("pool_forward", "pool_backward")]
    h, c = norms[0][:2]
    lines += [f"op stem_forward {batch} {h} {c}", f"op stem_backward {batch} {h} {c}"]
    for h, c, _ in norms[3:7]:
        lines += [f"op pair_forward {batch} {h} {c}", f"op pair_backward {batch} {h} {c}"]
    h, c = norms[-2][:2]
    return lines + [f"op avgpool_forward {batch} {h} {c}", f"op avgpool_backward {batch} {h} {c}", f"op image {batch} {image}", f"op round {1 << 20}"]


def small(batch, side, channels, classes, parameters, snnl):
    """Lines of bench/worker/small_ops.cpp, and the gradient of SNNL: all are compared whole with `reference`."""
    maps = ("relu", "relu_backward", "add", "dropout", "norm_train", "norm_infer")
    return [*(f"small {op} {batch} {side} {channels}" for op in maps), *(f"small {op} {batch} 512 {classes}" for op in ("linear", "linear_data", "linear_filter")),
            *(f"small {op} {batch} {classes}" for op in ("loss", "loss_backward")), *(f"small {op} {parameters}" for op in ("sgd", "adamw")),
            "snnl %d %d %d gradient" % snnl]


# A small shape of each kernel template, in groups that share a process under compute-sanitizer.
SANITIZED = [
    [f"conv {d} 2 14 64 64 3 1" for d in ("forward_moments", "infer_residual", "backward_data", "backward_data_add", "backward_filter")],
    [f"conv {d} 2 14 24 40 3 1" for d in ("forward_moments", "infer", "backward_data", "backward_filter")],
    [f"conv {d} 2 28 64 128 3 2" for d in ("forward_moments", "backward_data", "backward_filter")] + [f"conv {d} 2 14 256 128 1 2" for d in ("forward", "backward_data", "backward_filter")],
    [f"conv {d} 2 56 64 64 3 1" for d in ("forward_moments", "backward_data", "backward_filter")] + ["conv infer 2 28 21 16 3 1", "conv backward_filter 2 28 21 16 3 1"],
    ["conv forward_moments 2 64 3 64 7 2", "conv infer 2 64 3 64 7 2", "conv backward_filter 2 64 3 64 7 2", "conv forward 2 32 3 64 3 1"],
    ["op bn_forward 2 14 64 residual bits", "op bn_backward 2 14 64 residual bits", "op stem_forward 2 28 64", "op stem_backward 2 28 64", "op pair_forward 2 14 64",
     "op pair_backward 2 14 64", "op pool_forward 2 14 64", "op pool_backward 2 14 64", "op image 2 28", "op round 5000"],
    ["snnl 64 16 4", "snnl 200 8 7", "snnl 64 16 4 gradient", "small linear 8 512 8", "small linear_filter 8 512 8", "small loss 8 8", "small sgd 5000"],
]


def real(rounds=20):
    return dict(
        device="cuda", peer="cudnn", torch="cuda", host="cpu", batch=256, rounds=rounds, conv_rounds=8, seconds=0.01, rotated=256 << 20, sustained=5,
        processes=16, checkers=8, check_bytes=24 << 30, shards=32, tests={"test_kernels": "*cuda*:*Cuda*:*cudnn*", "test_core": "*cuda*:*Cuda*"},
        check_precisions=["bf16", "tf32", "fp32"], curve_precisions=["fp32", "tf32", "bf16"], end_to_end=["fp32", "tf32", "bf16"],
        checked=["forward", "forward_moments", "infer", "infer_residual", "backward_data", "backward_data_add", "backward_filter"],
        ops=moving(256, NORMS, [(112, 64), (56, 128)], 224), small=small(256, 28, 128, 8, 11_180_616, (128, 64, 7)), sanitized=SANITIZED,
        gradients=[("bf16", "network train 64 8 resnet18 imagenet"), ("bf16", "network train 64 4 resnet50 imagenet"),
                   *((p, f"network train {size} {batch} {arch} imagenet") for size, batch, arch in ((64, 32, "resnet18"), (224, 8, "resnet18"), (64, 16, "resnet50"),
                                                                                              (64, 16, "vgg11_bn")) for p in ("fp32", "tf32"))],
        autotuned=[("resnet18", 224, 256), ("resnet50", 224, 256)], fused=STEM + RESNET18 + [RESNET50[1], RESNET50[10]], snnl_double=(10000, 64, 7),
        precisions=["bf16", "fp32"], copy=1 << 31, product=8192,
        # (what, variant, blocks, steps): bench/gpu/rates/rates.h
        rates=[("l2", 16384, 132, 2000), ("l2", 4096, 132, 2000), *(("wgmma", n, 132, 2000) for n in (64, 96, 128, 192, 256)),
               *(("ex2", beside, 1056, 2000) for beside in (0, 4, 8)), ("start", 1000, 1, 1)],
        convs=STEM + RESNET18 + RESNET50 + VGG11, convs_fp32=RESNET18, rectified=RECTIFIED,
        directions=["forward", "backward_data", "backward_filter"],
        networks=[("resnet18", 224, 256), ("resnet50", 224, 256), ("resnet18", 64, 256), ("vgg11_bn", 224, 64)], latency=[("resnet18", 224, 1)], stem="imagenet",
        stages=[64, 128, 256, 512], kept=list(LIMIT), pruned_rounds=10,
        channels=[*range(66, 61, -1), *range(58, 53, -1), *range(50, 45, -1), 33], side=56,
        snnl=[(128, 512, 7), (1024, 512, 7), (4096, 256, 14), (10000, 64, 56)],
        snnl_kernels=["tensor", "wgmma"],
        snnl_peers={(128, 512, 7): ["loop", "bmm", "compile"], (1024, 512, 7): ["loop", "bmm", "compile"],
                    (4096, 256, 14): ["loop", "bmm"], (10000, 64, 56): ["loop"]},
        snnl_network=(10000, RESNET18_MAPS_128),
        curve=["--data", "synth:n=1024,size=32,classes=4,groups=2,bias=0.8,seed=1", "--width", "0.25", "--epochs", "8", "--batch-size", "32"],
    )


def tiny():
    return dict(
        device="emulated", peer="reference", torch="cpu", host="reference", batch=1, rounds=2, conv_rounds=2, seconds=0.0, rotated=1, sustained=0.01,
        processes=3, checkers=2, check_bytes=1 << 40, shards=2, tests={"test_kernels": "*PoolOn*/emulated"},
        check_precisions=["fp32"], curve_precisions=["fp32"], end_to_end=[],
        checked=["forward", "forward_moments", "infer", "infer_residual", "backward_data", "backward_data_add", "backward_filter"],
        ops=["op bn_forward 2 6 8 residual", "op bn_backward 2 6 8 residual", "op pool_forward 2 6 8", "op pool_backward 2 6 8", "op image 2 6"],
        small=small(2, 4, 9, 5, 100, (6, 4, 2)), sanitized=[["conv forward 1 6 8 8 3 1"]],
        gradients=[("fp32", "network train 8 2 resnet18 small " + resnet18_widths([2, 4, 8, 16]))], autotuned=[("resnet18", 8, 2)], fused=[("3x3", 6, 8, 8, 3, 1)],
        snnl_double=(9, 4, 3), stand_in=[sys.executable, str(pathlib.Path(__file__).resolve().parent.parent.parent / "tests/bench/stand_in.py")],
        precisions=["fp32"], copy=1 << 16, product=32,
        rates=[("l2", 64, 2, 16), ("wgmma", 64, 1, 2), ("wgmma", 256, 1, 2), ("ex2", 4, 1, 4), ("start", 4, 1, 1)],
        convs=[("3x3", 6, 8, 8, 3, 1), ("1x1/2", 6, 8, 16, 1, 2)], convs_fp32=[("3x3", 6, 8, 8, 3, 1), ("1x1/2", 6, 8, 16, 1, 2)],
        rectified=[("3x3", 6, 8, 8, 3, 1)], directions=["forward", "backward_data", "backward_filter"],
        networks=[("resnet18", 8, 2)], latency=[], stem="small",
        stages=[2, 4, 8, 16], kept=[0.5], pruned_rounds=2, channels=[9], side=6,
        snnl=[(8, 4, 2)], snnl_kernels=["tensor", "wgmma"], snnl_peers={(8, 4, 2): ["loop", "bmm"]}, snnl_network=(8, [(4, 2, 1), (8, 1, 2)]),
        curve=["--data", "synth:n=32,size=16,classes=2,groups=2,bias=0.8,seed=1", "--width", "0.0625", "--epochs", "1", "--batch-size", "8"],
    )


def stand_in(patience):
    """For drills of faults: a stand-in answers in place of our programs, and every limit is multiplied by `patience`."""
    s = tiny()
    return {**s, "worker": [*s["stand_in"], "worker"], "patience": patience, "tests": {}, "curve_precisions": [], "sanitized": []}


def fit(s, gigabytes):
    """Smaller batches and fewer processes where the card has less memory than an H200; gigabytes: None where unknown."""
    if gigabytes and gigabytes < 100:
        s["networks"] = [(arch, size, batch // 2 if arch == "resnet50" else batch) for arch, size, batch in s["networks"]]
        s["check_bytes"] //= 2
    s["compile_gigabytes"] = 0.6 * gigabytes if gigabytes else float("inf")


def gigabytes_of(mode, arch, size, batch):
    """About how much memory PyTorch needs on the device for a network."""
    each = {"train": {"resnet18": 800, "resnet50": 2000}, "infer": {}}[mode].get(arch, 1900 if mode == "train" else 150)
    return 0.7 + 1e-9 * batch * size * size * each
