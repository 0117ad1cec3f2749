"""Compiled masks are those of the plain path; the first test of a fresh clone compiles."""

import importlib
import subprocess
import sys
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from samphire.errors import ShapeError
from samphire.geometry import AxisWeights, Frame, Size
from samphire.images.preprocessing import lite_medsam, medsam, sam
from samphire.masks import Masks
from samphire.predict import reduce
from samphire.predict.reduce import reduce_masks
from samphire.predict.upscale import reduce_mask, upscale

TIE = 1e-4  # nearer to a cut, rounding decides
quick = settings(max_examples=100)
sides = st.sampled_from([1, 2, 3, 16, 63, 64, 65, 129, 200]) | st.integers(1, 130)
frames = st.builds(
    lambda record, height, width: record.frame(Size(height, width)),
    st.sampled_from([sam(64), lite_medsam(16)]),
    sides,
    sides,
)


@pytest.fixture(scope="module")
def compiled():
    """Compiled code for pictures of any size."""
    pytest.importorskip("numba")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reduce, "SMALLEST", 0)
        reduce.can_compile.cache_clear()
        yield importlib.import_module("samphire.predict.reduce_compiled")


@pytest.fixture
def calls(compiled, monkeypatch):
    """The masks that compiled code makes."""
    made, cut = [], compiled.cut
    monkeypatch.setattr(compiled, "cut", lambda *given: made.append(cut(*given)) or made[-1])
    return made


@pytest.fixture
def no_numba(monkeypatch):
    monkeypatch.setattr(reduce, "SMALLEST", 0)
    monkeypatch.setitem(sys.modules, "numba", None)
    reduce.can_compile.cache_clear()
    yield
    reduce.can_compile.cache_clear()


