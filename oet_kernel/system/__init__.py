"""Facts of this process and this machine: processes, folders, threads; nothing of procedures."""
