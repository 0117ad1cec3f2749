"""Segment everything: all masks of a picture, without prompts of a user.

A grid of points asks for masks on the whole image, and if wanted on overlapping crops of it;
``candidates.py`` drops the doubtful ones; here rivals for the same object are settled, the better
one staying by a total order. The published rules that differ are in ``compat``.
Source: Kirillov et al. 2023, section 5 and appendix B.
"""

import logging
import math
import time
from collections.abc import Callable, Iterator

import numpy as np

from samphire.arrays import ByteArray, FloatArray, IntArray
from samphire.embedding import ImageEmbedding
from samphire.engines.base import Engine
from samphire.errors import PromptError
from samphire.geometry import Size
from samphire.images.read import DEFAULT_MAX_PIXELS, ImageLike, image_name, read_image
from samphire.masks import Masks
from samphire.masks.algebra import concat
from samphire.masks.overlap import box_nms, mask_nms
from samphire.masks.regions import drop_islands, fill_holes
from samphire.predict.candidates import Filters, Place, candidates
from samphire.predict.crops import Crop, crops
from samphire.predict.embed import EmbeddingStore, embed
from samphire.predict.everything_settings import DEFAULT, EverythingSettings
from samphire.predict.grid import layer_grids, unlike_points
from samphire.predict.memory import check_fits
from samphire.predict.prompted import warn_of_untrained_prompts

logger = logging.getLogger(__name__)

OnProgress = Callable[[int, int], None]


def segment_everything(
    engine: Engine,
    image: ImageEmbedding | ImageLike,
    settings: EverythingSettings = DEFAULT,
    *,
    on_progress: OnProgress | None = None,
    cancel: Callable[[], bool] = lambda: False,
    max_memory: int | str | None = None,
    cache: EmbeddingStore | None = None,
) -> Masks:
    """All masks of a picture.

    Args:
        engine: from ``samphire.load``.
        image: a picture, or its embedding where ``settings`` ask for no crops.
        settings: what to ask for and what to keep; ``PRESETS`` has three.
        on_progress: called with the points that are done and those there are in all.
        cancel: asked before each call of the decoder, on a CPU about once a second; True stops.
        max_memory: what the whole process may take, in bytes or as text such as 2GB. Work that
            needs more is refused before it begins, by an estimate that
            ``docs/reference/everything.md`` compares with measurements.
        cache: looked into before the encoder is run, see :func:`samphire.embed`.

    Returns:
        Masks, those of small crops first, then by predicted IoU; ``point`` and ``crop_box`` say
        where each was asked for. Empty where nothing was found.

    Raises:
        ImageError: the picture cannot be read.
        PromptError: crops are asked for, and the image is an embedding.
        EmbeddingMismatchError: another model made the embedding.
        MemoryBudgetError: it does not fit into ``max_memory``.
        CancelledError: ``cancel`` said so.
    """
    started = time.perf_counter()
    warn_of_untrained_prompts(engine.info)
    size, embedded = _embedded(engine, image, settings, max_memory, cache)
    grids = _grids(settings)
    filters = filters_of(settings)
    total = sum(_count(grids[crop.layer], settings) for crop in _crops(size, settings))
    done = 0

    def on_points(count: int) -> None:
        nonlocal done
        done += count
        if on_progress is not None:
            on_progress(done, total)

    found = []
    for crop, embedding in embedded:
        place = Place(engine.session(embedding), embedding.frame, crop, size)
        points = _asked(embedding, grids[crop.layer], settings)
        left_out = _count(grids[crop.layer], settings) - len(points)
        if left_out:
            on_points(left_out)
        rivals = candidates(place, points, filters, on_points=on_points, cancel=cancel)
        found.append(rivals[box_nms(rivals.boxes, best_first(rivals), settings.box_nms_iou)])
    masks = _settled(concat(found), settings, crops_compete=len(found) > 1)
    logger.info(
        "found %d masks in %s in %.1f s by %s",
        len(masks),
        image.image if isinstance(image, ImageEmbedding) else image_name(image),
        time.perf_counter() - started,
        engine.info,
    )
    return masks


