"""The house keeps its shape: budgets, floors and habits of DESIGN sections 2, 3 and 11, checked on the code itself.

What import-linter holds (`.importlinter`, run by `make lint`) is not repeated here. Budgets count non-test code.
"""

from __future__ import annotations

import ast
import re
import statistics
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from fnmatch import fnmatchcase
from functools import cache
from graphlib import CycleError, TopologicalSorter
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from core.paths import CHECKOUT
from tests.crash_point_names import ROOMS, crash_point_names

DATA_FOLDERS = ("inbox", "queue", "status", "control", "current_model", "models", "logs", "configs", "data")
HEAVY = ("torch", "transformers", "accelerate", "peft", "datasets")
TORCH_HOME = "arena.trainer"
VAGUE_NAMES = {"utils.py", "helpers.py", "manager.py", "misc.py", "common.py"}

DEVELOPERS_TOOLS = {"make_screenshots.py"}
"""They drive a browser over a realm of the tests, and so need the dev extra."""

LONGEST_FILE = 500
MEDIAN_FILE = 150
LONGEST_FUNCTION = 60
P95_FUNCTION = 45

Function = ast.FunctionDef | ast.AsyncFunctionDef


@cache
def code_files() -> list[Path]:
    """All Python of the project that is not test code."""
    files = [CHECKOUT / "realm.py"]
    for folder in (*ROOMS, "examples", "docs"):
        files += sorted((CHECKOUT / folder).rglob("*.py"))
    return files


@cache
def code_of_tests() -> list[Path]:
    return sorted((CHECKOUT / "tests").rglob("*.py"))


@cache
def lines_of(file: Path) -> list[str]:
    return file.read_text(encoding="utf-8").splitlines()


@cache
def nodes_of(file: Path) -> list[ast.AST]:
    return list(ast.walk(ast.parse("\n".join(lines_of(file)) + "\n", str(file))))


def functions(files: list[Path]) -> Iterator[tuple[Path, Function]]:
    for file in files:
        for node in nodes_of(file):
            if isinstance(node, Function):
                yield file, node


def calls(files: list[Path]) -> Iterator[tuple[Path, ast.Call, str]]:
    """Every call with the dotted text of what is called."""
    for file in files:
        for node in nodes_of(file):
            if isinstance(node, ast.Call):
                yield file, node, ast.unparse(node.func)


def imports_for_type_checkers(file: Path) -> set[ast.AST]:
    """What stands below `if TYPE_CHECKING:`; it never runs."""
    guards = [n for n in nodes_of(file) if isinstance(n, ast.If) and ast.unparse(n.test) == "TYPE_CHECKING"]
    return {node for guard in guards for statement in guard.body for node in ast.walk(statement)}


def place(file: Path, node: ast.AST) -> str:
    return f"{file.relative_to(CHECKOUT)}:{getattr(node, 'lineno', '?')}"


def module_name(file: Path) -> str:
    parts = file.relative_to(CHECKOUT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


# --- sizes --------------------------------------------------------------------------------------------------------


def test_no_file_is_longer_than_its_budget_and_half_of_them_are_short() -> None:
    static = [
        file
        for file in (CHECKOUT / "tavern" / "static").rglob("*")
        if file.suffix in {".js", ".css", ".html"} and "vendor" not in file.parts
    ]
    lengths = {file: len(lines_of(file)) for file in [*code_files(), *static] if lines_of(file)}
    too_long = {str(file.relative_to(CHECKOUT)): length for file, length in lengths.items() if length > LONGEST_FILE}
    assert not too_long
    assert statistics.median(lengths.values()) <= MEDIAN_FILE


def test_functions_stay_within_their_budget() -> None:
    lengths = {
        f"{place(file, function)} {function.name}": (function.end_lineno or 0) - function.lineno + 1
        for file, function in functions(code_files())
    }
    assert not {name: length for name, length in lengths.items() if length > LONGEST_FUNCTION}
    assert sorted(lengths.values())[int(len(lengths) * 0.95)] <= P95_FUNCTION


# --- imports and processes -----------------------------------------------------------------------------------------


def test_no_modules_import_each_other_in_a_circle() -> None:
    modules = {module_name(file): file for file in code_files()}
    graph: dict[str, set[str]] = {name: set() for name in modules}
    for name, file in modules.items():
        typing_only = imports_for_type_checkers(file)
        for node in nodes_of(file):
            if node in typing_only:
                continue
            if isinstance(node, ast.Import):
                graph[name] |= {alias.name for alias in node.names} & modules.keys()
            elif isinstance(node, ast.ImportFrom) and node.module:
                inner = {f"{node.module}.{alias.name}" for alias in node.names} & modules.keys()
                graph[name] |= inner or ({node.module} & modules.keys())
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" → ".join(error.args[1]))


