"""A run that is moved: small files, bounded errors, and training that goes on as if nothing had happened."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from data.errors import UserError
from melgan import Vocoder
from melgan.experiment import VocoderExperiment, VocoderTraining
from training import portable
from training.checkpoint import list_checkpoints
from training.config import build, to_plain
from training.loop import Trainer, make_accelerator
from training.portable import export_state, import_state


def tensors_of(run: Path) -> dict[str, Tensor]:
    return load_file(list_checkpoints(run)[-1] / "tensors.safetensors")


def made_up() -> dict[str, Tensor]:
    """Values of all sizes that a run has, some of which float16 cannot tell from zero or from infinity."""
    generator = torch.Generator().manual_seed(0)
    weights = torch.randn(60, 70, generator=generator)
    weights[-10:] *= 1e-6
    return {
        "module/net/weight": weights,
        "module/net/huge": torch.tensor([1e5, 1.0]),
        "module/net/count": torch.tensor([3, 2**40]),
        "average/net/weight": weights * 1.001,
        "optimizer/net/0/exp_avg": 1e-9 * torch.randn(60, 70, generator=generator),
        "optimizer/net/0/exp_avg_sq": 1e-18 * torch.rand(60, 70, generator=generator),
        "optimizer/net/0/step": torch.tensor(123457.0),
    }


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run folder made by hand."""
    folder = tmp_path / "run" / "checkpoints" / "step-00123457"
    folder.mkdir(parents=True)
    save_file(made_up(), folder / "tensors.safetensors")
    (folder / "state.json").write_text(json.dumps({"step": 123457, "best": 1.5}))
    (tmp_path / "run" / "config.yaml").write_text("loop: {steps: 5}\n")
    (tmp_path / "run" / "metrics.jsonl").write_text('{"step": 1}\n')
    return tmp_path / "run"


def flat(tensors: dict[str, Tensor]) -> Tensor:
    """All weights of the networks, one after the other."""
    return torch.cat([tensors[name].flatten() for name in sorted(tensors) if name.startswith("module/")])


def relative_error(found: Tensor, wanted: Tensor) -> float:
    return float(((found - wanted) / wanted).abs().max())


def test_half_precision_keeps_what_matters(run: Path, tmp_path: Path) -> None:
    export_state(run, tmp_path / "moved")
    checkpoint = import_state(tmp_path / "moved", tmp_path / "there")
    assert checkpoint == list_checkpoints(tmp_path / "there")[-1]
    wanted, found = made_up(), tensors_of(tmp_path / "there")
    assert {name: value.dtype for name, value in found.items()} == {n: v.dtype for n, v in wanted.items()}
    for name in ("module/net/weight", "average/net/weight"):
        large = wanted[name].abs() > 1e-4
        assert 0 < relative_error(found[name][large], wanted[name][large]) <= 2**-11
        assert float((found[name] - wanted[name])[~large].abs().max()) < 3e-8
    for name in ("exp_avg", "exp_avg_sq"):
        assert relative_error(found[f"optimizer/net/0/{name}"], wanted[f"optimizer/net/0/{name}"]) <= 2**-8
    for name in ("module/net/huge", "module/net/count", "optimizer/net/0/step"):
        assert torch.equal(found[name], wanted[name])
    for name in ("config.yaml", "metrics.jsonl", "checkpoints/step-00123457/state.json"):
        assert (tmp_path / "there" / name).read_text() == (run / name).read_text()


@pytest.mark.parametrize("half", [True, False])
def test_no_file_is_too_large_and_nothing_is_lost(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, half: bool
) -> None:
    """Tensors of 16.8 kB in files of 8 kB."""
    monkeypatch.setattr(portable, "LARGEST_FILE", 8192)
    monkeypatch.setattr(portable, "ROOM_FOR_HEADER", 2048)
    export_state(run, tmp_path / "moved", half)
    sizes = [path.stat().st_size for path in (tmp_path / "moved").glob("*.safetensors")]
    assert max(sizes) <= 8192 and sum(sizes) < (0.6 if half else 1.1) * 4 * 4200 * 4
    import_state(tmp_path / "moved", tmp_path / "there")
    wanted, found = made_up(), tensors_of(tmp_path / "there")
    assert wanted.keys() == found.keys()
    for name, value in wanted.items():
        assert found[name].shape == value.shape
        torch.testing.assert_close(found[name], value, rtol=2**-8 if half else 0, atol=3e-8 if half else 0)


