"""Code that runs inside the kernel process: the kernel, the script loader, the event journal."""
