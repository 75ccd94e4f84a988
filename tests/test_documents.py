"""The descriptions of the API and of its events are those of the vocabulary."""

import subprocess
import sys
from pathlib import Path

GENERATOR = Path(__file__).parents[1] / "scripts" / "generate-documents"


def test_documents_are_what_the_generator_makes_of_the_vocabulary():
    done = subprocess.run([sys.executable, GENERATOR, "--check"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
