"""Puts the .pth file beside the package, from where Python reads it at its start; pip removes it with the rest."""

from __future__ import annotations

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

PTH = "celeriac_dropin.pth"


class BuildWithPth(build_py):
    """Builds the package and the file that switches it on."""

    def run(self) -> None:
        """As setuptools', and the file."""
        super().run()
        if not self.editable_mode:
            self.copy_file(PTH, str(Path(self.build_lib) / PTH))

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        """As setuptools', and the file."""
        outputs = super().get_outputs(include_bytecode)
        return outputs if self.editable_mode else [*outputs, str(Path(self.build_lib) / PTH)]


setup(cmdclass={"build_py": BuildWithPth})
