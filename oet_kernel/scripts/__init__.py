"""Where a script comes from: files, git repositories, and the environments they ask for."""
