"""The memory of published sizes, from tensors without content."""

from __future__ import annotations

import pytest
from torch._subclasses import FakeTensorMode

from fmtt.run.memory_table import GIB, needs_of

pytestmark = pytest.mark.filterwarnings("ignore")


def test_weights_and_layers_of_klein_are_counted() -> None:
    with FakeTensorMode():
        plain, saved = (needs_of("flux3_klein", 128, checkpointing) for checkpointing in (False, True))
    assert plain.weights == saved.weights
    assert plain.weights == pytest.approx(2 * 5.55e9 + 4 * 0.084e9, rel=0.01), "bfloat16, and a decoder in float32"
    tokens, parameters = (128 // 16) ** 2 + 80, 5.55e9
    assert 0.5 < plain.jump / (2 * parameters * tokens) < 1, "two for each weight and token; some see one kind of token"
    assert plain.jump == saved.jump
    assert 2 * plain.jump < plain.gradient < saved.gradient, "no gradient of weights is computed"
    assert saved.batch.sample < 0.5 * plain.batch.sample
    assert plain.chunk(10 * GIB) == 0 < plain.chunk(80 * GIB) < saved.chunk(80 * GIB)
