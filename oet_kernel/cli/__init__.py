"""The ``oet`` command: one definition of each subcommand, for a terminal and for notebooks."""
