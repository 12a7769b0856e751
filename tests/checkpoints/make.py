"""Makes the checkpoints beside it, with PyTorch: python tests/checkpoints/make.py

tiny.pth (ZIP), legacy.pth (the stream of PyTorch 0.1.10 to 1.5) and tiny.safetensors hold the same tensors, in every type that weights
are stored in; the first two as a training script leaves them. tiny_of_21_characters.pth is tiny.pth by a name of a length that some
readers of ZIP archives trip over. hostile.pth would make a file called `executed` if anything unpickled it.
script.pt and program.pt2 are exported programs, which are often given instead of weights.
"""

import os
from pathlib import Path

import torch
from safetensors.torch import save_file

here = Path(__file__).parent
torch.manual_seed(2016)
weights = {
    "linear.weight": torch.randn(4, 3).t(),  # a view: not contiguous in the file
    "conv.weight": torch.randn(2, 3, 5, 5),
    "conv.bias": torch.tensor([1e-40, -0.0]),  # a subnormal and a sign
    "half": torch.randn(7).half(),
    "brain": torch.randn(7).bfloat16(),
    "double": torch.randn(7).double(),
    "bn.num_batches_tracked": torch.tensor(3),
}
parallel = {
    "epoch": 90,
    "state_dict": {f"module.{key}": value for key, value in weights.items()},
    "optimizer": {"state": {0: {"momentum_buffer": torch.randn(2, 3)}}, "param_groups": [{"lr": 0.1}]},
}
torch.save(parallel, here / "tiny.pth")
torch.save(parallel, here / "tiny_of_21_characters.pth")
torch.save(parallel, here / "legacy.pth", _use_new_zipfile_serialization=False)
save_file({key: value.contiguous() for key, value in weights.items()}, here / "tiny.safetensors")


class Hostile:
    def __reduce__(self):
        return os.system, ("touch executed",)


torch.save({"conv.bias": torch.zeros(2), "hook": Hostile()}, here / "hostile.pth")
torch.save(Hostile(), here / "hostile_root.pth")

layer = torch.nn.Linear(2, 1).eval()
torch.jit.script(layer).save(here / "script.pt")
torch.export.save(torch.export.export(layer, (torch.zeros(1, 2),)), here / "program.pt2")
