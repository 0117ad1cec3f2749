"""Pictures of 8 bits a channel -> upright sRGB on white.

Not for deeper pixels (``intensity.py``) and not for opening files (``decode.py``).
"""

import io
import logging

import numpy as np
from PIL import Image, ImageCms, ImageOps

from samphire.arrays import ByteArray
from samphire.images.orientation import orientation_of, upright

logger = logging.getLogger(__name__)

# A profile that moves no colour further than this, of 255, is sRGB by another name: the pixels
# stay as they are, and so do the embeddings of the many photos that carry an sRGB profile.
_SAME = 2


def srgb_on_white(image: Image.Image, name: str) -> ByteArray:
    """Obey the orientation and the colour profile, lay transparency on white.

    Args:
        image: of a mode of 8 bits or less a channel.
        name: for the log.

    Returns:
        (H, W, 3) uint8.
    """
    image.load()
    profile = image.info.get("icc_profile")
    shown, alpha = image, None
    if image.has_transparency_data:
        with_alpha = _as(image, "RGBA")
        alpha = with_alpha.getchannel("A")
        # the profile of grey or CMYK speaks of other channels than those of RGB
        shown = with_alpha.convert("RGB")
    elif image.mode not in ("L", "RGB", "CMYK"):
        shown = image.convert("L" if image.mode == "1" else "RGB")
    if profile:
        shown = _to_srgb(shown, profile, name)
    rgb = _as(shown, "RGB")
    if alpha is not None:
        rgb.paste("white", mask=ImageOps.invert(alpha))
    return np.ascontiguousarray(upright(np.array(rgb), orientation_of(image, name)))


def _as(image: Image.Image, mode: str) -> Image.Image:
    """The image in this mode, itself where it is: Pillow copies, and a copy may be 400 MB."""
    return image if image.mode == mode else image.convert(mode)


def _to_srgb(image: Image.Image, profile: bytes, name: str) -> Image.Image:
    """The picture in sRGB; as it is where the profile cannot be used or changes nothing."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        transform = ImageCms.buildTransform(
            source, ImageCms.createProfile("sRGB"), image.mode, "RGB"
        )
        if image.mode != "CMYK" and _changes_nothing(transform, image.mode):
            return image
        converted = ImageCms.applyTransform(image, transform)
    except Exception as error:  # the profile comes from outside; without it the picture is whole
        logger.info("%s: its colour profile cannot be used (%s); taken as sRGB", name, error)
        return image
    if converted is None:  # never: only a transform in place gives None
        return image
    logger.info("%s: colours converted to sRGB by the file's profile", name)
    return converted


def _changes_nothing(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    """Whether a lattice of colours (17 a channel), or all greys, come out as they went in."""
    if mode == "L":
        lattice = np.arange(256, dtype=np.uint8)[None]
        before = np.stack([lattice] * 3, axis=-1)
    else:
        levels = np.linspace(0, 255, 17).astype(np.uint8)
        lattice = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(17, -1, 3)
        before = lattice
    after = ImageCms.applyTransform(Image.fromarray(lattice), transform)
    if after is None:
        return True
    return int(np.abs(np.asarray(after, np.int16) - before.astype(np.int16)).max()) <= _SAME
