"""Settings of the service: the values of its options, as the assembly takes them."""

from pathlib import Path

from msgspec import Struct

from oet_kernel.errors import BadConfiguration
from oet_kernel.settings import Ladder, Limits


class Settings(Struct, frozen=True, kw_only=True):
    """Settings of the service; described at the options of `OetApp` of the same names."""

    scripts_roots: list[str]
    repositories: list[str]
    max_scripts: int
    abort_script: str
    archive: str
    state_dir: str
    history: int
    max_kernels: int
    keep_failed_seconds: float
    exit_seconds: float
    starting_kernels: int
    fork: bool
    preload: list[str]
    warm_kernels: int
    interrupt_seconds: float
    terminate_seconds: float
    orphan_seconds: float
    exclusive: bool
    kernel_seconds: float
    abort_seconds: float
    announce_lists: bool
    body_limit: int
    heartbeat: float
    listener_bytes: int
    record_bytes: int
    git_seconds: float
    environment_seconds: float
    uv: bool
    keep_checkouts: int
    keep_days: float
    keep_bytes: int
    power_safe: bool

    def check(self) -> None:
        """Check that the configured files and folders exist.

        Raises
        ------
        BadConfiguration
        """
        for root in self.roots:
            if not root.is_dir():
                raise BadConfiguration(f"--scripts-root {root} is not a folder")
        if self.abort_path is not None and not self.abort_path.is_file():
            raise BadConfiguration(f"--abort-script {self.abort_path} is not a file")
        if self.archive_path is not None and not self.archive_path.is_dir():
            raise BadConfiguration(f"--archive {self.archive_path} is not a folder")

    @property
    def state_path(self) -> Path:
        """Path of the state folder."""
        return Path(self.state_dir).expanduser()

    @property
    def roots(self) -> list[Path]:
        """Folders that scripts may come from."""
        return [Path(root).expanduser() for root in self.scripts_roots]

    @property
    def abort_path(self) -> Path | None:
        """Path of the abort script; None without one."""
        return Path(self.abort_script).expanduser() if self.abort_script else None

    @property
    def archive_path(self) -> Path | None:
        """Folder of scheduling block definitions; None without one."""
        return Path(self.archive).expanduser() if self.archive else None

    @property
    def limits(self) -> Limits:
        """Limits for the use cases."""
        return Limits(
            history=self.history,
            kernels=self.max_kernels,
            ladder=self.ladder,
            kernel_deadline=self.kernel_seconds,
            exit_deadline=self.exit_seconds,
            keep_failed=self.keep_failed_seconds,
            exclusive=self.exclusive,
            abort_script=self.abort_path,
            abort_deadline=self.abort_seconds,
            announce_lists=self.announce_lists,
        )

    @property
    def ladder(self) -> Ladder:
        """Duration of each step of a stop."""
        return Ladder(self.interrupt_seconds, self.terminate_seconds)