def test_relative_imports_are_not_used() -> None:
    relative = [
        place(file, node)
        for file in [*code_files(), *code_of_tests()]
        for node in nodes_of(file)
        if isinstance(node, ast.ImportFrom) and node.level
    ]
    assert not relative


@pytest.mark.parametrize("room", [*ROOMS, "realm"])
def test_a_room_with_all_its_modules_loads_no_torch(room: str) -> None:
    """Law 5: the control process stays small; only the trainer child imports torch & co.

    G9, G11: a module that does not compile, or that imports what is gone, is met here and not by its user.
    """
    names = [module_name(file) for file in code_files() if module_name(file).split(".")[0] == room]
    # Alembic loads its scripts itself, and `__main__` modules are processes.
    others = (TORCH_HOME, "core.migrations", "vault.migrations")
    wanted = [n for n in names if not n.startswith(others) and not n.endswith("__main__")]
    script = (
        "import importlib, sys\n"
        f"for name in {wanted!r}: importlib.import_module(name)\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])\n"
    )
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], cwd=CHECKOUT, capture_output=True, text=True, timeout=60
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.strip() == "[]"


def test_import_queue_is_the_standard_library_from_the_checkout() -> None:
    """STYLE 8.1: `queue/` is a data folder; Python code in it hides the stdlib module of that name."""
    script = "import queue; queue.SimpleQueue; print(queue.__file__)"
    ended = subprocess.run([sys.executable, "-c", script], cwd=CHECKOUT, capture_output=True, text=True, timeout=30)
    assert ended.returncode == 0, ended.stderr
    assert not Path(ended.stdout.strip()).is_relative_to(CHECKOUT / "queue")


def test_data_folders_hold_no_python_and_nothing_hides_realm() -> None:
    """G17: a folder `realm/` beside `realm.py` takes its name."""
    assert not (CHECKOUT / "realm").exists()
    stray = [
        str(file.relative_to(CHECKOUT))
        for folder in DATA_FOLDERS
        for file in (CHECKOUT / folder).rglob("*")
        if file.suffix in {".py", ".pyc", ".pyi", ".so"}
    ]
    assert not stray


def test_every_folder_with_code_is_a_package() -> None:
    """STYLE 8.2: without `__init__.py` a package of the same name elsewhere on the path wins over ours."""
    folders = {file.parent for file in code_files() if file.relative_to(CHECKOUT).parts[0] in ROOMS}
    folders |= {file.parent for file in code_of_tests()}
    bare = [
        str(folder.relative_to(CHECKOUT))
        for folder in folders
        # Alembic loads migration scripts by their path; they are no package.
        if "migrations" not in folder.parts and not (folder / "__init__.py").exists()
    ]
    assert not bare


def test_what_is_imported_is_declared_and_what_is_declared_is_imported() -> None:
    """G21: a server that crashes for want of a package nobody had listed."""
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    listed = [*project["dependencies"], *project["optional-dependencies"]["lora"]]
    declared = {re.split(r"[<>=]", line)[0] for line in listed}
    homes = packages_distributions()
    imported = set()
    for file in code_files():
        if file.name in DEVELOPERS_TOOLS:
            continue
        for node in nodes_of(file):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            modules += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
            roots = {module.split(".")[0] for module in modules} - sys.stdlib_module_names - {*ROOMS, "realm"}
            imported |= {homes[root][0].lower().replace("_", "-") for root in roots}
    # transformers.Trainer imports accelerate itself, and does not depend on it.
    assert imported | {"accelerate"} == declared


def test_no_place_of_one_machine_stands_in_the_code() -> None:
    """G8: hard-coded paths of somebody's machine."""
    private = re.compile(r"/(home|root|work|Users)/")
    files = [
        *code_files(),
        *(CHECKOUT / "configs").rglob("*.yaml"),
        *CHECKOUT.glob("*.md"),
        CHECKOUT / "constraints.txt",
    ]
    found = [
        f"{file.relative_to(CHECKOUT)}:{number}"
        for file in files
        for number, line in enumerate(lines_of(file), start=1)
        if private.search(line)
    ]
    assert not found


def test_sys_path_is_left_alone() -> None:
    edits = [
        place(file, node)
        for file in [*code_files(), *code_of_tests()]
        for node in nodes_of(file)
        if isinstance(node, ast.Attribute) and ast.unparse(node) in {"sys.path", "site.addsitedir"}
    ]
    assert not edits


# --- habits --------------------------------------------------------------------------------------------------------


def test_every_function_says_what_it_returns() -> None:
    silent = [
        f"{place(file, function)} {function.name}"
        for file, function in functions([*code_files(), *code_of_tests()])
        if function.returns is None
    ]
    assert not silent


