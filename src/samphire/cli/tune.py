"""``samphire tune``: labelled data -> an adapter and a report."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from samphire.cli.inputs import check_model
from samphire.cli.parsing import (
    ClassNames,
    cache_options,
    device_option,
    force_option,
    json_option,
    model_option,
    offline_option,
    variant_option,
    volume_window_option,
)
from samphire.errors import AdapterError, SamphireError

if TYPE_CHECKING:
    from samphire.images.window import Window

METHODS = ("decoder", "lora", "adapter", "partial")
TASKS = ("interactive", "semantic", "both")


@click.command()
@click.argument("data", required=False, metavar="DATA")
@click.option("--output", metavar="FOLDER", help="Of the run: adapter, report, log, state.")
@click.option(
    "--method",
    type=click.Choice(METHODS),
    help="What trains beside the decoder.  [default: decoder: nothing]",
)
@click.option(
    "--task",
    type=click.Choice(TASKS),
    help="Prompts, classes without prompts, or both.  [default: interactive]",
)
@click.option(
    "--classes",
    type=ClassNames(),
    metavar="NAMES",
    help="Of the data, the first for 1: polyp, or liver,spleen. A semantic task learns them; "
    "without names the numbers in mask files count objects.",
)
@click.option("--blocks", metavar="WHICH", help="Of the encoder, for the method: all, or last:2.")
@click.option("--rank", type=click.IntRange(min=1), help="Of LoRA.  [default: 8]")
@click.option("--epochs", type=click.IntRange(min=1), help="At most.  [default: 30]")
@click.option("--seed", type=int, help="Of everything that is drawn.  [default: 0]")
@click.option(
    "--splits",
    metavar="FILE",
    help="Which samples are for training, validation and test; as a run writes it. Default: what "
    "the data says, or else drawn by group.",
)
@volume_window_option
@click.option("--config", metavar="FILE", help="More settings, in TOML; see --print-config.")
@click.option("--print-config", is_flag=True, help="Print all settings as TOML, and stop.")
@click.option("--tensorboard", is_flag=True, help="Also log for TensorBoard.")
@model_option
@variant_option
@device_option
@cache_options
@force_option
@json_option
@offline_option
def tune(  # noqa: PLR0913, PLR0917 - one parameter an option
    data: str | None,
    output: str | None,
    method: str | None,
    task: str | None,
    classes: tuple[str, ...] | None,
    blocks: str | None,
    rank: int | None,
    epochs: int | None,
    seed: int | None,
    splits: str | None,
    window: "Window | None",
    config: str | None,
    print_config: bool,
    tensorboard: bool,
    model: str,
    variant: str | None,
    device: str,
    no_cache: bool,
    max_cache: int,
    force: bool,
    as_json: bool,
    offline: bool,
) -> int:
    """Tune a model on labelled data; writes an adapter, a file of some MB.

    \b
    Examples:
      samphire tune polyps/ --task semantic --classes polyp --output runs/polyp
      samphire tune nuclei/ --method lora --blocks last:2 --output runs/nuclei
      samphire tune volumes/ --model lite_medsam --window ct-soft-tissue --output runs/organ

    DATA is a folder or file that samphire data check understands. A run that was stopped goes on
    when the same command is given again; --force begins anew. The adapter is the one that was best
    on the validation set; samples for testing are measured once, at the end.
    """
    given = _given(
        config,
        {
            "method": {"name": method, "blocks": blocks, "rank": rank},
            "task": task,
            "classes": None if classes is None else list(classes),
            "epochs": epochs,
            "seed": seed,
        },
    )
    if data is not None and not Path(data).exists():
        raise click.UsageError(f"{data}: no such file or folder")
    if print_config:
        click.echo(_printed(data, given, window), nl=False)
        return 0
    if data is None or output is None:
        raise click.UsageError("give DATA, and --output FOLDER for the run")
    if splits is not None and not Path(splits).is_file():
        raise click.UsageError(f"--splits {splits}: no such file")
    if Path(output).is_file():
        raise click.UsageError(f"--output {output} is a file: expected a folder for the run")
    check_model(model)

    from samphire.cli.tune_job import Job
    from samphire.cli.tune_run import run_tuning

    job = Job(
        data=Path(data),
        folder=Path(output),
        given=given,
        splits=None if splits is None else Path(splits),
        window=window,
        model=model,
        variant=variant,
        device=device,
        offline=offline,
        tensorboard=tensorboard,
        max_cache=None if no_cache else max_cache,
        force=force,
        as_json=as_json,
    )
    return run_tuning(job)


def _given(config: str | None, options: dict[str, Any]) -> dict[str, Any]:
    """What the file says, and over it what the options say."""
    given: dict[str, Any] = {}
    if config is not None:
        from samphire.tuning.settings import of_toml

        try:
            given = of_toml(Path(config).read_text(encoding="utf-8"))
        except (SamphireError, OSError, UnicodeDecodeError) as error:
            raise click.UsageError(f"--config {config}: {error}") from error
    method = {key: value for key, value in options.pop("method").items() if value is not None}
    if "name" in method and method["name"] != given.get("method", {}).get("name"):
        given["method"] = {}  # settings of another method
    given["method"] = {**given.get("method", {}), **method}
    return {**given, **{key: value for key, value in options.items() if value is not None}}


def _printed(data: str | None, given: dict[str, Any], window: "Window | None") -> str:
    """The settings as TOML, those of a run with the data if there is any."""
    from samphire.cli.tune_data import data_and_settings, sides
    from samphire.tuning.settings import as_toml, given_classes, make_settings

    try:
        settings = (
            make_settings(given)
            if data is None
            else data_and_settings(Path(data), given, window)[1]
        )
    except AdapterError as error:
        raise click.UsageError(str(error)) from error
    for note in sides(settings):
        click.echo(note, err=True)
    return as_toml(settings, classes=given_classes(given))
