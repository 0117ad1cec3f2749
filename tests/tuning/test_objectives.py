"""Simulated conversations: prompts lie where they should, and are answered as a user's are."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tuning.discs import discs, read

import samphire
from samphire.adapters import Adaptation
from samphire.adapters.partial import Decoder
from samphire.engines.torch_engine import TorchEngine
from samphire.evaluation.interactive import click_curves
from samphire.evaluation.prompts import generator
from samphire.geometry import Size
from samphire.images.preprocessing import preprocessing
from samphire.masks import Masks
from samphire.samples import Labelled
from samphire.tuning import objectives
from samphire.tuning.examples import Example, make_example, mask_targets
from samphire.tuning.objectives import conversation

pytestmark = pytest.mark.slow

RECORDS = ("sam-64", "medsam-1024", "lite-medsam-256")


class Watched:
    """A model whose decoder's calls are written down."""

    def __init__(self, sam):
        self.calls = []
        self._decode = sam.decode
        sam.decode = self

    def __call__(self, features, points, boxes, masks, multimask_output):
        self.calls.append((points, boxes, masks, multimask_output))
        return self._decode(features, points, boxes, masks, multimask_output)


@pytest.fixture
def sam(tiny_engine):
    """A copy that a test may watch."""
    return Adaptation(Decoder()).apply(tiny_engine.module).module


def example_of(labelled, **changes):
    settings = {"classes": 0, "objects": 8, "view": "none", "rng": generator(0, 0, "x")}
    return make_example(labelled, **{**settings, **changes})


def talk(sam, labelled, seed, *, corrections=2, boxes_only=False):
    example = example_of(labelled)
    pixels, frame = preprocessing("sam-64").apply(example.image)
    with torch.no_grad():
        features = sam.encode(torch.from_numpy(pixels))
    watched = Watched(sam)
    losses = list(
        conversation(
            sam, features, example, frame,
            corrections=corrections, boxes_only=boxes_only, rng=generator(seed, 0, "x"),
        )
    )  # fmt: skip
    return example, frame, watched.calls, losses


def seed_of(*, box):
    """A seed whose first prompt is a box, or a click."""
    return next(s for s in range(99) if (generator(s, 0, "x").random() < 0.5) == box)


def test_the_mask_that_is_taught_is_the_one_that_a_user_gets(sam, tiny_engine):
    """Click, then correcting clicks: the same tokens are read in training and in use."""
    labelled = read(3, 1)
    _, _, calls, losses = talk(sam, labelled, seed_of(box=False))
    assert len(losses) == 3
    engine = TorchEngine(
        Adaptation(Decoder()).apply(tiny_engine.module).module,
        model="tiny",
        preprocessing="sam-64",
    )
    embedding = samphire.embed(engine, labelled.image)
    in_use = Watched(engine.module)
    click_curves(engine, embedding, labelled.objects, clicks=3)

    def told(call):
        points, boxes, masks, multimask = call
        return points[0].shape[1], boxes is None, masks is None, multimask

    assert list(map(told, calls)) == [
        (1, True, True, True), (2, True, False, False), (3, True, False, False)
    ]  # fmt: skip
    assert list(map(told, in_use.calls)) == list(map(told, calls))


def test_a_box_is_answered_by_the_token_that_answers_a_users_box(sam, tiny_engine):
    labelled = read(3, 1)
    _, _, calls, _ = talk(sam, labelled, seed_of(box=True))
    engine = TorchEngine(
        Adaptation(Decoder()).apply(tiny_engine.module).module,
        model="tiny",
        preprocessing="sam-64",
    )
    in_use = Watched(engine.module)
    samphire.segment(engine, labelled.image, boxes=labelled.objects.boxes)
    (points, boxes, masks, multimask), *_ = in_use.calls
    assert (points, masks, multimask) == (None, None, False)
    assert calls[0][0] is None
    assert calls[0][2:] == (masks, multimask)
    assert boxes.dtype == calls[0][1].dtype
    assert boxes.shape == calls[0][1].shape
    # each correction adds a click, keeps the box and shows the answer before
    assert [None if c[0] is None else c[0][0].shape[1] for c in calls] == [None, 1, 2]
    assert all(torch.equal(call[1], calls[0][1]) for call in calls)


def test_the_answer_before_is_that_of_the_highest_predicted_iou(sam):
    labelled = read(4, 1)
    answers = []
    real = sam.decode
    sam.decode = lambda *given: answers.append(real(*given)) or answers[-1]
    _, _, calls, _ = talk(sam, labelled, seed_of(box=False))
    for (logits, scores), call in zip(answers, calls[1:], strict=False):
        best = scores.argmax(1)
        assert torch.equal(call[2], logits[torch.arange(len(best)), best][:, None])


def test_a_training_click_reaches_the_model_as_the_same_click_of_a_user(sam, tiny_engine):
    labelled = read(5, 1)
    _, frame, calls, _ = talk(sam, labelled, seed_of(box=False), corrections=0)
    (points, labels), *_ = calls[0]
    x, y = np.rint(frame.to_original(points[0, 0].numpy()))
    assert labelled.objects.to_array()[0, int(y), int(x)]
    engine = TorchEngine(
        Adaptation(Decoder()).apply(tiny_engine.module).module,
        model="tiny",
        preprocessing="sam-64",
    )
    in_use = Watched(engine.module)
    samphire.segment(engine, labelled.image, points=[(x, y)])
    (given_points, given_labels), *_ = in_use.calls[0]
    assert torch.equal(points, given_points)
    assert torch.equal(labels, given_labels.to(labels.dtype))


