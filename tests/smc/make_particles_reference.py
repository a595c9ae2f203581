"""Writes ``particles_reference.json``: resamplings by the package ``particles`` (nchopin) on known uniform numbers.

It pins numpy<2 in its metadata but runs on numpy 2. In an environment of its own:

    python -m venv /tmp/particles_env
    /tmp/particles_env/bin/pip install numba scipy joblib scikit-learn
    /tmp/particles_env/bin/pip install --no-deps particles==0.4
    /tmp/particles_env/bin/python tests/smc/make_particles_reference.py

Its resamplers draw from NumPy's global generator. It is seeded before each call, and the uniforms of that call are
drawn again from the same seed; those of residual and multinomial resampling are its sorted ``uniform_spacings``.
"""

import json
from importlib.metadata import version
from pathlib import Path

import numpy as np
from particles import resampling

SIZES = [(1, 1), (2, 5), (5, 3), (5, 5), (8, 20), (33, 12), (33, 33), (40, 100)]
KINDS = ("systematic", "stratified", "residual", "multinomial")


def uniforms(kind: str, weights: np.ndarray, m: int) -> list[float]:
    """What ``particles`` draws, in the places where ``fmtt.smc.resampling`` looks for it; zeros where neither looks."""
    if kind == "systematic":
        return [float(np.random.rand(1)[0])] + [0.0] * (m - 1)
    if kind == "stratified":
        return np.random.rand(m).tolist()
    certain = int(np.floor(m * weights).sum()) if kind == "residual" else 0
    drawn = resampling.uniform_spacings(m - certain).tolist() if certain < m else []
    return [0.0] * certain + drawn


def cases():
    source = np.random.default_rng(0)
    for n, m in SIZES:
        for shape in ("smooth", "spread", "equal"):
            weights = {
                "smooth": source.random(n),
                "spread": np.exp(3 * source.standard_normal(n)),
                "equal": np.ones(n),
            }[shape]
            weights /= weights.sum()
            for kind in KINDS:
                seed = int(source.integers(2**31))
                np.random.seed(seed)
                index = resampling.resampling(kind, weights, M=m)
                np.random.seed(seed)
                u = uniforms(kind, weights, m)
                yield {"kind": kind, "weights": weights.tolist(), "u": u, "m": m, "index": index.tolist()}


if __name__ == "__main__":
    content = {"particles": version("particles"), "numpy": np.__version__, "cases": list(cases())}
    Path(__file__).with_name("particles_reference.json").write_text(json.dumps(content, separators=(",", ":")) + "\n")
