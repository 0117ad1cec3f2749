"""The contact sheet: masks are seen on their pictures, and what cannot be read is seen too."""

import numpy as np
import pytest
from labelled_sets import made, masks, sample

from samphire.errors import FileFormatError, ImageError
from samphire.images.tiles import BLACK, GAP, RED, WHITE, Tile, lay_out
from samphire.samples import Labelled
from samphire.samples.contact_sheet import contact_sheet

GREY = np.full((60, 80, 3), 128, np.uint8)


def grey(*boxes):
    return Labelled(GREY, masks(*boxes))


def coloured(sheet):
    """Pixels that are not grey, white or black: where something was drawn."""
    return (sheet.max(axis=2).astype(int) - sheet.min(axis=2)) > 20


def test_a_mask_is_drawn_where_it_is():
    sheet = contact_sheet(made(sample("a", grey((40, 0, 80, 60)))))
    side = sheet.shape[1] - 2 * GAP
    tile = coloured(sheet[GAP : GAP + round(side * 0.75), GAP : GAP + side])
    assert tile[:, : side // 2 - 8].mean() == 0
    assert tile[:, side // 2 + 8 :].mean() > 0.9


def test_the_sheet_is_as_wide_as_a_page_and_no_wider():
    many = made(*(sample(f"{index:02}", grey((5, 5, 40, 40))) for index in range(9)))
    sheet = contact_sheet(many)
    assert 1590 <= sheet.shape[1] <= 1600
    assert sheet.dtype == np.uint8
    assert contact_sheet(many, count=2).shape[1] < 600


def test_samples_are_taken_from_all_over_the_set():
    read = []

    def reading(index):
        def read_it():
            read.append(index)
            return grey()

        return read_it

    from dataclasses import replace

    samples = [replace(sample(f"{index:03}"), read=reading(index)) for index in range(101)]
    contact_sheet(made(*samples), count=5)
    assert read == [0, 25, 50, 75, 100]


def test_a_sample_that_cannot_be_read_says_so_in_red():
    sheet = contact_sheet(made(sample("a", ImageError("a.png is cut short"))))
    assert (sheet == RED).all(axis=2).any()
    fine = contact_sheet(made(sample("a", grey())))
    assert not (fine == RED).all(axis=2).any()


def test_nothing_to_show_is_refused():
    with pytest.raises(FileFormatError, match="set has no samples to show"):
        contact_sheet(made())
    with pytest.raises(ValueError, match="count=0"):
        contact_sheet(made(sample("a")), count=0)


def test_a_long_title_keeps_its_end_and_stays_in_its_column():
    def title(text):
        tile = Tile(np.full((20, 100, 3), 200, np.uint8), text, "")
        return lay_out([tile, tile], columns=2, width=100)

    sheet = title("a/very/long/path/to/the/picture/0001.png")
    gap = sheet[:, GAP + 100 + 2 : 2 * GAP + 100 - 2]
    assert (gap == WHITE).all()
    assert (sheet == BLACK).all(axis=2).any()
    # what is cut away makes no difference, the end does
    assert np.array_equal(sheet, title("another/long/path/to/the/picture/0001.png"))
    assert not np.array_equal(sheet, title("a/very/long/path/to/the/picture/0002.png"))
