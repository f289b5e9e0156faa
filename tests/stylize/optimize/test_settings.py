"""Weights and optimizer settings out of range are refused in one line, before PyTorch is loaded."""

from __future__ import annotations

import math
import subprocess
import sys

import pytest

from data.errors import UserError
from stylize.optimize.settings import LossWeights, OptimizerConfig


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"style": -1.0}, "got the style weight -1; expected a number of at least 0"),
        ({"total_variation": math.nan}, "got the total variation weight nan"),
        ({"bound": math.inf}, "got the bound weight inf"),
        ({"content": 0.0, "style": 0.0, "bound": 1.0}, "content, style and histogram are all 0"),
    ],
)
def test_weights_that_cannot_be_are_refused(values: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        LossWeights(**values)


def test_a_single_weight_is_enough() -> None:
    for name in ("content", "style", "histogram"):
        weights = {"content": 0.0, "style": 0.0} | {name: 1e-9}
        assert getattr(LossWeights(**weights), name) == 1e-9


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"optimizer": "sgd"}, "unknown optimizer 'sgd'; known: lbfgs, adam"),
        ({"iterations": 0}, "got 0 for iterations; expected at least 1"),
        ({"memory": 0}, "got 0 for memory"),
        ({"patience": 0}, "got 0 for patience"),
        ({"evaluations": 0}, "got 0 for evaluations"),
        ({"decay_iteration": -1}, "got -1 for decay_iteration; expected at least 0"),
        ({"learning_rate": 0.0}, "got 0 for learning_rate; expected a number above 0"),
        ({"decayed_learning_rate": math.inf}, "got inf for decayed_learning_rate"),
        ({"tolerance": 1.0}, "got the tolerance 1; expected a number from 0 to below 1"),
        ({"tolerance": math.nan}, "got the tolerance nan"),
    ],
)
def test_optimizer_settings_that_cannot_be_are_refused(values: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        OptimizerConfig(**values)


def test_settings_do_not_load_torch() -> None:
    program = "import sys, stylize.optimize.settings; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
