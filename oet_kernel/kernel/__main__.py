"""``python -m oet_kernel.kernel``: start the kernel of a procedure."""

import sys


def main() -> None:
    """Start the kernel; ipykernel's debugger, which costs a fifth of the start, is left out."""
    hidden = "debugpy" not in sys.modules
    if hidden:
        sys.modules["debugpy"] = None  # type: ignore[assignment]
    from oet_kernel.kernel.app import OetKernelApp

    app = OetKernelApp.instance()
    app.initialize()
    if hidden:
        del sys.modules["debugpy"]  # a script may import it
    app.start()


if __name__ == "__main__":
    main()
