"""What commands over many images have in common: the inputs given, and where outputs may go.

Not for the names of outputs (``outputs.py``).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from samphire.cli.outputs import EMBEDDING_SUFFIX, STREAM, names_one_file

VOLUME_SUFFIXES = (".nii", ".nii.gz")

if TYPE_CHECKING:
    from samphire.arrays import ByteArray
    from samphire.batch.task import Task
    from samphire.engines.base import Engine


@dataclass(frozen=True)
class Reading:
    """How pictures are read; see ``samphire.images.read.read_image``."""

    max_pixels: int
    page: int
    window: tuple[float, float] | None

    def read(self, image: Path | bytes, engine: "Engine") -> "ByteArray":
        """The picture as this engine is to see it."""
        from samphire.images.read import read_image

        return read_image(
            image,
            self.max_pixels,
            page=self.page,
            window=self.window,
            usual_window=engine.info.window,
        )


def check_pictures(inputs: tuple[str, ...]) -> None:
    """Refuse what is not there, stdin beside others, and volumes."""
    check_there(inputs)
    volumes = [given for given in volumes_in(inputs) if not Path(given).is_dir()]
    if volumes:
        raise click.UsageError(
            f"{', '.join(volumes)}: a volume, and this command takes pictures. Take its slices out "
            "with nibabel, as 16-bit TIFF files or, in Python, as arrays for samphire.embed; "
            "samphire predict takes volumes, and samphire evaluate labelled ones"
        )


def volumes_in(inputs: tuple[str, ...]) -> list[str]:
    """Those that are NIfTI files, or folders with some."""
    return [
        given
        for given in inputs
        if given.lower().endswith(VOLUME_SUFFIXES)
        or (
            Path(given).is_dir()
            and any(file.name.lower().endswith(VOLUME_SUFFIXES) for file in Path(given).rglob("*"))
        )
    ]


def check_there(inputs: tuple[str, ...]) -> None:
    """Refuse what is not there, and stdin beside others."""
    missing = [given for given in inputs if given != STREAM and not Path(given).exists()]
    if missing:
        raise click.UsageError(f"{', '.join(missing)}: no such file or folder")
    if STREAM in inputs and len(inputs) > 1:
        raise click.UsageError("- (stdin) is one image: give it alone")


def check_model(model: str) -> None:
    """Refuse a name that is neither a file, nor imported, nor in the catalogue."""
    from samphire.errors import WeightsError
    from samphire.weights.catalog import entry
    from samphire.weights.store import imported_names

    if Path(model).exists() or model in imported_names():
        return
    try:
        entry(model)
    except WeightsError as error:
        raise click.UsageError(f"--model: {error}") from error


def is_one_image(inputs: tuple[str, ...]) -> bool:
    """Whether a single file, or stdin, was given."""
    return len(inputs) == 1 and (inputs[0] == STREAM or not Path(inputs[0]).is_dir())


def output_folder(inputs: tuple[str, ...], output: str | None, made: str) -> Path:
    """The output folder of a run over many images.

    Args:
        inputs: as given.
        output: as given.
        made: what is put there, for messages.
    """
    if output is None:
        raise click.UsageError(f"several images need a folder for the {made}: give --output FOLDER")
    if output == STREAM or Path(output).is_file() or names_one_file(output):
        raise click.UsageError(f"--output {output}: several images need a folder for the {made}")
    if any(Path(given).resolve() == Path(output).resolve() for given in inputs):
        raise click.UsageError(
            f"--output {output} is the folder of the images: {made} would be taken for images; "
            "choose another"
        )
    return Path(output)


def own_folder_name(inputs: tuple[str, ...]) -> str | None:
    """Where the masks of a single folder go by default."""
    return f"{Path(inputs[0]).resolve().name}-masks" if len(inputs) == 1 else None


def find_images(inputs: tuple[str, ...], exclude: Path | None, *, embeddings: bool) -> "list[Task]":
    """The images given and those in the folders given.

    Args:
        inputs: as given.
        exclude: a folder that is not searched: the output.
        embeddings: files of embeddings count, too.
    """
    from samphire.batch.local import find_tasks
    from samphire.images.read import IMAGE_SUFFIXES

    suffixes = IMAGE_SUFFIXES | ({EMBEDDING_SUFFIX} if embeddings else frozenset())
    tasks = find_tasks([Path(given) for given in inputs], suffixes, exclude)
    if not tasks:
        raise click.UsageError(
            f"no images in {', '.join(inputs)}: expected files that end in "
            f"{', '.join(sorted(suffixes))}"
        )
    return tasks
