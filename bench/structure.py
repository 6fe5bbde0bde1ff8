# SPDX-License-Identifier: Apache-2.0
"""How the code is cut: sizes of files and functions, importers, and what one command enters.

`python -m bench.structure [FOLDER [command --flag=value ...]]`: of the checkout in FOLDER (this one by default); with a
command also how many functions and modules of the package are entered while it runs.
"""

import ast
import collections
import json
import statistics
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Any


def main() -> None:
    """Print the figures as JSON."""
    folder, *command = sys.argv[1:] or ["."]
    root = Path(folder).resolve()
    figures = sizes(root)
    if command:
        sys.path.insert(0, str(root))
        figures |= entered(root, command)
    print(json.dumps(figures, indent=2))


def sizes(root: Path) -> dict[str, Any]:
    """Files, lines, functions, importers, comments, commands."""
    texts = {path: path.read_text() for path in sorted((root / "jaxbert").rglob("*.py"))}
    modules = {path: text for path, text in texts.items() if path.name not in ("__init__.py", "__main__.py")}
    functions = [
        (node.end_lineno or 0) - node.lineno + 1
        for text in modules.values()
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef)
    ]
    importers = _importers(root, modules)
    lines = {path: text.count("\n") for path, text in modules.items()}
    comments = sum(
        line.lstrip().startswith("#") or "  # " in line for text in modules.values() for line in text.split("\n")
    )
    commands = [count for path, count in lines.items() if path.parent.name == "commands"]
    return {
        "files": len(texts),
        "lines": sum(text.count("\n") for text in texts.values()),
        "lines of a file, median": statistics.median(lines.values()),
        "functions": len(functions),
        "lines of a function, median": statistics.median(functions),
        "modules with one importer": sum(count == 1 for count in importers.values()),
        "comments in 100 lines": round(100 * (comments - len(modules)) / sum(lines.values()), 1),  # licence lines off
        "files in commands": len(commands),
        "lines of the longest file in commands": max(commands),
    }


def _importers(root: Path, modules: dict[Path, str]) -> dict[str, int]:
    """Module -> how many others import it."""
    names = {".".join(path.relative_to(root).with_suffix("").parts) for path in modules}
    found: dict[str, set[Path]] = collections.defaultdict(set)
    for path, text in modules.items():
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    full = f"{node.module}.{alias.name}"
                    found[full if full in names else node.module or ""].add(path)
    return {name: len(found[name]) for name in names}


def entered(root: Path, command: list[str]) -> dict[str, int]:
    """Functions and modules of the package that are entered while a command runs in this process."""
    package, seen = str(root / "jaxbert"), set()

    def note(frame: FrameType, event: str, _: object) -> None:
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(package) and code.co_name[0] != "<":
            seen.add((code.co_filename, code.co_qualname))

    try:
        from jaxbert.cli import main
    except ImportError:  # an older checkout
        from jaxbert.__main__ import main  # type: ignore[assignment]
    code = main(command)  # once before: importing runs decorators and tables, which is not what a reader follows
    threading.setprofile(note)
    sys.setprofile(note)
    code = code or main(command)
    sys.setprofile(None)
    threading.setprofile(None)  # None is what takes it away
    assert code == 0
    return {"functions entered": len(seen), "modules entered": len({file for file, _ in seen})}


if __name__ == "__main__":
    main()
