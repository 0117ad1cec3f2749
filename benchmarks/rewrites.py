"""What each rewrite of the fast path gains by itself, beside the plain module of the same part.

    python benchmarks/rewrites.py                   every part (ten minutes on two quiet cores)
    python benchmarks/rewrites.py --part "click: upscaling"
    python benchmarks/rewrites.py --table           print the committed results

The parts get random numbers of the size that they see in a picture. Where the time of a whole
encoder or click goes is therefore not the sum of these; that is ``encoder.py``'s and
``clicks.py``'s to say.
"""

import argparse
from collections.abc import Callable
from typing import Any

import command
import numpy as np
import torch
from contender import AbsentError, Argument, Result, Runner
from engines import engine
from measuring import ALLOCATORS, OUR_PATHS, THREADS, Contender, measure
from results import REFERENCE, duration, write
from torch import nn

from samphire.fast import tiny_block, tiny_convolutions, tiny_vit, vit_block
from samphire.fast.packed import Linear
from samphire.fast.two_way import TwoWay
from samphire.fast.upscaling import Upscaling
from samphire.fast.workspace import Workspace
from samphire.geometry import Frame
from samphire.images.preprocessing import preprocessing
from samphire.predict import reduce
from samphire.predict.upscale import reduce_mask

RESULTS = REFERENCE / "rewrites.json"
CUT_OUT = "everything: a mask cut out"

Call = Callable[[], torch.Tensor]


def main() -> None:
    """Measure, or print what was measured, or be a contender."""
    parser = command.parser(__doc__, RESULTS, rounds=7)
    parser.add_argument("--part", choices=tuple(PARTS), help="this part alone")
    parser.set_defaults(data="no pictures are needed")
    given = parser.parse_args()
    if command.answered(parser, given, tables, work):
        return
    for part in [given.part] if given.part else PARTS:
        contenders = [
            Contender(path, (__file__, "--worker", path, "--part", part), allocator)
            for path in OUR_PATHS
            for allocator in ALLOCATORS
        ]
        found = measure(part, contenders, rounds=given.rounds, most_foreign=given.most_foreign)
        results = write(given.results, command.told(parser, given), {part: found})
    print(tables(results))


def work(given: argparse.Namespace) -> Runner:
    """What a contender does."""
    part, path = given.part, given.worker
    torch.set_num_threads(THREADS)
    if part == CUT_OUT and path == "fast" and not reduce.can_compile():
        raise AbsentError("numba is not here: pip install 'samphire[fast]'")
    plain, fast = PARTS[part]()
    chosen = fast if path == "fast" else plain

    def call(_: Argument) -> Result:
        with torch.inference_mode():
            return {"result": chosen().numpy()}

    return Runner(call, path)


def vit_linears() -> tuple[Call, Call]:
    """Two linear maps with a GELU between them, of 4096 tokens."""
    mlp = _vit_block(0).mlp
    widen = Linear(mlp.lin1.weight, mlp.lin1.bias, rows=4096, gelu=True)
    narrow = Linear(mlp.lin2.weight, mlp.lin2.bias, rows=4096)
    x = _numbers(4096, 768)
    return lambda: mlp(x), lambda: narrow(widen(x))


def vit_global() -> tuple[Call, Call]:
    """A block whose 4096 tokens attend to all."""
    return _vit(2)


def vit_windows() -> tuple[Call, Call]:
    """A block whose tokens attend inside windows of 14 x 14."""
    return _vit(0)


def _vit(index: int) -> tuple[Call, Call]:
    block = _vit_block(index)
    fast, x, space = vit_block.FastBlock(block), _numbers(1, 64, 64, 768), Workspace()

    def run() -> torch.Tensor:
        tokens = x[0].flatten(0, 1).clone()
        fast(tokens, space)
        return tokens.view(x.shape)

    return lambda: block(x), run


def _vit_block(index: int) -> Any:  # noqa: ANN401 - a block of the plain encoder
    blocks: Any = engine("vit_b", "plain").module.image_encoder.blocks
    return blocks[index]


def tiny_stem() -> tuple[Call, Call]:
    """Two 3 x 3 convolutions of the picture."""
    part = _tiny().patch_embed
    return _tiny_part(part, tiny_convolutions.FastStem(part), (1024, 1024, 3), (256, 256, 64))


def tiny_bottleneck() -> tuple[Call, Call]:
    """Widen, mix neighbours, narrow, on 256 x 256 cells."""
    part = _tiny().layers[0].blocks[0]
    fast = tiny_convolutions.FastBottleneck(part)
    return _tiny_part(part, fast, (256, 256, 64), (256, 256, 64))


def tiny_attention() -> tuple[Call, Call]:
    """Attention in windows of 7 x 7, a convolution, and an MLP, on 128 x 128 cells."""
    part = _tiny().layers[1].blocks[0]
    fast = _tiny_part(part, tiny_block.FastBlock(part), (128, 128, 128), (128, 128, 128))[1]
    tokens = _numbers(128, 128, 128).flatten(0, 1)[None]
    return lambda: part(tokens)[0].view(128, 128, -1), fast


