"""ActivityService: runs the activities of scheduling blocks as procedures of the ScriptExecutionService."""

import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import Struct, field

from oet_kernel import topics
from oet_kernel.bounds import NAME_CHARACTERS
from oet_kernel.errors import MalformedRequest, ResourceNotFound
from oet_kernel.events.bus import EventBus
from oet_kernel.events.event import Event
from oet_kernel.models import (
    ActivityCommand,
    ActivityState,
    ActivitySummary,
    FileSystemScript,
    GitArgs,
    GitScript,
    PrepareProcessCommand,
    ProcedureInput,
    ProcedureState,
    Script,
    ScriptArgs,
)
from oet_kernel.oda.base import Archive
from oet_kernel.printable import has_controls
from oet_kernel.scripts.catalogue import ScriptCatalogue
from oet_kernel.service.procedures import ScriptExecutionService
from oet_kernel.service.publisher import EventPublisher, publish_list
from oet_kernel.state.layout import Layout
from oet_kernel.store.journal import Journal
from oet_kernel.store.rows import ActivityRow
from oet_kernel.system.threads import SCRIPTS, STATE

_FOLLOWS = {
    ProcedureState.READY: ActivityState.PREPARED,
    ProcedureState.RUNNING: ActivityState.RUNNING,
    ProcedureState.COMPLETE: ActivityState.COMPLETE,
    ProcedureState.FAILED: ActivityState.FAILED,
    ProcedureState.UNKNOWN: ActivityState.FAILED,
    ProcedureState.STOPPED: ActivityState.STOPPED,
}


_OF_THE_BLOCK = ("sb_json", "sbi_id")
"""Arguments of ``main`` that each activity adds: path of the block's file, and id of the block's instance."""


class _BlockActivity(Struct):
    """Activity in a scheduling block definition."""

    path: str
    kind: Literal["filesystem", "git"] = "filesystem"
    default_env: bool = True
    repo: str = ""
    branch: str | None = None
    commit: str | None = None
    function_args: dict[str, ProcedureInput] = field(default_factory=dict)

    def script(self, create_env: bool) -> Script:
        """Return the script as a model of the service."""
        if self.kind == "filesystem":
            return FileSystemScript(script_uri=_uri("file", self.path))
        return GitScript(
            script_uri=_uri("git", self.path),
            git_args=GitArgs(git_repo=self.repo, git_branch=self.branch, git_commit=self.commit),
            create_env=create_env or not self.default_env,
        )


class _StateChange(Struct):
    new_state: ProcedureState


_statechange = msgspec.json.Decoder(_StateChange)


class _Record(Struct):
    """Stored part of an activity; its states follow from those of its procedure."""

    command: ActivityCommand
    sbi_id: str
    calls: dict[str, ProcedureInput]
    requested: float


_record = msgspec.json.Decoder(_Record)


class Activity:
    """Activity that the service lists, with its states."""

    def __init__(self, number: int, procedure_id: int, record: _Record) -> None:
        self.number = number
        self.procedure_id = procedure_id
        self.command = record.command
        self.sbi_id = record.sbi_id
        self.calls = record.calls
        self.states = [(ActivityState.REQUESTED, record.requested)]

    @property
    def state(self) -> ActivityState:
        """Newest state."""
        return self.states[-1][0]

    def follow(self, state: ProcedureState, at: float) -> None:
        """Append the state that follows from a state of its procedure; a second READY, after ``main``, adds none."""
        new = _FOLLOWS.get(state)
        if new is not None and not (new is ActivityState.PREPARED and self.state is not ActivityState.REQUESTED):
            self.states.append((new, at))


