"""How fast clicks are answered once a picture is embedded: plain, fast, and other programs.

    python benchmarks/clicks.py                     one click, 64 clicks, and a picture's first
    python benchmarks/clicks.py --table             print the committed results

All variants share the decoder; it has the weights of ``vit_t``. Each click asks for three masks,
and where contenders are compared, the one with the best predicted IoU counts. The usual graph for
ONNX Runtime and OpenVINO takes one click at a time, and gives that one mask.

Not called ``click.py``: a script's folder comes first where modules are looked for, and a package
that the command line needs has that name.
"""

import argparse
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import command
import numpy as np
from contender import Argument, Result, Runner
from engines import engine, photo, product
from measuring import ALLOCATORS, OUR_PATHS, Contender, measure
from peers import best, decoder
from results import PRODUCTS, REFERENCE, table, write

import samphire
from samphire.arrays import FloatArray
from samphire.embedding import ImageEmbedding
from samphire.engines.base import Engine
from samphire.predict.grid import point_grid
from samphire.prompts import InputPrompts

RESULTS = REFERENCE / "clicks.json"
FLOPS = 3.62e9  # of a click, two a multiply-add, counted on the published modules
CASES = ("1", "64", "first")
TITLES = {
    "1": "one click on an embedded picture",
    "64": "64 clicks on an embedded picture, in one call",
    "first": "the first click on an embedded picture, with what is shared by the later ones",
}
PEERS = ("transformers", "onnxruntime", "openvino", "segment_anything")


def main() -> None:
    """Measure, or print what was measured, or be a contender."""
    parser = command.parser(__doc__, RESULTS, rounds=15)
    parser.add_argument("--case", choices=CASES, help="a part: this case alone")
    parser.add_argument("--embedding", type=Path, help=argparse.SUPPRESS)
    parser.set_defaults(model="vit_t")
    given = parser.parse_args()
    if command.answered(parser, given, tables, work):
        return
    with TemporaryDirectory() as folder:
        given.embedding = Path(folder) / "photo.embedding.safetensors"
        embed(given)
        for case in [given.case] if given.case else CASES:
            found = measure(
                TITLES[case],
                contenders(case, given),
                rounds=given.rounds,
                most_foreign=given.most_foreign,
            )
            results = write(given.results, command.told(parser, given), {case: found})
    print(tables(results))


def contenders(case: str, given: argparse.Namespace) -> list[Contender]:
    """Plain first, with both settings of the allocator; peers; what the machine can do."""
    clicks = 1 if case == "first" else int(case)

    def row(name: str, allocator: str = "default", flops: float = FLOPS * clicks) -> Contender:
        asked = ("--worker", name, "--case", case, "--model", given.model)
        places = ("--data", str(given.data), "--embedding", str(given.embedding))
        return Contender(name, (__file__, *asked, *places), allocator, flops)

    peers = [name for name in PEERS if given.reference or name != "segment_anything"]
    return [
        *(row(path, allocator) for path in OUR_PATHS for allocator in ALLOCATORS),
        *(row(name) for name in peers if case != "first"),
        *(row(name, flops=flops) for name, flops in PRODUCTS.items()),
    ]


def embed(given: argparse.Namespace) -> None:
    """Embed the photo once, for all."""
    made = samphire.embed(engine(given.model, "plain"), photo(given.data))
    samphire.save_embedding(made, given.embedding)


def work(given: argparse.Namespace) -> Runner:
    """What a contender does."""
    if given.worker in PRODUCTS:
        return product(given.worker)
    embedding = samphire.load_embedding(given.embedding)
    points = places(1 if given.case == "first" else int(given.case), embedding)
    if given.worker not in OUR_PATHS:
        return decoder(given.worker, given.model, embedding.features, points)
    return ours(engine(given.model, given.worker), embedding, points, anew=given.case == "first")


def ours(by: Engine, embedding: ImageEmbedding, points: FloatArray, *, anew: bool) -> Runner:
    """An engine that answers clicks: the masks, and the best of each click.

    Args:
        by: the engine.
        embedding: of the picture.
        points: (B, 2) in the input frame, an object each.
        anew: each call begins a session, as a picture's first click does.
    """
    clicks = InputPrompts(points=points[:, None], labels=np.ones((len(points), 1), np.int32))

    def call(_: Argument) -> Result:
        # a session belongs to a value, so a copy of the embedding gets a new one
        picture = replace(embedding) if anew else embedding
        answer = by.session(picture).decode(clicks, multimask=True)
        chosen = best(answer.grid, answer.predicted_iou)
        return {"best": chosen, "logits": answer.logits, "predicted_iou": answer.predicted_iou}

    return Runner(call, by.info.path)


def places(count: int, embedding: ImageEmbedding) -> FloatArray:
    """So many clicks, spread over the picture: (count, 2) in the model's input frame."""
    size = embedding.frame.original
    grid = point_grid(int(np.ceil(count**0.5)))[:count]
    return embedding.frame.to_input(grid * [size.width, size.height])


def tables(results: dict[str, Any]) -> str:
    """The results as Markdown."""
    return table([results[case] for case in CASES if case in results])


if __name__ == "__main__":
    main()
