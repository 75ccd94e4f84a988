"""Command ``oet``: one definition of each subcommand, for a terminal and for notebooks."""
