"""Makes the images beside it and reference.json, what Pillow and torchvision make of them: python tests/images/make.py"""

import hashlib
import itertools
import json
import struct
import zlib
from pathlib import Path

import numpy as np
import timm
import torch
import torchvision.models as models
from PIL import Image

here = Path(__file__).parent
photographs = [here.parent.parent / "assets" / name for name in ("chelsea.webp", "chelsea.jpg")]

# A synthetic image that the test computes too: waves, edges and noise.
height, width = 61, 97
y, x, c = np.mgrid[0:height, 0:width, 0:3]
pixels = ((x * x * 3 + y * 7 + x * y * (c + 1) + 40 * c) % 256).astype(np.uint8)
synthetic = Image.fromarray(pixels)


def resized():
    filters = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
    for name, resample in filters.items():
        for to in [(97, 61), (33, 20), (48, 61), (97, 30), (200, 150), (1, 1), (13, 90)]:
            data = synthetic.resize(to, resample).tobytes()
            yield {"filter": name, "to": to, "sha256": hashlib.sha256(data).hexdigest()}


def png16(colour, values, path):
    """A PNG of 16 bits a channel, which Pillow reads but can't write in colour."""
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values.reshape(values.shape[0], -1))
    chunk = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    header = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], 16, colour, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def decoded():
    small = synthetic.resize((6, 5), Image.Resampling.BICUBIC)
    smooth = Image.fromarray(np.stack(np.broadcast_arrays(x * 2, y * 4, 200 - x), -1)[:16, :16, 0].astype(np.uint8))
    wide = np.array(small).astype(np.uint16) * 257 - 100
    alpha = small.convert("L").point(lambda v: 255 - v)
    rgba = small.copy()
    rgba.putalpha(alpha)
    grey_alpha = small.convert("L")
    grey_alpha.putalpha(alpha)
    small.convert("L").save(here / "grey.png")
    small.convert("1").save(here / "bits.png")
    small.quantize(7).save(here / "palette.png")
    small.quantize(7).save(here / "transparent.png", transparency=0)
    rgba.save(here / "rgba.png")
    grey_alpha.save(here / "grey_alpha.png")
    Image.fromarray(np.array([[0, 100, 255, 256, 30000, 65535]], dtype=np.uint16)).save(here / "grey16.png")
    png16(2, wide, here / "rgb16.png")
    png16(4, wide[..., :2], here / "grey_alpha16.png")
    rgba.save(here / "lossless.webp", lossless=True, exact=True)
    exif = Image.Exif()
    exif[0x0112] = 6
    small.save(here / "rotated.png", exif=exif)
    smooth.save(here / "grey.jpg", quality=95)
    smooth.convert("CMYK").save(here / "cmyk.jpg", quality=95)
    for path in sorted([*here.glob("*.png"), *here.glob("*.jpg"), *here.glob("*.webp")]):
        image = Image.open(path).convert("RGB")
        yield {"file": path.name, "size": image.size, "exact": path.suffix != ".jpg", "pixels": image.tobytes().hex()}


def transforms():
    def torchvision(name):
        return models.get_model_weights(name).IMAGENET1K_V1.transforms()

    def inner(name):
        """torchvision's transform, and what its model then does itself."""
        first = torchvision(name)
        model = models.inception_v3(weights=None, init_weights=False, transform_input=True)
        return lambda image: model._transform_input(first(image)[None])[0]

    def other(name):
        config = timm.data.resolve_data_config(pretrained_cfg=timm.models.get_pretrained_cfg(name).to_dict())
        return timm.data.create_transform(**config)

    return {
        "resnet50": torchvision("resnet50"),
        "efficientnet-b0": torchvision("efficientnet_b0"),
        "inception-v3": inner("inception_v3"),
        "inception-v4": other("inception_v4.tf_in1k"),
        "mobilenet-v1": other("mobilenetv1_100.ra4_e3600_r224_in1k"),
    }


def prepared():
    """Statistics of each channel, and every 37th pixel of some rows."""
    for path, (network, transform) in itertools.product(photographs, transforms().items()):
        tensor = transform(Image.open(path).convert("RGB"))
        yield {
            "file": path.name,
            "network": network,
            "px": tensor.shape[-1],
            "mean": tensor.double().mean((1, 2)).tolist(),
            "std": tensor.double().std((1, 2)).tolist(),
            "sample": [round(float(v), 6) for v in tensor[:, ::53, ::37].flatten()],
        }


if __name__ == "__main__":
    reference = {"resized": list(resized()), "decoded": list(decoded()), "prepared": list(prepared())}
    lines = (f"  {json.dumps(key)}: [\n    " + ",\n    ".join(map(json.dumps, rows)) + "\n  ]" for key, rows in reference.items())
    (here / "reference.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")
