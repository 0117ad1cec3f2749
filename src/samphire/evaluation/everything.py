"""Everything mode against labelled pictures: how many of the objects are among its masks.

The measure is AR@1000 (``recall.py``), of each picture and of all objects together. Extra masks
cost nothing: labels name some of the things on a picture, everything mode finds more. Slices of
volumes are pictures here. Not for masks that were asked for one by one (``protocols.py``).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from samphire.engines.base import Engine
from samphire.errors import DataError, SamphireError
from samphire.evaluation.intervals import Interval, bootstrap_interval
from samphire.evaluation.protocols import Embed
from samphire.evaluation.recall import AverageRecall, Recall, average_recall, recall
from samphire.evaluation.units import countable
from samphire.predict.embed import embed
from samphire.predict.everything import segment_everything
from samphire.predict.everything_settings import DEFAULT, EverythingSettings
from samphire.samples import Sample


@dataclass(frozen=True, eq=False)
class Picture:
    """One measured picture.

    Attributes:
        id: of the sample.
        group: what belongs together, for intervals.
        recall: which of its objects were found.
        masks: how many everything mode gave.
    """

    id: str
    group: str
    recall: Recall
    masks: int

    @property
    def average_recall(self) -> float:
        """Of this picture's objects, 0 to 1."""
        return average_recall([self.recall]).all


@dataclass(frozen=True, eq=False)
class Proposals:
    """What everything mode found on some pictures.

    Attributes:
        pictures: in the order of the samples.
        failures: sample and reason of those that could not be read.
        without_objects: samples on which there is nothing to find.
    """

    pictures: tuple[Picture, ...]
    failures: tuple[tuple[str, str], ...] = ()
    without_objects: tuple[str, ...] = ()

    @property
    def pooled(self) -> AverageRecall:
        """Of all objects together, as COCO's evaluation has it."""
        return average_recall([picture.recall for picture in self.pictures])

    @property
    def mean(self) -> Interval:
        """Over the pictures, with its interval over groups."""
        values = [picture.average_recall for picture in self.pictures]
        return bootstrap_interval(values, [picture.group for picture in self.pictures])


def evaluate_everything(
    engine: Engine,
    samples: Sequence[Sample],
    settings: EverythingSettings = DEFAULT,
    *,
    embed_picture: Embed | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Proposals:
    """Measure everything mode on samples.

    Objects without a pixel that counts are left out; where an object is ignored in part, all of it
    is to be found.

    Args:
        engine: from ``samphire.load``.
        samples: in any order.
        settings: of everything mode; without crops, for which there would be more to embed.
        embed_picture: RGB pixels -> embedding; None runs the engine's encoder.
        on_progress: called with samples done and in all.

    Raises:
        DataError: no sample could be read, none has an object, or a sample is given twice.
        PromptError: ``settings`` ask for crops.
    """
    names = [sample.id for sample in samples]
    if len(set(names)) < len(names):
        raise DataError(f"{len(names) - len(set(names))} samples are given twice: expected once")
    embedded: Embed = embed_picture or (lambda rgb: embed(engine, rgb))
    pictures: list[Picture] = []
    failures: list[tuple[str, str]] = []
    empty: list[str] = []
    for done, sample in enumerate(samples, start=1):
        try:
            labelled = sample.read()
        except (SamphireError, OSError) as error:
            failures.append((sample.id, str(error)))
        else:
            objects = labelled.objects[countable(labelled)]
            if len(objects):
                masks = segment_everything(engine, embedded(labelled.image), settings)
                found = recall(masks, objects)
                pictures.append(Picture(sample.id, sample.group, found, len(masks)))
            else:
                empty.append(sample.id)
        if on_progress is not None:
            on_progress(done, len(samples))
    if not pictures:
        reason = f": {failures[0][1]}" if failures else ": none has an object"
        raise DataError(f"nothing could be measured in {len(samples)} samples{reason}")
    return Proposals(tuple(pictures), tuple(failures), tuple(empty))
