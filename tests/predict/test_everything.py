"""Everything mode on a stand-in for the model: what is asked, what is kept, how rivals settle."""

from dataclasses import replace

import numpy as np
import pytest

import samphire
from samphire.embedding import LowRes
from samphire.errors import CancelledError, MemoryBudgetError, PromptError, ShapeError
from samphire.formats.embedding_cache import EmbeddingCache
from samphire.predict.everything import best_first, segment_everything
from samphire.predict.everything_settings import DEFAULT, PRESETS, EverythingSettings, as_json
from samphire.predict.grid import unlike_points

SIDE = 64  # of the tiny model's input: a picture of this size is not resized
ALL = replace(DEFAULT, points_per_side=4, min_predicted_iou=0, min_stability=0)


class Scene:
    """An engine that knows the objects of a picture: squares, as x, y, side.

    A point inside a square is answered by it (token 1), by its upper half (token 2) and by noise
    that moves with the threshold (token 3); a point beside all of them by nothing.
    """

    def __init__(self, engine, squares, scores=(0.95, 0.9, 0.99)):
        self._engine, self._squares, self._scores = engine, squares, scores
        self.info, self.encode_bytes = engine.info, engine.encode_bytes
        self.asked: list[tuple[float, float]] = []
        self.encoded = 0

    def encode(self, pixels):
        self.encoded += len(pixels)
        return self._engine.encode(pixels)

    def session(self, embedding):
        return self

    def decode(self, prompts, *, multimask, min_predicted_iou=None):
        assert multimask
        logits = np.full((len(prompts), 3, SIDE // 4, SIDE // 4), -200, np.float32)
        scores = np.zeros((len(prompts), 3), np.float32)
        for row, (x, y) in enumerate(prompts.points[:, 0].tolist()):
            self.asked.append((x, y))
            for left, top, side in self._squares:
                if left <= x < left + side and top <= y < top + side:
                    low = slice(top // 4, (top + side) // 4), slice(left // 4, (left + side) // 4)
                    logits[row, 0][low] = 200
                    logits[row, 1][low[0].start : low[0].start + side // 8, low[1]] = 200
                    logits[row, 2][low] = 0.5
                    scores[row] = self._scores
        least = -np.inf if min_predicted_iou is None else min_predicted_iou
        kept = np.argwhere(scores > least)
        return LowRes(logits[kept[:, 0], kept[:, 1]], kept, scores)


@pytest.fixture
def picture(rng):
    return rng.integers(0, 256, (SIDE, SIDE, 3), np.uint8)


@pytest.fixture
def scene(tiny_engine):
    return Scene(tiny_engine, [(8, 8, 16), (40, 40, 16)])


def test_each_object_is_found_once_with_its_point_and_scores(scene, picture):
    masks = segment_everything(scene, picture, replace(DEFAULT, points_per_side=8))
    # the whole and the half of each square; doubtful answers and repeated ones are gone
    assert sorted(masks.boxes.tolist()) == [
        [8, 8, 24, 16],
        [8, 8, 24, 24],
        [40, 40, 56, 48],
        [40, 40, 56, 56],
    ]
    assert masks.predicted_iou.tolist() == pytest.approx([0.95, 0.95, 0.9, 0.9])
    assert (masks.stability >= 0.95).all()
    assert set(masks.candidate.tolist()) == {1, 2}
    assert (masks.crop_box == [0, 0, SIDE, SIDE]).all()
    for box, (x, y) in zip(masks.boxes, masks.point, strict=True):
        assert box[0] <= x < box[2]
        assert y >= box[1]


def test_the_grid_asks_at_the_centres_of_its_cells(scene, picture):
    segment_everything(scene, picture, ALL)
    expected = [(x, y) for y in (8, 24, 40, 56) for x in (8, 24, 40, 56)]
    assert scene.asked == expected


def test_nothing_found_is_no_masks_in_every_path(scene, picture):
    for settings in (
        replace(DEFAULT, min_predicted_iou=9),
        replace(DEFAULT, min_predicted_iou=9, crop_layers=1, crop_edge_distance=1),
        replace(DEFAULT, min_predicted_iou=9, min_region_area=9, mask_nms_iou=0.9),
        replace(DEFAULT, min_predicted_iou=9, point_share=0.5),
        replace(DEFAULT, point_grids=(np.zeros((0, 2)),)),
    ):
        masks = segment_everything(scene, picture, replace(settings, points_per_side=2))
        assert len(masks) == 0
        assert masks.size == samphire.Masks.from_arrays(np.zeros((0, SIDE, SIDE))).size


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (6, 6), (200, 1)])
@pytest.mark.parametrize("layers", [0, 2])
@pytest.mark.parametrize("share", [1, 0.5])
def test_tiny_and_thin_pictures_do_not_crash(tiny_engine, shape, layers, share):
    settings = replace(ALL, points_per_side=2, crop_layers=layers, point_share=share)
    masks = segment_everything(tiny_engine, np.zeros((*shape, 3), np.uint8), settings)
    assert (masks.size.height, masks.size.width) == shape
    assert (masks.area > 0).all()
    assert np.isfinite(masks.stability).all()


def test_an_embedding_gives_what_its_picture_gives_and_no_crops(tiny_engine, picture):
    embedding = samphire.embed(tiny_engine, picture)
    found = segment_everything(tiny_engine, embedding, ALL)
    assert found.equal(segment_everything(tiny_engine, picture, ALL))
    with pytest.raises(PromptError, match="an embedding has no pixels; give the picture"):
        segment_everything(tiny_engine, embedding, replace(ALL, crop_layers=1))


def test_crops_are_encoded_apart_and_their_masks_lie_in_the_whole_picture(tiny_engine, rng):
    scene = Scene(tiny_engine, [(20, 20, 16)])
    large = rng.integers(0, 256, (128, 128, 3), np.uint8)
    settings = replace(DEFAULT, points_per_side=8, crop_layers=1, crop_edge_distance=4)
    masks = segment_everything(scene, large, settings)
    assert scene.encoded == 5
    assert len({tuple(box) for box in masks.crop_box.tolist()}) == 5
    for mask in masks:
        x0, y0, x1, y1 = mask.crop_box[0]
        assert x0 <= mask.boxes[0, 0]
        assert y0 <= mask.boxes[0, 1]
        assert mask.boxes[0, 2] <= x1
        assert mask.boxes[0, 3] <= y1
    areas = np.prod(masks.crop_box[:, 2:] - masks.crop_box[:, :2], axis=1)
    assert (np.diff(areas) >= 0).all()  # those of small crops first


def test_crops_use_the_cache(tiny_engine, rng, tmp_path):
    large = rng.integers(0, 256, (128, 128, 3), np.uint8)
    cache = EmbeddingCache(tmp_path, max_bytes=10**9)
    settings = replace(ALL, crop_layers=1, points_per_side=1)
    first = segment_everything(tiny_engine, large, settings, cache=cache)
    again = Scene(tiny_engine, [])
    segment_everything(again, large, settings, cache=cache)
    assert again.encoded == 0
    assert first.equal(segment_everything(tiny_engine, large, settings, cache=cache))


def test_a_share_of_the_points_lies_on_cells_of_the_embedding(scene, picture):
    progress: list[tuple[int, int]] = []
    settings = replace(ALL, point_share=0.3)  # of 16 points
    segment_everything(
        scene, picture, settings, on_progress=lambda done, total: progress.append((done, total))
    )
    embedding = samphire.embed(scene, picture)
    expected = unlike_points(embedding, 5) * SIDE
    np.testing.assert_allclose(scene.asked, expected)
    assert progress[-1] == (5, 5)


def test_a_share_is_asked_of_each_crop(tiny_engine, rng):
    scene = Scene(tiny_engine, [])
    large = rng.integers(0, 256, (128, 128, 3), np.uint8)
    settings = replace(ALL, crop_layers=1, point_share=0.3)  # of 16 points
    segment_everything(scene, large, settings)
    assert len(scene.asked) == 5 * 5  # of the whole and of each of its four crops


def test_the_preset_fast_asks_less_than_a_third(tiny_engine, picture):
    asked = {}
    for name in ("fast", "default"):
        scene = Scene(tiny_engine, [])
        segment_everything(scene, picture, replace(PRESETS[name], points_per_side=6))
        asked[name] = len(scene.asked)
    assert 0 < 3 * asked["fast"] < asked["default"] == 36


def test_progress_is_whole_where_there_are_fewer_cells_than_points(scene, picture):
    progress: list[tuple[int, int]] = []
    settings = replace(DEFAULT, points_per_side=64, point_share=0.9)
    segment_everything(
        scene, picture, settings, on_progress=lambda done, total: progress.append((done, total))
    )
    assert len(scene.asked) < progress[-1][0] == progress[-1][1] == 3687


@pytest.mark.slow
def test_progress_counts_every_point_of_every_crop(tiny_engine, rng):
    large = rng.integers(0, 256, (128, 128, 3), np.uint8)
    seen: list[tuple[int, int]] = []
    segment_everything(
        tiny_engine,
        large,
        replace(ALL, crop_layers=1, crop_points_downscale=2),
        on_progress=lambda *now: seen.append(now),
    )
    assert seen[-1] == (16 + 4 * 4, 16 + 4 * 4)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_cancelling_stops_between_calls(scene, picture):
    with pytest.raises(CancelledError):
        segment_everything(
            scene, picture, replace(ALL, points_per_side=32), cancel=lambda: len(scene.asked) >= 32
        )
    assert len(scene.asked) == 32


def test_a_budget_that_is_too_small_is_refused_before_the_encoder_runs(scene, picture):
    with pytest.raises(MemoryBudgetError, match=r"are needed, and 1 MB allowed: the process holds"):
        segment_everything(scene, picture, ALL, max_memory="1MB")
    assert scene.encoded == 0
    assert len(segment_everything(scene, picture, ALL, max_memory="20GB")) > 0


def test_the_better_mask_stays_whatever_the_order(scene, picture):
    masks = segment_everything(scene, picture, ALL)
    jumbled = masks[np.random.default_rng(0).permutation(len(masks))]
    ranked = jumbled[best_first(jumbled)]
    assert (np.diff(ranked.predicted_iou) <= 0).all()


def test_duplicates_by_mask_go_on_request(tiny_engine, picture):
    scene = Scene(tiny_engine, [(8, 8, 32)], scores=(0.95, 0.9, 0.99))
    both = segment_everything(scene, picture, replace(DEFAULT, points_per_side=8))
    assert len(both) == 2
    wholes = segment_everything(
        scene,
        picture,
        replace(DEFAULT, points_per_side=8, mask_nms_iou=0.9, max_containment=0.9),
    )
    assert wholes.predicted_iou.tolist() == pytest.approx([0.95])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"points_per_side": 0}, "points_per_side=0"),
        ({"stability_offset": 0.0}, "expected both above 0"),
        ({"stability_offset": -1.0}, "stability_offset=-1"),
        ({"min_stability": float("nan")}, "min_stability=nan"),
        ({"min_predicted_iou": float("nan")}, "min_predicted_iou=nan"),
        ({"crop_overlap": 1.0}, "crop_overlap=1.0"),
        ({"crop_layers": -1}, "crop_layers=-1"),
        ({"crop_points_downscale": 0.0}, "expected both above 0"),
        ({"max_containment": 0.9}, "goes with mask_nms_iou"),
        ({"point_grids": (np.zeros((1, 2)),), "crop_layers": 1}, "1 point_grids for crop_layers=1"),
        ({"point_grids": (np.array([[10.0, 20.0]]),)}, "not pixels"),
        ({"point_share": 0.0}, "point_share=0.0: expected above 0"),
        ({"point_share": 1.5}, "point_share=1.5: expected 0 to 1"),
        ({"point_share": 0.5, "point_grids": (np.zeros((1, 2)),)}, "give one of them"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        EverythingSettings(**wrong)
    with pytest.raises(ShapeError):
        EverythingSettings(point_grids=(np.zeros((3, 3)),))


def test_settings_compare_by_their_values_and_go_into_json():
    grid = np.array([[0.5, 0.5]])
    assert EverythingSettings(point_grids=(grid,)).equal(EverythingSettings(point_grids=(grid,)))
    assert not DEFAULT.equal(PRESETS["fast"])
    assert as_json(DEFAULT)["points_per_side"] == 32
    assert as_json(EverythingSettings(point_grids=(grid,)))["point_grids"] == [[[0.5, 0.5]]]