@given(
    st.integers(8, 90), st.integers(8, 90), st.sampled_from(RECORDS), st.integers(0, 999),
    st.sampled_from(["none", "flips", "full"]),
)  # fmt: skip
def test_prompts_stay_on_their_object_through_view_and_frame(height, width, record, seed, view):
    """Off the diagonal of a picture that is not square, so that x and y cannot be exchanged."""
    dense = np.zeros((1, height, width), bool)
    dense[0, : height // 3, width // 2 :] = True
    labelled = Labelled(np.zeros((height, width, 3), np.uint8), Masks.from_arrays(dense))
    rng = generator(seed, 0, "x")
    example = example_of(labelled, view=view, rng=rng)
    if not len(example.objects):
        return
    frame = preprocessing(record).frame(Size(*example.valid.shape))
    (mask,) = example.objects
    (((x, y),),) = frame.to_original(objectives._first_points(example, frame, rng))
    assert mask[round(y), round(x)]
    assert max(abs(x - round(x)), abs(y - round(y))) < 1e-3
    boxes = objectives._boxes(example, frame, rng)
    x0, y0, x1, y1 = frame.to_original(boxes)[0]
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    most = 20 * max(mask.shape) / 1024 + 1 / min(frame.scale)  # the noise, and whole pixels
    for found, true in zip(
        (x0, y0, x1, y1), (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1), strict=True
    ):
        assert abs(found - true) <= most + 1e-6


class Answering:
    """A model that always gives the same answer, all or nothing, and keeps what it was asked."""

    def __init__(self, *, everything):
        self.logit, self.clicks = (9.0 if everything else -9.0), None

    def decode(self, features, points, boxes, masks, multimask_output):
        self.clicks = points
        side = features.shape[-1] * 4
        logits = torch.full((len(boxes), 1, side, side), self.logit, requires_grad=True)
        return logits, torch.zeros(len(boxes), 1)


def corrected(predicted, mask, seed=0):
    """The click that corrects all or nothing on a 64-pixel picture, as a low-resolution cell."""
    labelled = Labelled(np.zeros((*mask.shape, 3), np.uint8), Masks.from_arrays(mask[None]))
    frame = preprocessing("sam-64").frame(Size(*mask.shape))
    example = example_of(labelled)
    target, _ = mask_targets(example, frame)
    sam = Answering(everything=predicted)
    features = torch.zeros(1, 256, 4, 4)
    rng = generator(seed, 0, "x")
    list(conversation(sam, features, example, frame, corrections=1, boxes_only=True, rng=rng))
    (((x, y),),), ((label,),) = sam.clicks
    cell = frame.input_side / frame.low_res_side
    return (int((x + 0.5) // cell), int((y + 0.5) // cell)), int(label), target[0]


def test_a_correction_is_on_the_error_with_its_label():
    mask = np.zeros((48, 64), bool)
    mask[4:12, 40:60] = True
    for seed in range(20):
        (x, y), label, target = corrected(predicted=False, mask=mask, seed=seed)
        assert label == 1
        assert target[y, x] >= 0.5
        (x, y), label, target = corrected(predicted=True, mask=mask, seed=seed)
        assert label == 0
        assert target[y, x] < 0.5


def test_an_object_smaller_than_a_cell_is_confirmed_where_it_is():
    """A background click on it, or in a corner, would teach that it is not there."""
    mask = np.zeros((480, 640), bool)
    mask[30:33, 600:603] = True
    (x, y), label, target = corrected(predicted=False, mask=mask)
    assert float(target.max()) < 0.5
    assert label == 1
    assert float(target[y, x]) == float(target.max())


def test_models_of_boxes_are_never_clicked_at_first(sam):
    for seed in range(6):
        _, _, calls, _ = talk(sam, read(seed, 1), seed, corrections=0, boxes_only=True)
        assert calls[0][0] is None


def test_objects_are_taught_side_by_side_as_each_would_be_alone(sam):
    """The loss of many is the mean over them, whatever their order in the file."""
    labelled = read(7, 2)
    example = example_of(labelled)
    pixels, frame = preprocessing("sam-64").apply(example.image)
    with torch.no_grad():
        features = sam.encode(torch.from_numpy(pixels))
    target, valid = mask_targets(example, frame)
    boxes = torch.from_numpy(frame.to_input(labelled.objects.boxes.astype(float))).float()

    def loss(rows):
        logits, scores = sam.decode(features, None, boxes[rows], None, False)
        return objectives.sam_loss(
            logits=logits, predicted_iou=scores, target=target[rows],
            valid=valid.expand_as(target[rows]),
        ).total  # fmt: skip

    together = loss([0, 1])
    alone = torch.cat([loss([0]), loss([1])])
    assert torch.allclose(together, alone, atol=1e-5)


def test_the_view_and_the_objects_are_those_of_seed_epoch_and_sample():
    labelled = discs(1)[0].read()
    first = example_of(labelled, view="full", rng=generator(1, 2, "a"))
    again = example_of(labelled, view="full", rng=generator(1, 2, "a"))
    other = example_of(labelled, view="full", rng=generator(1, 3, "a"))
    assert np.array_equal(first.image, again.image)
    assert first.image.shape != other.image.shape or not np.array_equal(first.image, other.image)


def test_ignored_pixels_are_never_clicked():
    mask = np.zeros((48, 64), bool)
    mask[4:12, 40:60] = True
    ignore = np.zeros_like(mask)
    ignore[:, 50:] = True
    example = Example(
        np.zeros((48, 64, 3), np.uint8), mask[None], np.zeros((48, 64), np.int32), ~ignore
    )
    frame = preprocessing("sam-64").frame(Size(48, 64))
    for seed in range(30):
        points = objectives._first_points(example, frame, generator(seed, 0, "x"))
        assert points[0, 0, 0] < 50
