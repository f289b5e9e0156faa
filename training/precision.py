"""Mixed precision of a run: bfloat16 where the hardware multiplies it faster than float32."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable

import torch
from torch.nn import functional

PRECISIONS = ("auto", "no", "bf16")
MIN_GAIN = 1.2
"""Smallest measured speedup for bfloat16 where its instructions are unknown."""


def choose_precision(wanted: str, device: torch.device | str) -> tuple[str, str]:
    """`no` or `bf16`, and the reason as a clause; `auto` is bf16 where the device has instructions for it."""
    if wanted != "auto":
        return wanted, "as configured"
    kind = torch.device(device).type
    if kind == "cuda":
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
        return ("bf16" if fast else "no"), f"{torch.cuda.get_device_name()} {'has' if fast else 'has no'} bf16"
    if kind != "cpu":
        return "no", f"not known to be faster on {kind}"
    if platform.machine().lower() in ("x86_64", "amd64"):
        return _of_x86()
    gain = _measured_gain()
    return ("bf16" if gain >= MIN_GAIN else "no"), f"bf16 is {gain:.1f} times as fast as float32 on this CPU"


def _of_x86() -> tuple[str, str]:
    """Without AVX512_BF16 or AMX bfloat16 is emulated, many times slower than float32."""
    known = {"AVX512_BF16": torch.cpu._is_avx512_bf16_supported(), "AMX": torch.cpu._is_amx_tile_supported()}
    found = [name for name, has_it in known.items() if has_it]
    if not found:
        return "no", "this CPU has neither AVX512_BF16 nor AMX"
    for name, value in (
        ("ATEN_CPU_CAPABILITY", torch.backends.cpu.get_cpu_capability()),
        ("ONEDNN_MAX_CPU_ISA", os.environ.get("ONEDNN_MAX_CPU_ISA", os.environ.get("DNNL_MAX_CPU_ISA", "ALL"))),
    ):
        if not any(part in value.upper() for part in _ALLOWING[name]):
            return "no", f"{name} limits this CPU to {value}"
    return "bf16", f"this CPU has {' and '.join(found)}"


_ALLOWING = {
    "ATEN_CPU_CAPABILITY": ("AVX512",),
    "ONEDNN_MAX_CPU_ISA": ("ALL", "DEFAULT", "BF16", "FP16", "AMX", "AVX10"),
}
"""Parts of the value of a limit that allows these instructions."""


def _measured_gain() -> float:
    """Speedup of a convolution in bfloat16 over float32, the best of three each."""
    x, kernel = torch.randn(4, 128, 256), torch.randn(128, 128, 5)

    def best(run: Callable[[], object]) -> float:
        run()
        times = []
        for _ in range(3):
            begun = time.perf_counter()
            run()
            times.append(time.perf_counter() - begun)
        return min(times)

    halves = x.bfloat16(), kernel.bfloat16()
    with torch.inference_mode():
        single, half = best(lambda: functional.conv1d(x, kernel)), best(lambda: functional.conv1d(*halves))
    return single / half
