"""Click curves and boxes: equal to segment by hand, batches equal to loops, the figures."""

import math

import cv2
import numpy as np
import pytest

import samphire
from samphire.embedding import LowRes
from samphire.errors import PromptError, ShapeError
from samphire.evaluation import interactive
from samphire.evaluation.interactive import (
    ClickResult,
    box_result,
    box_results,
    click_curve,
    click_curves,
    mean_iou_at,
    number_of_clicks,
    reached,
)
from samphire.evaluation.prompts import Click, box_of, errors, farthest_click
from samphire.masks import Masks
from samphire.predict.upscale import upscale

pytestmark = pytest.mark.slow

HEIGHT, WIDTH = 48, 80
SIDE = 16  # of the tiny model's logits


def rectangle(x0, y0, x1, y1):
    mask = np.zeros((HEIGHT, WIDTH), np.bool_)
    mask[y0:y1, x0:x1] = True
    return mask


OBJECTS = np.stack(
    [
        rectangle(60, 4, 75, 12),
        rectangle(3, 30, 40, 44),
        rectangle(20, 5, 50, 25) & ~rectangle(30, 10, 40, 20),
        rectangle(70, 40, 71, 41),
    ]
)


@pytest.fixture(scope="module")
def embedding(tiny_engine):
    picture = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    return samphire.embed(tiny_engine, picture)


class Scripted:
    """An engine that answers the n-th click with the n-th of given logits, and notes prompts.

    Of three candidates the second is the surest.
    """

    def __init__(self, engine, answers):
        self.engine, self.answers, self.asked = engine, answers, []

    def __getattr__(self, name):
        return getattr(self.engine, name)

    def session(self, embedding):
        return self

    def decode(self, prompts, *, multimask, min_predicted_iou=None):
        self.asked.append(prompts)
        objects, candidates = len(prompts.points), 3 if multimask else 1
        grid = np.stack([self.answers[prompts.points.shape[1] - 1][:candidates]] * objects)
        scores = np.tile([0.2, 0.9, 0.5][:candidates], (objects, 1))
        return LowRes(grid.reshape(-1, SIDE, SIDE), np.argwhere(np.ones(grid.shape[:2])), scores)


def sees(mask):
    """Logits (S, S) of a mask (H, W), 80 pixels of it lying over 16 cells."""
    square = np.zeros((WIDTH, WIDTH), np.float32)
    square[:HEIGHT] = mask
    return cv2.resize(square, (SIDE, SIDE), interpolation=cv2.INTER_AREA) * 20 - 10


def iou(left, right):
    return (left & right).sum() / (left | right).sum()


def by_hand(engine, embedding, true, clicks):
    """The protocol with the public functions, one object and one click at a time."""
    given, ious, previous = [], [], None
    predicted = np.zeros_like(true)
    for _ in range(clicks):
        given.append(farthest_click(*errors(predicted, true), clicked=given))
        prompt = {
            "points": [(click.x, click.y) for click in given],
            "labels": [click.label for click in given],
            "previous": previous,
        }
        predicted = samphire.segment(engine, embedding, **prompt).to_array()[0]
        previous = samphire.decode(engine, embedding, **prompt)[0, 0]
        ious.append(iou(predicted, true))
    return given, ious, predicted


@pytest.mark.parametrize("index", range(len(OBJECTS)))
def test_a_curve_is_segment_called_click_by_click(tiny_engine, embedding, index):
    found = click_curve(tiny_engine, embedding, OBJECTS[index], clicks=5)
    given, ious, predicted = by_hand(tiny_engine, embedding, OBJECTS[index], 5)
    assert list(found.clicks) == given
    np.testing.assert_allclose(found.ious, ious, atol=1e-12)
    assert (found.masks.to_array()[-1] == predicted).all()


def test_every_click_is_on_an_error_of_the_mask_before(tiny_engine, embedding):
    for true in OBJECTS:
        found = click_curve(tiny_engine, embedding, true, clicks=6)
        before = [np.zeros_like(true), *found.masks.to_array()]
        for click, predicted in zip(found.clicks, before, strict=False):
            missed, extra = errors(predicted, true)
            assert (missed if click.label else extra)[click.y, click.x]
        assert true[found.clicks[0].y, found.clicks[0].x]


def test_ious_are_those_of_the_masks(tiny_engine, embedding):
    for found, true in zip(
        click_curves(tiny_engine, embedding, Masks.from_arrays(OBJECTS)), OBJECTS, strict=True
    ):
        assert len(found.ious) == len(found.masks) == 9
        np.testing.assert_allclose(found.ious, [iou(mask, true) for mask in found.masks.to_array()])


def test_the_oracle_takes_the_best_of_three(tiny_engine, embedding):
    for true in OBJECTS:
        found = click_curve(tiny_engine, embedding, true, clicks=1)
        three = samphire.segment(
            tiny_engine, embedding, points=[(found.clicks[0].x, found.clicks[0].y)], multimask=True
        )
        assert found.oracle_iou == max(iou(mask, true) for mask in three.to_array())
        assert found.ious[0] <= found.oracle_iou


