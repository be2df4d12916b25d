"""The training loop: budgets, averages, exact continuation, and checkpoints that must be refused."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from fsbench import training
from fsbench.errors import CheckpointError, DeviceError, FsbenchError, OutputError
from fsbench.interfaces import Budget, silent
from fsbench.training import Trained, load_model, one_thread, save_model, train

CPU = torch.device("cpu")


class Toy:
    """Fits a noisy line; `stop` raises after that many steps, as an interruption would."""

    def __init__(self, stop: int | None = None) -> None:
        self.networks = nn.Linear(3, 1)
        nn.init.zeros_(self.networks.weight)
        nn.init.zeros_(self.networks.bias)
        self.networks.register_buffer("n_seen", torch.zeros((), dtype=torch.int64))
        self.optimisers = {"all": torch.optim.Adam(self.networks.parameters(), lr=0.05)}
        self.stop = stop
        self.fractions: list[float] = []
        self.history: list[Tensor] = []

    def step(self, fraction: float, generator: torch.Generator) -> Mapping[str, Tensor]:
        if len(self.fractions) == self.stop:
            raise KeyboardInterrupt
        self.fractions.append(fraction)
        x = torch.randn(8, 3, generator=generator)
        loss = (self.networks(x) - x.sum(1, keepdim=True)).square().mean()
        self.optimisers["all"].zero_grad()
        loss.backward()
        self.optimisers["all"].step()
        self.networks.n_seen += len(x)
        self.history.append(self.networks.weight.detach().clone())
        return {"loss": loss.detach()}


def run(
    learner: Toy, budget: Budget, checkpoint: Path, recipe: Mapping[str, object] | None = None, decay: float = 0.999
) -> Trained:
    return train(
        learner,
        budget,
        recipe=recipe or {"size": "toy"},
        device=CPU,
        progress=silent,
        checkpoint=checkpoint,
        decay=decay,
    )


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Write a checkpoint after every step."""
    monkeypatch.setattr(training, "SAVE_EVERY", -math.inf)
    monkeypatch.setattr(training, "SAVE_SHARE", math.inf)


def test_steps_are_counted_and_the_fraction_is_the_share_of_them(tmp_path: Path) -> None:
    toy = Toy()
    done = run(toy, Budget(steps=4), tmp_path / "c.pt")
    assert done.steps == 4
    assert done.seconds > 0
    assert toy.fractions == [0, 0.25, 0.5, 0.75]


