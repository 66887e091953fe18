"""Stands in for a program that this machine lacks, so that the benchmark's own logic can be walked and its fault drills
have something to fail. Started as: stand_in.py WHAT [ARGUMENT ...]

    torch_worker PRECISION ..      answers the lines of bench/worker/torch_worker.py
    worker DEVICE PRECISION        answers those of bench/worker/worker.cpp, and goes wrong as the variable FAULT says:
                                   FAULT="KIND LINE", at the line that starts so
    ncu, compute-sanitizer ..      read their input and answer as these tools do
"""
import json
import os
import signal
import subprocess
import sys
import time

CHECKED = {"bits": "0" * 16, "same_bits": True, "guards": True, "unwritten": 0, "double": {"rms": 1e-7, "worst": 1e-6, "samples": 8}}
BESIDE = {"output": "y", "elements": 1000, "rms": 1e-7, "worst": 1e-6, "wrong": 0, "unwritten": 0}


def say(*words):
    print(*words, flush=True)


def child():
    """A grandchild that would live on, and that does not mind a SIGTERM."""
    process = subprocess.Popen([sys.executable, "-c", "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"])
    with open(os.environ["CHILDREN"], "a") as file:
        file.write(f"{process.pid}\n")


def go_wrong(kind):
    """Whether the line is to be answered all the same."""
    if kind == "hang":
        child()
        time.sleep(600)
    if kind == "stubborn":  # ignores SIGTERM, has a child
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        child()
        while True:
            time.sleep(60)
    if kind == "segfault":
        os.kill(os.getpid(), signal.SIGSEGV)
    if kind == "device":
        print("bench_worker: an illegal memory access was encountered at kernels/cuda/conv/conv.cu:99", file=sys.stderr, flush=True)
        sys.exit(4)
    if kind == "noise":
        sys.stdout.write("x" * (10 << 20))
        sys.stdout.flush()
    if kind == "loud":
        sys.stderr.write(os.urandom(5 << 20).hex())
    return kind in ("loud", "wrong")


def worker(device, precision):
    kind, _, at = os.environ.get("FAULT", "").partition(" ")
    if kind == "unstartable" and device == at:
        print("bench_worker: no such library", file=sys.stderr)
        sys.exit(127)
    made = ""
    for line in sys.stdin:
        line = line.strip()
        with open(os.environ.get("ASKED", os.devnull), "a") as file:
            file.write(f"{device} {precision} {line}\n")
        command, *words = line.split()
        asked = line if command not in ("check", "time", "timed", "bits", "memory", "gradients", "dump") else f"{command} {made}"
        wrong = kind if kind and at and (asked.startswith(at)) and device == "emulated" else None
        if wrong and not go_wrong(wrong):
            continue
        if device == "model":
            say("1e9 1e6 1e-4 2e-4 memory")
        elif command == "time":
            say("1.0e-03 1.1e-03")
        elif command == "timed":
            say("graph of 2 calls")
        elif command == "memory":
            say("1000 1000")
        elif command == "bits":
            say("00000000deadbeef")
        elif command == "gradients":
            say(json.dumps({"rms": 1e-6, "cosine": 1.0, "worst": 1e-5, "worst_parameter": "conv1.weight"}))
        elif command == "check":
            answer = {**CHECKED, "device": words[0] if words else ""}
            if words:
                answer["beside"] = [{**BESIDE, "wrong": 12, "first": [[0, 3, 5, 17, "nan", "0.25"]], "by_tile": [["0,0", 12]]} if wrong == "wrong" else BESIDE]
            say(json.dumps(answer))
        else:
            made = line.removeprefix("once ")
            say("ready 1e9 1e-4 2e-4")


def torch_worker():
    for line in sys.stdin:
        command = line.split()[0]
        say({"time": "1.0e-03 1.2e-03", "timed": "a stand-in", "free": "freed"}.get(command, "ready 0 0 0"))


def ncu():
    sys.stdin.read()
    if "--csv" in sys.argv:
        say('"ID","Kernel Name","Metric Name","Metric Unit","Metric Value"')
        for i, (name, ns) in enumerate((("first(int)", "2,000"), ("second<4>(int)", "9,000"), ("first(int)", "2,500"))):
            say(f'"{i}","{name}","gpu__time_duration.sum","ns","{ns}"')
    else:
        say("  Section: GPU Speed Of Light Throughput")


def main():
    what, *words = sys.argv[1:]
    if what == "worker":
        worker(*words[-2:])
    elif what == "torch_worker":
        torch_worker()
    elif what == "ncu":
        ncu()
    else:
        sys.stdin.read()


main()
