"""Files of masks, one file a format, both directions, and the table of them.

No format knows another. Embeddings have a file of their own, ``embedding.py``.
"""

from collections.abc import Iterator
from pathlib import Path

from samphire import atomic
from samphire.errors import FileFormatError
from samphire.formats import (
    amg_folder,
    coco,
    cutouts,
    geojson,
    label_map,
    labelme,
    masks_json,
    measurements,
    npz,
    png,
    records,
    sa1b,
    yolo,
)
from samphire.formats.format import Format as Format
from samphire.formats.format import Picture as Picture
from samphire.formats.format import one_file
from samphire.formats.recognise import recognise
from samphire.masks import Masks

FORMATS = {
    "json": Format(
        "json",
        ".mask.json",
        "all masks and scores in one file, run lengths as in SA-1B",
        masks_json.encode,
        one_file,
        masks_json.read,
        picture=masks_json.read_picture,
    ),
    "coco": Format(
        "coco",
        ".coco.json",
        "COCO instances with run lengths; a folder also becomes one file",
        coco.encode,
        one_file,
        coco.read,
        pictures=coco.pictures,
        combined="instances.json",
        combine=coco.combine,
    ),
    "coco-polygons": Format(
        "coco-polygons",
        ".polygons.json",
        "COCO instances with polygons; masks with holes stay run lengths",
        coco.encode_polygons,
        one_file,
        coco.read,
        pictures=coco.pictures,
        combined="instances.polygons.json",
        combine=coco.combine,
    ),
    "sa1b": Format(
        "sa1b",
        ".sa1b.json",
        "the records of the data set SA-1B",
        sa1b.encode,
        one_file,
        sa1b.read,
        sa1b.losses,
        picture=records.image_name,
    ),
    "png": Format(
        "png",
        ".mask.png",
        "black and white, one picture a mask",
        png.encode,
        png.paths,
        png.read,
    ),
    "segment-anything": Format(
        "segment-anything",
        "",
        "a folder as segment-anything's amg.py makes it: a PNG a mask, and a table",
        amg_folder.encode,
        amg_folder.paths,
        amg_folder.read,
        sa1b.losses,
    ),
    "segment-anything-rle": Format(
        "segment-anything-rle",
        ".json",
        "the list of records that its --convert-to-rle gives",
        amg_folder.encode_rle,
        one_file,
        amg_folder.read_rle,
        sa1b.losses,
    ),
    "labelme": Format(
        "labelme",
        ".json",
        "labelme's JSON, to edit there",
        labelme.encode,
        one_file,
        labelme.read,
        labelme.losses,
        picture=labelme.read_picture,
    ),
    "label-map": Format(
        "label-map",
        ".labels.png",
        "one picture, whose value is the number of the mask, and a table",
        label_map.encode,
        label_map.paths,
        label_map.read,
        label_map.losses,
    ),
    "label-map-tiff": Format(
        "label-map-tiff",
        ".labels.tif",
        "the same as TIFF",
        label_map.encode_tiff,
        label_map.paths,
        label_map.read,
        label_map.losses,
    ),
    "yolo": Format(
        "yolo",
        ".txt",
        "YOLO's segmentation labels; holes are filled",
        yolo.encode,
        one_file,
        yolo.read,
        yolo.losses,
    ),
    "geojson": Format(
        "geojson",
        ".geojson",
        "polygons with holes, in pixels",
        geojson.encode,
        one_file,
        geojson.read,
        picture=records.image_name,
    ),
    "npz": Format(
        "npz",
        ".masks.npz",
        "NumPy's file, all columns exactly",
        npz.encode,
        one_file,
        npz.read,
    ),
    "cutouts": Format(
        "cutouts",
        ".cutout.png",
        "the objects cut out on transparent ground, one picture a mask; write only",
        cutouts.encode,
        png.paths,
        None,
        needs_pixels=True,
    ),
    "csv": Format(
        "csv",
        ".masks.csv",
        "a table of areas, boxes, centroids, perimeters and scores; write only",
        measurements.encode,
        one_file,
        None,
    ),
}


def format_of(path: str | Path, name: str | None = None) -> Format:
    """The format with this name, or else the first whose suffix ends as the path does.

    Raises:
        FileFormatError: there is none.
    """
    if name is not None:
        if name in FORMATS:
            return FORMATS[name]
        raise FileFormatError(f"format {name!r} is not known: expected one of {_known()}")
    ending, suffix = Path(path).name.lower(), Path(path).suffix.lower()
    whole = [
        known
        for known in FORMATS.values()
        if known.suffix.count(".") > 1 and ending.endswith(known.suffix)
    ]
    last = [known for known in FORMATS.values() if suffix and known.suffix.endswith(suffix)]
    if not whole and not last:
        raise FileFormatError(
            f"the suffix {suffix!r} of {path} is not known: expected one of {_known()}"
        )
    return (whole or last)[0]


def _known() -> str:
    return ", ".join(f"{known.name} ({known.suffix})" for known in FORMATS.values())


def encode_masks(
    masks: Masks, path: Path, kind: Format, picture: Picture
) -> Iterator[tuple[Path, bytes]]:
    """The files that masks become in a format: names and bytes, nothing written yet."""
    yield from zip(kind.paths(path, len(masks)), kind.encode(masks, picture), strict=True)


def save_masks(
    masks: Masks,
    path: str | Path,
    format: str | None = None,  # noqa: A002
    *,
    picture: Picture | None = None,
) -> None:
    """Write masks to files, each whole or not at all; files of that name are replaced.

    Args:
        masks: on one image.
        path: of the file.
        format: a name of :data:`FORMATS`; by default the suffix decides.
        picture: what the file shall say of the image, and its pixels for formats that show them.

    Raises:
        FileFormatError: the format is not known.
        OSError: the file cannot be written.
    """
    kind = format_of(path, format)
    for file, data in encode_masks(masks, Path(path), kind, picture or Picture()):
        atomic.write_bytes(file, data)


def load_masks(
    path: str | Path,
    format: str | None = None,  # noqa: A002
    *,
    image: str | None = None,
) -> Masks:
    """Read masks that :func:`save_masks` or another program wrote.

    Args:
        path: of the file.
        format: a name of :data:`FORMATS`; by default the content decides, then the suffix.
        image: which picture, by its name in the file, where the file is about several; for YOLO,
            whose files do not say it, the picture itself, for its size.

    Raises:
        FileFormatError: the file is not what its format says, or the format is write-only.
        OSError: the file cannot be read.
    """
    kind = format_of(path, format or recognise(Path(path)))
    if kind.read is None:
        raise FileFormatError(f"{path}: {kind.name} is written only, it cannot be read back")
    return kind.read(Path(path), image)
