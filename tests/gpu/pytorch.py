"""PyTorch's side of the comparison, in a process of its own: a JSON command a line in, an answer a line out.

{"do": "load", "network": …, "precision": "f32" | "f16"}: builds it, other networks go.
{"do": "turn", "variant": …, "batch": …, "seconds": …}: latencies in ms, device-synchronised at both ends, an element of the
logits read back, as wattscope times its own; the first turn of a variant warms it up before.

Variants: `f32` and `tf32` (NCHW, without and with TF32), `f16` (NCHW), `f16 channels_last`; each with ` compile` behind it.
"""

import copy
import json
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "parity"))
answers, sys.stdout = sys.stdout, sys.stderr

import torch
from networks import NETWORKS

torch.backends.cudnn.benchmark = True
# A compiled model that falls back to eager for its shapes would be called compiled all the same.
torch._dynamo.config.cache_size_limit = 64
DEVICE = "cuda" if os.environ["DEVICE"].startswith("cuda") else "cpu"
if DEVICE == "cuda":
    torch.cuda.set_device(int(os.environ["DEVICE"].partition(":")[2] or 0))
INPUTS = 4


def synchronise():
    if DEVICE == "cuda":
        torch.cuda.synchronize()


class Network:
    def __init__(self, name):
        self.name = name
        self.px, build = NETWORKS[name]
        torch.manual_seed(2016)
        self.base = build().eval()
        self.models, self.inputs, self.warm = {}, {}, set()

    def model(self, variant):
        if variant not in self.models:
            if variant.endswith(" compile"):
                eager = self.model(variant.removesuffix(" compile"))
                # `reduce-overhead` replays CUDA graphs: PyTorch's own answer to launch-bound batches.
                mode = "reduce-overhead" if DEVICE == "cuda" else "default"
                self.models[variant] = torch.compile(eager, mode=mode, dynamic=False)
            else:
                dtype = torch.float16 if variant.startswith("f16") else torch.float32
                layout = torch.channels_last if "channels_last" in variant else torch.contiguous_format
                self.models[variant] = copy.deepcopy(self.base).to(DEVICE, dtype=dtype, memory_format=layout)
        return self.models[variant]

    def batches(self, variant, batch):
        eager = variant.removesuffix(" compile")
        key = (eager.partition(" ")[2], eager[:3] == "f16", batch)
        if any(known[2] != batch for known in self.inputs):
            self.inputs = {}
        if key not in self.inputs:
            dtype = torch.float16 if eager.startswith("f16") else torch.float32
            layout = torch.channels_last if "channels_last" in eager else torch.contiguous_format
            make = lambda: torch.randn(batch, 3, self.px, self.px, device=DEVICE).to(dtype=dtype, memory_format=layout)
            self.inputs[key] = [make() for _ in range(INPUTS if batch <= 32 else 2)]
        return self.inputs[key]

    @torch.inference_mode()
    def turn(self, variant, batch, seconds):
        tf32 = variant.startswith("tf32")
        torch.set_float32_matmul_precision("high" if tf32 else "highest")
        torch.backends.cudnn.allow_tf32 = tf32
        model, inputs = self.model(variant), self.batches(variant, batch)

        def once(i):
            synchronise()
            start = time.perf_counter()
            model(inputs[i % len(inputs)])[0, 0].item()
            synchronise()
            return (time.perf_counter() - start) * 1e3

        warming = time.perf_counter()
        if (variant, batch) not in self.warm:
            # Compiled, cuDNN's algorithms chosen, clocks up; CUDA graphs are recorded in the second and third call.
            for i in range(3):
                once(i)
            end = time.perf_counter() + 0.2
            while time.perf_counter() < end:
                once(0)
            self.warm.add((variant, batch))
        once(0)
        warmed = time.perf_counter() - warming
        times, end = [], time.perf_counter() + seconds
        while len(times) < 3 or time.perf_counter() < end:
            times.append(once(len(times)))
        return {"ms": times, "warm_up_s": warmed}


def answer(current, command):
    if command["do"] == "versions":
        cuda = torch.version.cuda
        cudnn = torch.backends.cudnn.version()
        card = torch.cuda.get_device_name() if DEVICE == "cuda" else None
        return current, {"torch": torch.__version__, "cuda": cuda, "cudnn": cudnn, "card": card, "threads": torch.get_num_threads()}
    if command["do"] == "load":
        if current is None or current.name != command["network"]:
            current = None
            if DEVICE == "cuda":
                torch._dynamo.reset()
                torch.cuda.empty_cache()
            current = Network(command["network"])
        return current, {}
    return current, current.turn(command["variant"], command["batch"], command["seconds"])


current = None
for line in sys.stdin:
    try:
        current, said = answer(current, json.loads(line))
    except Exception as error:  # out of memory, a compiler that is missing: said, and the next command may work
        if DEVICE == "cuda":
            torch.cuda.empty_cache()
        said = {"error": f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else ''}"[:300]}
    print(json.dumps(said), file=answers, flush=True)
