"""How far logits are from PyTorch's in double precision where tensor cores take TF32: the bound of `wattscope check`.

TF32 keeps 10 of a float's 23 bits. A kernel may round its operands to nearest, or hand them over as they are: the tensor core
then ignores the other bits, which truncates (PTX ISA, `mma`: "the lower 13 bits are ignored"). Truncation is the worse of the
two: every operand is smaller than it was, by 2**-11.5 of its value on average, so the errors of the layers do not cancel. Products
are summed in f32, whose errors are a thousandth of that; here they are summed in double precision.

    python tests/parity/tf32.py [NETWORK ...]
"""

import sys

import torch
from torch import nn

import generator
from networks import NETWORKS
from parity import BATCH, INPUT_SEED, seed

KEPT = 10


def truncated(values):
    """Values with 10 bits of their fraction, towards zero."""
    fraction, exponent = torch.frexp(values)
    scale = 2.0 ** (KEPT + 1)
    return torch.ldexp(torch.trunc(fraction * scale) / scale, exponent)


def rounded(values):
    """Values with 10 bits of their fraction, to nearest."""
    fraction, exponent = torch.frexp(values)
    scale = 2.0 ** (KEPT + 1)
    return torch.ldexp(torch.round(fraction * scale) / scale, exponent)


def logits(network, cut):
    """The logits where the operands of every product are cut."""
    px, build = NETWORKS[network]
    model = build().eval()
    seed(network, model)
    model.double()
    if cut:
        for module in model.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                module.weight.data = cut(module.weight.data)
                module.register_forward_pre_hook(lambda _, inputs: (cut(inputs[0]),))
    images = torch.from_numpy(generator.image_batch(BATCH, px, INPUT_SEED)).double()
    with torch.no_grad():
        return model(images).reshape(-1)


def main():
    worst = {truncated: 0.0, rounded: 0.0}
    for network in sys.argv[1:] or NETWORKS:
        exact = logits(network, None)
        errors = []
        for cut in worst:
            error = float((logits(network, cut) - exact).abs().max() / exact.std())
            worst[cut] = max(worst[cut], error)
            errors.append(f"{cut.__name__} {error:.1e}")
        print(f"{network:16} {'  '.join(errors)}", flush=True)
    print("largest          " + "  ".join(f"{cut.__name__} {error:.1e}" for cut, error in worst.items()))


if __name__ == "__main__":
    main()
