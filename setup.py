"""Everything is said in pyproject.toml, but for one thing: a wheel holds the folder configs/ as fmtt/configs."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class WithConfigs(build_py):
    """Copies configs/ into the package that is built; an editable install uses the folder of the checkout."""

    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            target = Path(self.build_lib, "fmtt", "configs")
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree("configs", target)


setup(cmdclass={"build_py": WithConfigs})
