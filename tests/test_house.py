"""The house rules that a program can check: arrows between the rooms, forbidden words, docstrings, the README's table."""

import ast
import inspect
import pathlib
import re

import pytest

import mrlayers
from mrlayers.backend import keras

ROOT = pathlib.Path(__file__).resolve().parent.parent
SOURCES = sorted(path for room in ("mrlayers", "zoo", "examples") for path in (ROOT / room).rglob("*.py"))
FRAMEWORKS = {"tensorflow", "keras", "jax", "torch", "npu_bridge"}
FAMILIES = {"cascade", "voxelmorph", "unet"}


def imports(path):
    """Dotted names that a file imports, at any depth."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            for name in node.names:
                yield name.name
        elif isinstance(node, ast.ImportFrom):
            for name in node.names:
                yield "{}.{}".format(node.module or ".", name.name)


def wrong_arrow(path, name):
    """Why the file may not import that name, or None."""
    room, top = path.relative_to(ROOT).parts[:2], name.split(".")[0]
    if top in FRAMEWORKS and room not in [("mrlayers", "backend"), ("zoo", "npu")]:
        return "a framework outside mrlayers/backend and zoo/npu"
    if room[0] == "mrlayers" and top in ("zoo", "examples") or room[0] == "zoo" and top == "examples":
        return "an arrow that points the wrong way"
    other = FAMILIES.intersection(name.split(".")[1:2])
    if room[0] == "zoo" and top == "zoo" and other and room[1] not in other:
        return "one family from another, or from what they share"
    if path.name in ("data.py", "sampling.py") and name.startswith("mrlayers.backend"):
        return "Keras in a file of NumPy"
    return None


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_imports_point_the_right_way(path):
    assert {name: wrong_arrow(path, name) for name in imports(path) if wrong_arrow(path, name)} == {}


@pytest.mark.parametrize("name, reason", [("torch.nn", "framework"), ("zoo.cascade", "wrong way")])
def test_a_wrong_arrow_is_seen(name, reason):
    assert reason in wrong_arrow(ROOT / "mrlayers" / "consistency.py", name)


@pytest.mark.parametrize(
    "path", [path for path in SOURCES if path.relative_to(ROOT).parts[0] == "mrlayers"], ids=lambda path: path.name
)
def test_no_forbidden_words(path):
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        assert not isinstance(node, ast.Assert)
        assert not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print")
        assert not (isinstance(node, ast.ImportFrom) and any(name.name == "*" for name in node.names))


def public():
    """Every public name with its object: functions of modules such as `sampling`, all that packages such as `metrics` list."""
    for name in mrlayers.__all__:
        value = getattr(mrlayers, name)
        if not inspect.ismodule(value):
            yield name, value
            continue
        listed = getattr(value, "__all__", [])
        for inner, member in vars(value).items():
            own = inspect.isfunction(member) and member.__module__ == value.__name__ and not inner.startswith("_")
            if own or inner in listed and (inspect.isfunction(member) or inspect.isclass(member)):
                yield "{}.{}".format(name, inner), member


@pytest.mark.parametrize("name, value", list(public()), ids=lambda value: value if isinstance(value, str) else "")
def test_docstring_names_every_argument(name, value):
    documentation = inspect.getdoc(value)
    assert documentation
    if inspect.isclass(value):
        arguments = [
            argument for argument in inspect.signature(value.__init__).parameters if argument not in ("self", "kwargs")
        ]
        if not arguments:
            return
        section = documentation.split("Args:")[1].split("\n\n")[0]
        assert re.findall(r"^    (\w+):", section, flags=re.M) == arguments
    else:
        explained = documentation + inspect.getdoc(inspect.getmodule(value))
        assert [name for name in inspect.signature(value).parameters if not re.search(r"\b{}\b".format(name), explained)] == []


@pytest.mark.parametrize("name", [name for name, _ in public()])
def test_readme_lists_every_public_name(name):
    assert "`{}".format(name.split(".")[-1]) in (ROOT / "README.md").read_text()


@pytest.mark.parametrize(
    "name", [name for name, value in public() if inspect.isclass(value) and issubclass(value, keras.layers.Layer)]
)
def test_every_layer_has_a_contract_test(name):
    tests = "".join(
        path.read_text() for path in (ROOT / "tests" / "mrlayers").glob("test_*.py") if "check_layer" in path.read_text()
    )
    assert re.search(r"\b{}\b".format(name), tests)


def test_package_installs_every_folder():
    from setuptools import find_packages

    found = set(find_packages(str(ROOT), include=["mrlayers", "mrlayers.*", "zoo", "zoo.*"]))
    assert {
        ".".join(path.relative_to(ROOT).parent.parts) for path in SOURCES if path.relative_to(ROOT).parts[0] != "examples"
    } == found
