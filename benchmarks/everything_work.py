"""What the contenders of ``everything.py`` do in their processes."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import published_everything
import torch
from contender import Argument, Runner
from engines import engine, photo
from published_everything import POINTS_PER_BATCH, Batch, Picture

import samphire
from samphire.embedding import ImageEmbedding
from samphire.images.preprocessing import preprocessing
from samphire.masks import Masks
from samphire.masks.rle import narrow
from samphire.predict.everything_settings import PRESETS
from samphire.predict.grid import point_grid

Columns = dict[str, npt.NDArray[Any]]


def ours(model: str, path: str, preset: str, per_side: int, data: Path) -> Runner:
    """An engine by one of our paths, from a picture to its masks.

    A request may name another ``photo``, or the ``step`` of the published algorithm for whose
    points the masks are wanted, on the embedded picture.
    """
    runs = engine(model, path)
    settings = replace(PRESETS[preset], points_per_side=per_side)
    picture = photo(data)
    embedded: dict[str, ImageEmbedding] = {}

    def call(argument: Argument) -> Columns:
        step = argument.get("step")
        if step == "encode":
            embedded["picture"] = samphire.embed(runs, picture)
            return {}
        if step is not None:
            grid = point_grid(per_side)[points_of_step(step)]
            few = replace(settings, point_grids=(grid,))
            return columns(samphire.segment_everything(runs, embedded["picture"], few))
        asked: Any = Path(argument["photo"]) if argument else picture
        return columns(samphire.segment_everything(runs, asked, settings))

    return Runner(call, runs.info.path)


def points_of_step(step: str) -> slice:
    """Which points of the grid a call of the published algorithm asks for.

    >>> points_of_step("batch-002")
    slice(128, 192, None)
    """
    start = int(step.removeprefix("batch-")) * POINTS_PER_BATCH
    return slice(start, start + POINTS_PER_BATCH)


def columns(masks: Masks) -> Columns:
    """What is compared of masks, as arrays."""
    return {
        "boxes": masks.boxes,
        "point": masks.point,
        "candidate": masks.candidate,
        "predicted_iou": masks.predicted_iou,
        "stability": masks.stability,
        "runs": np.concatenate([*masks.runs, np.zeros(0, np.uint32)]),
        "ends": np.cumsum([len(runs) for runs in masks.runs]).astype(np.int64),
    }


def published_steps(model: str, per_side: int, data: Path) -> Runner:
    """The published algorithm, a step a request; the steps before lie in ``folder`` as files."""
    runs = engine(model, "plain")
    sam, side = runs.module, preprocessing(runs.info.preprocessing).input_side
    rgb = photo(data)
    original = (rgb.shape[0], rgb.shape[1])
    points = published_everything.points_of(per_side, original)
    made: dict[str, Picture] = {}

    def call(argument: Argument) -> Columns:
        step = argument["step"]
        if step == "encode":
            made["picture"] = published_everything.embed(sam, rgb, side)
            return {"features": made["picture"].features.numpy()}
        if step == "settle":
            files = sorted(Path(argument["folder"]).glob("batch-*.npz"))
            found = [_read(file) for file in files]
            return _record_columns(published_everything.settle(found, original))
        asked = points[points_of_step(step)]
        return _written(published_everything.batch(sam, made["picture"], asked))

    return Runner(call, "published")


def _written(batch: Batch) -> Columns:
    parts = {name: value.numpy() for name, value in vars(batch).items() if name != "runs"}
    runs = [run for each in batch.runs for run in each]
    return parts | {
        "runs": np.array(runs, np.int64),
        "ends": np.cumsum([len(each) for each in batch.runs]).astype(np.int64),
    }


def _read(file: Path) -> Batch:
    with np.load(file) as columns:
        parts = dict(columns)
    runs = np.split(parts.pop("runs"), parts.pop("ends"))[:-1]
    tensors = {name: torch.from_numpy(value) for name, value in parts.items()}
    return Batch(**tensors, runs=[each.tolist() for each in runs])


def _record_columns(records: list[published_everything.Record]) -> Columns:
    """Records as the columns that ours have."""
    height = records[0]["segmentation"].shape[0] if records else 1
    narrowed = [narrow(np.array(each["runs"], np.uint32), height) for each in records]
    runs = [each for _, each in narrowed]
    return {
        "boxes": np.array([box for box, _ in narrowed], np.int32).reshape(-1, 4),
        "point": np.array([each["point_coords"][0] for each in records]).reshape(-1, 2),
        "candidate": np.array([each["candidate"] for each in records], np.int32),
        "predicted_iou": np.array([each["predicted_iou"] for each in records], np.float32),
        "stability": np.array([each["stability_score"] for each in records], np.float32),
        "runs": np.concatenate([*runs, np.zeros(0, np.uint32)]),
        "ends": np.cumsum([len(each) for each in runs]).astype(np.int64),
    }
