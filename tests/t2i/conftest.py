"""Tests of the extra ``t2i``; without it they are skipped."""

import pytest

pytest.importorskip("diffusers", reason="needs the extra t2i: make setup-t2i")