def test_objects_together_get_what_each_gets_alone(tiny_engine, embedding, monkeypatch):
    monkeypatch.setattr(interactive, "OBJECTS_PER_CALL", 3)
    together = click_curves(tiny_engine, embedding, Masks.from_arrays(OBJECTS))
    backwards = click_curves(tiny_engine, embedding, Masks.from_arrays(OBJECTS[::-1]))[::-1]
    for index, true in enumerate(OBJECTS):
        alone = click_curve(tiny_engine, embedding, true)
        for other in (together[index], backwards[index]):
            np.testing.assert_allclose(other.ious, alone.ious, atol=1e-5)
            np.testing.assert_allclose(other.oracle_iou, alone.oracle_iou, atol=1e-5)
            assert other.clicks == alone.clicks


def test_objects_together_take_one_call_a_round(tiny_engine, embedding):
    never = [np.full((3, SIDE, SIDE), -1, np.float32)] * 4
    engine = Scripted(tiny_engine, never)
    click_curves(engine, embedding, Masks.from_arrays(OBJECTS[:3]), clicks=4)
    assert [asked.points.shape for asked in engine.asked] == [(3, n, 2) for n in (1, 2, 3, 4)]


def test_the_logits_of_the_chosen_answer_are_fed_back(tiny_engine, embedding):
    levels = [np.full((3, SIDE, SIDE), -n, np.float32) for n in (1, 2, 3)]
    levels[0] += np.array([0, 0.25, 0.5], np.float32)[:, None, None]
    engine = Scripted(tiny_engine, levels)
    click_curve(engine, embedding, OBJECTS[0], clicks=3)
    assert engine.asked[0].masks is None
    assert (engine.asked[1].masks == -0.75).all()  # the second of three is the surest
    assert (engine.asked[2].masks == -2).all()


