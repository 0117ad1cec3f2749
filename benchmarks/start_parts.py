"""The parts of a first mask, timed in a fresh process: ``start_parts.py MODEL PHOTO OUTPUT``.

``start.py`` calls it. It prints the seconds as JSON.
"""

import json
import sys
import time
from itertools import pairwise
from pathlib import Path

POINT = (900, 600)


def main() -> None:
    """Do what the command line does, one part after the other."""
    model, photo, output = sys.argv[1:]
    clock = time.perf_counter
    at = [clock()]
    import click  # noqa: F401, PLC0415
    import cv2  # noqa: F401, PLC0415
    import numpy as np  # noqa: F401, PLC0415
    import PIL.Image  # noqa: F401, PLC0415
    import safetensors.torch  # noqa: F401, PLC0415
    import torch  # noqa: F401, PLC0415

    at.append(clock())
    import samphire  # noqa: PLC0415
    import samphire.engines.torch_engine  # noqa: PLC0415
    import samphire.weights.load  # noqa: PLC0415
    from samphire.formats import Picture, masks_json  # noqa: PLC0415
    from samphire.images.read import read_image  # noqa: PLC0415

    load, embed, segment = samphire.load, samphire.embed, samphire.segment  # with their modules
    at.append(clock())
    engine = load(model, device="cpu", progress=False, offline=True)
    at.append(clock())
    rgb = read_image(Path(photo))
    at.append(clock())
    embedding = embed(engine, rgb)
    at.append(clock())
    masks = segment(engine, embedding, points=[POINT])
    at.append(clock())
    (data,) = masks_json.encode(masks, Picture())
    Path(output).write_bytes(data)
    at.append(clock())
    names = ("packages", "samphire", "load", "read", "encode", "decode", "write")
    seconds = [after - before for before, after in pairwise(at)]
    print(json.dumps(dict(zip(names, seconds, strict=True))))


if __name__ == "__main__":
    main()
