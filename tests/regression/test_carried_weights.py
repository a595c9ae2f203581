"""With adaptive resampling the increments of steps without resampling were lost.

Resampling always, never or adaptively agrees in law, and the adaptive runs do resample, but not at every step.
"""

import pytest

from tests.gaussian_chain import reference
from tests.support import Setup, ended, worst

STRONG = Setup(scale=3.0, groups=256, seed=3)


@pytest.mark.parametrize(
    ("weights", "look_ahead"), [("jarzynski", "flowmap1"), ("material", "denoiser"), ("kernel", "denoiser")]
)
@pytest.mark.parametrize("threshold", [0.0, 0.7, 0.9, 1.0])
def test_law_does_not_depend_on_when_to_resample(threshold: float, weights: str, look_ahead: str) -> None:
    setup = STRONG.but(weights=weights, look_ahead=look_ahead, ess_threshold=threshold)
    state, totals = ended(setup.loop())
    assert worst(state.population, reference(setup)) < 4
    resamplings = totals.selections.double()
    if threshold == 0:
        assert (resamplings == 0).all()
    elif threshold == 1:
        assert (resamplings == setup.steps - 1).all()
    else:
        assert 1 < resamplings.mean() < 5
