"""Samples with partial naming: what is not named must still be in the target."""

import pytest
import torch

from airtool.methods.naming import NamingSettings, named
from airtool.methods.objective import Batch

GENERATOR = 7


def batch(count: int, label: str) -> Batch:
    generator = torch.Generator().manual_seed(1)
    clean = torch.rand(count, 3, 16, 16, generator=generator)
    return Batch(clean if label == "clean" else clean * 0.5, clean, (label,) * count)


def test_everything_is_named_by_default() -> None:
    given = batch(4, "low-light:2,rain:0.4")
    found = named(given, torch.Generator().manual_seed(GENERATOR), NamingSettings())
    torch.testing.assert_close((found.degraded, found.target), (given.degraded, given.clean), rtol=0, atol=0)
    assert found.wanted == (("low-light:2", "rain:0.4"),) * 4


def test_clean_and_idle_samples_stay_as_they_are() -> None:
    for given, settings in ((batch(40, "clean"), NamingSettings()), (batch(40, "rain"), NamingSettings(idle_share=1))):
        found = named(given, torch.Generator().manual_seed(GENERATOR), settings)
        torch.testing.assert_close(found.degraded, given.degraded, rtol=0, atol=0)
        torch.testing.assert_close(found.target, given.degraded, rtol=0, atol=0)
        assert {len(wanted) for wanted in found.wanted} == {0, 1}, "nothing, or what is not there"
        assert not any(name.startswith("rain:") for wanted in found.wanted for name in wanted if "rain" in given.labels)


def test_partial_naming_leaves_the_other_degradation_in_the_target() -> None:
    given = batch(60, "low-light:2")
    settings = NamingSettings(partial_share=1, further=("noise",))
    found = named(given, torch.Generator().manual_seed(GENERATOR), settings)
    kinds = set()
    for row, (wanted, present) in enumerate(zip(found.wanted, found.present, strict=True)):
        kinds.add(tuple(name.partition(":")[0] for name in wanted))
        assert [name.partition(":")[0] for name in present] == ["low-light", "noise"]
        degraded, target = found.degraded[row], found.target[row]
        assert not torch.equal(degraded, given.degraded[row]), "the noise is laid over"
        if wanted == present:
            torch.testing.assert_close(target, given.clean[row], rtol=0, atol=0)
        elif wanted == present[1:]:
            torch.testing.assert_close(target, given.degraded[row], rtol=0, atol=0)
        else:
            # The same noise over the clean picture: apart from rounding and clipping it is the difference.
            assert not torch.equal(target, given.clean[row])
            noise, other = degraded - given.degraded[row], target - given.clean[row]
            inside = (degraded > 0.02) & (degraded < 0.98) & (target > 0.02) & (target < 0.98)
            assert (noise - other)[inside].abs().max() < 1.5 / 255
    assert kinds == {("low-light",), ("noise",), ("low-light", "noise")}
    again = named(given, torch.Generator().manual_seed(GENERATOR), settings)
    torch.testing.assert_close(again.degraded, found.degraded, rtol=0, atol=0)
    assert again.wanted == found.wanted


def test_what_may_not_be_named_stays_whatever_the_shares() -> None:
    """In training for some names alone: such a sample is told nothing that it has, or what is laid over it."""
    given = batch(60, "low-light:2,noise:9")
    settings = NamingSettings(further=("jpeg",))
    found = named(given, torch.Generator().manual_seed(GENERATOR), settings, only=("noise", "jpeg", "defocus"))
    told = {name.partition(":")[0] for wanted in found.wanted for name in wanted}
    assert told == {"jpeg", "defocus"}
    laid_over = 0
    for row, (wanted, present) in enumerate(zip(found.wanted, found.present, strict=True)):
        torch.testing.assert_close(found.target[row], given.degraded[row], rtol=0, atol=0)
        if len(present) == 3:
            laid_over += 1
            assert wanted == present[2:]
            assert not torch.equal(found.degraded[row], given.degraded[row])
        else:
            assert torch.equal(found.degraded[row], given.degraded[row])
    assert 20 < laid_over < 40
    # What may be named is treated as ever.
    free = batch(8, "noise:9")
    alike = [
        named(free, torch.Generator().manual_seed(GENERATOR), settings, *only).wanted for only in ((), (("noise",),))
    ]
    assert alike[0] == alike[1] == (("noise:9",),) * 8


def test_idle_names_are_the_ones_that_were_chosen() -> None:
    settings = NamingSettings(idle_share=1, idle_names=("haze", "rain"))
    found = named(batch(40, "rain"), torch.Generator().manual_seed(GENERATOR), settings)
    assert {name.partition(":")[0] for wanted in found.wanted for name in wanted} == {"haze"}


@pytest.mark.parametrize(
    "wrong",
    [{"partial_share": 0.7, "idle_share": 0.5}, {"idle_share": -1}, {"further": ["fog"]}, {"idle_names": ["fog"]}],
)
def test_impossible_settings_are_refused(wrong: dict) -> None:
    with pytest.raises(ValueError, match=r"must not|has 'fog'"):
        NamingSettings(**wrong)
