"""Runs PyTorch eager and ONNX Runtime for `benches/cpu.rs`: a line `engine network batch px milliseconds` in, the times of
the batches of that turn in milliseconds out. The last network stays, others go. PyTorch computes in PRECISION."""

import contextlib
import copy
import io
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "tests", "parity"))

import onnxruntime as ort
import torch
from networks import NETWORKS

THREADS = int(os.environ.get("THREADS", os.cpu_count()))
PRECISION = {"f16": torch.float16, "bf16": torch.bfloat16}.get(os.environ.get("PRECISION"), torch.float32)
torch.set_num_threads(THREADS)
torch.set_grad_enabled(False)


class Network:
    def __init__(self, name):
        self.name = name
        self.exported = NETWORKS[name][1]().eval()
        self.network = copy.deepcopy(self.exported).to(PRECISION)
        self.sessions = None

    def session(self, px):
        if self.sessions is None:
            buffer = io.BytesIO()
            with contextlib.redirect_stdout(sys.stderr):
                torch.onnx.export(
                    self.exported,
                    torch.rand(1, 3, px, px),
                    buffer,
                    input_names=["x"],
                    dynamic_axes={"x": {0: "n"}},
                    dynamo=False,
                )
            options = ort.SessionOptions()
            options.intra_op_num_threads = THREADS
            self.sessions = ort.InferenceSession(buffer.getvalue(), options, providers=["CPUExecutionProvider"])
        return self.sessions


def turn(batch, milliseconds):
    batch()
    times, began = [], time.perf_counter()
    while len(times) < 2 or (time.perf_counter() - began) * 1e3 < milliseconds:
        start = time.perf_counter()
        batch()
        times.append((time.perf_counter() - start) * 1e3)
    return times


current = None
for line in sys.stdin:
    engine, name, count, px, milliseconds = line.split()
    if current is None or current.name != name:
        current = None
        current = Network(name)
    x = torch.rand(int(count), 3, int(px), int(px))
    if engine == "torch":
        stored = x.to(PRECISION)
        try:
            times = turn(lambda: current.network(stored), float(milliseconds))
        except NotImplementedError:  # local response norm in bf16, for one
            times = []
    else:
        session, values = current.session(int(px)), x.numpy()
        times = turn(lambda: session.run(None, {"x": values}), float(milliseconds))
    print(*times, flush=True)
