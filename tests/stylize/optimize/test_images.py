"""Pictures as files: exact values, transparency, layout, 16 bits, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stylize.optimize import images
from stylize.optimize.images import check_readable_image, read_image, read_image_of_size, write_image
from stylize_core.errors import UserError


def save(path: Path, values: np.ndarray, **options: object) -> Path:
    Image.fromarray(values).save(path, **options)
    return path


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 256, (3, 5, 7))
    write_image(tmp_path / "a.png", (values / 255).astype(np.float32))
    read = read_image(tmp_path / "a.png", 100)
    assert (read.dtype, read.shape) == (np.float32, (3, 5, 7))
    assert np.array_equal(np.rint(read * 255), values)
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_values_beyond_the_bounds_are_cut_off_and_rounding_is_to_the_nearest(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png", np.array([-1.0, 0.4 / 255, 0.6 / 255, 2.0]).reshape(1, 1, 4).repeat(3, axis=0))
    assert np.asarray(Image.open(tmp_path / "a.png"))[0, :, 0].tolist() == [0, 0, 1, 255]


def test_channels_rows_and_columns_are_where_they_belong(tmp_path: Path) -> None:
    values = np.zeros((2, 3, 3), np.uint8)
    values[1, 2] = [255, 0, 51]  # bottom right, red with a little blue
    picture = read_image(save(tmp_path / "a.png", values), 100)
    assert picture[:, 1, 2].tolist() == pytest.approx([1, 0, 0.2])
    assert picture[:, 0].sum() == 0


@pytest.mark.parametrize(
    ("size", "longest", "expected"), [((40, 20), 10, (5, 10)), ((8, 6), 10, (6, 8)), ((1, 300), 10, (10, 1))]
)
def test_larger_pictures_are_made_smaller_and_others_are_left_alone(
    tmp_path: Path, size: tuple[int, int], longest: int, expected: tuple[int, int]
) -> None:
    width, height = size
    path = save(tmp_path / "a.png", np.full((height, width, 3), 128, np.uint8))
    picture = read_image(path, longest)
    assert picture.shape == (3, *expected)
    assert np.allclose(picture, 128 / 255, atol=0.01)


def test_stretching_to_a_size(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", np.zeros((4, 4, 3), np.uint8))
    assert read_image_of_size(path, 6, 9).shape == (3, 6, 9)


def test_transparency_is_laid_on_white(tmp_path: Path) -> None:
    values = np.zeros((1, 2, 4), np.uint8)
    values[0, 1, 3] = 255  # black and opaque; the other is black and transparent
    assert read_image(save(tmp_path / "a.png", values), 10)[0, 0].tolist() == [1, 0]


def test_grey_and_sixteen_bits(tmp_path: Path) -> None:
    grey = read_image(save(tmp_path / "a.png", np.array([[0, 102]], np.uint8)), 10)
    assert grey[:, 0, 1].tolist() == pytest.approx([0.4] * 3)
    deep = read_image(save(tmp_path / "b.png", np.array([[0, 26265, 65535]], np.uint16)), 10)
    assert deep[0, 0].tolist() == pytest.approx([0, 0.4, 1])


def test_jpeg_is_turned_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the top of the picture is on the right of the file
    path = save(tmp_path / "a.jpg", np.zeros((8, 16, 3), np.uint8), exif=exif)
    assert read_image(path, 100).shape == (3, 16, 8)


def test_wrong_arrays_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="shape"):
        write_image(tmp_path / "a.png", np.zeros((4, 4, 3)))
    with pytest.raises(ValueError, match="NaN"):
        write_image(tmp_path / "a.png", np.full((3, 4, 4), np.nan))
    assert not list(tmp_path.iterdir())


def test_files_that_are_no_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = save(tmp_path / "good.png", np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8))
    (tmp_path / "text.png").write_text("These are words.")
    (tmp_path / "cut.png").write_bytes(good.read_bytes()[:1000])
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "folder.png").mkdir()
    save(tmp_path / "other.gif", np.zeros((4, 4), np.uint8)).rename(tmp_path / "gif.png")
    for name, words in (
        ("missing.png", "not found"),
        ("text.png", "no PNG or JPEG"),
        ("cut.png", "cannot be read"),
        ("empty.jpg", "no PNG or JPEG"),
        ("folder.png", "is a folder"),
        ("gif.png", "no PNG or JPEG"),
    ):
        with pytest.raises(UserError, match=words) as refused:
            check_readable_image(tmp_path / name)
        assert name in str(refused.value)
        assert "\n" not in str(refused.value)
    check_readable_image(good)
    monkeypatch.setattr(images, "MAX_PIXELS", 1000)
    with pytest.raises(UserError, match="40 x 40 pixels"):
        check_readable_image(good)
