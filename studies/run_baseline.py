"""Answer open questions about the optimization-based baseline by experiment: tables and plots.

python -m studies.run_baseline corpus --work runs/study --output studies/baseline_results
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from scripts.command_line import run_command
from stylize_core.errors import UserError


def study(
    corpus: Annotated[Path, typer.Argument(help="Rendered corpus.")] = Path("corpus"),
    work: Annotated[Path, typer.Option(help="Folder for excerpts and measurements; a study goes on there.")] = Path(
        "runs/study"
    ),
    output: Annotated[Path, typer.Option(help="Folder for tables.md, study.json and plots.")] = Path(
        "studies/baseline_results"
    ),
    pairs: Annotated[int, typer.Option(min=1, help="Pairs of content and style.")] = 6,
    seconds: Annotated[float, typer.Option(min=2.0, help="Length of the excerpts.")] = 5.0,
    iterations: Annotated[int, typer.Option(min=1, help="Of each case, where it is not the question.")] = 200,
    questions: Annotated[str, typer.Option(help="Only these, separated by commas; default: all.")] = "",
    threads: Annotated[int, typer.Option(min=1, help="CPU threads.")] = 2,
) -> None:
    """Run every case on every pair, then write tables and plots."""
    import torch

    from studies.baseline import COPY_CONTENT, COPY_STYLE, Study, choose_pairs, make_cases
    from studies.baseline_report import QUESTIONS, make_markdown, save_plots
    from stylize.evaluate.metrics.similarity import StyleClassifier

    chosen = [name.strip() for name in questions.split(",") if name.strip()] or list(QUESTIONS)
    if unknown := sorted(set(chosen) - set(QUESTIONS)):
        raise UserError(f"unknown question {unknown[0]!r}; known: {', '.join(QUESTIONS)}")
    if not output.parent.is_dir():
        raise UserError(f"folder not found: {output.parent}; create it first")
    torch.set_num_threads(threads)
    cases = [case for case in make_cases(iterations) if case.question in chosen]
    found = choose_pairs(corpus, work, pairs, seconds)
    total = len({case.key for case in cases}) * len(found)
    print(f"{len(cases)} cases on {len(found)} pairs of {seconds:g} s: {total} optimizations", flush=True)
    done = Study(found, work, StyleClassifier.from_pretrained(), progress=lambda text: print(text, flush=True))
    done.run(cases)
    means = {key: done.mean(key) for key in (COPY_CONTENT, COPY_STYLE, *dict.fromkeys(case.key for case in cases))}
    output.mkdir(exist_ok=True)
    (output / "study.json").write_text(json.dumps({"pairs": [pair.name for pair in found], "means": means}, indent=1))
    markdown = make_markdown(cases, means, output.name)
    (output / "tables.md").write_text(markdown)
    for path in save_plots(output, cases, means):
        print(path)
    print(markdown)


if __name__ == "__main__":
    run_command(study)
