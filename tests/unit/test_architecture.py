"""What import-linter does not see: cycles through a package's own `__init__`, and files that grow too long."""

from graphlib import TopologicalSorter
from pathlib import Path

import grimp

ROOT = Path(__file__).parents[2]
PACKAGES = ("holdfast", "app")
CODE = (*PACKAGES, "examples", "bench", "tests", "tools")
MAX_LINES = 400


def test_no_module_imports_itself_by_way_of_others() -> None:
    graph = grimp.build_graph(*PACKAGES, exclude_type_checking_imports=True, cache_dir=None)
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}

    TopologicalSorter(imports).prepare()  # a CycleError names the modules


def test_no_python_file_is_over_400_lines() -> None:
    files = [path for folder in CODE for path in (ROOT / folder).rglob("*.py")]

    lengths = {str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines()) for path in files}

    assert lengths
    assert {path: lines for path, lines in lengths.items() if lines > MAX_LINES} == {}
