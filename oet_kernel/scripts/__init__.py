"""Sources of scripts: files and git repositories, with the environments that scripts request."""
