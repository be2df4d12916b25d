"""Parts of a model: what each is handed, what it may give, what is kept, and what a wrapper wraps."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from fsbench import contracts, registry
from fsbench.config import parse_pipeline
from fsbench.errors import FsbenchError, PluginError, UsageError
from fsbench.feedback import feed_back
from fsbench.harness import generate
from fsbench.harness.models import Model, build, prepare_model
from fsbench.harness.parts import check_signature, swap
from fsbench.images import to_bytes, to_float, to_levels
from fsbench.interfaces import Context, Faces, Source, Swapped, Swapper, Targets
from fsbench.pairs import Group, Pairs
from fsbench.registry import refiners, swappers, wrappers

pytestmark = pytest.mark.usefixtures("registering")
FACES = contracts.toy_faces(size=16)
SOURCE, TARGETS = Source("toy0", FACES.of("toy0").crops[:2]), Targets.of(FACES.of("toy1"))
SWAPPED_INTO = np.flatnonzero(FACES.rows["identity"] == "toy1")
ONE_GROUP = Pairs((Group("toy0", FACES.crops.select(slice(2)), SWAPPED_INTO, FACES.of("toy1"), None),), "one")
CALLS: list[str] = []


class Lighter:
    """Makes the left half of a target lighter, and says so in its alpha."""

    def __init__(self, *, by: float = 0.1) -> None:
        self.by = by

    def swap(self, source: Source, targets: Targets) -> Swapped:
        CALLS.append("lighter")
        alpha = torch.zeros_like(targets.images[:, :1])
        alpha[..., :8] = 0.3
        return Swapped((targets.images + alpha * self.by).clamp(0, 1), alpha)


class Bare:
    """Halves an output, and loses its alpha."""

    def refine(self, output: Swapped, targets: Targets, source: Source) -> Tensor:
        CALLS.append("bare")
        return output.images / 2


class Kept:
    """Halves an output, and keeps its alpha."""

    def refine(self, output: Swapped, targets: Targets, source: Source) -> Swapped:
        CALLS.append("kept")
        return Swapped(output.images / 2, output.alpha)


class Twice:
    """Swaps twice, the second time with the target that it was given."""

    def wrap(self, swapper: Swapper) -> Swapper:
        class Both:
            def swap(self, source: Source, targets: Targets) -> Swapped:
                CALLS.append("twice")
                swapper.swap(source, targets)
                return Swapped.of(swapper.swap(source, targets))

        return Both()


@pytest.fixture(autouse=True)
def _toys(registering: None) -> None:
    CALLS.clear()
    swappers.register("lighter")(Lighter)
    refiners.register("bare")(Bare)
    refiners.register("kept")(Kept)
    wrappers.register("twice")(Twice)


def no_training() -> Faces:
    raise AssertionError("nothing is to be trained")


def model_of(text: str, context: Context) -> Model:
    return prepare_model(build(parse_pipeline(text), context), no_training, "auto", 0, context)


def outputs_of(text: str, context: Context) -> Swapped:
    return swap(model_of(text, context).parts, SOURCE, TARGETS)


# ------------------------------------------------------------------------------------------------------ what is handed


def test_targets_hold_images_landmarks_clips_and_frames() -> None:
    rows = FACES.rows.assign(clip=["", "a"] * (len(FACES) // 2))
    targets = Targets.of(replace(FACES, rows=rows))
    assert torch.equal(targets.images, FACES.crops[:])
    np.testing.assert_array_equal(targets.landmarks.numpy(), FACES.landmarks)
    assert list(targets.rows) == ["id", "clip", "frame"]
    assert targets.rows["clip"].iloc[:2].tolist() == ["", "toy0/s0/a"]
    assert targets.rows["clip"].nunique() == 1 + 2 * 3, "clips of two sessions stay apart"
    assert targets.rows["frame"].tolist() == rows["frame"].tolist()
    some = targets.select([3, 1])
    assert torch.equal(some.images, FACES.crops[[3, 1]])
    assert some.rows["frame"].tolist() == [rows["frame"][3], rows["frame"][1]]
    assert len(targets.select(slice(2, 5))) == 3


@pytest.mark.parametrize("change", ["landmarks", "frame", "clip"])
def test_what_a_model_is_shown_decides_its_outputs(fresh_context: Context, change: str) -> None:
    (group,) = ONE_GROUP.groups
    faces = group.targets
    other = (
        replace(faces, landmarks=faces.landmarks + 1)
        if change == "landmarks"
        else replace(faces, rows=faces.rows.assign(**{change: 7 if change == "frame" else "a"}))
    )
    model = model_of("lighter", fresh_context)
    for targets in (faces, other, faces):
        generate.swap_all(model, Pairs((replace(group, targets=targets),), "one"), fresh_context)
    assert CALLS == ["lighter"] * 2


def test_a_refiner_is_handed_the_levels_and_the_alpha_of_the_part_before_it(fresh_context: Context) -> None:
    handed: list[Swapped] = []

    class Looks:
        """Looks."""

        def refine(self, output: Swapped, targets: Targets, source: Source) -> Swapped:
            handed.append(output)
            assert torch.equal(targets.images, TARGETS.images)
            assert source.identity == "toy0"
            return output

    refiners.register("looks")(Looks)
    lighter = outputs_of("lighter", fresh_context)
    assert lighter.alpha is not None
    model = model_of("lighter+looks", fresh_context)
    swap(model.parts, SOURCE, TARGETS)
    for _ in range(2):  # made, and from the cache
        generate.swap_all(model, ONE_GROUP, fresh_context)
    for output in handed:
        assert torch.equal(output.images, to_levels(lighter.images))
        assert output.alpha is not None
        assert torch.equal(output.alpha, to_levels(lighter.alpha))
    assert len(handed) == 3  # it holds a list, so that its outputs are not kept


def test_alpha_is_kept_beside_the_outputs_and_a_bare_tensor_has_none(fresh_context: Context) -> None:
    for text, has_alpha in (
        ("lighter", True),
        ("lighter+kept", True),
        ("lighter+bare", False),
        ("lighter+bare+kept", False),
        ("lighter+twice", True),
    ):
        assert (outputs_of(text, fresh_context).alpha is not None) == has_alpha
        generate.swap_all(model := model_of(text, fresh_context), ONE_GROUP, fresh_context)
        recipe = {"model": model.identity, "pairs": ONE_GROUP.groups[0].fingerprint()}
        arrays = fresh_context.store.arrays("outputs", recipe, lambda: pytest.fail("it was not kept"))
        assert ("alpha" in arrays) == has_alpha, text
        if has_alpha:
            assert arrays["alpha"].dtype == np.uint8
            assert arrays["alpha"].shape == (len(TARGETS), 16, 16, 1)
            assert np.unique(arrays["alpha"]).tolist() == [0, round(0.3 * 255)]


def test_levels_are_those_of_a_file() -> None:
    images = torch.rand(2, 3, 5, 7, generator=torch.Generator().manual_seed(0)) * 1.2 - 0.1
    assert torch.equal(to_levels(images), to_float(to_bytes(images)))
    assert torch.equal(to_levels(to_levels(images)), to_levels(images))


# ------------------------------------------------------------------------------------------------------------ wrappers


def test_a_wrapper_wraps_all_parts_before_it(fresh_context: Context) -> None:
    outputs_of("lighter+kept+twice+bare", fresh_context)
    assert ["twice", *["lighter", "kept"] * 2, "bare"] == CALLS
    CALLS.clear()
    outputs_of("lighter+twice+twice", fresh_context)
    assert ["twice", *["twice", "lighter", "lighter"] * 2] == CALLS


@pytest.mark.parametrize("text", ["lighter", "lighter+bare", "lighter+bare+twice+kept"])
@pytest.mark.parametrize("n", [1, 2, 5])
def test_recursion_is_feeding_back_levels(fresh_context: Context, text: str, n: int) -> None:
    recursive, targets = outputs_of(f"{text}+recursive(n={n})", fresh_context), TARGETS
    for _ in range(n):
        parts = model_of(text, fresh_context).parts
        targets = replace(targets, images=to_levels(swap(parts, SOURCE, targets).images))
    assert torch.equal(to_levels(recursive.images), targets.images)
    assert not torch.equal(recursive.images, TARGETS.images)


def test_one_pass_is_the_swapper_itself(fresh_context: Context) -> None:
    whole, once = (outputs_of(text, fresh_context) for text in ("lighter", "lighter+recursive(n=1)"))
    assert torch.equal(whole.images, once.images)
    assert whole.alpha is not None
    assert once.alpha is not None
    assert torch.equal(whole.alpha, once.alpha)


def test_the_alpha_of_passes_is_that_of_layers_laid_over_one_another(fresh_context: Context) -> None:
    alpha = outputs_of("lighter+recursive(n=3)", fresh_context).alpha
    assert alpha is not None
    np.testing.assert_allclose(alpha[..., :8].numpy(), 1 - 0.7**3, atol=1e-6)
    assert not alpha[..., 8:].any()
    assert outputs_of("lighter+bare+recursive(n=3)", fresh_context).alpha is None


def test_any_swapper_can_be_fed_back() -> None:
    told: list[int] = []
    bare = lambda source, targets: targets.images / 2  # noqa: E731
    swapper: Any = type("Half", (), {"swap": staticmethod(bare)})
    output = feed_back(swapper, SOURCE, replace(TARGETS, images=torch.ones(12, 3, 4, 4)), 3, told.append)
    assert output.alpha is None
    expected = 1.0
    for _ in range(3):
        last, expected = expected / 2, round(expected / 2 * 255) / 255
    assert output.images.unique().tolist() == pytest.approx([last])
    assert told == [12, 12, 12]


def test_a_wrapper_has_its_own_outputs_and_those_of_the_parts_before_it_stay(fresh_context: Context) -> None:
    texts = [
        "lighter",
        "lighter+kept",
        "lighter+kept+recursive",
        "lighter+kept+recursive(n=3)",
        "lighter+kept+recursive+bare",
        "lighter+recursive",
    ]
    models = [model_of(text, fresh_context) for text in texts]
    assert len({model.identity for model in models}) == len(texts)
    for model in models:
        generate.swap_all(model, ONE_GROUP, fresh_context)
    CALLS.clear()
    for model in (*models, model_of("lighter+kept+recursive(n=3)+bare", fresh_context)):
        generate.swap_all(model, ONE_GROUP, fresh_context)
    assert CALLS == ["bare"]


@pytest.mark.parametrize("text", ["exact+recursive", "exact+kept+recursive"])
def test_what_repeats_answers_cannot_be_wrapped(context: Context, text: str) -> None:
    with pytest.raises(UsageError, match="wrapper recursive cannot wrap exact"):
        build(parse_pipeline(text), context)


@pytest.mark.parametrize("n", [0, -1])
def test_less_than_one_pass_is_refused(context: Context, n: int) -> None:
    with pytest.raises(UsageError, match="less than once"):
        build(parse_pipeline(f"lighter+recursive(n={n})"), context)


def test_a_name_in_both_registries_is_refused(context: Context) -> None:
    refiners.register("twice")(Kept)
    with pytest.raises(UsageError, match=f"twice is the name of a refiner of {__name__} and a wrapper of {__name__}"):
        build(parse_pipeline("lighter+twice"), context)
    with pytest.raises(UsageError, match=r"unknown refiner or wrapper 'recursiv'"):
        registry.kind_of_part("recursiv")


HANDED: dict[str, tuple[Callable[[Targets], Any], str]] = {
    "a tensor": (lambda targets: targets.images, "handed Tensor"),
    "nothing": (lambda targets: None, "handed NoneType"),
    "too few": (lambda targets: replace(targets, images=targets.images[:1]), "differ in number"),
    "bytes": (lambda targets: replace(targets, images=targets.images.byte()), "uint8"),
    "no numbers": (lambda targets: replace(targets, images=targets.images * torch.nan), "not finite"),
    "levels": (lambda targets: replace(targets, images=targets.images * 255), "values from"),
}


def test_a_wrapper_hands_on_a_source(context: Context) -> None:
    class Hands:
        """Hands on the images of a source."""

        def wrap(self, swapper: Any) -> Any:
            swaps = {"swap": lambda self, source, targets: swapper.swap(source.images, targets)}
            return type("Handing", (), swaps)()

    wrappers.register("hands")(Hands)
    with pytest.raises(PluginError, match="wrapper hands handed Tensor, not Source"):
        outputs_of("lighter+hands", context)


@pytest.mark.parametrize("name", HANDED)
def test_what_a_wrapper_hands_on_is_its_own_fault(context: Context, name: str) -> None:
    change, reason = HANDED[name]

    class Hands:
        """Hands something on."""

        def wrap(self, swapper: Swapper) -> Any:
            return type("Handing", (), {"swap": lambda self, source, targets: swapper.swap(source, change(targets))})()

    wrappers.register("hands")(Hands)
    with pytest.raises(PluginError, match=f"wrapper hands.*{reason}"):
        outputs_of("lighter+hands", context)
    assert CALLS == []


def test_a_fault_inside_a_wrapper_names_the_part_at_fault(context: Context) -> None:
    class Faulty:
        """Raises."""

        def swap(self, source: Source, targets: Targets) -> Tensor:
            raise ValueError("no idea")

    swappers.register("faulty")(Faulty)
    with pytest.raises(PluginError, match=r"^faulty raised ValueError: no idea"):
        outputs_of("faulty+recursive", context)


# ---------------------------------------------------------------------------------------------------------- signatures


class OldSwapper:
    """Takes a tensor."""

    def swap(self, source: Source, target: Tensor) -> Tensor:
        return target.clone()


class OldByQuotes:
    """Takes a tensor."""

    def swap(self, a: Source, b: "torch.Tensor") -> Tensor:  # noqa: UP037
        return b.clone()


class OldDecorated:
    """Takes a tensor."""

    @torch.inference_mode()
    def swap(self, source: Source, target: Tensor) -> Tensor:
        return target.clone()


class OldRefiner:
    """Takes tensors."""

    def refine(self, output: Tensor, target: Tensor, source: Source) -> Tensor:
        return output


class HalfOldRefiner:
    """Takes one tensor."""

    def refine(self, output: Swapped, target: Tensor, source: Source) -> Swapped:
        return output


def of_type(method: str, function: Any) -> Any:
    """A plug-in whose method is any callable."""
    return type("Made", (), {"__doc__": "Made.", method: function})()


OLD: list[tuple[Any, str, str]] = [
    (OldSwapper(), "swap", "target, and is handed Targets"),
    (OldByQuotes(), "swap", "b, and is handed Targets"),
    (OldDecorated(), "swap", "target, and is handed Targets"),
    (OldRefiner(), "refine", "output, and is handed Swapped"),
    (HalfOldRefiner(), "refine", "target, and is handed Targets"),
    (object(), "swap", "has no swap"),
    (of_type("swap", None), "swap", "has no swap"),
    (of_type("swap", lambda self, source: source), "swap", "too many positional"),
    (of_type("swap", lambda self, source, targets, more: source), "swap", "missing a required argument"),
    (of_type("refine", lambda self, output, targets: output), "refine", "too many positional"),
    (of_type("wrap", lambda self: None), "wrap", "too many positional"),
]


@pytest.mark.parametrize(("plugin", "method", "reason"), OLD)
def test_an_old_signature_is_told_before_any_work(plugin: Any, method: str, reason: str) -> None:
    with pytest.raises(PluginError, match=f"mine.*{reason}") as caught:
        check_signature("mine", plugin, method)
    assert "fsbench.interfaces" in caught.value.hint


def any_names(source: Any, target: Any = None) -> Any:
    return target.images


class Quoted:
    """Names its types in quotes."""

    def swap(self, source: "Source", t: "Targets | Tensor") -> "Tensor":  # noqa: UP037
        return t.images if isinstance(t, Targets) else t


FINE: dict[str, Any] = {
    "untyped": of_type("swap", lambda self, source, target: target.images),
    "other names": of_type("swap", lambda self, a, b: b.images),
    "any arguments": of_type("swap", lambda self, *args: args[1].images),
    "anything": of_type("swap", lambda self, *args, **options: args[1].images),
    "more with defaults": of_type("swap", lambda self, source, targets, amount=1, *, flag=True: targets.images),
    "any types": of_type("swap", staticmethod(any_names)),
    "a partial": of_type("swap", functools.partial(lambda amount, source, targets: targets.images * amount, 1.0)),
    "an object that can be called": of_type("swap", of_type("__call__", lambda self, source, targets: targets.images)),
    "quotes": Quoted(),
}


@pytest.mark.parametrize("name", FINE)
def test_a_right_signature_raises_no_alarm(context: Context, name: str) -> None:
    plugin = FINE[name]
    check_signature("mine", plugin, "swap")
    swappers.register("mine")(lambda: plugin)
    assert torch.equal(outputs_of("mine", context).images, TARGETS.images)


def test_what_has_no_signature_passes() -> None:
    check_signature("mine", of_type("swap", max), "swap")
    check_signature("mine", of_type("swap", torch.add), "swap")


UNTYPED_SWAPS: list[Callable[[Any, Any, Any], Any]] = [
    lambda self, source, target: target,
    lambda self, source, target: target.clone(),
    lambda self, source, target: 0.5 * target,
    lambda self, source, target: target[:, :1],
    lambda self, source, target: torch.zeros_like(target),
    lambda self, source, target: torch.cat([target]),
    lambda self, source, target: torch.nn.functional.interpolate(target, 8),
]
UNTYPED_REFINES: list[Callable[[Any, Any, Any, Any], Any]] = [
    lambda self, output, target, source: output / 2,
    lambda self, output, target, source: torch.maximum(output, target),
    lambda self, output, target, source: target,
    lambda self, output, target, source: output.images + target,
]


@pytest.mark.parametrize("number", range(len(UNTYPED_SWAPS) + len(UNTYPED_REFINES)))
def test_an_old_plugin_without_types_is_told_at_its_first_call(context: Context, number: int) -> None:
    swappers.register("old")(lambda: of_type("swap", UNTYPED_SWAPS[number % len(UNTYPED_SWAPS)]))
    refiners.register("old")(lambda: of_type("refine", UNTYPED_REFINES[number - len(UNTYPED_SWAPS)]))
    text = "old" if number < len(UNTYPED_SWAPS) else "lighter+old"
    with pytest.raises(PluginError, match=r"(?s)old (raised|gave).*targets\.images and output\.images"):
        outputs_of(text, context)


# ------------------------------------------------------------------------------------------------------ what parts give

BAD_ALPHAS: dict[str, tuple[Callable[[Tensor], Any], str]] = {
    "per channel": (lambda alpha: alpha.repeat(1, 3, 1, 1), r"gave \(12, 3, 16, 16\)"),
    "without channel": (lambda alpha: alpha[:, 0], r"gave \(12, 16, 16\)"),
    "too few": (lambda alpha: alpha[:1], r"gave \(1, 1, 16, 16\)"),
    "another size": (lambda alpha: alpha[..., :8, :8], r"gave \(12, 1, 8, 8\)"),
    "bool": (lambda alpha: alpha > 0, "bool"),
    "levels": (lambda alpha: (alpha * 255).byte(), "uint8"),
    "out of range": (lambda alpha: alpha * 255, "values from"),
    "no numbers": (lambda alpha: alpha * torch.nan, "not finite"),
    "an array": (lambda alpha: alpha.numpy(), "gave ndarray"),
}


@pytest.mark.parametrize("name", BAD_ALPHAS)
@pytest.mark.parametrize("kind", ["swapper", "refiner", "wrapper"])
def test_a_bad_alpha_names_the_part(context: Context, name: str, kind: str) -> None:
    change, reason = BAD_ALPHAS[name]

    def spoil(*args: Any) -> Any:
        return Swapped(TARGETS.images, change(TARGETS.images[:, :1]))

    if kind == "swapper":
        swappers.register("bad")(lambda: of_type("swap", spoil))
    elif kind == "refiner":
        refiners.register("bad")(lambda: of_type("refine", spoil))
    else:
        wrappers.register("bad")(lambda: of_type("wrap", lambda self, swapper: of_type("swap", spoil)))
    with pytest.raises(PluginError, match=f"bad, as alpha, gave.*{reason}|bad, as alpha, {reason}") as caught:
        outputs_of("bad" if kind == "swapper" else "lighter+bad", context)
    assert isinstance(caught.value, FsbenchError)
