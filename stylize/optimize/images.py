"""PNG and JPEG in, PNG out, with Pillow and Matplotlib, which are imported only when used."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from stylize.evaluate.figures import save_figure
from stylize.picture import draw_spectrogram
from stylize_core.atomic import atomic_write
from stylize_core.errors import UserError
from stylize_core.names import readable

if TYPE_CHECKING:
    from PIL import Image

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg")
MAX_PIXELS = 100_000_000
"""A picture with more pixels is refused before it is decoded."""


def check_readable_image(path: Path) -> None:
    """Decode a picture once; UserError where it is missing, a folder, no picture, damaged or too large."""
    _open(path)


def read_image(path: Path, max_side: int) -> np.ndarray:
    """Read a picture, upright, with transparency on white, reduced to at most `max_side` pixels on its longest side.

    Shape: (3, height, width), float32 in [0, 1].
    """
    image = _open(path)
    scale = max_side / max(image.size)
    if scale < 1:
        image = image.resize([max(1, round(side * scale)) for side in image.size])
    return _as_array(image)


def read_image_of_size(path: Path, height: int, width: int) -> np.ndarray:
    """Read a picture and stretch it to a size, (3, height, width), float32 in [0, 1]."""
    return _as_array(_open(path).resize((width, height)))


def write_image(path: Path, picture: np.ndarray) -> None:
    """Write a PNG file of a picture, (3, height, width); values beyond [0, 1] are cut off."""
    from PIL import Image

    if picture.ndim != 3 or picture.shape[0] != 3:
        raise ValueError(f"got a picture of shape {picture.shape}, expected (3, height, width)")
    if not np.isfinite(picture).all():
        raise ValueError("got NaN or infinite values in a picture")
    image = Image.fromarray(np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8).transpose(1, 2, 0))
    with atomic_write(path) as stream:
        image.save(stream, format="PNG")


def _open(path: Path) -> Image.Image:
    """A decoded picture: upright, mode RGB."""
    if not path.exists():
        raise UserError(f"file not found: {path}")
    if path.is_dir():
        raise UserError(f"{path} is a folder; give a picture in it")
    try:
        from PIL import Image, ImageOps, UnidentifiedImageError
    except ImportError:
        raise UserError("pictures need the package pillow; install it: pip install pillow") from None
    try:
        with Image.open(path, formats=("PNG", "JPEG")) as image:
            if image.width * image.height > MAX_PIXELS:
                raise UserError(
                    f"{path} has {image.width} x {image.height} pixels, at most {MAX_PIXELS / 1e6:g} million are "
                    "read; make it smaller"
                )
            image.load()
            return _in_three_colors(ImageOps.exif_transpose(image))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        reason = "no PNG or JPEG file" if isinstance(error, UnidentifiedImageError) else str(error)
        raise UserError(f"{path} cannot be read as a picture ({reason}); save it again as PNG or JPEG") from None


def _in_three_colors(image: Image.Image) -> Image.Image:
    from PIL import Image

    if image.mode.startswith("I"):  # 16 bits of gray, which convert() would cut off at 255
        return Image.fromarray((np.asarray(image).astype(np.int64) >> 8).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")


def _as_array(image: Image.Image) -> np.ndarray:
    return np.ascontiguousarray(np.asarray(image, dtype=np.float32).transpose(2, 0, 1) / 255)


@dataclass(frozen=True)
class Panel:
    """One part of a figure."""

    title: str  # above it
    image: np.ndarray  # (rows, columns) of a spectrogram, low frequencies first, or (3, height, width) in [0, 1]
    seconds: float | None = None  # duration of a sound; None for pictures


def save_panels(path: Path, panels: list[Panel]) -> None:
    """Draw spectrograms above each other, on one color scale, or pictures side by side, as a PNG file."""
    from matplotlib.figure import Figure

    is_sound = panels[0].seconds is not None
    size = (12, 3.2 * len(panels)) if is_sound else (4.5 * len(panels), 4.8)
    figure = Figure(figsize=size, dpi=100, layout="constrained")
    highest = max(float(panel.image.max()) for panel in panels)
    grid = figure.subplots(*((len(panels), 1) if is_sound else (1, len(panels))), squeeze=False)
    for axis, panel in zip(grid.flat, panels, strict=True):
        axis.set_title(readable(panel.title), parse_math=False)
        if panel.seconds is None:
            axis.imshow(np.clip(panel.image, 0, 1).transpose(1, 2, 0))
            axis.set_axis_off()
            continue
        image = draw_spectrogram(axis, panel.image, panel.seconds, 0.0, max(highest, 1e-3))
        axis.set_ylabel("frequency bin")
        axis.set_xlabel("seconds")
        figure.colorbar(image, ax=axis, label="value")
    save_figure(figure, path)