@st.composite
def cells(draw) -> np.ndarray:
    """Noise, often with rows or columns of one value, of zeros, and on the edge of the picture."""
    rng = np.random.default_rng(draw(st.integers(0, 2**31)))
    made = draw(st.sampled_from([0.3, 3.0, 30.0])) * rng.standard_normal((16, 16))
    made += draw(st.sampled_from([-9.0, -3.0, 0.0, 3.0, 9.0]))
    for value in draw(st.lists(st.sampled_from([-20.0, -1.0, 0.0, 1.0, 20.0]), max_size=4)):
        start, length = rng.integers(0, 16, 2)
        part = made if rng.integers(2) else made.T
        part[start : start + length // 2 + 1] = value
    return made.astype(np.float32)


def _assert_same(logits: np.ndarray, frame: Frame, threshold: float, offset: float) -> None:
    found = reduce_masks(
        logits, frame, threshold=threshold, stability_offset=offset, min_stability=0
    )
    for one, mask in zip(logits, found, strict=True):
        plain = reduce_mask(one, frame, threshold=threshold, stability_offset=offset)
        whole = upscale(one, frame)
        ties = [np.abs(whole - cut) < TIE for cut in (threshold, threshold - offset)]
        unsure = np.count_nonzero(ties[1] | (np.abs(whole - threshold - offset) < TIE))
        outer = max(np.count_nonzero(whole > threshold - offset), 1)
        if not ties[0].any():
            assert (mask is None) == (len(plain.runs) == 1)
        if mask is None:
            assert not (whole > threshold + TIE).any()
            continue
        assert abs(mask.stability - plain.stability) <= 2 * unsure / outer
        dense = _dense(mask, frame)
        assert not (dense != (whole > threshold))[~ties[0]].any()
        if not ties[0].any():
            assert mask.box == plain.box
            np.testing.assert_array_equal(mask.runs, plain.runs)
            assert mask.runs.dtype == plain.runs.dtype


def _dense(mask, frame: Frame) -> np.ndarray:
    return Masks.from_runs(frame.original, [mask.box], (mask.runs,)).to_array()[0]


@pytest.mark.slow
@quick
@given(st.lists(cells(), min_size=1, max_size=3), frames, st.sampled_from([0.0, -1.3, 0.7]))
def test_compiled_masks_are_those_of_the_plain_path(compiled, logits, frame, threshold):
    _assert_same(np.stack(logits), frame, threshold, 1.0)


@pytest.mark.slow
@quick
@given(cells(), frames, st.sampled_from([0.01, 0.5, 4.0]))
def test_compiled_masks_follow_the_stability_offset(compiled, logits, frame, offset):
    _assert_same(logits[None], frame, 0.0, offset)


@pytest.mark.slow
@pytest.mark.parametrize("value", [-5, -1, -0.5, 0, 0.5, 1, 5])
@pytest.mark.parametrize("size", [Size(40, 64), Size(1, 64), Size(64, 1), Size(301, 77)])
def test_of_equal_logits_the_cuts_decide_exactly(calls, value, size):
    frame = sam(64).frame(size)
    logits = np.full((1, 16, 16), value, np.float32)
    (found,) = reduce_masks(logits, frame, threshold=0, stability_offset=1, min_stability=0)
    plain = reduce_mask(logits[0], frame)
    assert len(calls) == 1
    if value <= 0:
        assert found is None
    else:
        assert found.box == (0, 0, size.width, size.height)
        assert found.runs.tolist() == plain.runs.tolist()
        assert found.stability == (value > 1)


def _noisy_disc(rng, radius: float) -> np.ndarray:
    y, x = np.mgrid[:256, :256] / 256
    logits = 90 * (radius - np.hypot(x - 0.4, y - 0.2)) + 0.7 * rng.standard_normal(x.shape)
    return logits.astype(np.float32)


@pytest.mark.slow
@pytest.mark.parametrize("size", [(603, 1072), (40, 2000), (2000, 333), (90, 60)])
def test_at_the_size_of_the_real_model_only_ties_differ(calls, size, rng):
    logits = np.stack([_noisy_disc(rng, radius) for radius in (0.05, 0.3, 0.8)])
    _assert_same(logits, sam(1024).frame(Size(*size)), 0.0, 1.0)
    assert len(calls) == 3


@pytest.mark.slow
def test_a_mask_is_kept_if_its_stability_is_the_least_that_is_wanted(calls, rng):
    frame, logits = sam(1024).frame(Size(300, 400)), _noisy_disc(rng, 0.3)
    least = float(np.float32(reduce_mask(logits, frame).stability))
    above = float(np.nextafter(np.float32(least), np.float32(1)))
    found = [
        reduce_masks(logits[None], frame, threshold=0, stability_offset=1, min_stability=wanted)[0]
        for wanted in (least, above)
    ]
    assert 0 < least < 1
    assert found[0] is not None
    assert found[1] is None
    assert len(calls) == 2


@pytest.mark.slow
def test_threads_may_reduce_masks_at_the_same_time(compiled, rng):
    frame = sam(1024).frame(Size(300, 400))
    logits = np.stack([_noisy_disc(rng, radius) for radius in np.linspace(0.1, 0.6, 12)])

    def reduce_all(_):
        return reduce_masks(logits, frame, threshold=0, stability_offset=1, min_stability=0)

    expected = [mask.runs.tolist() for mask in reduce_all(0)]
    assert len({len(runs) for runs in expected}) > 1  # in their order, not in that of finishing
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(reduce_all, range(8)):
            assert [mask.runs.tolist() for mask in found] == expected


@pytest.mark.slow
@pytest.mark.parametrize("size", [Size(1, 300_000), Size(300_000, 1), Size(7000, 7000)])
def test_memory_follows_neither_the_sides_nor_the_pixels(calls, size, rng):
    frame, logits = sam(1024).frame(size), _noisy_disc(rng, 0.5)[None]
    settings = {"threshold": 0, "stability_offset": 1, "min_stability": 0}
    reduce_masks(logits, frame, **settings)
    tracemalloc.start()
    reduce_masks(logits, frame, **settings)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(calls) == 2
    assert peak < 30e6  # 7000 x 7000 logits: 196 MB; a matrix of 300,000 x 256: 307 MB


def test_logits_of_another_model_are_refused():
    frame = sam(1024).frame(Size(300, 400))
    with pytest.raises(ShapeError, match=r"logits has shape \(1, 64, 64\)"):
        reduce_masks(
            np.zeros((1, 64, 64), np.float32),
            frame,
            threshold=0,
            stability_offset=1,
            min_stability=0,
        )


def test_without_numba_the_plain_path_gives_the_masks(no_numba, rng):
    frame = sam(64).frame(Size(50, 70))
    logits = (4 * rng.standard_normal((4, 16, 16)) + [[[-9.0]], [[0]], [[2]], [[9]]]).astype("f4")
    found = reduce_masks(logits, frame, threshold=0, stability_offset=1, min_stability=0.5)
    plain = [reduce_mask(one, frame) for one in logits]
    assert [mask is not None for mask in found] == [
        mask.stability >= 0.5 and len(mask.runs) > 1 for mask in plain
    ]
    assert found[3].box == plain[3].box
    assert found[3].runs.tolist() == plain[3].runs.tolist()
    assert not reduce.can_compile()


def test_probabilities_and_small_pictures_stay_on_the_plain_path(monkeypatch):
    monkeypatch.setattr(reduce, "SMALLEST", 256 * 256)
    monkeypatch.setattr(reduce, "can_compile", lambda: pytest.fail("asked for numba"))
    logits = np.full((1, 16, 16), 5, np.float32)
    for frame in (medsam(64).frame(Size(300, 300)), sam(64).frame(Size(255, 256))):
        (found,) = reduce_masks(logits, frame, threshold=0, stability_offset=1, min_stability=1)
        assert found.stability == 1


def test_a_numba_that_cannot_be_imported_is_named_and_done_without(monkeypatch, caplog):
    monkeypatch.setattr(reduce, "find_spec", lambda name: name)
    monkeypatch.setitem(sys.modules, "numba", None)
    monkeypatch.delitem(sys.modules, "samphire.predict.reduce_compiled", raising=False)
    reduce.can_compile.cache_clear()
    assert not reduce.can_compile()
    reduce.can_compile.cache_clear()
    assert "without numba" in caplog.text


@pytest.mark.slow
def test_where_nothing_can_be_written_functions_are_compiled_all_the_same(compiled, monkeypatch):
    made = []

    def njit(*, nogil, cache=False):
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return lambda function: made.append(function) or function

    monkeypatch.setattr(compiled.numba, "njit", njit)
    assert compiled.compiled(len) is len
    assert made == [len]


@pytest.mark.slow
def test_numba_is_not_imported_before_it_is_needed():
    code = "import samphire.predict.everything, sys; sys.exit('numba' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.slow
def test_cells_that_lie_too_far_apart_stay_on_the_plain_path(compiled):
    far = np.zeros((2, 16), np.float32)
    far[:, [0, 9]] = 0.5
    assert reduce._axis_taps(AxisWeights(far, 5)) is None
    assert reduce._axis_taps(AxisWeights(np.eye(16, dtype=np.float32), 5)) is not None
