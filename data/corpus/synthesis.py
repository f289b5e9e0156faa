"""From MMA text to a finished waveform: MMA writes the MIDI, FluidSynth plays it, then cut and level."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import scipy.ndimage
import scipy.signal
import soundfile
import soxr

from data.corpus.arrangement import HELD_OUT_SOUNDFONT, SOUNDFONTS, Mix
from data.corpus.midi import lay_out_stems
from stylize_core.errors import UserError

SAMPLE_RATE = 22050
# Soundfont samples are recorded at 44.1 kHz; playing them at 22.05 kHz would alias cymbals.
_SYNTHESIS_RATE = 44100
_FADE_SECONDS = 0.01
_DECAY_SECONDS = 4.0  # between two stems, so that no reverberation reaches into the next
_SILENCE = 1e-4
_CREST = 4.5  # highest peak over RMS, 13 dB
_BASS_CUT = scipy.signal.butter(1, 150.0, "highpass", fs=SAMPLE_RATE, output="sos")
_SOUNDFONT_FOLDERS = (Path("/usr/share/sounds/sf2"), Path("/usr/share/sounds/sf3"))
_TOOL_TIMEOUT_SECONDS = 300
INSTALL_LINE = "apt-get install mma fluidsynth fluid-soundfont-gm timgm6mb-soundfont musescore-general-soundfont-small"


def find_soundfont(name: str) -> Path | None:
    """The file of a soundfont in the system's folders, or None."""
    return next((folder / name for folder in _SOUNDFONT_FOLDERS if (folder / name).is_file()), None)


def check_tools() -> None:
    """Check that everything needed for a rendering is installed; a UserError says how to install the rest."""
    missing = [tool for tool in ("mma", "fluidsynth") if shutil.which(tool) is None]
    missing += [name for name in (*SOUNDFONTS, HELD_OUT_SOUNDFONT) if find_soundfont(name) is None]
    if missing:
        raise UserError(f"rendering needs {', '.join(missing)}, not found; install with: {INSTALL_LINE}")


def write_midi(text: str, folder: Path) -> Path:
    """Let MMA turn its text into ``folder/song.mid``, deterministically; UserError where it refuses the text."""
    # MMA writes the names of its files into the MIDI, so they are fixed and relative.
    (folder / "song.mma").write_text(text)
    result = _run(["mma", "-f", "song.mid", "song.mma"], folder)
    midi = folder / "song.mid"
    if not midi.is_file():
        raise UserError(f"mma could not read the song: {_last_words(result)}")
    return midi


def synthesize(midi: Path, soundfont: Path, samples: int, mix: Mix) -> np.ndarray:
    """Play a MIDI file with FluidSynth and mix its stems.

    In General MIDI the same note is 20 dB louder on one instrument than on another. So drums, harmony and melody are
    played apart, brought to the wanted levels and added.

    Args:
        midi: the file to play; shorter music is padded with silence.
        soundfont: instrument samples, .sf2 or .sf3.
        samples: length at 22050 Hz; longer music is cut there with a 10 ms fade.
        mix: levels of the stems and the peak.

    Returns:
        float32, shape (samples,).

    Raises:
        UserError: FluidSynth failed, or what it played is silence.
    """
    stems = _play_stems(midi, soundfont, samples)
    return _finish(_limit(_mix(stems, mix)), mix.peak, soundfont)


def _play_stems(midi: Path, soundfont: Path, samples: int) -> dict[str, np.ndarray]:
    layout = lay_out_stems(midi.read_bytes(), samples / SAMPLE_RATE + _DECAY_SECONDS)
    midi.write_bytes(layout.midi)
    stereo = _play(midi, soundfont)
    stems = {}
    for name, start in layout.starts.items():
        first = round(start * _SYNTHESIS_RATE)
        stem = stereo[first : first + round(layout.seconds * _SYNTHESIS_RATE)].mean(axis=1)
        resampled = soxr.resample(stem, _SYNTHESIS_RATE, SAMPLE_RATE, quality="HQ")[:samples]
        stems[name] = np.pad(resampled, (0, samples - len(resampled)))
    return stems


