"""Skin colour by closed form and by the published test data, and what it shares with the background."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from fsbench import contracts
from fsbench.faces.align import TEMPLATE
from fsbench.faces.region import ovals
from fsbench.interfaces import Batch
from fsbench.metrics._skin import grown, skin
from fsbench.metrics.background import Background
from fsbench.metrics.skin_colour import SkinColour
from fsbench.metrics.skin_colour_worst import SkinColourWorst

BATCH = contracts.toy_batch(6)

# Lab of two colours and their difference: Sharma, Wu & Dalal, Color Research & Application 30(1), 2005, table 1.
PUBLISHED = [
    ((50.0, 2.5, 0.0), (50.0, 0.0, -2.5), 4.3065),
    ((50.0, 2.5, 0.0), (73.0, 25.0, -18.0), 27.1492),
    ((50.0, 2.5, 0.0), (61.0, -5.0, 29.0), 22.8977),
    ((50.0, 2.5, 0.0), (58.0, 24.0, 15.0), 19.4535),
    ((50.0, 0.0, 0.0), (50.0, -1.0, 2.0), 2.3669),
    ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
    ((63.0109, -31.0961, -5.8663), (62.8187, -29.7946, -4.0864), 1.2630),
    ((36.4612, 47.8580, 18.3852), (36.2715, 50.5065, 21.2231), 1.4146),
]


def flat(lab: tuple[float, float, float]) -> torch.Tensor:
    """Six images of one colour."""
    from skimage.color import lab2rgb

    return torch.from_numpy(lab2rgb(np.array(lab)))[None, :, None, None].expand(6, -1, 64, 64)


@pytest.mark.parametrize(("target", "output", "difference"), PUBLISHED)
def test_published_differences(target: tuple, output: tuple, difference: float) -> None:
    batch = replace(BATCH, target=flat(target), output=flat(output))
    assert SkinColour().measure(batch).tolist() == pytest.approx([difference] * 6, abs=3e-4)
    back = replace(batch, target=batch.output, output=batch.target)
    assert torch.allclose(SkinColour().measure(batch), SkinColour().measure(back))


@pytest.mark.parametrize(("lightness", "step"), [(50.0, 0.5), (50.0, 5.0), (70.0, -3.0)])
def test_a_step_in_lightness_of_a_grey(lightness: float, step: float) -> None:
    """Between greys all terms but that of the lightness are 0."""
    apart = (lightness + step / 2 - 50) ** 2
    expected = abs(step) / (1 + 0.015 * apart / (20 + apart) ** 0.5)
    batch = replace(BATCH, target=flat((lightness, 0.0, 0.0)), output=flat((lightness + step, 0.0, 0.0)))
    assert SkinColour().measure(batch).tolist() == pytest.approx([expected] * 6, rel=2e-3)


def test_the_same_colours_differ_by_nothing_and_a_stronger_cast_by_more() -> None:
    drift = torch.tensor([1.0, 0.0, -1.0])[:, None, None]
    seen = [SkinColour().measure(replace(BATCH, output=BATCH.target * (1 + s * drift))) for s in (0, 0.01, 0.03, 0.1)]
    assert seen[0].tolist() == [0.0] * 6
    assert all((more > less).all() for less, more in pairwise(seen))


def test_noise_and_texture_that_keep_the_mean_do_not_count() -> None:
    noise = 0.1 * torch.randn(BATCH.target.shape, generator=torch.Generator().manual_seed(0))
    where = skin(BATCH.mask)
    noise = noise - (noise * where).sum((2, 3), keepdim=True) / where.sum((2, 3), keepdim=True)
    assert float(SkinColour().measure(replace(BATCH, output=BATCH.target + noise)).max()) < 1e-4


def test_only_skin_counts() -> None:
    """Eyes, mouth, the border of the mask and what lies around it may be anything."""
    where = skin(BATCH.mask)
    spoilt = replace(BATCH, output=torch.where(where, BATCH.output, torch.rand_like(BATCH.output)))
    assert torch.equal(SkinColour().measure(spoilt), SkinColour().measure(BATCH))
    eyes_and_mouth = (TEMPLATE[[0, 1, 3, 4]] * 64).astype(int)
    assert not where[:, 0, eyes_and_mouth[:, 1], eyes_and_mouth[:, 0]].any()
    assert not (where & grown(BATCH.mask <= 0.5)).any()
    nose_and_cheeks = [(32, 33), (19, 38), (45, 38)]
    assert all(where[:, 0, y, x].all() for x, y in nose_and_cheeks)


def test_the_oval_of_a_photograph_has_skin_and_a_background() -> None:
    mask = ovals((TEMPLATE * 64)[None].repeat(6, 0), 64)[:]
    assert 0.1 < float(skin(mask).float().mean()) < 0.2
    batch = replace(BATCH, mask=mask)
    assert SkinColour().measure(batch).isfinite().all()
    assert Background().measure(batch).isfinite().all()


def test_no_skin_and_no_background_are_not_scored() -> None:
    nothing, everything = torch.zeros_like(BATCH.mask), torch.ones_like(BATCH.mask)
    assert SkinColour().measure(replace(BATCH, mask=nothing)).isnan().all()
    assert SkinColourWorst().measure(replace(BATCH, mask=nothing)).isnan().any(1).all()
    assert SkinColour().measure(replace(BATCH, mask=everything)).isfinite().all()
    assert Background().measure(replace(BATCH, mask=everything)).isnan().all()
    assert Background().measure(replace(BATCH, mask=nothing)).isnan().all(), "nobody knows what is the face there"


def test_the_worst_session_is_the_one_whose_mean_is_highest() -> None:
    rows = BATCH.rows.assign(identity=["a", "a", "a", "b", "b", "b"], session=["x", "x", "y", "x", "x", "z"])
    steps = torch.tensor([1.0, 3.0, 0.5, 0.0, 9.0, 1.0]) / 255
    batch = replace(
        BATCH,
        rows=rows,
        target=torch.full_like(BATCH.target, 0.5),
        output=0.5 + steps[:, None, None, None].expand_as(BATCH.output),
    )
    each, measured = SkinColour().measure(batch), SkinColourWorst().measure(batch).numpy()
    assert SkinColourWorst().summarise(measured) == pytest.approx(float(each[3:5].mean()))  # b/x, not b and not x
    assert SkinColourWorst().summarise(measured[:3]) == pytest.approx(float(each[:2].mean()))
    assert SkinColourWorst().summarise(measured) >= SkinColour().summarise(each.numpy())


def test_the_number_of_a_session_depends_on_its_names_only() -> None:
    whole = SkinColourWorst().measure(BATCH)
    alone = torch.cat([SkinColourWorst().measure(BATCH.take(slice(i, i + 1))) for i in range(6)])
    assert torch.equal(whole[:, 0], alone[:, 0])
    assert len(whole[:, 0].unique()) == BATCH.rows.groupby(["identity", "session"]).ngroups
    swapped = SkinColourWorst().measure(replace(BATCH, rows=BATCH.rows.assign(identity="a/b", session="c")))
    other = SkinColourWorst().measure(replace(BATCH, rows=BATCH.rows.assign(identity="a", session="b/c")))
    assert float(swapped[0, 0]) != float(other[0, 0])


@pytest.mark.parametrize("metric", [SkinColour(), SkinColourWorst(), Background()])
def test_contracts(metric: SkinColour | Background) -> None:
    contracts.check_metric(metric)


def test_a_pair_is_measured_in_its_own_mask() -> None:
    """Masks differ from pair to pair in a batch."""
    shifted = torch.roll(BATCH.mask, 12, 3)
    mixed = replace(BATCH, mask=torch.cat([BATCH.mask[:3], shifted[3:]]))
    for metric in (SkinColour(), Background()):
        both = torch.cat(
            [
                metric.measure(replace(BATCH, mask=mask))[part]
                for mask, part in ((BATCH.mask, slice(3)), (shifted, slice(3, 6)))
            ]
        )
        assert torch.equal(metric.measure(mixed), both)


def test_unused_batch_fields_are_not_needed() -> None:
    bare = Batch(BATCH.source, BATCH.rows, BATCH.output, BATCH.target, BATCH.mask)
    assert torch.equal(SkinColour().measure(bare), SkinColour().measure(BATCH))