class ActivityService:
    """Run the activities of scheduling blocks.

    Parameters
    ----------
    service
        Runs the activities' scripts.
    publisher
        Publishes requests and results.
    archive
        Source of scheduling blocks.
    folder
        State folder, in which blocks are written for scripts to read.
    journal
        Stores activities.
    bus
        Delivers events after they are stored.
    catalogue
        Checks arguments against scripts' signatures.
    keep
        Maximum number of activities listed.
    announce_lists
        Whether each listing also publishes an event, as listings of procedures do.
    """

    def __init__(
        self,
        service: ScriptExecutionService,
        publisher: EventPublisher,
        archive: Archive,
        folder: Path,
        journal: Journal,
        bus: EventBus,
        catalogue: ScriptCatalogue,
        *,
        keep: int = 1000,
        announce_lists: bool = False,
    ) -> None:
        self._service = service
        self._publisher = publisher
        self._archive = archive
        self._folder = folder
        self._journal = journal
        self._catalogue = catalogue
        self._keep = keep
        self._announce_lists = announce_lists
        self._activities: dict[int, Activity] = {}
        self._by_procedure: dict[int, Activity] = {}
        bus.tap(self._follow)

    async def resume(self) -> None:
        """Restore the previous service's activities from the store; call it before procedures are restored."""
        store = self._journal.store
        rows = await STATE.run(store.activities, self._keep)
        procedures = await STATE.run(store.procedures, [row.procedure for row in rows])
        for row in rows:
            try:
                activity = Activity(row.id, row.procedure, _record.decode(row.record))
            except (ValueError, RecursionError) as error:
                self._journal.set_aside.put("rows", f"activity {row.id}", row.record, f"it cannot be read: {error}")
                await self._journal.run(partial(store.remove_activity, row.id))
                continue
            self._add(activity)
            if (found := procedures.get(row.procedure)) is not None:
                for state, at in found.procedure.history.process_states:
                    activity.follow(state, at)
                if found.procedure.state.inactive:
                    del self._by_procedure[row.procedure]

    async def run(self, command: ActivityCommand, who: str | None = None) -> ActivitySummary:
        """Prepare an activity's script, and start it unless the command says otherwise.

        Parameters
        ----------
        command
            Block and name of the activity.
        who
            Name of the requester.

        Raises
        ------
        ResourceNotFound
            When the archive has no such block, or the block no such activity.
        MalformedRequest
            When the block does not define a script, or the script does not accept its arguments.
        """
        for what, name in (("$.sbd_id", command.sbd_id), ("$.activity_name", command.activity_name)):
            if len(name) > NAME_CHARACTERS:
                raise MalformedRequest(f"{what}: has {len(name)} characters and {NAME_CHARACTERS} are allowed")
            if has_controls(name):
                raise MalformedRequest(f"{what}: {name!r} contains control characters; remove them")
        block = await SCRIPTS.run(self._archive.definition, command.sbd_id)
        planned = _planned(block, command)
        script = planned.script(command.create_env)
        calls = merge(planned.function_args, command.script_args)
        calls = await self._checked(script, calls, starts=not command.prepare_only)
        sbi_id = await STATE.run(self._archive.record_instance, command.sbd_id, command.activity_name)
        number = self._journal.next_id("activity")
        path = await STATE.run(self._write_block, number, block)
        usual = ProcedureInput([], dict(zip(_OF_THE_BLOCK, (str(path), sbi_id), strict=True)))
        calls["main"] = merge({"main": usual}, calls)["main"]
        record = _Record(command, sbi_id, calls, time.time())

        def on_created(pid: int) -> None:
            self._add(Activity(number, pid, record))
            self._journal.put(ActivityRow(number, pid, msgspec.json.encode(record)))
            self._publisher.request(topics.REQUEST_ACTIVITY_RUN, record.requested, pid, cmd=command)
            self._publisher.result(topics.ACTIVITY_RUNNING, record.requested, self.summarise(number), pid)

        prepare = PrepareProcessCommand(script, calls.get("init", ProcedureInput()))
        await self._service.prepare(
            prepare, calls["main"], autostart=not command.prepare_only, who=who, on_created=on_created
        )
        return self.summarise(number)

    def summaries(self, numbers: Sequence[int] | None = None) -> list[ActivitySummary]:
        """Return summaries of activities, and publish the listing if that is configured.

        Parameters
        ----------
        numbers
            Ids of activities; None for all that are listed, in order of creation.

        Raises
        ------
        ResourceNotFound
            When no activity with one of these ids is listed.
        """
        summaries = [self.summarise(number) for number in (self._activities if numbers is None else numbers)]
        if self._announce_lists:
            asked, told = topics.REQUEST_ACTIVITY_LIST, topics.ACTIVITY_LIST
            publish_list(self._journal, asked, told, time.time(), summaries, activity_ids=numbers)
        return summaries

    def summarise(self, number: int) -> ActivitySummary:
        """Return the summary of an activity.

        Raises
        ------
        ResourceNotFound
            When no activity with this id is listed.
        """
        activity = self._activities.get(number)
        if activity is None:
            raise ResourceNotFound(f"No information available for activity ID={number}")
        return ActivitySummary(
            id=number,
            uri=f"{self._publisher.base_url}/activities/{number}",
            activity_name=activity.command.activity_name,
            sbd_id=activity.command.sbd_id,
            sbi_id=activity.sbi_id,
            procedure_id=activity.procedure_id,
            prepare_only=activity.command.prepare_only,
            script_args=activity.calls,
            activity_states=list(activity.states),
            state=activity.state,
        )

    def _add(self, activity: Activity) -> None:
        self._activities[activity.number] = self._by_procedure[activity.procedure_id] = activity
        while len(self._activities) > self._keep:
            del self._activities[next(iter(self._activities))]

    def _follow(self, event: Event) -> None:
        if event.service_topic != topics.STATECHANGE or event.procedure not in self._by_procedure:
            return
        state = _statechange.decode(event.data).new_state
        self._by_procedure[event.procedure].follow(state, event.at)
        if state.inactive:
            del self._by_procedure[event.procedure]

    async def _checked(
        self, script: Script, calls: dict[str, ProcedureInput], *, starts: bool
    ) -> dict[str, ProcedureInput]:
        """Check arguments before the archive records the run and before ``init`` is called; return the converted ones.

        An empty text stands in for the block's file and the instance's id, which do not exist yet. Where an activity is
        only prepared, the rest of ``main``'s arguments may come with its start.
        """
        init, main = (calls.get(name, ProcedureInput()) for name in ("init", "main"))
        if not starts:
            checked = await self._catalogue.check_creation(script, ScriptArgs(init=init))
            return {name: checked.init if name == "init" else call for name, call in calls.items()}
        usual = dict.fromkeys(_OF_THE_BLOCK, "")
        tried = ScriptArgs(init=init, main=main.over(ProcedureInput([], usual)))
        checked = await self._catalogue.check_creation(script, tried)
        left = {name: value for name, value in checked.main.kwargs.items() if name in main.kwargs}
        fitted = {"init": checked.init, "main": msgspec.structs.replace(checked.main, kwargs=left)}
        return {name: fitted.get(name, call) for name, call in calls.items()}

    def _write_block(self, number: int, block: Mapping[str, Any]) -> Path:
        folder = Layout(self._folder).activities
        folder.mkdir(mode=0o700, exist_ok=True)
        path = folder / f"{number}.json"
        path.write_bytes(msgspec.json.encode(block))
        return path


