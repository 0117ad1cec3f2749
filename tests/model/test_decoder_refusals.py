"""The parts refuse what does not fit, instead of broadcasting it."""

import pytest
import torch

from samphire.errors import ShapeError

POINTS = (torch.zeros(2, 1, 2), torch.ones(2, 1))


def test_more_than_one_image_is_refused(tiny_sam):
    with pytest.raises(ShapeError, match=r"image_embeddings has shape \(2,"):
        tiny_sam.decode(torch.zeros(2, 256, 4, 4), POINTS, None, None, True)


def test_labels_must_match_points(tiny_sam):
    with pytest.raises(ShapeError, match="labels has shape"):
        tiny_sam.prompt_encoder((torch.zeros(2, 1, 2), torch.ones(2, 2)), None, None)


@pytest.mark.parametrize("side", [4, 64])
def test_masks_must_have_the_low_resolution(tiny_sam, side):
    with pytest.raises(ShapeError, match="masks has shape"):
        tiny_sam.prompt_encoder(POINTS, None, torch.zeros(2, 1, side, side))


def test_parts_must_speak_of_the_same_objects(tiny_sam):
    with pytest.raises(ShapeError, match="prompts for"):
        tiny_sam.prompt_encoder(POINTS, torch.zeros(3, 4), None)


def test_padding_is_not_neutral_so_groups_must_not_be_padded(tiny_sam):
    """Why objects of different length are decoded apart: a label -1 point moves the answer."""
    features = torch.randn(1, 256, 4, 4)
    with torch.no_grad():
        alone, _ = tiny_sam.decode(features, POINTS, None, None, True)
        padded = (torch.zeros(2, 2, 2), torch.tensor([[1, -1]] * 2))
        moved, _ = tiny_sam.decode(features, padded, None, None, True)
    assert (alone - moved).abs().max() > 1e-3


def test_no_prompt_is_no_token_and_not_a_click_in_the_corner(tiny_sam):
    features = torch.randn(1, 256, 4, 4)
    with torch.no_grad():
        sparse, _ = tiny_sam.prompt_encoder(None, None, None)
        nothing, _ = tiny_sam.decode(features, None, None, None, False)
        corner = (torch.zeros(1, 1, 2), torch.ones(1, 1))
        clicked, _ = tiny_sam.decode(features, corner, None, None, False)
    assert sparse.shape == (1, 0, 256)
    assert (nothing - clicked).abs().max() > 1e-3
