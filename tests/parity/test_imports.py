"""A script finds modules and files as ``python script.py`` has them."""

import pytest

from tests.parity.both import compare

SCRIPTS = {
    "a module beside it": "import beside\ndef main(): print(beside.NAME)",
    "its own file": "def main(): print(pathlib.Path(__file__).name, HERE.is_dir())",
    "a file that it writes": "def main(): (HERE / 'out.txt').write_text('kept')",
    "a failure": "def main(): print('before'); raise RuntimeError('on purpose')",
}


@pytest.mark.parametrize("what", SCRIPTS)
def test_script_finds(side, tmp_path, what):
    compare(side, tmp_path, SCRIPTS[what], files={"beside.py": "NAME = 'beside'"})
