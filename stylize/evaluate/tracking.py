"""A benchmark as a run of Weights & Biases: the tables, the plot, and every mean as a summary value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stylize.evaluate.settings import Settings
from training.wandb_run import open_wandb_run


def flat_summary(report: Mapping[str, Any]) -> dict[str, float]:
    """Means by names such as `test/feed-forward/target_heard`."""
    values: dict[str, float] = {}
    for tier, summary in report["tiers"].items():
        for system, found in summary["systems"].items():
            for name, value in found["measures"].items():
                values[f"{tier}/{system}/{name}"] = value["mean"]
            for name, value in (found["distances"] or {}).items():
                values[f"{tier}/{system}/{name}"] = value
    return values


def log_to_wandb(settings: Settings, report: Mapping[str, Any]) -> str:
    """Write the run, unless it is off.

    Args:
        settings: for the mode, the work folder and the plot.
        report: of the benchmark.

    Returns:
        a clause that says where it went.
    """
    run, place = open_wandb_run(
        settings.wandb,
        name=(settings.output or settings.work).name,
        job_type="evaluate",
        dir=str(settings.work),
        config=dict(report["settings"]),
    )
    if run is None:
        return place
    import wandb

    values = flat_summary(report)
    aims = wandb.Table(columns=["aim", "met", "found"], data=[list(aim.values()) for aim in report["aims"]])
    run.log({"trade-off": wandb.Image(str(settings.output_files[".png"])), "aims": aims, **values})
    run.finish()
    return place
