"""Prepare what models are trained on.

python -m scripts.prepare corpus|check-corpus|demo-song|style-examples|recordings|vocoder-data|translations|verify
"""

from __future__ import annotations

from scripts.command_line import run_command
from scripts.prepare.corpus import check_corpus, corpus, demo_song, style_examples
from scripts.prepare.recordings import recordings
from scripts.prepare.translations import translations
from scripts.prepare.verify import verify
from scripts.prepare.vocoder_data import vocoder_data


def main() -> None:
    """Run the command."""
    run_command(corpus, check_corpus, demo_song, style_examples, recordings, vocoder_data, translations, verify)


if __name__ == "__main__":
    main()
