#!/usr/bin/env python3
"""The side of ONNX Runtime or OpenVINO in a comparison on processors, float32: some of the lines of worker.cpp, which has
what they mean. Started as: runtime_worker.py onnxruntime|openvino [HINT]

    network infer SIZE BATCH ARCH STEM [LAYER=CHANNELS ...]  -> ready
    time SECONDS                                             -> seconds per call, of each stretch

HINT, of OpenVINO: latency, one request at a time over all cores, or throughput, as many requests at once as it asks for; a
call is then one of them. Threads: OMP_NUM_THREADS.
"""
import os
import sys
import tempfile
import time

import torch

from narrowed import build, widths_of

STRETCH = 0.01
THREADS = int(os.environ.get("OMP_NUM_THREADS", os.cpu_count()))


def exported(size, batch, arch, stem, layers):
    """The network as an ONNX file, and its images."""
    net = build(arch, widths_of(layers), stem).eval()
    images = torch.randn(int(batch), 3, int(size), int(size))
    file = tempfile.NamedTemporaryFile(suffix=".onnx")
    torch.onnx.export(net, (images,), file.name, dynamo=False)
    return file, images.numpy()


def onnxruntime_step(file, images):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda: session.run(None, {name: images}), 1


def openvino_step(file, images, hint):
    import openvino
    from openvino import properties

    core = openvino.Core()
    config = {properties.hint.inference_precision(): openvino.Type.f32, properties.inference_num_threads(): THREADS,
              properties.hint.performance_mode(): hint.upper()}
    compiled = core.compile_model(file, "CPU", config)
    if hint == "latency":
        request = compiled.create_infer_request()
        return lambda: request.infer([images], share_inputs=True, share_outputs=True), 1
    queue = openvino.AsyncInferQueue(compiled)
    count = 2 * len(queue)

    def step():
        for _ in range(count):
            queue.start_async([images], share_inputs=True)
        queue.wait_all()

    return step, count


def timed(step, count, seconds):
    def stretch(calls):
        start = time.perf_counter()
        for _ in range(calls):
            step()
        return time.perf_counter() - start

    calls = int(min(10000, max(1, STRETCH / max(stretch(1), 1e-7))))
    out = []
    while True:
        taken = stretch(calls)
        out.append(f"{taken / calls / count:.4e}")
        seconds -= taken
        if seconds <= 0:
            return " ".join(out)


def main():
    runtime, hint = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "latency"
    file = step = None
    for line in sys.stdin:
        command, *words = line.split()
        try:
            if command == "time":
                print(timed(*step, float(words[0])), flush=True)
                continue
            if command != "network" or words[0] != "infer":
                raise ValueError(f"{runtime} has no {line.strip()}")
            file, images = exported(*words[1:5], words[5:])
            step = onnxruntime_step(file.name, images) if runtime == "onnxruntime" else openvino_step(file.name, images, hint)
            for _ in range(3):
                step[0]()
            print("ready 0 0 0", flush=True)
        except Exception as error:
            print(f"failed {type(error).__name__} " + str(error).split("\n")[0][:200], flush=True)


main()