def test_seconds_end_in_time_with_a_fraction_that_grows_to_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock that a step moves on by .25 seconds: others may be using the processor."""
    toy = Toy()
    monkeypatch.setattr("fsbench.training.time.monotonic", lambda: 100 + 0.25 * len(toy.fractions))
    done = run(toy, Budget(seconds=2), tmp_path / "c.pt")
    assert done.seconds == 2
    assert toy.fractions == [step / 8 for step in range(8)]


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("stop", [1, 7, 19])
def test_an_interrupted_run_ends_at_the_same_bits(tmp_path: Path, stop: int) -> None:
    whole, first, second = Toy(), Toy(stop), Toy()
    run(whole, Budget(steps=20, seed=3), tmp_path / "whole.pt")
    with pytest.raises(KeyboardInterrupt):
        run(first, Budget(steps=20, seed=3), tmp_path / "c.pt")
    done = run(second, Budget(steps=20, seed=3), tmp_path / "c.pt")
    assert done.steps == 20
    assert len(second.fractions) == 20 - stop
    for name, value in whole.networks.state_dict().items():
        assert torch.equal(value, second.networks.state_dict()[name]), name


def test_a_finished_run_is_not_repeated(tmp_path: Path) -> None:
    first, second = Toy(), Toy()
    before = run(first, Budget(steps=5), tmp_path / "c.pt")
    after = run(second, Budget(steps=5), tmp_path / "c.pt")
    assert second.fractions == []
    assert torch.equal(first.networks.weight, second.networks.weight)
    assert after == before


def test_another_seed_is_another_model(tmp_path: Path) -> None:
    a, b = Toy(), Toy()
    run(a, Budget(steps=5, seed=0), tmp_path / "a.pt")
    run(b, Budget(steps=5, seed=1), tmp_path / "b.pt")
    assert not torch.equal(a.networks.weight, b.networks.weight)


def test_the_weights_that_remain_are_the_moving_average(tmp_path: Path) -> None:
    toy = Toy()
    run(toy, Budget(steps=12), tmp_path / "c.pt", decay=0.5)
    average = torch.zeros(1, 3)  # the initial weights
    for step, weight in enumerate(toy.history, start=1):
        keep = min(0.5, (1 + step) / (10 + step))
        average = keep * average + (1 - keep) * weight
    assert torch.allclose(toy.networks.weight, average, atol=1e-6)
    assert not torch.allclose(toy.networks.weight, toy.history[-1], atol=1e-4)


@pytest.mark.usefixtures("eager")
def test_progress_is_told_losses_rate_and_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "SHOW_EVERY", 0)
    told: list[tuple[float, float, dict[str, float]]] = []
    train(
        Toy(),
        Budget(steps=3),
        recipe={},
        device=CPU,
        checkpoint=tmp_path / "c.pt",
        progress=lambda done, total, figures=None: told.append((done, total, dict(figures or {}))),
    )
    assert [(done, total) for done, total, _ in told] == [(0, 3), (1, 3), (2, 3), (3, 3)]
    assert all(set(figures) == {"loss", "steps/s"} and figures["steps/s"] > 0 for *_, figures in told[1:])


def test_a_checkpoint_of_another_recipe_is_refused_and_says_what_differs(tmp_path: Path) -> None:
    run(Toy(), Budget(steps=2), tmp_path / "c.pt", {"size": "tiny", "norm": "none"})
    with pytest.raises(CheckpointError, match="size is 'tiny', not 'lite'") as caught:
        run(Toy(), Budget(steps=2), tmp_path / "c.pt", {"size": "lite", "norm": "none"})
    assert "norm" not in caught.value.message
    assert "delete" in caught.value.hint
    with pytest.raises(CheckpointError, match="budget"):
        run(Toy(), Budget(steps=3), tmp_path / "c.pt", {"size": "tiny", "norm": "none"})


@pytest.mark.parametrize("damage", ["empty", "half", "text", "other"])
def test_a_damaged_checkpoint_is_refused(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "c.pt"
    run(Toy(), Budget(steps=2), path)
    whole = path.read_bytes()
    match damage:
        case "empty":
            path.write_bytes(b"")
        case "half":
            path.write_bytes(whole[: len(whole) // 2])
        case "text":
            path.write_text("no checkpoint at all\n" * 99)
        case "other":
            torch.save({"weights": torch.zeros(3)}, path)
    with pytest.raises(CheckpointError, match="damaged"):
        run(Toy(), Budget(steps=2), path)


def test_a_full_disk_is_told_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OutputError, match="no space left"):
        run(Toy(), Budget(steps=1), tmp_path / "c.pt")
    assert list(tmp_path.iterdir()) == []


class Diverging(Toy):
    """Breaks at one of its steps: the loss, or a weight behind a loss that is finite."""

    def __init__(self, at: int, what: str, value: float = math.nan) -> None:
        super().__init__()
        self.at, self.what, self.value = at, what, value

    def step(self, fraction: float, generator: torch.Generator) -> Mapping[str, Tensor]:
        losses = super().step(fraction, generator)
        if len(self.fractions) == self.at and self.what == "weight":
            self.networks.weight.data[0, 1] = self.value
        broken = len(self.fractions) >= self.at and self.what == "loss"
        return {"loss": torch.tensor(self.value if broken else 0.5)} if self.what == "weight" or broken else losses


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(("what", "named"), [("loss", "loss 'loss' is"), ("weight", "weight is not finite")])
@pytest.mark.parametrize("at", [1, 5])
def test_divergence_ends_the_run_and_the_last_good_checkpoint_stays(
    tmp_path: Path, at: int, what: str, named: str, value: float
) -> None:
    path = tmp_path / "c.pt"
    with pytest.raises(FsbenchError, match=f"diverged: {named}.* after {at} steps") as caught:
        run(Diverging(at, what, value), Budget(steps=8), path)
    if at == 1:
        assert caught.value.message.endswith("none was saved")
        assert not path.exists()
        return
    assert caught.value.message.endswith(f"the checkpoint of step {at - 1} is kept, {path}")
    whole, resumed = Toy(), Toy()
    run(whole, Budget(steps=8), tmp_path / "whole.pt")
    run(resumed, Budget(steps=8), path)  # it goes on from there, and nothing of the divergence is in it
    assert len(resumed.fractions) == 8 - (at - 1)
    assert torch.equal(whole.networks.weight, resumed.networks.weight)


def test_a_divergence_between_two_looks_is_not_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "SHOW_EVERY", math.inf)
    monkeypatch.setattr(training, "SAVE_EVERY", -math.inf)
    monkeypatch.setattr(training, "SAVE_SHARE", math.inf)
    with pytest.raises(FsbenchError, match="step 2 is kept"):
        run(Diverging(3, "loss"), Budget(steps=8), tmp_path / "c.pt")
    assert torch.load(tmp_path / "c.pt", weights_only=True)["steps"] == 2


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize(
    ("batch", "hint"), [(8, "try batch=4"), (3, "try batch=1"), (1, "try a smaller size"), (None, "try a smaller size")]
)
def test_too_little_memory_is_told_with_the_batch_to_try(tmp_path: Path, batch: int | None, hint: str) -> None:
    class Large(Toy):
        def step(self, fraction: float, generator: torch.Generator) -> Mapping[str, Tensor]:
            if len(self.fractions) == 2:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
            return super().step(fraction, generator)

    recipe = {"size": "toy", "batch": batch} if batch else {"size": "toy"}
    with pytest.raises(DeviceError, match="out of memory on cpu after 2 steps") as caught:
        run(Large(), Budget(steps=8), tmp_path / "c.pt", recipe)
    assert caught.value.hint.startswith(hint)
    assert torch.load(tmp_path / "c.pt", weights_only=True)["steps"] == 2  # what was done is kept


def test_one_thread_is_given_back() -> None:
    before = torch.get_num_threads()
    with one_thread():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before


def test_models_come_back_as_they_were(tmp_path: Path) -> None:
    tensors = {"a": torch.arange(6.0).view(2, 3).T, "b": torch.tensor([1, 2])}  # a is not contiguous
    save_model(tmp_path / "m.safetensors", tensors, {"architecture": "toy", "identities": ["x", "ý"], "size": "tiny"})
    loaded, facts = load_model(tmp_path / "m.safetensors", "toy", {"size": "auto"})
    assert facts == {"architecture": "toy", "identities": ["x", "ý"], "size": "tiny"}
    assert all(torch.equal(loaded[name], tensor) for name, tensor in tensors.items())


@pytest.mark.parametrize(
    ("content", "asked", "message"),
    [
        (None, {}, "no model file"),
        (b"", {}, "damaged"),
        (b"\x08\0\0\0\0\0\0\0{}      ", {}, "holds something else"),
        (b"garbage" * 50, {}, "damaged"),
        ("toy", {"size": "lite"}, "trained with size=tiny, not lite"),
        ("other", {}, "holds other, not toy"),
    ],
)
def test_wrong_model_files_are_refused(
    tmp_path: Path, content: bytes | str | None, asked: dict[str, str], message: str
) -> None:
    path = tmp_path / "m.safetensors"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content:
        save_model(path, {"a": torch.zeros(1)}, {"architecture": content, "size": "tiny"})
    with pytest.raises(CheckpointError, match=message) as caught:
        load_model(path, "toy", asked)
    assert caught.value.hint


def test_a_truncated_model_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    save_model(path, {"a": torch.zeros(100)}, {"architecture": "toy"})
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(CheckpointError, match="damaged"):
        load_model(path, "toy")


@pytest.mark.parametrize(
    ("features", "fast"), [("avx2 fma", False), ("avx512f avx512_bf16", True), ("asimd bf16", True), ("", False)]
)
def test_half_precision_is_for_processors_that_have_it(
    features: str, fast: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "processor_features", lambda: frozenset(features.split()))
    assert training.fast_bfloat16(torch.device("cpu")) is fast
