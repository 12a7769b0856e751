"""Seeded weights and inputs: the generator of src/model/weights/mod.rs, written again from its description, bit for bit.

A value is a hash of the seed, its tensor's key and its index. Everything is in single precision and in the order that the
Rust code has, so that checksums of both can be compared. Arrays are in PyTorch's layout; a linear layer's weight is
generated as [in, out] and transposed.
"""

import math

import numpy as np

SEED = 2016
CENTRED_FROM = 8
CENTRING = np.float32(0.1)
MASK = (1 << 64) - 1
f32 = np.float32


def mix(z):
    """SplitMix64's finaliser, for arrays of uint64."""
    with np.errstate(over="ignore"):
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def mix_one(z):
    return int(mix(np.array([z & MASK], dtype=np.uint64))[0])


class Stream:
    """A sequence of uniform values that belongs to a seed and a name."""

    def __init__(self, seed, name):
        value = 0xCBF29CE484222325
        for byte in name.encode():
            value = ((value ^ byte) * 0x100000001B3) & MASK
        self.state = mix_one(value ^ mix_one(seed))

    def fill(self, count, half):
        """`count` uniform values between -half and half: two of 24 bits from each hash."""
        index = np.arange((count + 1) // 2, dtype=np.uint64)
        with np.errstate(over="ignore"):
            bits = mix(np.uint64(self.state) + index * np.uint64(0x9E3779B97F4A7C15))
        pairs = np.stack([bits >> np.uint64(40), (bits >> np.uint64(8)) & np.uint64(0xFFFFFF)], axis=1)
        odd = 2 * pairs.reshape(-1)[:count].astype(np.int64) + 1 - (1 << 24)
        return odd.astype(f32) * (f32(half) / f32(1 << 24))


def default_centre(role, shape):
    """Gain of a weight, centre of a vector."""
    if role == "conv":
        return 1.0 if shape[1] == 3 else 1.459 if shape[1] >= CENTRED_FROM else math.sqrt(2)
    return {"linear": math.sqrt(2), "gamma": 0.98, "var": 1.0, "slope": 0.25}.get(role, 0.0)


def spread(role, centre):
    """Half the width of a vector's uniform distribution around its centre."""
    fixed = {"bias": 0.05, "beta": 0.1, "mean": 0.1}
    return fixed[role] if role in fixed else centre * {"gamma": 0.2, "var": 0.25, "slope": 0.4}[role]


def tensor(network, key, role, shape):
    """The values of a tensor; roles are conv, linear, bias, gamma, beta, mean, var and slope."""
    rule = SCALES.get(network, lambda key, channel: None)

    def centre(channel):
        special = rule(key, channel)
        return default_centre(role, shape) if special is None else special

    stream = Stream(SEED, key)
    if role in ("conv", "linear"):
        fan_in = math.prod(shape[1:])
        values = stream.fill(math.prod(shape), f32(centre(0) * math.sqrt(3.0 / fan_in)))
        if role == "linear":
            return values.reshape(shape[1], shape[0]).T
        values = values.reshape(shape)
        return centred(values) if shape[1] >= CENTRED_FROM else values
    uniform = stream.fill(shape[0], f32(1))
    centres = [centre(channel) for channel in range(shape[0])]
    widths = np.array([spread(role, c) for c in centres]).astype(f32)
    return np.array(centres).astype(f32) + widths * uniform


def centred(filters):
    """Takes a tenth of the mean over the input channels out of each filter, tap by tap."""
    means = np.zeros((filters.shape[0], *filters.shape[2:]), dtype=f32)
    for channel in range(filters.shape[1]):
        means += filters[:, channel]
    means *= CENTRING / f32(filters.shape[1])
    return filters - means[:, None]


def image_batch(batch, px, seed):
    """Made-up images, [batch, 3, px, px]: grain on two scales of smooth shapes."""
    images = np.empty((batch, 3, px, px), dtype=f32)
    for index in range(3 * batch):
        name = f"of image {index // 3} channel {index % 3}"
        plane = Stream(seed, f"grain {name}").fill(px * px, np.sqrt(f32(3) * f32(0.2))).reshape(px, px)
        for cells, what in ((6, "shapes"), (28, "texture")):
            half = np.sqrt(f32(3) * f32(0.4) * f32(9) / f32(4))
            grid = Stream(seed, f"{what} {name}").fill((cells + 1) ** 2, half).reshape(cells + 1, cells + 1)
            plane = plane + smooth(grid, cells, px)
        images[index // 3, index % 3] = plane
    return images


def smooth(grid, cells, px):
    """Bilinear interpolation of a grid."""
    at = np.arange(px) * cells
    low, part = at // px, (at % px).astype(f32) / f32(px)
    across = grid[:, low] + part[None, :] * (grid[:, low + 1] - grid[:, low])
    top, bottom = across[low], across[low + 1]
    return top + part[:, None] * (bottom - top)


def checksum(arrays):
    """64 bits over the bits of every value in order, each hashed with its place."""
    total, place = 0, 0
    for values in arrays:
        bits = np.ascontiguousarray(values).view(np.uint32).reshape(-1).astype(np.uint64)
        with np.errstate(over="ignore"):
            places = np.arange(place, place + bits.size, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
            total += int(np.sum(mix(bits ^ places), dtype=np.uint64))
        place += bits.size
    return f"{total & MASK:016x}"


# What the shape of a tensor does not say about its scale, network by network.


def resnet_scales(depths, last):
    def total(block):
        return (1.0 + 0.7 * 0.7) / 2.0 + 0.8 * 0.7 * 0.7 * block

    def rule(key, channel):
        if key == "fc.weight":
            return 1.5 / math.sqrt(total(depths[3] - 1))
        if not key.startswith("layer"):
            return None
        stage, block, name = key[len("layer") :].split(".", 2)
        stage, block = int(stage), int(block)
        if name in ("conv1.weight", "downsample.0.weight"):
            pooled = (stage, block) == (1, 0)
            size = 1.45 if pooled else total(depths[stage - 2] - 1) if block == 0 else total(block - 1)
            return 1.03 / math.sqrt(size)
        return 0.7 if name == last else None

    return rule


def enet_scales(key, channel):
    if not key.startswith("blocks."):
        return None
    return {"conv1.weight": 1.0, "conv2.weight": 1.37, "conv3.weight": 1.37}.get(key.split(".", 2)[2])


def mobilenet_v2_scales(key, channel):
    head, index, *name = key.split(".")
    if head != "features":
        return None
    residual = index in {"3", "5", "6", "8", "9", "10", "12", "13", "15", "16"}
    if name == ["conv", "0", "0", "weight"] and index != "1":
        return 0.9
    if name == ["conv", "3", "weight"] and residual:
        return 0.5
    return 1.0 if name == ["0", "weight"] and index == "18" else None


def densenet_scales(key, channel):
    first = "denseblock1." in key and "norm1." in key or "transition1.norm." in key
    if not first or channel >= 64:
        return None
    return {"running_mean": 0.95, "running_var": 0.6}.get(key.rsplit(".", 1)[1])


def efficientnet_scales(key, channel):
    path = key.split(".")
    beta = 0.5 if channel % 2 == 0 else -0.5
    if len(path) >= 6 and path[0] == "features" and path[3] == "block":
        block, step = float(path[2]), int(path[4]) + (path[1] == "1")
        name = tuple(path[5:])
        if (step, name) == (0, ("0", "weight")):
            return 1.0 / math.sqrt(1.0 + 0.25 * max(block - 1.0, 0.0))
        if step in (0, 1) and name == ("1", "weight"):
            return 0.85
        if step in (0, 1) and name == ("1", "bias"):
            return beta
        if (step, name) == (3, ("1", "weight")):
            return 0.5 if block > 0 else None
        fixed = {(1, "0"): 1.68, (2, "fc1"): 2.0, (2, "fc2"): 1.0, (3, "0"): 3.2}
        return fixed.get((step, name[0])) if name[1] == "weight" else None
    if key == "features.8.0.weight":
        return 1.0
    if len(path) == 4 and path[0] == "features" and path[2] == "1":
        return {"weight": 0.85, "bias": beta}.get(path[3])
    return 3.0 if key == "classifier.1.weight" else None


SCALES = {
    "resnet18": resnet_scales([2, 2, 2, 2], "bn2.weight"),
    "resnet34": resnet_scales([3, 4, 6, 3], "bn2.weight"),
    "resnet50": resnet_scales([3, 4, 6, 3], "bn3.weight"),
    "resnet101": resnet_scales([3, 4, 23, 3], "bn3.weight"),
    "resnet152": resnet_scales([3, 8, 36, 3], "bn3.weight"),
    "enet": enet_scales,
    "mobilenet-v2": mobilenet_v2_scales,
    "densenet121": densenet_scales,
    "efficientnet-b0": efficientnet_scales,
}
