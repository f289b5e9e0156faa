"""Exchange with webMUSHRA (github.com/audiolabs/webMUSHRA): its YAML configurations out, its CSV results in."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path
from typing import Any

from stylize.listening.methods import HIGHEST, LOWEST, MUSHRA, PAIRED, REFERENCE
from stylize.listening.statistics import Rating
from stylize.listening.trial import REFERENCE_EXAMPLE, Screen, Trial, audio_file
from stylize_core.atomic import atomic_folder, check_output_folder
from stylize_core.errors import UserError
from stylize_core.plain import one_line, read_text

SERVICE = "service/write.php"
RATING_COLUMNS = ("trial_id", "rating_stimulus", "rating_score"), ("trial_id", "stimuli", "stimuli_rating")
"""Where page, stimulus and value stand in webMUSHRA's mushra.csv and lms.csv."""
OWN_REFERENCE = "reference"
"""The name that webMUSHRA gives to the hidden reference, which it adds by itself."""
MAX_CSV_BYTES = 100 * 2**20


def export_trial(trial: Trial, folder: Path, output: Path) -> Path:
    """Write a webMUSHRA configuration with its sounds; the folder is to be copied over webMUSHRA's own.

    MUSHRA trials become pages of type `mushra`. Multiple stimuli without a reference become pages of type
    `likert_multi_stimulus` with the five parts of the scale, whose middles are the values: webMUSHRA's sliders need a
    reference. Names of stimuli are the blind ids.
    """
    import yaml

    if trial.method == PAIRED:
        raise UserError("webMUSHRA's pairs are a named reference and another sound, which A/B trials do not have")
    if output.exists():
        raise UserError(f"{output} exists; choose another folder")
    check_output_folder(output)
    sounds = Path("configs", "resources", "audio", trial.id)
    path = Path("configs", f"{trial.id}.yaml")
    text = yaml.safe_dump(_configuration(trial, sounds), sort_keys=False, allow_unicode=True)
    with atomic_folder(output) as unfinished:
        (unfinished / sounds).mkdir(parents=True)
        for stimulus in trial.stimuli:
            shutil.copyfile(audio_file(folder, stimulus.id), unfinished / sounds / f"{stimulus.id}.wav")
        (unfinished / path).write_text(text, encoding="utf-8")
    return output / path


def _configuration(trial: Trial, sounds: Path) -> dict[str, Any]:
    """What webMUSHRA reads: setting the level, all screens in random order, a page to send the answers."""
    return {
        "testname": trial.title,
        "testId": trial.id,
        "bufferSize": 2048,
        "stopOnErrors": True,
        "showButtonPreviousPage": True,
        "remoteService": SERVICE,
        "pages": [
            {
                "type": "volume",
                "id": "level",
                "name": "Set the level",
                "content": "Set the volume so that it is pleasant, then leave it.",
                "stimulus": str(sounds / f"{trial.level}.wav"),
                "defaultVolume": 0.5,
            },
            ["random", *(_page(trial, screen, sounds) for screen in trial.screens)],
            {
                "type": "finish",
                "name": "Thank you",
                "content": "Your answers are sent with the button below.",
                "showResults": False,
                "writeResults": True,
                # Rows of several listeners can be told apart by this only.
                "questionnaire": [{"type": "text", "label": "A name or number of your choice", "name": "listener"}],
            },
        ],
    }


def _page(trial: Trial, screen: Screen, sounds: Path) -> dict[str, Any]:
    question, song = trial.question(screen), trial.song[screen.song]
    stimuli = {identity: str(sounds / f"{identity}.wav") for identity in screen.stimuli}
    page = {"id": screen.id, "name": question.title.format(style=song.style), "content": question.text}
    if trial.method == MUSHRA:
        examples = dict(screen.examples)
        shown = {identity: path for identity, path in stimuli.items() if trial.stimulus[identity].system != REFERENCE}
        return {
            "type": "mushra",
            **page,
            "showWaveform": False,
            "enableLooping": True,
            "strict": song.seconds <= 12,
            "reference": str(sounds / f"{examples[REFERENCE_EXAMPLE]}.wav"),
            "createAnchor35": False,
            "createAnchor70": False,
            "randomize": True,
            "showConditionNames": False,
            "stimuli": shown,
        }
    parts = len(question.labels)
    response = [
        {"value": str(round(LOWEST + (HIGHEST - LOWEST) * (place + 0.5) / parts)), "label": label}
        for place, label in enumerate(question.labels)
    ]
    return {"type": "likert_multi_stimulus", **page, "mustRate": True, "stimuli": stimuli, "response": response}


def read_csv(path: Path, trial: Trial) -> list[Rating]:
    """Read `mushra.csv` or `lms.csv` as webMUSHRA wrote it for a trial of ours.

    A listener is what the columns between `session_test_id` and `trial_id` say, or the `session_uuid` that newer
    versions write. Where one has rated the same sound twice, the later row counts.
    """
    header, *rows = _read_rows(path)
    columns = next((names for names in RATING_COLUMNS if set(names) <= set(header)), None)
    if columns is None or header[0] != "session_test_id":
        raise UserError(f"{path} is no mushra.csv or lms.csv of webMUSHRA: it begins with {','.join(header)[:80]}")
    page_column, stimulus_column, value_column = (header.index(name) for name in columns)
    identity = [header.index("session_uuid")] if "session_uuid" in header else list(range(1, page_column))
    if not identity:
        raise UserError(f"{path} has no column that tells listeners apart; add a questionnaire to the finish page")
    ratings: dict[tuple[str, str, str], Rating] = {}
    for number, row in enumerate(rows, start=2):
        where = f"line {number} of {path}"
        if len(row) != len(header):
            raise UserError(f"{where} has {len(row)} columns, expected {len(header)}")
        if row[0] != trial.id:
            raise UserError(f"{where} belongs to the test {row[0]!r}, expected {trial.id}")
        screen = trial.screen.get(row[page_column])
        if screen is None:
            raise UserError(f"{where} has the page {row[page_column]!r}, which the trial does not have")
        listener = "webMUSHRA " + "/".join(row[column] for column in identity)
        system, value = _system(trial, screen, row[stimulus_column].strip()), _value(row[value_column])
        if system is None or value is None:
            raise UserError(f"{where} has no sound of its page, or no value from {LOWEST} to {HIGHEST}")
        ratings[listener, screen.id, system] = Rating(listener, screen.song, screen.question, system, value)
    return list(ratings.values())


def _read_rows(path: Path) -> list[list[str]]:
    try:
        rows = [row for row in csv.reader(read_text(path, MAX_CSV_BYTES).splitlines(keepends=True)) if row]
    except (OSError, ValueError, csv.Error) as error:
        raise UserError(f"{path} cannot be read as CSV: {one_line(error)}") from None
    if not rows:
        raise UserError(f"{path} is empty, expected the CSV of a listening test")
    return rows


def _system(trial: Trial, screen: Screen, name: str) -> str | None:
    if trial.method == MUSHRA and name == OWN_REFERENCE:
        return REFERENCE
    return trial.stimulus[name].system if name in screen.stimuli else None


def _value(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if LOWEST <= value <= HIGHEST else None  # NaN is in no range
