"""The way in which pages are tested finds what is wrong with them."""

from pathlib import Path

import pytest
from PIL import Image

from tests.browser.chromium import needs_chromium, screenshot, visit

pytestmark = needs_chromium


def page(folder: Path, script: str = "") -> Path:
    path = folder / "page.html"
    path.write_text(f"<!doctype html><html><body><button id=b>one</button><script>{script}</script></body></html>")
    return path


def test_a_script_acts_on_the_page_and_answers(tmp_path: Path) -> None:
    calm = page(tmp_path, "b.addEventListener('click', () => { b.textContent = 'two <3'; });")
    found = visit(calm, "b.click(); return [b.textContent, innerWidth];", size=(700, 500))
    assert found == (["two <3", 700], [])


def test_errors_of_the_page_are_seen(tmp_path: Path) -> None:
    assert any("not defined" in line for line in visit(page(tmp_path, "nothing();")).console)
    assert any("careful" in line for line in visit(page(tmp_path, "console.error('careful');")).console)


def test_errors_of_the_script_are_raised(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="missing"):
        visit(page(tmp_path), "throw Error('missing');")


def test_a_screenshot_has_the_size_of_the_window(tmp_path: Path) -> None:
    screenshot(page(tmp_path), tmp_path / "seen.png", size=(640, 480))
    with Image.open(tmp_path / "seen.png") as picture:
        assert picture.size == (640, 480)
