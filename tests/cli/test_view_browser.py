"""The page of ``samphire view`` in a real browser: Chromium, from a file, without a network."""

import os
import shutil
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import samphire
from samphire.cli.__main__ import cli
from samphire.formats import Picture
from samphire.masks import Masks
from samphire.masks.colours import colour_numbers, rgb

pytestmark = pytest.mark.slow

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
FLAGS += ["--disable-background-networking", "--disable-component-update"]
HEIGHT, WIDTH = 200, 300
GREY = 128
# x0, y0, x1, y1: a part inside a whole, and one apart
BOXES = ((20, 20, 180, 180), (60, 60, 100, 100), (200, 40, 280, 120))


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """Chromium with a profile of its own."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        sync_playwright = None
    if not found or sync_playwright is None:
        what = "chromium on the PATH" if not found else "the package playwright"
        assert "SAMPHIRE_DATA" not in os.environ, f"{what} is missing, and SAMPHIRE_DATA is set"
        pytest.skip(f"needs {what}")
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            tmp_path_factory.mktemp("profile"),
            executable_path=found,
            headless=True,
            args=FLAGS,
            viewport={"width": 1200, "height": 800},
        )
        yield context
        context.close()


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """The page over two pictures: three masks with scores, and one without."""
    folder = tmp_path_factory.mktemp("results")
    Image.fromarray(np.full((HEIGHT, WIDTH, 3), GREY, np.uint8)).save(folder / "a.png")
    dense = np.zeros((len(BOXES), HEIGHT, WIDTH), bool)
    for mask, (x0, y0, x1, y1) in zip(dense, BOXES, strict=True):
        mask[y0:y1, x0:x1] = True
    masks = Masks.from_arrays(dense)
    scored = replace(
        masks,
        predicted_iou=[0.95, 0.8, 0.9],
        stability=[0.9, 0.99, 0.95],
        name=("<b>whole</b>", "", "apart"),
    )
    samphire.save_masks(scored, folder / "a.mask.json", picture=Picture("a.png", "a.png"))
    samphire.save_masks(masks[2], folder / "b.mask.json", picture=Picture("b.png", "gone.png"))
    assert CliRunner().invoke(cli, ["view", str(folder)]).exit_code == 0
    return folder / "index.html"


@pytest.fixture(scope="module")
def noise():
    """Sixty dense masks of speckles on one picture, the last one full."""
    dense = np.random.default_rng(0).random((60, 40, 50)) < 0.4
    dense[-1] = True
    return dense


@pytest.fixture
def open_page(browser):
    """Opens a page; at the end there must have been no error and no request."""
    complaints, requests, opened = [], [], []

    def open_page(path):
        page = browser.new_page()
        opened.append((page, path.as_uri()))
        page.on("console", lambda said: complaints.extend([said.text] * (said.type == "error")))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(path.as_uri())
        return page

    yield open_page
    for page, _ in opened:
        page.close()
    assert complaints == []
    assert [url for url in requests if not url.startswith("data:")] == [uri for _, uri in opened]


@pytest.fixture
def page(open_page, results):
    """The page over two pictures."""
    return open_page(results)


@pytest.fixture
def noise_page(open_page, noise, tmp_path):
    """The page over these alone, without their picture."""
    samphire.save_masks(Masks.from_arrays(noise), tmp_path / "c.mask.json")
    assert CliRunner().invoke(cli, ["view", str(tmp_path)]).exit_code == 0
    return open_page(tmp_path / "index.html")


def count(page):
    return page.inner_text("#count")


def record(page):
    """What the page says of the selected mask."""
    terms, values = page.locator("#record dt"), page.locator("#record dd")
    return dict(zip(terms.all_inner_texts(), values.all_inner_texts(), strict=True))


def click(page, x, y):
    """Click on a pixel of the picture."""
    area = page.locator("#stage").bounding_box()
    place = {"x": (x + 0.5) / WIDTH * area["width"], "y": (y + 0.5) / HEIGHT * area["height"]}
    page.locator("#stage").click(position=place)


def drawn(page, x, y, canvas="masks"):
    """Red, green, blue and alpha of a pixel of a canvas."""
    return page.evaluate(
        "([id, x, y]) => [...document.getElementById(id).getContext('2d')"
        ".getImageData(x, y, 1, 1).data]",
        [canvas, x, y],
    )


def test_it_opens_from_a_file_and_shows_picture_and_masks(page):
    assert page.title() == f"{page.inner_text('h1')} · masks"
    assert page.locator("#sheets button").all_inner_texts() == ["a\n3", "b\n1"]
    assert page.inner_text("#where") == "a.png · 300x200 pixels"
    size = page.evaluate("[photo.naturalWidth, photo.naturalHeight, masks.width, masks.height]")
    assert size == [WIDTH, HEIGHT, WIDTH, HEIGHT]
    assert count(page) == "3 of 3 shown"
    assert page.locator("#list .name").all_text_contents() == [
        "0 <b>whole</b>",
        "mask 1",
        "2 apart",
    ]


def test_masks_are_drawn_where_they_are(page):
    assert drawn(page, 5, 5)[3] == 0
    colours = [rgb(int(number)) for number in colour_numbers(BOXES)]
    for index, (x0, y0, x1, y1) in enumerate(BOXES):
        edge = drawn(page, x0, (y0 + y1) // 2)
        assert edge == [*colours[index], 255], index
        assert drawn(page, x1, (y0 + y1) // 2) != edge
        assert drawn(page, x1 - 1, y1 - 1) == edge
    assert 100 < drawn(page, 40, 150)[3] < 130
    assert drawn(page, 150, 80)[:3] == pytest.approx(colours[0], abs=2)


def test_keys_change_the_picture_round_and_round(page):
    for key, shown in (("j", "b.png"), ("ArrowRight", "a.png"), ("k", "b.png"), ("ArrowLeft", "a")):
        page.keyboard.press(key)
        assert page.inner_text("#where").startswith(shown), key
    page.keyboard.press("j")
    assert page.inner_text("#where") == "b.png · 300x200 pixels · picture not found"
    assert page.locator("#photo").is_hidden()
    assert drawn(page, 240, 80)[3] > 0
    assert drawn(page, 80, 80)[3] == 0
    current = page.locator("#sheets [aria-current=true]")
    assert current.all_inner_texts() == ["b\n1"]
    page.locator("#sheets button").first.click()
    assert page.inner_text("#where").startswith("a.png")


def test_o_draws_fill_or_outline_or_both(page):
    looks = []
    for _ in range(4):
        words = page.inner_text("#style")
        looks.append((words, drawn(page, 20, 100)[3] == 255, drawn(page, 40, 150)[3] > 0))
        page.keyboard.press("o")
    assert looks == [
        ("Fill + outline", True, True),
        ("Fill", False, True),
        ("Outline", True, False),
        ("Fill + outline", True, True),
    ]


def test_a_switches_all_masks_off_and_on(page):
    page.keyboard.press("a")
    assert count(page) == "0 of 3 shown"
    assert drawn(page, 80, 80)[3] == 0
    page.keyboard.press("j")
    page.keyboard.press("k")
    assert count(page) == "0 of 3 shown"
    page.keyboard.press("a")
    assert count(page) == "3 of 3 shown"
    assert drawn(page, 80, 80)[3] > 0


@pytest.mark.parametrize(
    ("place", "mask"),
    [((80, 80), "1"), ((60, 60), "1"), ((59, 80), "0"), ((150, 150), "0"), ((240, 80), "2")],
)
def test_a_click_selects_the_smallest_mask_under_it(page, place, mask):
    click(page, *place)
    assert record(page)["Mask"] == mask
    assert page.locator("#list .chosen").count() == 1


def test_the_record_tells_of_the_original(page):
    click(page, 40, 150)
    assert record(page) == {
        "Mask": "0",
        "Name": "<b>whole</b>",
        "Predicted IoU": "0.950",
        "Stability": "0.900",
        "Area": "25,600 px (42.67 %)",
        "Box": "20, 20, 180, 180",
    }
    click(page, 5, 5)
    assert record(page) == {}
    page.keyboard.press("j")
    click(page, 240, 80)
    assert list(record(page)) == ["Mask", "Area", "Box"]


def test_a_mask_that_is_off_lets_clicks_through(page):
    click(page, 80, 80)
    page.keyboard.press("Space")
    assert count(page) == "2 of 3 shown"
    click(page, 80, 80)
    assert record(page)["Mask"] == "0"
    page.get_by_label("Show mask 1").check()
    assert count(page) == "3 of 3 shown"
    click(page, 80, 80)
    assert record(page)["Mask"] == "1"


def test_arrows_go_through_the_masks_and_escape_lets_go(page):
    found = []
    for key in ("ArrowDown", "ArrowDown", "ArrowDown", "ArrowDown", "ArrowUp"):
        page.keyboard.press(key)
        found.append(record(page)["Mask"])
    assert found == ["0", "1", "2", "0", "2"]
    page.keyboard.press("Escape")
    assert record(page) == {}
    page.keyboard.press("ArrowUp")
    assert record(page)["Mask"] == "2"


def test_the_pointer_marks_the_mask_under_it(page):
    area = page.locator("#stage").bounding_box()
    page.mouse.move(area["x"] + 0.8 * area["width"], area["y"] + 0.4 * area["height"])
    assert drawn(page, 200, 80, "mark") == [255, 255, 255, 255]
    assert page.inner_text("#hint") == "2 apart · 6,400 px"
    page.mouse.move(area["x"] + 2, area["y"] + 2)
    assert drawn(page, 200, 80, "mark")[3] == 0
    page.mouse.move(area["x"] + 0.8 * area["width"], area["y"] + 0.4 * area["height"])
    page.keyboard.press("a")
    assert drawn(page, 200, 80, "mark")[3] == 0


def test_the_selected_mask_has_a_white_edge_and_a_dark_one_inside(page):
    click(page, 240, 80)
    page.mouse.move(0, 0)
    assert drawn(page, 200, 80, "mark") == [255, 255, 255, 255]
    assert drawn(page, 201, 80, "mark")[:3] == [0, 0, 0]
    assert drawn(page, 201, 80, "mark")[3] > 200
    assert drawn(page, 240, 80, "mark")[3] == 0


def test_run_lengths_become_the_same_pixels(noise_page, noise):
    noise_page.keyboard.press("a")
    for index in (0, 17, 59):
        noise_page.locator("#list input").nth(index).check()
        pixels = noise_page.evaluate(
            "[...document.getElementById('masks').getContext('2d').getImageData(0, 0, 50, 40).data]"
        )
        shown = np.array(pixels).reshape(40, 50, 4)[:, :, 3] > 0
        np.testing.assert_array_equal(shown, noise[index])
        noise_page.locator("#list input").nth(index).uncheck()


def test_a_single_picture_follows_itself_and_has_no_list(noise_page):
    assert noise_page.get_by_label("Pictures").is_hidden()
    noise_page.keyboard.press("j")
    assert noise_page.inner_text("#where").startswith("c · 50x40 pixels")
    assert drawn(noise_page, 20, 20)[3] > 0


def test_the_row_of_the_selected_mask_comes_into_sight(noise_page):
    last = noise_page.locator("#list li").last
    seen = "(row) => row.getBoundingClientRect().bottom <= innerHeight + 1"  # whole pixels scroll
    assert not last.evaluate(seen)
    noise_page.keyboard.press("ArrowUp")
    assert record(noise_page)["Mask"] == "59"
    assert last.evaluate(seen)


def test_filters_hide_masks_and_count_them(page):
    iou, stability, least, largest = page.locator("#filters input").all()
    iou.fill("50")  # 0.875: between 0.8 and 0.95
    assert count(page) == "2 of 3 shown"
    assert page.locator("#filters output").first.inner_text() == "0.875 · hides 1"
    assert page.locator("#list li:visible .name").all_text_contents() == [
        "0 <b>whole</b>",
        "2 apart",
    ]
    click(page, 80, 80)
    assert record(page)["Mask"] == "0"
    stability.fill("10")
    assert count(page) == "1 of 3 shown"
    assert record(page) == {}
    iou.fill("0")
    stability.fill("0")
    least.fill("50")  # of areas 1,600 to 25,600
    assert page.locator("#filters output").nth(2).inner_text() == "6,400 px · hides 1"
    least.fill("100")
    assert page.locator("#list li:visible .name").all_text_contents() == ["0 <b>whole</b>"]
    least.fill("0")
    largest.fill("0")
    assert page.locator("#list li:visible .name").all_text_contents() == ["mask 1"]
    page.keyboard.press("j")  # the filters stay; what has no score passes those of scores
    assert count(page) == "0 of 1 shown"
    largest.fill("100")
    iou.fill("100")
    assert count(page) == "1 of 1 shown"


def test_keys_are_those_of_a_slider_or_a_button_while_it_has_the_focus(page):
    page.locator("#filters input").first.focus()
    page.keyboard.press("ArrowRight")
    assert page.inner_text("#where").startswith("a.png")
    assert count(page) == "2 of 3 shown"
    page.locator("#all").focus()
    page.keyboard.press("Space")
    assert count(page) == "0 of 3 shown"
    page.keyboard.press("Control+a")
    assert count(page) == "0 of 3 shown"


def test_after_a_click_on_a_row_space_switches_its_mask(page):
    page.get_by_role("button", name="mask 1").click()
    assert record(page)["Mask"] == "1"
    page.keyboard.press("Space")
    assert record(page)["Mask"] == "1"
    assert count(page) == "2 of 3 shown"


def test_a_question_mark_opens_and_closes_the_help(page):
    page.keyboard.press("?")
    assert page.get_by_role("dialog").is_visible()
    page.keyboard.press("j")
    assert page.inner_text("#where").startswith("a.png")
    page.keyboard.press("?")
    assert page.get_by_role("dialog").count() == 0
    page.locator("#keys").click()
    page.keyboard.press("Escape")
    assert page.get_by_role("dialog").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_in_light_and_dark(page, scheme):
    page.emulate_media(color_scheme=scheme)
    ground, text = page.evaluate(
        "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]"
        ".map((colour) => colour.match(/\\d+/g).slice(0, 3).map(Number))"
    )
    assert abs(sum(ground) - sum(text)) > 3 * 150
    assert (sum(ground) > sum(text)) == (scheme == "light")


def test_a_phone_needs_no_sideways_scrolling(page):
    page.set_viewport_size({"width": 400, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") == 400
    area = page.locator("#stage").bounding_box()
    assert area["width"] == 400
    click(page, 240, 80)
    assert record(page)["Mask"] == "2"
    for button in page.locator(".tools button").all():
        assert button.bounding_box()["height"] >= 40


def test_every_control_has_a_name(page):
    for control in page.locator("button, input").all():
        name = control.evaluate(
            "(element) => element.ariaLabel || element.labels?.[0]?.textContent"
            " || element.textContent"
        )
        assert name.strip()
