"""What `make docs` does besides: notebooks become pages, and roles of Sphinx in docstrings become plain names."""

import json
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files


def page(notebook: dict[str, Any]) -> str:
    """The cells of a notebook as Markdown, without outputs."""
    cells = [(cell["cell_type"], "".join(cell["source"])) for cell in notebook["cells"]]
    return "\n\n".join(text if kind == "markdown" else f"```python\n{text}\n```" for kind, text in cells)


def on_files(files: Files, config: Any) -> Files:
    """Adds a page for each notebook, and the notebook itself for whoever wants to run it."""
    for path in sorted(Path(config.docs_dir, "notebooks").glob("*.ipynb")):
        text = path.read_text(encoding="utf-8")
        remark = f"\n\nThis page is the notebook `docs/notebooks/{path.name}` of the repository.\n"
        files.append(File.generated(config, f"notebooks/{path.stem}.md", content=page(json.loads(text)) + remark))
    return files


def on_page_content(html: str, page: Any, config: Any, files: Files) -> str:
    """``:func:`name` `` to ``name``."""
    return re.sub(r":(?:func|class|meth|mod|attr):(<code>)~?", r"\1", html)
