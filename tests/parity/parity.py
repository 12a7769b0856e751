"""Runs the networks in PyTorch in double precision and writes what `cargo test` compares with: see README.md."""

import argparse
import json
import pathlib

import numpy as np
import torch
from torch import nn

import generator
from networks import NETWORKS

BATCH = 2
INPUT_SEED = 160_507_678
# Every 53rd of the 2000 logits: 38 of them, of both images.
LOGIT_STEP = 53
HERE = pathlib.Path(__file__).parent
RESULTS = HERE / "../../assets/reference/parity.json"
ROLES = {
    "norm": {"weight": "gamma", "bias": "beta", "running_mean": "mean", "running_var": "var"},
    "conv": {"weight": "conv", "bias": "bias"},
    "linear": {"weight": "linear", "bias": "bias"},
    "prelu": {"weight": "slope"},
}


def kind(module):
    kinds = {nn.Conv2d: "conv", nn.Linear: "linear", nn.PReLU: "prelu"}
    if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
        return "norm"
    return next((name for of, name in kinds.items() if isinstance(module, of)), None)


def seed(network, model):
    """Fills a model with the weights of the generator; gives their checksum, tensors in the state dict's order."""
    modules = dict(model.named_modules())
    state, arrays = {}, []
    for key, old in model.state_dict().items():
        path, field = key.rsplit(".", 1)
        if field == "num_batches_tracked":
            continue
        role = ROLES[kind(modules[path])][field]
        values = generator.tensor(network, key, role, tuple(old.shape))
        arrays.append(values.T if role == "linear" else values)
        state[key] = torch.from_numpy(np.ascontiguousarray(values))
    missing = [key for key in model.load_state_dict(state, strict=False).missing_keys if "num_batches" not in key]
    assert not missing, missing
    return generator.checksum(arrays)


def significant(value, digits):
    return float(f"{value:.{digits}g}")


def digest(key, values):
    """Deviation of a layer's output, and its projection on a fixed random direction, both to 6 digits."""
    values = values.reshape(-1)
    direction = generator.Stream(0, f"direction of {key}").fill(values.size, 1.0).astype(np.float64)
    projection = float(np.dot(values, direction)) * (3.0 / values.size) ** 0.5
    deviation = float(values.std())
    return [significant(deviation, 6), round(projection, 6 - len(f"{deviation:.0f}"))]


def observe(model):
    """Digests of every norm's output and of every convolution's and linear layer's that no norm follows, by key."""
    layers = {}

    def hook(key, module):
        def normed(_, inputs, output):
            followed = getattr(inputs[0], "layer", None)
            layers.pop(followed, None)
            # timm's norms run their activation, too; what is compared is what goes into it.
            value = nn.functional.batch_norm(
                inputs[0], module.running_mean, module.running_var, module.weight, module.bias, eps=module.eps
            )
            layers[key] = digest(key, value.numpy())

        def plain(_, inputs, output):
            output.layer = key
            layers[key] = digest(key, output.numpy())

        return normed if kind(module) == "norm" else plain

    for key, module in model.named_modules():
        if kind(module) in ("norm", "conv", "linear"):
            module.register_forward_hook(hook(key, module))
    return layers


def result(network):
    px, build = NETWORKS[network]
    model = build().eval()
    weights = seed(network, model)
    layers = observe(model.double())
    images = generator.image_batch(BATCH, px, INPUT_SEED)
    with torch.no_grad():
        output = model(torch.from_numpy(images).double())
    logits = output.numpy().reshape(-1)
    layers.pop(getattr(output, "layer", None), None)
    return {
        "weights": weights,
        "input": generator.checksum([images]),
        "deviation": significant(logits.std(), 9),
        "logits": [significant(value, 9) for value in logits[::LOGIT_STEP]],
        "layers": layers,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("networks", nargs="*", default=list(NETWORKS), help="ids; all of them if none is given")
    parser.add_argument("--check", action="store_true", help="compare with the committed results instead of writing them")
    args = parser.parse_args()
    known = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    differ = []
    for network in args.networks:
        new = json.loads(json.dumps(result(network)))
        if args.check and not same(known.get(network), new):
            differ.append(network)
        known[network] = new
        print(f"{network:16} weights {new['weights']}  {len(new['layers']):3} layers", flush=True)
    if args.check:
        raise SystemExit(f"different: {', '.join(differ)}" if differ else None)
    lines = [f"{json.dumps(id)}: {json.dumps(known[id], separators=(',', ':'))}" for id in NETWORKS if id in known]
    RESULTS.write_text("{\n" + ",\n".join(lines) + "\n}\n")


def same(old, new):
    """Checksums to the bit; figures to a millionth: another PyTorch sums in another order."""
    if old is None or any(old[key] != new[key] for key in ("weights", "input")):
        return False
    flat = [np.array([r["deviation"], *r["logits"], *sum((r["layers"][k] for k in sorted(r["layers"])), [])]) for r in (old, new)]
    return flat[0].shape == flat[1].shape and np.allclose(*flat, rtol=1e-5, atol=1e-5)


if __name__ == "__main__":
    main()
