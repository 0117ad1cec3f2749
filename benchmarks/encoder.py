"""How fast the image encoder is: plain, fast, and other programs, on the same weights.

python benchmarks/encoder.py                    vit_t and vit_b (ten minutes on two quiet cores)
python benchmarks/encoder.py --model vit_t
python benchmarks/encoder.py --table            print the committed results
"""

import argparse
from pathlib import Path
from typing import Any

import command
from contender import Runner
from engines import engine, pixels, product
from measuring import ALLOCATORS, OUR_PATHS, Contender, measure
from peers import encoder
from results import PRODUCTS, REFERENCE, table, write

RESULTS = REFERENCE / "encoder.json"
# Two a multiply-add, counted on the published modules; ViT without projecting padded tokens.
FLOPS = {"vit_t": 77.5e9, "vit_b": 942e9}
MODELS = ("vit_t", "vit_b")
PEERS = {
    "vit_t": ("onnxruntime", "openvino"),
    "vit_b": ("transformers", "segment_anything"),
}


def main() -> None:
    """Measure, or print what was measured, or be a contender."""
    parser = command.parser(__doc__, RESULTS, rounds=7)
    given = parser.parse_args()
    if command.answered(parser, given, tables, work):
        return
    models = given.model.split(",") if given.model else MODELS
    for model in models:
        found = measure(
            f"image encoder of {model}, one picture",
            contenders(model, given.data, reference=given.reference),
            rounds=given.rounds,
            most_foreign=given.most_foreign,
        )
        results = write(given.results, command.told(parser, given), {model: found})
    print(tables(results))


def contenders(model: str, data: Path, *, reference: bool) -> list[Contender]:
    """Plain first, with both settings of the allocator; peers; what the machine can do."""

    def row(name: str, allocator: str = "default", flops: float | None = None) -> Contender:
        asked = ("--worker", name, "--model", model, "--data", str(data))
        return Contender(name, (__file__, *asked), allocator, flops or FLOPS.get(model))

    ours = [row(path, allocator) for path in OUR_PATHS for allocator in ALLOCATORS]
    others = [row(name) for name in PEERS.get(model, ()) if reference or name != "segment_anything"]
    return ours + others + [row(name, flops=flops) for name, flops in PRODUCTS.items()]


def work(given: argparse.Namespace) -> Runner:
    """What a contender does."""
    if given.worker in PRODUCTS:
        return product(given.worker)
    picture = pixels(given.model, given.data)
    if given.worker not in OUR_PATHS:
        return encoder(given.worker, given.model, picture)
    ours = engine(given.model, given.worker)
    return Runner(lambda _: {"features": ours.encode(picture)}, ours.info.path)


def tables(results: dict[str, Any]) -> str:
    """The results as Markdown."""
    return table([results[model] for model in MODELS if model in results])


if __name__ == "__main__":
    main()
