"""Which files are plain: run whole as ``__main__``; the others have a ``main`` that is called."""

import pytest

from oet_kernel.scripts.signature.plain import is_plain
from oet_kernel.scripts.signature.schema import read_script

BLOCK = "\nif __name__ == '__main__':\n    observe()\n"
PLAIN = {
    "a block": "def observe(): pass" + BLOCK,
    "a block the other way round": "def observe(): pass\nif '__main__' == __name__: observe()",
    "a block with more conditions": "import sys\ndef observe(): pass\nif __name__ == '__main__' and 1: observe()",
    "a block in parentheses": "def observe(): pass\nif (__name__ in ('__main__', '__mp_main__')): observe()",
    "a block within try": "def observe(): pass\ntry:\n    if __name__ == '__main__': observe()\nfinally: pass",
    "main bound in the block": "def observe(): pass\nif __name__ == '__main__':\n    main = observe()\n",
    "main defined in the block": "if __name__ == '__main__':\n    def main(): pass\n    main()\n",
    "main imported in the block": "if __name__ == '__main__':\n    from beside import main\n    main()\n",
    "main as a method": "class Observation:\n    def main(self): pass\nif __name__ == '__main__': Observation().main()",
    "main in a function": "def observe():\n    def main(): pass\n    main()" + BLOCK,
    "main called of a module": "import beside\nif __name__ == '__main__':\n    beside.main()",
    "an init that is a helper": "def init(): pass\ndef observe(): init()" + BLOCK,
    "a star import and a block": "from pylab import *\ndef observe(): pass" + BLOCK,
    "arguments by vars": "import argparse as a\nif __name__ == '__main__':\n    print(vars(a.Namespace()))",
    "a flat file": "import time\nprint(time.time())",
    "a flat file with a function": "def observe(): pass\nobserve()",
    "a flat loop": "import beside\nfor target in beside.TARGETS:\n    beside.observe(target)",
    "a flat with": "with open('x') as file:\n    file.read()",
    "a flat assignment": "import beside\nsession = beside.observe()",
    "a flat star import": "from pylab import *\nplot([1])",
    "a flat assignment of its own": "def observe(): pass\nresult = observe()",
    "an application": "import typer\napp = typer.Typer()\n@app.command()\ndef observe(): pass\napp()",
    "a flat failure": "raise SystemExit(3)",
    "a docstring and a future": "#!/usr/bin/python\n'''Doc.'''\nfrom __future__ import annotations\nprint(1)",
}
NOT_PLAIN = {
    "main": "def main(): pass",
    "main and a block": "def main(): pass\nif __name__ == '__main__':\n    main()",
    "an asynchronous main": "import asyncio\nasync def main(): pass\nif __name__ == '__main__': asyncio.run(main())",
    "main as a class": "class main: pass",
    "main assigned": "import functools\nmain = functools.partial(print)\nprint(1)",
    "main annotated": "main: object = print\nprint(1)",
    "main unpacked": "init, main = print, print\nprint(1)",
    "main by walrus": "(main := print)\nprint(1)",
    "main imported": "from beside import main\nif __name__ == '__main__': main()",
    "main imported under its name": "from beside import observe as main",
    "a module as main": "import beside as main\nprint(1)",
    "main by condition": "import sys\nif sys.argv:\n    def main(): pass\nelse:\n    main = None\nprint(1)",
    "main by try": "try:\n    from beside import main\nexcept ImportError:\n    main = None\nprint(1)",
    "main in the other branch": "if __name__ == '__main__':\n    print(1)\nelse:\n    def main(): pass",
    "main by init": "def init():\n    global main\n    main = print\nprint(1)",
    "main by another function": "def make():\n    global main\n    main = print\nmake()",
    "main by globals": "globals()['main'] = print",
    "main by setattr": "import sys\nsetattr(sys.modules[__name__], 'main', print)",
    "main by the module's __getattr__": "def __getattr__(name): return print\nprint(1)",
    "a star import alone": "from beside import *",
    "init alone": "def init(): pass\nprint(1)",
    "nothing": "",
    "a docstring": "'''Doc.'''",
    "definitions": "import logging\nlogging.basicConfig()\nlog = logging.getLogger()\ndef observe(): pass",
    "definitions and a path": "import sys\nsys.path.insert(0, '.')\ndef observe(): pass",
    "constants": "TARGETS = ['a']",
    "no Python": "def observe(:" + BLOCK,
    "null bytes": "print(1)\0",
}


@pytest.mark.parametrize("what", PLAIN)
def test_plain(what):
    assert is_plain(PLAIN[what])
    reading = read_script(PLAIN[what])
    assert reading.main is not None
    assert reading.main.schema["x-command-line"] is True


@pytest.mark.parametrize("what", NOT_PLAIN)
def test_not_plain(what):
    assert not is_plain(NOT_PLAIN[what])
