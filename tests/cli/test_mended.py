"""A run that is done and was damaged is made whole again."""

from collections.abc import Callable

import pytest

from fmtt.files import sha256
from fmtt.run_folder import read_hashes
from tests.cli.test_folders import bytes_of
from tests.command import Outcome


@pytest.mark.slow
def test_damage_of_any_file_of_a_run_is_mended(fmtt: Callable[..., Outcome]) -> None:
    """One flipped bit in each file that the manifest names, one file after the other."""
    done = fmtt("baseline=false", "sampler.steps=3")
    manifest = done.folder / "manifest.json"
    names = [name for name in read_hashes(manifest)[1] if name != "config.yaml"]
    assert {"film.safetensors", "returned.csv", "environment.json", "samples.png", "report.html"} <= set(names)
    before = bytes_of(done.folder)
    for name in names:
        content = bytearray((done.folder / name).read_bytes())
        content[len(content) // 2] ^= 1
        (done.folder / name).write_bytes(content)
        again = fmtt("baseline=false", "sampler.steps=3", "resume=true")
        assert again.status == 0 and (done.folder / name).read_bytes() != content, name
        assert all(sha256(done.folder / file) == hashed for file, hashed in read_hashes(manifest)[1].items())
        found = bytes_of(done.folder)
        assert {key: found[key] for key in found if key != "config.yaml"} == {
            key: before[key] for key in before if key != "config.yaml"
        }
