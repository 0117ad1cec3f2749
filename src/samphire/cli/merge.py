"""``samphire merge``: a model and an adapter -> one plain file of weights."""

import json
from pathlib import Path

import click

from samphire.cli.engine_choice import adapter_summary
from samphire.cli.inputs import check_model
from samphire.cli.parsing import (
    force_option,
    json_option,
    model_option,
    offline_option,
    variant_option,
)


@click.command()
@click.argument("adapter", metavar="ADAPTER")
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    required=True,
    metavar="FILE",
    help="The file of weights: .pth, .pt or .safetensors.",
)
@model_option
@variant_option
@force_option
@json_option
@offline_option
def merge(
    adapter: str,
    output: Path,
    model: str,
    variant: str | None,
    force: bool,
    as_json: bool,
    offline: bool,
) -> None:
    """Fold an adapter into its model: weights that other programs load, under the published names.

    \b
    Examples:
      samphire merge polyps.safetensors --output vit_t_polyps.pth
      samphire segment photo.jpg --model vit_t_polyps.pth --point 520,375

    LoRA becomes part of the weights, and so do a tuned decoder and tuned parameters of the encoder.
    Adapters of the method adapter, and those with classes, have no place in a plain model.
    """
    # Everything that can be wrong is checked before the model is loaded.
    adapter_summary(adapter, "ADAPTER")
    check_model(model)

    from samphire.engines.load import weights_file
    from samphire.errors import OutputExistsError
    from samphire.weights.adapter_file import load_adapter
    from samphire.weights.export import SUFFIXES, write_original
    from samphire.weights.load import read_checkpoint
    from samphire.weights.merge import merged

    if output.suffix not in SUFFIXES:
        raise click.UsageError(f"--output {output}: expected a name in {', '.join(SUFFIXES)}")
    if output.exists() and not force:
        raise OutputExistsError(f"{output} is there already: --force replaces it")
    worn = load_adapter(Path(adapter))
    checkpoint = read_checkpoint(weights_file(model, offline=offline, progress=True), variant)
    write_original(merged(checkpoint, worn, adapter), output)
    if checkpoint.variant == "medsam":  # it has vit_b's shapes
        click.echo(f"{output} is taken for vit_b unless you say --variant medsam", err=True)
    record = {"variant": checkpoint.variant, "preprocessing": checkpoint.preprocessing}
    click.echo(json.dumps(record | {"output": str(output)}) if as_json else output)
