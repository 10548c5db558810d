"""The API reference shows what is public, of every package, and no more."""

import re
from pathlib import Path

import pytest
from api_pages import SOURCE, module_name, modules_of, public

REFERENCE = Path(__file__).parents[2] / "book" / "reference"
SHOWN = {
    package: path.stem
    for path in (REFERENCE / "api").glob("*.md")
    for package in re.findall(r"^```\{api\} (\S+)", path.read_text("utf-8"), flags=re.M)
}


def test_every_package_has_its_place() -> None:
    packages = {module_name(path).rpartition(".")[0] for path in SOURCE.rglob("[!_]*.py")}
    grading = {name for name in packages if name.startswith("insideout.exercises.")}
    commands = {name for name in packages if name.startswith("insideout.cli")}
    ground = {module_name(path) for path in SOURCE.glob("[!_]*.py")}
    assert set(SHOWN) == packages - grading - commands - {"insideout"} | ground
    listed = re.findall(r"^api/(\S+)", (REFERENCE / "api.md").read_text("utf-8"), flags=re.M)
    assert sorted(listed) == sorted(set(SHOWN.values()))


@pytest.mark.parametrize("package", SHOWN)
def test_a_package_shows_something(package: str) -> None:
    assert any(public(module) for module in modules_of(package))


def test_public_is_what_is_meant_for_others() -> None:
    assert "next_token_loss" in public("insideout.transformer.loss")
    assert public("insideout.exercises.progress") == []
    shown = [name for module in modules_of("insideout.exercises") for name in public(module)]
    assert "check" in shown and len(shown) < 10
    assert public("insideout.lab.findings") == ["say"]
    for package in SHOWN:
        for module in modules_of(package):
            assert not [name for name in public(module) if name.startswith("_")]
