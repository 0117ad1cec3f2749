"""The pictures of the documentation, from the photo that comes with Samphire and the real model.

    python docs/figures/make.py

Needs the weights of vit_t. Each picture is a JPEG beside this file, at most 150 kB.
"""

from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image

import samphire
from samphire.arrays import ByteArray, FloatArray
from samphire.cli.demo import demo_photo
from samphire.embedding import ImageEmbedding
from samphire.engines.torch_engine import TorchEngine
from samphire.geometry import Size
from samphire.images.draw import draw, side_by_side
from samphire.images.read import read_image
from samphire.masks.picture import heat_map

HERE = Path(__file__).parent
PHOTO = read_image(demo_photo())
SIZE = Size(*PHOTO.shape[:2])
CLICK = (500, 375)
MAX_BYTES = 150_000


def main() -> None:
    """Make all pictures."""
    engine = samphire.load("vit_t", device="cpu")
    embedding = samphire.embed(engine, PHOTO)
    save("one-click", one_click(engine, embedding))
    save("refine", refine(engine, embedding))
    save("positions", positions(engine, embedding))


def save(name: str, picture: Image.Image) -> None:
    """Write a JPEG beside this file."""
    path = HERE / f"{name}.jpg"
    picture.save(path, quality=82, optimize=True)
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f"{path} has {path.stat().st_size} bytes: expected at most {MAX_BYTES}")
    print(path.name, path.stat().st_size)


def one_click(engine: TorchEngine, embedding: ImageEmbedding) -> Image.Image:
    """The photo with the click, the embedding, the logits, the mask."""
    prompts = samphire.Prompts.of(points=[CLICK])
    masks = samphire.segment(engine, embedding, points=[CLICK], multimask=True)[2]
    decoded = samphire.decode(engine, embedding, points=[CLICK], multimask=True)
    cells = inside(decoded[0, 2], embedding)
    pictures = [
        draw(PHOTO, masks[:0], prompts),
        Image.fromarray(principal_colours(embedding)),
        Image.fromarray(heat_map(cells, SIZE)),
        draw(PHOTO, masks, prompts),
    ]
    captions = ["photo and click", "embedding (3 main directions)", "logits", "mask"]
    return side_by_side(pictures, captions, tile_width=440)


def refine(engine: TorchEngine, embedding: ImageEmbedding) -> Image.Image:
    """A click, its answer, a correction, the answer to both."""
    first = samphire.Prompts.of(points=[CLICK])
    asked = samphire.segment(engine, embedding, points=[CLICK])
    previous = samphire.decode(engine, embedding, points=[CLICK])[0, 0]
    both = {"points": [CLICK, (1100, 600)], "labels": [1, 1]}
    better = samphire.segment(engine, embedding, **both, previous=previous)
    pictures = [draw(PHOTO, asked, first), draw(PHOTO, better, samphire.Prompts.of(**both))]
    return side_by_side(pictures, ["one click", "one more, with the former answer"], tile_width=440)


def positions(engine: TorchEngine, embedding: ImageEmbedding) -> Image.Image:
    """How like the position code of a click is to that of every place in the photo."""
    prompt_encoder = engine.module.prompt_encoder
    with torch.no_grad():
        dense = prompt_encoder.get_dense_pe()[0].numpy()  # (C, G, G)
        points = torch.tensor(embedding.frame.to_input([[CLICK]]), dtype=torch.float32) + 0.5
        code = prompt_encoder.pe_layer.forward_with_coords(points, (1024, 1024))[0, 0].numpy()
    likeness = np.tensordot(code, dense, 1) / len(code) * 2  # sine and cosine: 1 at the same place
    likeness = inside(likeness, embedding)
    none = samphire.Masks.from_runs(SIZE, [], ())
    place = Image.fromarray(heat_map((8 * likeness).astype(np.float32), SIZE))
    prompts = samphire.Prompts.of(points=[CLICK])
    pictures = [draw(PHOTO, none, prompts), place]
    return side_by_side(pictures, ["the click", "likeness of its position code"], tile_width=440)


def inside(square: FloatArray, embedding: ImageEmbedding) -> FloatArray:
    """The photo's part of a square of any side."""
    frame, side = embedding.frame, square.shape[-1]
    height = round(frame.resized.height / frame.input_side * side)
    width = round(frame.resized.width / frame.input_side * side)
    return np.ascontiguousarray(square[..., :height, :width])


def principal_colours(embedding: ImageEmbedding) -> ByteArray:
    """The embedding's three main directions as red, green and blue."""
    features = inside(embedding.features[0], embedding)
    channels, height, width = features.shape
    cells = features.reshape(channels, -1).T
    _, _, directions = np.linalg.svd(cells - cells.mean(axis=0), full_matrices=False)
    parts = (cells - cells.mean(axis=0)) @ directions[:3].T
    low, high = np.percentile(parts, (1, 99), axis=0)
    colours = np.clip((parts - low) / (high - low), 0, 1).reshape(height, width, 3)
    large = cv2.resize(colours, (SIZE.width, SIZE.height), interpolation=cv2.INTER_NEAREST)
    return (large * 255).astype(np.uint8)


if __name__ == "__main__":
    main()