def _play(midi: Path, soundfont: Path) -> np.ndarray:
    """Everything FluidSynth plays at 44.1 kHz, shape (samples, 2)."""
    played = midi.with_suffix(".wav")
    command = ["fluidsynth", "-ni", "-q", "-r", str(_SYNTHESIS_RATE), "-O", "float", "-T", "wav"]
    result = _run([*command, "-g", "0.2", "-F", played.name, str(soundfont), midi.name], midi.parent)
    if not played.is_file():
        raise UserError(f"fluidsynth could not play {midi.name}: {_last_words(result)}")
    stereo, _ = soundfile.read(played, dtype="float32", always_2d=True)
    played.unlink()
    return np.asarray(stereo)


def _mix(stems: dict[str, np.ndarray], mix: Mix) -> np.ndarray:
    levels = {"drums": mix.drums_level, "harmony": 0.0, "melody": mix.melody_level}
    total = np.zeros_like(stems["harmony"])
    for name, stem in stems.items():
        loudness = _loudness(stem)
        if loudness > _SILENCE:
            total += stem * np.float32(10.0 ** (levels[name] / 20.0) / loudness)
    return total


def _loudness(stem: np.ndarray) -> float:
    """RMS of the louder half of all 0.1 s frames, above the lowest bass, which hardly contributes."""
    frame = SAMPLE_RATE // 10
    audible = scipy.signal.sosfilt(_BASS_CUT, np.pad(stem, (0, -len(stem) % frame)))
    power = np.sort(np.mean(audible.reshape(-1, frame) ** 2, axis=1))
    return float(np.sqrt(power[len(power) // 2 :].mean()))


def _limit(wav: np.ndarray) -> np.ndarray:
    """Turn the gain down around peaks more than 13 dB above the RMS."""
    ceiling = _CREST * max(float(np.sqrt(np.mean(wav**2))), _SILENCE)
    window = SAMPLE_RATE // 100 | 1
    envelope = scipy.ndimage.maximum_filter1d(np.abs(wav), window, mode="nearest")
    gain = np.minimum(1.0, ceiling / np.maximum(envelope, ceiling))
    # The mean of gains that all respect a peak in reach respects it too.
    return np.asarray(wav * scipy.ndimage.uniform_filter1d(gain, window, mode="nearest"))


def _finish(wav: np.ndarray, peak: float, soundfont: Path) -> np.ndarray:
    fade = min(round(_FADE_SECONDS * SAMPLE_RATE), len(wav))
    wav[len(wav) - fade :] *= np.linspace(1.0, 0.0, fade, dtype=np.float32)
    loudest = float(np.abs(wav).max(initial=0.0))
    if loudest < _SILENCE:
        raise UserError(f"fluidsynth played silence with {soundfont}; is that soundfont complete?")
    return (wav * (peak / loudest)).astype(np.float32)


def render(text: str, soundfont: str, samples: int, mix: Mix) -> np.ndarray:
    """MMA text to waveform with an installed soundfont; see `write_midi` and `synthesize`."""
    found = find_soundfont(soundfont)
    if found is None:
        raise UserError(f"soundfont {soundfont} not found; install with: {INSTALL_LINE}")
    with tempfile.TemporaryDirectory(prefix="render-") as folder:
        return synthesize(write_midi(text, Path(folder)), found, samples, mix)


def _run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    # A fixed hash seed: MMA iterates over sets while it draws random numbers.
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    try:
        return subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, errors="replace",
            timeout=_TOOL_TIMEOUT_SECONDS, check=False,
        )  # fmt: skip
    except FileNotFoundError:
        raise UserError(f"{command[0]} not found; install with: {INSTALL_LINE}") from None
    except subprocess.TimeoutExpired:
        raise UserError(f"{command[0]} did not finish in {_TOOL_TIMEOUT_SECONDS} seconds") from None


def _last_words(result: subprocess.CompletedProcess[str]) -> str:
    words = " ".join((result.stdout + " " + result.stderr).split())
    words = words[max(words.find("Error: "), 0) :]  # after harmless warnings
    return words[:200] or f"exit code {result.returncode}, no message"
