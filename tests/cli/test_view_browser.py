"""The page of ``samphire view`` in a real browser: keys, clicks, filters, from a file."""

import dataclasses
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import samphire
from samphire.cli.__main__ import cli
from samphire.masks import Masks

pytestmark = pytest.mark.slow

FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
]
HEIGHT, WIDTH = 60, 90


@pytest.fixture(scope="module")
def browser():
    """Debian's chromium, without a window."""
    program = shutil.which("chromium")
    if program is None:
        assert "SAMPHIRE_DATA" not in os.environ, "chromium is missing: apt-get install chromium"
        pytest.skip("needs a browser: install Debian's package chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield launched
        launched.close()


def masks_of(seed):
    """A disc in a disc, and a square beside them."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    distance = np.hypot(y - 30, x - 30 - seed)
    square = (y >= 5) & (y < 15) & (x >= 70) & (x < 85)
    return Masks.from_arrays([distance < 25, distance < 10, square])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("view")
    for seed, name in enumerate(["first", "second"]):
        masks = dataclasses.replace(
            masks_of(seed), predicted_iou=np.array([0.95, 0.9, 0.5]), stability=np.ones(3)
        )
        samphire.save_masks(
            masks, root / f"{name}.mask.json", picture=samphire.Picture(name, f"{name}.png")
        )
        Image.new("RGB", (WIDTH, HEIGHT), "white").save(root / f"{name}.png")
    result = CliRunner().invoke(cli, ["view", str(root)], standalone_mode=False)
    assert result.return_value == 0, result.exception
    return root


@pytest.fixture
def page(browser, folder):
    context = browser.new_context(viewport={"width": 1000, "height": 700}, color_scheme="dark")
    page = context.new_page()
    problems: list[str] = []
    page.on("console", lambda said: problems.extend([said.text] * (said.type == "error")))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("request", lambda request: problems.append(request.url[:60]))
    page.goto(Path(folder / "index.html").as_uri())
    yield page
    ours = ("file://", "data:")
    assert [problem for problem in problems if not problem.startswith(ours)] == []
    context.close()


def count(page):
    return page.inner_text("#count")


def colour_at(page, x, y):
    """What the canvas shows at a pixel of the picture, RGB."""
    script = (
        f"[...document.getElementById('canvas').getContext('2d').getImageData({x},{y},1,1).data]"
    )
    return page.evaluate(script)[:3]


def click(page, x, y):
    frame = page.locator("#canvas").bounding_box()
    scale = frame["width"] / WIDTH
    page.mouse.click(frame["x"] + (x + 0.5) * scale, frame["y"] + (y + 0.5) * scale)


def test_a_click_selects_the_smallest_mask_there_as_the_arrays_have_it(page):
    dense = masks_of(0).to_array()
    for x, y in ((30, 30), (30, 10), (75, 8), (88, 58), (52, 30)):
        click(page, x, y)
        inside = [index for index in range(3) if dense[index, y, x]]
        smallest = min(inside, key=lambda index: dense[index].sum(), default=None)
        record = page.locator("#record").text_content()
        if smallest is None:
            assert record == ""
        else:
            assert record.startswith(f"mask{smallest}")
            assert f"{dense[smallest].sum()} pixels" in record


def test_every_pixel_of_a_mask_is_tinted_and_no_other(page):
    page.mouse.move(5, 690)
    masks = masks_of(0).to_array().any(axis=0)
    script = "[...document.getElementById('canvas').getContext('2d').getImageData(0,0,90,60).data]"
    pixels = np.array(page.evaluate(script)).reshape(HEIGHT, WIDTH, 4)
    shown = (pixels[..., :3] < 245).any(axis=2)  # the photo is white
    np.testing.assert_array_equal(shown, masks)


def test_keys_change_the_picture_and_toggle_masks(page):
    assert page.input_value("#picture") == "0"
    assert count(page) == "3 of 3 masks"
    page.keyboard.press("ArrowRight")
    assert page.input_value("#picture") == "1"
    page.keyboard.press("j")
    assert page.input_value("#picture") == "0"
    page.keyboard.press("k")
    page.keyboard.press("ArrowLeft")
    assert page.input_value("#picture") == "0"
    page.keyboard.press("ArrowDown")
    assert page.locator("#record").text_content().startswith("mask0")
    page.keyboard.press("ArrowUp")
    assert page.locator("#record").text_content().startswith("mask2")
    page.keyboard.press(" ")
    assert count(page) == "2 of 3 masks"
    assert colour_at(page, 75, 8) == [255, 255, 255]
    page.keyboard.press("a")
    assert count(page) == "0 of 3 masks"
    page.keyboard.press("a")
    assert count(page) == "3 of 3 masks"
    page.keyboard.press("Escape")
    assert page.locator("#record").text_content() == ""
    before = colour_at(page, 75, 10)
    page.keyboard.press("o")
    page.keyboard.press("o")
    assert page.inner_text("#style") == "Outline"
    assert colour_at(page, 75, 10) == [255, 255, 255] != before
    page.keyboard.press("?")
    assert page.locator("#keys").is_visible()


def test_filters_leave_out_what_is_below(page):
    slider = page.locator("input[name=predicted_iou]")
    slider.fill("200")  # of 1000, between 0.5 and 0.95
    assert count(page) == "2 of 3 masks"
    assert page.locator("#masks li:visible").count() == 2
    slider.fill("1000")
    assert count(page) == "1 of 3 masks"
    slider.fill("0")
    page.locator("input[name=area]").fill("1000")
    assert count(page) == "1 of 3 masks"


def test_it_fits_a_phone(browser, folder):
    context = browser.new_context(viewport={"width": 390, "height": 800})
    page = context.new_page()
    page.goto(Path(folder / "index.html").as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.locator("#canvas").bounding_box()["width"] > 80
    context.close()
