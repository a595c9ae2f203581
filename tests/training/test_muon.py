"""Muon in float32 against torch's own, which works in bfloat16."""

import pytest
import torch

from fmtt.training.muon import Muon, orthogonal


@pytest.mark.parametrize("shape", [(12, 40), (40, 12), (16, 16)])
def test_matrix_comes_near_an_orthogonal_one_with_the_same_singular_vectors(shape):
    matrix = torch.randn(*shape, generator=torch.Generator().manual_seed(0))
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    found = left.T @ orthogonal(matrix) @ right.T
    assert ((found.diagonal() > 0.65) & (found.diagonal() < 1.25)).all()
    assert (found - found.diagonal().diag()).abs().max() < 1e-4


def test_steps_are_those_of_torch():
    generator = torch.Generator().manual_seed(0)
    ours, theirs = (torch.nn.Parameter(torch.zeros(24, 60)) for _ in range(2))
    optimizers = [
        Muon([ours], lr=0.1),
        torch.optim.Muon([theirs], lr=0.1, weight_decay=0.0, momentum=0.95, adjust_lr_fn="match_rms_adamw"),
    ]
    for _ in range(6):
        ours.grad = torch.randn(24, 60, generator=generator)
        theirs.grad = ours.grad.clone()
        for optimizer in optimizers:
            optimizer.step()
    assert (ours - theirs).norm() < 0.02 * theirs.norm()  # bfloat16 has three digits