def test_real_files_are_below_sixteen_megabytes(run: Path, tmp_path: Path) -> None:
    big = {"module/net/weight": torch.zeros(5_000_000), "average/net/weight": torch.zeros(3_000_000)}
    save_file(big, list_checkpoints(run)[-1] / "tensors.safetensors")
    export_state(run, tmp_path / "moved", half=False)
    sizes = sorted(path.stat().st_size for path in (tmp_path / "moved").glob("*.safetensors"))
    assert len(sizes) == 3 and sizes[-1] < 16 * 2**20
    assert sum(sizes) == pytest.approx(32_000_000, rel=1e-3)


@pytest.mark.parametrize("what", ["changed", "gone", "outside", "version", "no json", "empty"])
def test_damage_is_found_and_leaves_no_run_folder(run: Path, tmp_path: Path, what: str) -> None:
    moved = export_state(run, tmp_path / "moved")
    manifest, tensors = moved / "portable.json", moved / "tensors-000.safetensors"
    document = json.loads(manifest.read_text())
    if what == "changed":
        content = bytearray(tensors.read_bytes())
        content[-1] ^= 1
        tensors.write_bytes(content)
    elif what == "gone":
        tensors.unlink()
    elif what == "outside":
        manifest.write_text(
            json.dumps(document | {"files": {"../run/config.yaml": portable._sha256(run / "config.yaml")}})
        )
    elif what == "version":
        manifest.write_text(json.dumps(document | {"format_version": 2}))
    elif what == "no json":
        manifest.write_text("{")
    else:
        manifest.write_text(json.dumps({"format_version": 1}))
    problem = {
        "version": "has format version 2, expected 1",
        "no json": "is no exported run",
        "empty": "format version",
    }
    with pytest.raises(UserError, match=problem.get(what, "is missing or damaged; copy the whole")) as caught:
        import_state(moved, tmp_path / "there")
    assert "\n" not in str(caught.value) and not (tmp_path / "there").exists()


def test_nothing_is_overwritten(run: Path, tmp_path: Path) -> None:
    moved = export_state(run, tmp_path / "moved")
    with pytest.raises(UserError, match="moved exists; name a folder that does not"):
        export_state(run, moved)
    with pytest.raises(UserError, match="run exists; name a folder that does not"):
        import_state(moved, run)
    with pytest.raises(UserError, match="has no checkpoint"):
        export_state(tmp_path / "nothing", tmp_path / "other")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["moved", "run"]


def train(values: dict[str, Any], run: Path, steps: int) -> list[dict[str, float]]:
    """Train up to `steps`; the losses of all steps so far."""
    config = build(VocoderTraining, values | {"loop": values["loop"] | {"steps": steps}}, "test")
    trainer = Trainer(
        VocoderExperiment(config), config.loop, run, make_accelerator(config.loop, "cpu"), to_plain(config)
    )
    trainer.run()
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [line for line in lines if "gradient_norm" in line]


def test_training_goes_on_elsewhere(
    vocoder_values: dict[str, Any], tmp_path: Path, fresh_accelerate: None, quick_validation: None
) -> None:
    """With losses that hardly differ from those without the move; the files hold the same state to the bit if asked."""
    values = vocoder_values | {"pretrain_steps": 4}
    stayed, moved, exact = (tmp_path / name for name in ("stayed", "moved", "exact"))
    train(values, stayed, 8)
    for run in (moved, exact):
        import_state(export_state(stayed, tmp_path / f"{run.name}.files", half=run == moved), run)
    before, after = tensors_of(stayed), tensors_of(exact)
    assert before.keys() == after.keys() and all(torch.equal(before[name], after[name]) for name in before)
    best = [Vocoder.from_pretrained(run / "best").state_dict() for run in (stayed, moved)]
    torch.testing.assert_close(best[0], best[1], rtol=0, atol=0)

    held = {run: tensors_of(run) for run in (stayed, moved)}
    expected, found = (train(values, run, 9) for run in (stayed, moved))
    assert [line["step"] for line in found] == [line["step"] for line in expected] == list(range(1, 10))
    assert found[:8] == expected[:8] and found[8:] != expected[8:]
    # One step only: after some, the rounding of half precision, or of another processor, has grown to anything.
    for name in ("stft", "mel", "discriminator"):
        assert found[8][name] == pytest.approx(expected[8][name], rel=0.01), name
    # Without the optimizers' state the step would be another one, as long in every weight.
    steps = [flat(tensors_of(run)) - flat(held[run]) for run in (stayed, moved)]
    assert 0 < float((steps[1] - steps[0]).norm() / steps[0].norm()) < 0.25
