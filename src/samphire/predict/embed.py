"""A picture -> its embedding: the slow part, done once an image."""

import logging
import time

from samphire.embedding import EmbeddingKey, ImageEmbedding
from samphire.engines.base import Engine
from samphire.images.preprocessing import preprocessing
from samphire.images.read import (
    DEFAULT_MAX_PIXELS,
    ImageLike,
    image_name,
    pixels_id,
    read_image,
)

logger = logging.getLogger(__name__)


def embed(
    engine: Engine, image: ImageLike, *, max_pixels: int = DEFAULT_MAX_PIXELS
) -> ImageEmbedding:
    """Run the image encoder on one picture.

    Args:
        engine: from ``samphire.load``.
        image: path, bytes of a file, Pillow image, or array (H, W) or (H, W, 3) uint8.
        max_pixels: refuse larger pictures, before they are decoded.

    Returns:
        The embedding, for any number of prompts; it knows the picture's size and its maker.

    Raises:
        ImageError: the picture cannot be read.

    Source: Kirillov et al. 2023, section 3 and appendix A, "Image encoder".
    """
    rgb = read_image(image, max_pixels)
    started = time.perf_counter()
    pixels, frame = preprocessing(engine.info.preprocessing).apply(rgb)
    embedding = ImageEmbedding(
        features=engine.encode(pixels),
        frame=frame,
        key=EmbeddingKey(engine.info.encoder_id, engine.info.preprocessing, pixels_id(rgb)),
        made_by=str(engine.info),
        image=image_name(image),
    )
    logger.info(
        "embedded %s, %s, in %.2f s by %s",
        embedding.image,
        frame.original,
        time.perf_counter() - started,
        engine.info,
    )
    return embedding
