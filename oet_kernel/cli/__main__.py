"""``python -m oet_kernel.cli``."""

from oet_kernel.cli import main

main()
