# SPDX-License-Identifier: Apache-2.0
"""The rules of the house: who may import whom, what stays free of jax, and the form of every file."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "jaxbert"
FILES = sorted(PACKAGE.rglob("*.py"))
OWN_CODE = [*FILES, *sorted((ROOT / "tests").rglob("*.py")), *sorted((ROOT / "runs").rglob("*.py"))]

# From the top down; a folder imports only from lines below its own.
LINES = [
    {"__main__"},
    {"cli"},
    {"commands"},
    {"serve"},
    {"library"},
    {"sweeps"},
    {"tasks"},
    {"export"},
    {"train"},
    {"checkpoints"},
    {"reports"},
    {"predictions", "metrics"},
    {"batches"},
    {"datasets"},
    {"tfrecord"},
    {"features"},
    {"examples", "text"},
    {"model"},
    {"config"},
    {"io"},
    {"console"},
    {"errors", "__init__"},
]
DATA = {"text", "examples", "features", "tfrecord", "datasets", "metrics", "predictions", "reports"}
JAX_FREE = [
    path
    for path in FILES
    if (path.parent.name in DATA or path.parts[-2:] == ("batches", "order.py"))
    and path.name != "pretraining_beam.py"  # what it imports is an extra
]
# Of which the package imports something.
EXTRAS = ("arrow", "beam", "keras", "mlflow", "onnx", "onnxruntime", "report", "serve", "wandb")
COMMANDS = sorted(path for path in (PACKAGE / "commands").glob("*.py") if path.name != "__init__.py")
# A dependency -> the name it is imported by, where the two differ.
IMPORTED_AS = {
    "absl-py": "absl",
    "apache-beam": "apache_beam",
    "google-crc32c": "google_crc32c",
    "mlflow-skinny": "mlflow",
    "orbax-checkpoint": "orbax",
    "prometheus-client": "prometheus_client",
    "protobuf": "google",
}


def folder_of(path: Path) -> str:
    """`train` for jaxbert/train/loop.py, `files` for jaxbert/files.py."""
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def imported(path: Path) -> Iterator[str]:
    """Full names of the modules that a file imports, at its top or inside functions."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def own_folders_imported(path: Path) -> set[str]:
    """Folders and top-level modules of the package that a file imports from."""
    names = (name.split(".") for name in imported(path) if name.startswith("jaxbert."))
    known = set().union(*LINES)
    return {parts[1] for parts in names if parts[1] in known}


def name(path: Path) -> str:
    """The path as the tests are called by."""
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", FILES, ids=name)
def test_imports_go_down(path: Path) -> None:
    """A file imports from its own folder and from lines below, never from its own line or above."""
    own = folder_of(path)
    if own == "__init__":
        return  # the name that users import, which leads to the library when that is first used
    line = next(line for line, folders in enumerate(LINES) if own in folders)
    allowed = {own}.union(*LINES[line + 1 :])
    assert own_folders_imported(path) <= allowed


@pytest.mark.parametrize("path", COMMANDS, ids=name)
def test_a_command_is_short_and_knows_no_other(path: Path) -> None:
    """A command turns flags into calls of the rooms below: at most 60 lines, and no import of another command."""
    others = {full for full in imported(path) if full.startswith("jaxbert.commands")}
    lines = len(path.read_text().splitlines())
    assert not others
    assert lines <= 60


@pytest.mark.parametrize("path", FILES, ids=name)
def test_model_and_data_meet_only_above(path: Path) -> None:
    """The model knows arrays only, and data code does not know the model."""
    own, others = folder_of(path), own_folders_imported(path)
    assert own != "model" or not others & (DATA | {"batches"})
    assert own not in DATA | {"batches"} or "model" not in others


def test_data_code_does_not_load_jax() -> None:
    """Importing all of the data code loads no jax, so that it starts at once and runs anywhere."""
    modules = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in JAX_FREE]
    assert modules
    code = f"import sys\nfor name in {modules}: __import__(name)\nprint(sorted({{'jax', 'jaxlib'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("path", FILES, ids=name)
def test_only_commands_read_the_surroundings(path: Path) -> None:
    """Below the commands and the library nothing reads command line, environment or current directory."""
    if folder_of(path) in ("commands", "cli", "__main__", "library"):
        return
    attributes = {node.attr for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)}
    assert not attributes & {"argv", "environ", "getenv", "getcwd"}


@pytest.mark.parametrize("path", OWN_CODE, ids=name)
def test_form_of_a_file(path: Path) -> None:
    """Licence line, docstring (but in an empty `__init__.py`), no drawer for odds and ends."""
    text = path.read_text()
    assert text.startswith("# SPDX-License-Identifier: Apache-2.0\n")
    assert not re.search("util|common|helper|misc", path.stem)
    tree = ast.parse(text)
    assert ast.get_docstring(tree) or not tree.body
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.args.kwarg is None or path not in FILES, f"{node.name} takes any keyword"


def test_dependencies_are_what_is_imported() -> None:
    """Every library that is imported is declared (some as extras), and every declared one is imported."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    named = (name for extra in EXTRAS for name in extras[extra] if not name.startswith("jaxbert["))
    declared = [*project["dependencies"], *named]
    distributions = [re.match(r"[\w-]+", requirement)[0] for requirement in declared]  # type: ignore[index]
    libraries = {top.split(".")[0] for path in FILES for top in imported(path)} - set(sys.stdlib_module_names)
    assert libraries - {"jaxbert"} == {IMPORTED_AS.get(distribution, distribution) for distribution in distributions}


def test_readme_names_every_folder_and_only_files_that_exist() -> None:
    """The tree in the README has a line for each folder; every file that the README names exists where it says."""
    tree = re.search(r"(?m)^    jaxbert/\n((?:      .*\n)+)", (ROOT / "README.md").read_text())
    assert tree
    folders, named = set(), set()
    folder = ""
    for line in tree[1].splitlines():
        if line[6] != " ":
            found = re.findall(r"^      (\w+\.py)|(?<= )(\w+)/(?= )", line)
            folder = next((name for _, name in found if name), "")
            folders |= {name for _, name in found if name}
        named |= {PACKAGE / folder / name for name in re.findall(r"\b\w+\.py\b", line)}
    assert folders == {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert named
    assert not [name(path) for path in named if not path.is_file()]
