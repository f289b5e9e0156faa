"""File types: extensions and magic bytes of audio that can and cannot be read, and the errors for them."""

from __future__ import annotations

import shlex
from pathlib import Path

from stylize_core.errors import UserError

READABLE_FORMATS = "wav, flac, ogg, opus, mp3, mp2, au, aiff, caf, w64"

READABLE_SUFFIXES = frozenset({
    ".wav", ".wave", ".bwf", ".rf64", ".w64", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".mp2", ".mp1", ".mpga",
    ".au", ".snd", ".aif", ".aiff", ".aifc", ".caf",
})  # fmt: skip
"""Endings of files that are taken for audio, in lower case."""

UNREADABLE_SUFFIXES = frozenset({
    ".m4a", ".m4b", ".m4r", ".mp4", ".m4v", ".mov", ".aac", ".alac", ".3gp", ".3g2", ".wma", ".asf", ".wmv",
    ".webm", ".weba", ".mka", ".mkv", ".avi", ".flv", ".mpg", ".mpeg", ".vob", ".ogv", ".ogm", ".ogx", ".ac3",
    ".eac3", ".dts", ".ape", ".wv", ".mpc", ".tta", ".tak", ".ofr", ".shn", ".dsf", ".dff", ".amr", ".ra",
    ".rm", ".spx", ".voc", ".sd2", ".8svx", ".oma", ".at3", ".aa3", ".mlp", ".thd",
})  # fmt: skip
"""Endings of files that hold music, or video with music, that cannot be read as they are."""

_NEEDS_CONVERSION: tuple[tuple[int, bytes, str], ...] = (  # offset, bytes there, what it is
    (4, b"ftyp", "an MP4 file (as .m4a, .mp4 or .mov)"),
    (0, b"\x1a\x45\xdf\xa3", "a Matroska or WebM file"),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "a Windows Media file (.wma, .wmv)"),
    (8, b"AVI ", "an AVI video"),
    (0, b"FLV\x01", "a Flash video"),
    (0, b"\x00\x00\x01\xba", "an MPEG video"),
    (0, b"ADIF", "an AAC file"),
    (0, b"\x0b\x77", "an AC-3 file"),
    (0, b"wvpk", "a WavPack file"),
    (0, b"MAC ", "a Monkey's Audio file"),
    (0, b"MPCK", "a Musepack file"),
    (0, b"MP+", "a Musepack file"),
    (0, b"TTA1", "a True Audio file"),
    (0, b"DSD ", "a DSD file"),
    (0, b"FRM8", "a DSD file"),
    (0, b"#!AMR", "an AMR file"),
    (0, b".RMF", "a RealMedia file"),
    (0, b"Creative Voice File", "a Creative Voice file"),
)
_NO_RECORDING: tuple[tuple[int, bytes, str], ...] = (
    (0, b"MThd", "a MIDI file, which holds notes and no sound"),
    (0, b"PK\x03\x04", "a zip archive; unpack it"),
    (0, b"\x1f\x8b", "a gzip archive; unpack it"),
    (0, b"Rar!", "a RAR archive; unpack it"),
    (0, b"7z\xbc\xaf", "a 7z archive; unpack it"),
    (0, b"%PDF", "a PDF document"),
    (0, b"\x89PNG", "a picture"),
    (0, b"\xff\xd8\xff", "a picture"),
    (0, b"GIF8", "a picture"),
    (0, b"version https://git-lfs", "a Git LFS pointer; fetch the file itself with: git lfs pull"),
)
_A_WEB_PAGE = "a web page, as servers send in place of a file; download the recording itself"
_WEB_PAGE = (b"<!doctype html", b"<html", b"<head", b"<?xml", b"<body")


def foreign_kind(start: bytes) -> str:
    """What a file is that is no readable audio, with an article, by its first kilobyte after any tag; else empty."""
    for offset, magic, what in (*_NEEDS_CONVERSION, *_NO_RECORDING):
        if start[offset : offset + len(magic)] == magic:
            return what
    if start.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith(_WEB_PAGE):
        return _A_WEB_PAGE
    is_adts = len(start) > 1 and start[0] == 0xFF and start[1] & 0xF6 == 0xF0
    return "an AAC file" if is_adts else ""


def not_audio(path: Path, start: bytes, finding: str = "is not audio that can be read") -> UserError:
    """The error for a file in no readable format.

    Args:
        path: the file.
        start: as in `foreign_kind`.
        finding: what is wrong, after the name of the file.
    """
    kind = foreign_kind(start)
    is_what = f"it is {kind}; " if kind else ""
    is_convertible = not kind or kind not in [_A_WEB_PAGE, *(what for _, _, what in _NO_RECORDING)]
    advice = f"; {conversion(path)}" if is_convertible else ""
    return UserError(f"{path} {finding} ({is_what}expected {READABLE_FORMATS}){advice}")


def conversion(path: Path, output: str = "song.wav") -> str:
    """The advice to convert a file."""
    return f"convert it first, for example: ffmpeg -i {shlex.quote(str(path))} {output}"


def cut_off(path: Path, finding: str) -> UserError:
    """The error for a file whose end is missing; `finding` says how that shows."""
    return _broken(path, f"cut off: {finding}; get the whole file", path.suffix)


def damaged(path: Path, finding: str) -> UserError:
    """The error for a file with a gap or a contradiction in it; `finding` says how that shows."""
    return _broken(path, f"damaged: {finding}; get it again", ".wav")


def _broken(path: Path, problem: str, suffix: str) -> UserError:
    repair = f"ffmpeg -i {shlex.quote(str(path))} fixed{suffix}"
    return UserError(f"{path} is {problem}, or keep what is there with: {repair}")
