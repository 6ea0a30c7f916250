"""What the packages promise as a whole: imports point inwards, cost nothing, and export what they say."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import simkin
from index.encoders import ENCODERS

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("vision", "audio", "index", "simkin")
HEAVY = ("torch", "librosa", "onnxruntime", "numba", "scipy", "sklearn", "fastapi", "uvicorn", "pyarrow", "PIL", "av")

MAY_IMPORT = {
    "vision": {"vision", "index.types", "index.errors", "index.onnx_model", "index.onnx_export"},
    "audio": {"audio", "index.types", "index.errors", "index.onnx_model", "index.onnx_export"},
    "index": {"index"},
    "simkin": {"simkin", "index"},
}
"""Package → what of ours its modules may import; index.encoders alone may also import vision and audio."""


def modules() -> list[Path]:
    return [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]


def ours(path: Path) -> set[str]:
    """Our own modules that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module)
    return {name for name in found if name.split(".")[0] in PACKAGES}


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_inwards(path: Path) -> None:
    """vision and audio never meet, index never looks out, and only one module knows all three."""
    package = path.relative_to(ROOT).parts[0]
    allowed = set(MAY_IMPORT[package])
    if path.relative_to(ROOT) == Path("index/encoders.py"):
        allowed |= {"vision", "audio"}
    for name in ours(path):
        assert any(name == inner or name.startswith(inner + ".") for inner in allowed), f"{path.name} imports {name}"


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_modules_say_what_they_are_and_stay_small(path: Path) -> None:
    """Each begins with a docstring, and none passes 450 lines."""
    text = path.read_text()
    assert ast.get_docstring(ast.parse(text)), f"{path} has no docstring"
    assert text.count("\n") <= 450


def loaded_by(code: str) -> set[str]:
    """Top-level modules that a fresh interpreter holds after running some code."""
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            f"{code}\nimport sys\nprint(' '.join(sorted({{m.split('.')[0] for m in sys.modules}})))",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "code",
    [
        "import simkin",
        "import simkin; dir(simkin)",
        "from index.encoders import ENCODERS, card_of; [card_of(name) for name in ENCODERS]",
        "from simkin.cli import main; main(['--help'], standalone_mode=False)",
        "import simkin.library",
    ],
)
def test_importing_is_free(code: str) -> None:
    """Nothing heavy is loaded before it is used."""
    assert not loaded_by(code) & set(HEAVY)


def test_help_loads_no_numpy() -> None:
    """The first thing a person types answers at once."""
    assert "numpy" not in loaded_by("from simkin.cli import main; main(['--help'], standalone_mode=False)")


def test_asking_loads_nothing_of_indexing_or_explaining() -> None:
    """A question by id pays for what answers it alone."""
    code = "import simkin.cli.query, simkin.cli.printing, sys; simkin.Recommender, simkin.open; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "index.recommender" in loaded
    assert not loaded & {"index.ingesting.ingest", "index.explaining.explainer", "filelock", "numpy.ma"}


def test_exports_are_what_they_say() -> None:
    """Every exported name exists, once, and nothing else is offered."""
    assert sorted(simkin.__all__) == list(simkin.__all__)
    assert len(simkin.__all__) <= 24
    for name in simkin.__all__:
        assert getattr(simkin, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = simkin.nothing
    assert set(simkin._HOMES) == set(simkin.__all__)


def test_the_error_tree_is_drawn_as_it_is() -> None:
    """The docstring of index.errors names every class."""
    errors = importlib.import_module("index.errors")
    classes = {name for name, value in vars(errors).items() if isinstance(value, type) and name.endswith("Error")}
    assert classes == {line.strip(" *-").split()[0] for line in errors.__doc__.splitlines() if "Error" in line}


def test_every_package_is_typed() -> None:
    """Type checkers are told to look inside."""
    for package in PACKAGES:
        assert (ROOT / package / "py.typed").exists()


def test_encoder_names_are_those_of_their_cards() -> None:
    """What is typed after --encoder is what the card says."""
    for name, entry in ENCODERS.items():
        assert entry.card().name == name


def test_choices_of_the_command_line_are_those_of_the_library() -> None:
    """They are written down there once more, so that --help loads nothing."""
    from index.learning.fitting import METHODS
    from index.learning.targets import TARGETS
    from simkin.cli import learn

    assert tuple(METHODS) == learn.METHODS
    assert TARGETS == learn.TARGETS