def merge(given: Mapping[str, ProcedureInput], override: Mapping[str, ProcedureInput]) -> dict[str, ProcedureInput]:
    """Return arguments, overridden key by key.

    Parameters
    ----------
    given
        Arguments by function name.
    override
        Arguments by function name; positional arguments, if any, replace the given ones; keyword arguments are added,
        or replace those of the same name.
    """
    merged = dict(given)
    for name, call in override.items():
        base = merged.get(name, ProcedureInput())
        merged[name] = call.over(base)
    return merged


def _planned(block: Mapping[str, Any], command: ActivityCommand) -> _BlockActivity:
    activities = block.get("activities")
    if not isinstance(activities, dict) or command.activity_name not in activities:
        names = ", ".join(activities) if isinstance(activities, dict) else "none"
        raise ResourceNotFound(
            f"SBD {command.sbd_id} has no activity {command.activity_name!r}; its activities are: {names or 'none'}"
        )
    try:
        return msgspec.convert(activities[command.activity_name], _BlockActivity)
    except msgspec.ValidationError as error:
        raise MalformedRequest(f"SBD {command.sbd_id}, activity {command.activity_name!r}: {error}") from None


def _uri(scheme: str, path: str) -> str:
    return path if path.startswith(f"{scheme}://") else f"{scheme}://{path}"