def tiny_neck() -> tuple[Call, Call]:
    """A 1 x 1 and a 3 x 3 convolution, each with a norm."""
    part = _tiny().neck
    return _tiny_part(part, tiny_vit.FastNeck(part), (64, 64, 320), (64, 64, 256))


def _tiny() -> Any:  # noqa: ANN401 - the plain encoder
    return engine("vit_t", "plain").module.image_encoder


def _tiny_part(
    part: nn.Module,
    fast: tiny_vit.Part,
    shape: tuple[int, int, int],
    out_shape: tuple[int, int, int],
) -> tuple[Call, Call]:
    """A part on pictures (H, W, C); the plain one gets them as (1, C, H, W)."""
    x, out, space = _numbers(*shape), torch.empty(out_shape), Workspace()
    picture = x.permute(2, 0, 1)[None].contiguous()

    def run() -> torch.Tensor:
        fast(x.clone(), out, space)  # a part may use its picture up
        return out

    return lambda: part(picture)[0].permute(1, 2, 0), run


def click_transformer() -> tuple[Call, Call]:
    """Seven tokens and the image, to and fro; the image's own projections are made before."""
    plain = _decoder().transformer
    fast, space = TwoWay(plain), Workspace()
    features, position = _numbers(2, 4096, 256)
    tokens = _numbers(1, 7, 256)
    shared = fast.share(features, position)
    image, place = (part.mT.view(1, 256, 64, 64) for part in (features, position))
    return (
        lambda: plain(image, place, tokens)[1][0],
        lambda: fast.run(shared, tokens, list(range(7)), space)[1][0],
    )


def click_upscaling() -> tuple[Call, Call]:
    """Three masks of 256 x 256 from an image of 64 x 64 cells."""
    plain = _decoder().output_upscaling
    fast, image, classifiers = Upscaling(plain), _numbers(4096, 256), _numbers(3, 32)
    out = torch.empty(3, 256, 256)

    def run() -> torch.Tensor:
        fast.masks(image, 64, classifiers, out)
        return out

    def run_plain() -> torch.Tensor:
        upscaled = plain(image.mT.view(1, 256, 64, 64))
        masks: torch.Tensor = (classifiers @ upscaled[0].flatten(1)).view(3, 256, 256)
        return masks

    return run_plain, run


def _decoder() -> Any:  # noqa: ANN401 - the plain decoder
    return engine("vit_t", "plain").module.mask_decoder


def masks_cut_out() -> tuple[Call, Call]:
    """Logits of a blob to box and runs on a photo of 1800 x 1200, numba against NumPy."""
    _, frame = preprocessing("sam-1024").apply(np.zeros((1200, 1800, 3), np.uint8))
    y, x = np.mgrid[:256, :256]
    wave = 9 * np.sin(np.arctan2(y - 80, x - 128) * 7)
    logits = ((60 + wave - np.hypot(y - 80, x - 128)) / 4).astype(np.float32)
    return lambda: _with_numpy(logits, frame), lambda: _with_numba(logits, frame)


def _with_numpy(logits: Any, frame: Frame) -> torch.Tensor:  # noqa: ANN401 - (256, 256) float32
    made = reduce_mask(logits, frame, threshold=0.0, stability_offset=1.0)
    return torch.from_numpy(np.append(made.runs, made.box))


def _with_numba(logits: Any, frame: Frame) -> torch.Tensor:  # noqa: ANN401 - (256, 256) float32
    (made,) = reduce.reduce_masks(
        logits[None], frame, threshold=0.0, stability_offset=1.0, min_stability=0.0
    )
    if made is None:
        raise RuntimeError("the mask is lost")
    return torch.from_numpy(np.append(made.runs, made.box))


def _numbers(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


PARTS: dict[str, Callable[[], tuple[Call, Call]]] = {
    "vit_b: an MLP": vit_linears,
    "vit_b: a global block": vit_global,
    "vit_b: a block of windows": vit_windows,
    "vit_t: stem": tiny_stem,
    "vit_t: a bottleneck": tiny_bottleneck,
    "vit_t: a block of windows": tiny_attention,
    "vit_t: neck": tiny_neck,
    "click: transformer": click_transformer,
    "click: upscaling": click_upscaling,
    CUT_OUT: masks_cut_out,
}


def tables(results: dict[str, Any]) -> str:
    """The results as Markdown, a line a part."""
    lines = [
        "| part | plain | plain, memory kept | fast | fast, memory kept | times as fast "
        "| memory kept for both | largest difference |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [_line(part, results[part]["rows"]) for part in PARTS if part in results]
    return "\n".join(lines)


def _line(part: str, rows: list[dict[str, Any]]) -> str:
    by = {(row["name"], row["allocator"]): row for row in rows}
    order = [(path, allocator) for path in OUR_PATHS for allocator in ALLOCATORS]
    if not all("median_seconds" in by[key] for key in order):
        return f"| {part} | not measured: no quiet round, or absent |" + " |" * 6
    medians = [by[key]["median_seconds"] for key in order]
    times = " | ".join(duration(seconds) for seconds in medians)
    gains = f"{medians[0] / medians[2]:.1f} | {medians[1] / medians[3]:.1f}"
    return f"| {part} | {times} | {gains} | {by['fast', 'default']['difference'] or 0:.1e} |"


if __name__ == "__main__":
    main()
