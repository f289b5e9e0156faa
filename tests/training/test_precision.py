"""Which precision `auto` is, by what the hardware and its limits say."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import torch

from training import precision
from training.precision import choose_precision


@pytest.fixture
def cpu(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A CPU as wanted."""

    def cpu(bf16: bool, amx: bool, capability: str = "AVX512", **limits: str) -> None:
        monkeypatch.setattr("platform.machine", lambda: "x86_64")
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: bf16)
        monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
        monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
        for name in ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"):
            monkeypatch.delenv(name, raising=False)
        for name, value in limits.items():
            monkeypatch.setenv(name, value)

    return cpu


@pytest.mark.parametrize(
    ("hardware", "chosen", "reason"),
    [
        ({"bf16": False, "amx": False}, "no", "this CPU has neither AVX512_BF16 nor AMX"),
        ({"bf16": True, "amx": False}, "bf16", "this CPU has AVX512_BF16"),
        ({"bf16": True, "amx": True}, "bf16", "this CPU has AVX512_BF16 and AMX"),
        ({"bf16": True, "amx": True, "capability": "AVX2"}, "no", "ATEN_CPU_CAPABILITY limits this CPU to AVX2"),
        ({"bf16": True, "amx": True, "capability": "DEFAULT"}, "no", "ATEN_CPU_CAPABILITY limits this CPU to DEFAULT"),
        ({"bf16": True, "amx": True, "ONEDNN_MAX_CPU_ISA": "avx2"}, "no", "ONEDNN_MAX_CPU_ISA limits this CPU to avx2"),
        ({"bf16": True, "amx": True, "ONEDNN_MAX_CPU_ISA": "AVX512_CORE_AMX"}, "bf16", "AMX"),
        ({"bf16": True, "amx": False, "ONEDNN_MAX_CPU_ISA": "AVX512_CORE_VNNI"}, "no", "AVX512_CORE_VNNI"),
    ],
)  # fmt: skip
def test_auto_is_what_the_cpu_has(cpu: Any, hardware: dict[str, Any], chosen: str, reason: str) -> None:
    cpu(**hardware)
    assert choose_precision("auto", "cpu")[0] == chosen
    assert reason in choose_precision("auto", "cpu")[1]
    assert choose_precision("bf16", "cpu") == ("bf16", "as configured")
    assert choose_precision("no", "cpu") == ("no", "as configured")


@pytest.mark.parametrize(("gain", "chosen"), [(0.1, "no"), (3.0, "bf16")])
def test_a_cpu_of_another_make_is_measured(monkeypatch: pytest.MonkeyPatch, gain: float, chosen: str) -> None:
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    measured = precision._measured_gain()
    assert 0 < measured < 1000
    monkeypatch.setattr(precision, "_measured_gain", lambda: gain)
    assert choose_precision("auto", "cpu") == (chosen, f"bf16 is {gain:.1f} times as fast as float32 on this CPU")


def test_a_run_says_which_it_is(cpu: Any, make_trainer: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    cpu(bf16=False, amx=False)
    trainer = make_trainer(steps=1)
    trainer.run()
    assert trainer.accelerator.mixed_precision == "no"
    assert "mixed precision: no (this CPU has neither AVX512_BF16 nor AMX)" in caplog.text


def test_a_run_goes_on_where_auto_is_something_else(make_trainer: Any) -> None:
    make_trainer(steps=1, mixed_precision="no").run()
    trainer = make_trainer(steps=2, mixed_precision="auto")
    trainer.run()
    assert trainer.state.step == 2
