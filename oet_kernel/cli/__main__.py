"""``python -m oet_kernel.cli``."""

from oet_kernel.cli.entry import main

main()