def test_a_finished_object_is_not_clicked_again_and_its_iou_stays(tiny_engine, embedding):
    half = sees(rectangle(0, 0, WIDTH // 2, HEIGHT))
    whole, left = np.ones((HEIGHT, WIDTH), np.bool_), upscale(half, embedding.frame) > 0
    answers = [np.stack([half] * 3)] + [np.full((1, SIDE, SIDE), 9, np.float32)] * 3
    engine = Scripted(tiny_engine, answers)
    done, halved = click_curves(engine, embedding, Masks.from_arrays([whole, left]), clicks=4)
    assert len(done.clicks) == 2
    assert done.ious.tolist() == [iou(left, whole), 1, 1, 1]
    assert len(done.masks) == 4
    assert done.masks.area[-1] == HEIGHT * WIDTH
    assert halved.ious.tolist() == [1, 1, 1, 1]
    assert len(halved.clicks) == 1
    assert len(engine.asked) == 2


def test_ignored_pixels_count_neither_way(tiny_engine, embedding):
    left, right = rectangle(0, 0, 40, HEIGHT), rectangle(40, 0, WIDTH, HEIGHT)
    everything = [np.full((3, SIDE, SIDE), 9, np.float32)]
    engine = Scripted(tiny_engine, everything)
    assert click_curve(engine, embedding, left, clicks=1).ious[0] == 0.5
    ignored = click_curve(engine, embedding, left, clicks=1, ignore=right)
    assert ignored.ious[0] == ignored.oracle_iou == 1
    upper = rectangle(0, 0, WIDTH, 24)
    assert click_curve(engine, embedding, left, clicks=1, ignore=upper).ious[0] == 0.5
    assert click_curve(engine, embedding, left, clicks=1, ignore=upper).clicks[0].y > 24


def test_the_first_click_can_be_given(tiny_engine, embedding):
    first = Click(62, 5, label=1)
    found = click_curve(tiny_engine, embedding, OBJECTS[0], clicks=2, first=first)
    assert found.clicks[0] == first
    middle = click_curve(tiny_engine, embedding, OBJECTS[0], clicks=2)
    assert middle.clicks[0] != first
    answer = samphire.segment(tiny_engine, embedding, points=[(62, 5)])
    assert (found.masks.to_array()[0] == answer.to_array()[0]).all()


def test_first_clicks_go_to_their_objects(tiny_engine, embedding):
    first = [Click(62, 5, label=1), Click(30, 40, label=1)]
    found = click_curves(tiny_engine, embedding, Masks.from_arrays(OBJECTS[:2]), first=first)
    assert [result.clicks[0] for result in found] == first


def test_no_pixel_is_clicked_twice_and_none_left_ends_it(tiny_engine, embedding):
    nothing = [np.full((3, SIDE, SIDE), -1, np.float32)] * 5
    engine = Scripted(tiny_engine, nothing)
    large, pixel = click_curves(engine, embedding, Masks.from_arrays(OBJECTS[[0, 3]]), clicks=5)
    assert len({(click.x, click.y) for click in large.clicks}) == 5
    assert pixel.clicks == (Click(70, 40, label=1),)
    assert pixel.ious.tolist() == [0] * 5


def test_two_runs_are_equal_to_the_bit(tiny_engine, embedding):
    once, twice = (
        click_curves(tiny_engine, embedding, Masks.from_arrays(OBJECTS)) for _ in range(2)
    )
    for one, other in zip(once, twice, strict=True):
        assert one.ious.tobytes() == other.ious.tobytes()
        assert one.masks.equal(other.masks)


def test_boxes_are_answered_as_segment_answers_tight_boxes(tiny_engine, embedding):
    together = box_results(tiny_engine, embedding, Masks.from_arrays(OBJECTS))
    assert len(together) == len(OBJECTS)
    for mask, true in zip(together.to_array(), OBJECTS, strict=True):
        alone = box_result(tiny_engine, embedding, true)
        expected = samphire.segment(tiny_engine, embedding, boxes=[box_of(true)])
        assert alone.equal(expected)
        assert iou(mask, expected.to_array()[0]) > 0.999


def test_no_objects_give_no_results(tiny_engine, embedding):
    nothing = Masks.from_arrays(OBJECTS)[:0]
    assert click_curves(tiny_engine, embedding, nothing) == ()
    assert len(box_results(tiny_engine, embedding, nothing)) == 0


def test_what_cannot_be_clicked_at_is_refused(tiny_engine, embedding):
    empty = Masks.from_arrays(np.stack([OBJECTS[0], np.zeros_like(OBJECTS[0])]))
    for protocol in (click_curves, box_results):
        with pytest.raises(PromptError, match=r"objects \[1\] have no pixels"):
            protocol(tiny_engine, embedding, empty)
        with pytest.raises(ShapeError, match=r"true masks are 48x80, .* is 80x48"):
            protocol(tiny_engine, embedding, Masks.from_arrays(OBJECTS.swapaxes(1, 2)))
    with pytest.raises(PromptError, match="object 0 has no pixel that counts"):
        click_curve(
            tiny_engine, embedding, OBJECTS[0], ignore=OBJECTS[0], first=Click(62, 5, label=1)
        )
    with pytest.raises(ShapeError, match="ignore has shape"):
        click_curve(tiny_engine, embedding, OBJECTS[0], ignore=OBJECTS[0].T)
    with pytest.raises(ValueError, match="at least 1"):
        click_curve(tiny_engine, embedding, OBJECTS[0], clicks=0)
    with pytest.raises(PromptError, match="1 first clicks for 4 objects"):
        click_curves(
            tiny_engine, embedding, Masks.from_arrays(OBJECTS), first=[Click(62, 5, label=1)]
        )


def test_the_number_of_clicks_is_the_first_that_is_good_enough():
    curve = np.linspace(0.05, 1, 20)
    assert number_of_clicks(curve, 0.85) == 17
    assert number_of_clicks([0.5, 0.9, 0.3], 0.9) == 2
    assert number_of_clicks([0.95], 0.9) == 1


def test_an_object_that_never_gets_good_enough_takes_twenty_clicks():
    assert number_of_clicks(np.full(20, 0.8), 0.85) == 20
    assert number_of_clicks([*np.full(24, 0.8), 0.9], 0.85) == 20
    assert not reached([*np.full(24, 0.8), 0.9], 0.85)
    last = [*np.full(19, 0.8), 0.85]
    assert number_of_clicks(last, 0.85) == 20
    assert reached(last, 0.85)


def test_a_short_curve_does_not_tell_how_many_clicks_it_would_take():
    with pytest.raises(ValueError, match=r"9 clicks did not reach an IoU of 0\.85"):
        number_of_clicks(np.full(9, 0.8), 0.85)


def test_the_mean_iou_is_that_of_the_objects_after_so_many_clicks():
    mask = Masks.from_arrays(OBJECTS[:1])[[0, 0]]
    results = [ClickResult(np.array(ious), 1.0, (), mask) for ious in ([0.2, 0.6], [0.4, 1.0])]
    assert mean_iou_at(results, 1) == pytest.approx(0.3)
    assert mean_iou_at(results, 2) == pytest.approx(0.8)
    assert math.isnan(mean_iou_at([], 3))
    for clicks in (0, 3):
        with pytest.raises(ValueError, match="expected 1 to 2"):
            mean_iou_at(results, clicks)


@pytest.mark.weights
def test_more_clicks_help_on_real_objects(vit_t, data):
    names = ("000000000030", "000000000072")
    results, boxes = [], []
    for name in names:
        labels = cv2.imread(str(data / "objects" / "masks" / f"{name}.png"), cv2.IMREAD_UNCHANGED)
        truth = Masks.from_arrays(np.stack([labels == k for k in range(1, labels.max() + 1)]))
        embedding = samphire.embed(vit_t, data / "objects" / "images" / f"{name}.jpg")
        results += click_curves(vit_t, embedding, truth, clicks=5)
        answers = box_results(vit_t, embedding, truth).to_array()
        boxes += [iou(*pair) for pair in zip(answers, truth.to_array(), strict=True)]
    assert len(results) >= 4
    assert mean_iou_at(results, 5) > mean_iou_at(results, 1) + 0.05
    assert mean_iou_at(results, 5) > 0.7
    assert np.mean([result.oracle_iou for result in results]) >= mean_iou_at(results, 1)
    assert np.mean(boxes) > 0.7