def best_first(masks: Masks) -> IntArray:
    """Indices of rivals, the best first: smaller crop, predicted IoU, stability, then place."""
    x0, y0, x1, y1 = masks.crop_box.T.astype(np.int64)
    crop_area = (x1 - x0) * (y1 - y0)
    order: IntArray = np.lexsort((-masks.stability, -masks.predicted_iou, crop_area))
    return order


def _embedded(
    engine: Engine,
    image: ImageEmbedding | ImageLike,
    settings: EverythingSettings,
    max_memory: int | str | None,
    cache: EmbeddingStore | None,
) -> tuple[Size, Iterator[tuple[Crop, ImageEmbedding]]]:
    """The size of the image, and its parts, embedded one after the other as they are asked for."""
    if isinstance(image, ImageEmbedding):
        if settings.crop_layers:
            raise PromptError(
                f"crop_layers={settings.crop_layers} on an embedding: crops are encoded one by "
                "one, and an embedding has no pixels; give the picture"
            )
        size = image.frame.original
        check_fits(max_memory, engine, size, encodes=False)
        return size, iter([(Crop((0, 0, size.width, size.height), 0), image)])
    rgb = read_image(image, DEFAULT_MAX_PIXELS, usual_window=engine.info.window)
    size = Size(*rgb.shape[:2])
    check_fits(max_memory, engine, size, encodes=True)
    return size, (
        (crop, embed(engine, _cut(rgb, crop), cache=cache)) for crop in _crops(size, settings)
    )


def _cut(rgb: ByteArray, crop: Crop) -> ByteArray:
    x0, y0, x1, y1 = crop.box
    return rgb[y0:y1, x0:x1]


def _crops(size: Size, settings: EverythingSettings) -> tuple[Crop, ...]:
    # in a crop that is smaller, every mask ends near one of its edges
    least = int(2 * settings.crop_edge_distance)
    return crops(size, settings.crop_layers, settings.crop_overlap, min_side=least)


def _grids(settings: EverythingSettings) -> tuple[FloatArray, ...]:
    if settings.point_grids is not None:
        return settings.point_grids
    return layer_grids(
        settings.points_per_side, settings.crop_layers, settings.crop_points_downscale
    )


def _count(grid: FloatArray, settings: EverythingSettings) -> int:
    """Points to ask for on a part, if it has so many cells."""
    return math.ceil(settings.point_share * len(grid))


def _asked(embedding: ImageEmbedding, grid: FloatArray, settings: EverythingSettings) -> FloatArray:
    """The points to ask for on a part, as shares of its width and height: (P, 2)."""
    if settings.point_share == 1:
        return grid
    return unlike_points(embedding, _count(grid, settings))


def filters_of(settings: EverythingSettings) -> Filters:
    """The part of the settings that speaks of single masks."""
    return Filters(
        min_predicted_iou=settings.min_predicted_iou,
        min_stability=settings.min_stability,
        stability_offset=settings.stability_offset,
        mask_threshold=settings.mask_threshold,
        crop_edge_distance=settings.crop_edge_distance,
    )


def _settled(masks: Masks, settings: EverythingSettings, *, crops_compete: bool) -> Masks:
    """Rivals of different crops, and those that only show after cleaning, settled."""
    if crops_compete:
        masks = masks[box_nms(masks.boxes, best_first(masks), settings.crop_nms_iou)]
    if settings.min_region_area:
        cleaned = fill_holes(masks, settings.min_region_area)
        masks = drop_islands(cleaned, settings.min_region_area)
        threshold = max(settings.box_nms_iou, settings.crop_nms_iou)
        masks = masks[box_nms(masks.boxes, best_first(masks), threshold)]
    if settings.mask_nms_iou is not None:
        kept = mask_nms(
            masks,
            best_first(masks),
            settings.mask_nms_iou,
            max_containment=settings.max_containment,
        )
        masks = masks[kept]
    return masks