def test_broad_excepts_give_their_reason_on_the_same_line() -> None:
    unexplained = []
    for file in [*code_files(), *code_of_tests()]:
        for node in nodes_of(file):
            if not isinstance(node, ast.ExceptHandler):
                continue
            caught = ast.unparse(node.type) if node.type else ""
            if caught and not re.search(r"\b(Base)?Exception\b", caught):
                continue
            comment = lines_of(file)[node.lineno - 1].partition("#")[2]
            if len(re.sub(r"noqa:[A-Z0-9, ]*[–-]*", "", comment).split()) < 3:
                unexplained.append(place(file, node))
    assert not unexplained


def test_dangerous_calls_are_not_made() -> None:
    """No shell, no code from model repositories, no pickles of others."""
    found = []
    for file, call, name in calls(code_files()):
        given = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
        if given.get("shell", "False") != "False" or given.get("trust_remote_code", "False") != "False":
            found.append(place(file, call))
        if name == "torch.load" and given.get("weights_only") != "True":
            found.append(place(file, call))
        if name in {"eval", "exec", "os.system", "pickle.load", "pickle.loads", "yaml.load"}:
            found.append(place(file, call))
    assert not found


def test_library_code_prints_nothing() -> None:
    """Verbs echo through typer or rich; everything else logs."""
    prints = [place(file, call) for file, call, name in calls(code_files()) if name in {"print", "rich.print"}]
    assert not prints


def test_names_of_files_say_what_they_are_for() -> None:
    assert not [str(file) for file in [*code_files(), *code_of_tests()] if file.name in VAGUE_NAMES]


def test_every_module_says_its_job() -> None:
    nameless = [
        str(file.relative_to(CHECKOUT))
        for file in [*code_files(), *code_of_tests()]
        if lines_of(file) and ast.get_docstring(ast.parse("\n".join(lines_of(file)))) is None
    ]
    assert not nameless


def test_nothing_is_left_for_later() -> None:
    """What is not whole is left out, not marked."""
    mark = re.compile(r"#\s*(TODO|FIXME|XXX|HACK)\b")
    marks = [
        f"{file.relative_to(CHECKOUT)}:{number}"
        for file in [*code_files(), *code_of_tests()]
        for number, line in enumerate(lines_of(file), start=1)
        if mark.search(line)
    ]
    assert not marks


# --- tests ---------------------------------------------------------------------------------------------------------


def test_test_folders_are_named_like_the_rooms() -> None:
    """STYLE 8.2: a test folder named like a stdlib module, `queue` among them, shadows it."""
    tests = CHECKOUT / "tests"
    names = {file.relative_to(tests).parts[0] for file in code_of_tests() if file.parent != tests}
    assert names <= {*ROOMS, "acceptance", "benchmarks"}
    stdlib = {folder.name for file in code_of_tests() for folder in file.parents if folder.is_relative_to(tests)}
    assert not stdlib & sys.stdlib_module_names


def test_a_test_name_is_a_sentence() -> None:
    short = [
        f"{place(file, function)} {function.name}"
        for file, function in functions([file for file in code_of_tests() if file.name.startswith("test_")])
        if function.name.startswith("test_") and len(function.name.split("_")) < 4
    ]
    assert not short


def test_tests_are_never_skipped_and_mock_none_of_our_code() -> None:
    """DESIGN section 11: what is missing fails with the install command; parts are real."""
    found = []
    for file in code_of_tests():
        for node in nodes_of(file):
            if isinstance(node, ast.ImportFrom | ast.Import):
                names = [alias.name for alias in node.names] + [getattr(node, "module", None) or ""]
                found += [place(file, node) for name in names if name in {"mock", "unittest.mock"}]
            if isinstance(node, ast.Attribute) and ast.unparse(node) in {
                "pytest.skip",
                "pytest.importorskip",
                "pytest.xfail",
                "pytest.mark.skip",
                "pytest.mark.skipif",
                "pytest.mark.xfail",
            }:
                found.append(place(file, node))
    assert not found


def test_tests_wait_for_predicates_instead_of_sleeping() -> None:
    sleeps = [
        place(file, call)
        for file, call, name in calls(code_of_tests())
        if name == "time.sleep" and file.name != "waiting.py"
    ]
    assert not sleeps


# --- crash points --------------------------------------------------------------------------------------------------


def test_crash_points_are_named_once_and_documented() -> None:
    names = crash_point_names()
    assert names
    # What stands for several places is a family: `save.file.*`.
    assert not [name for name, times in Counter(names).items() if times > 1 and "*" not in name]
    table = (CHECKOUT / "DEVELOPMENT.md").read_text(encoding="utf-8")
    families = {name for name in names if "*" in name}
    single = {name for name in names if not any(fnmatchcase(name, family) for family in families)}
    assert set(re.findall(r"^\| `([a-z_]+\.[a-z_.*]+)` \|", table, re.MULTILINE)) == single | families
