"""Readiness of descriptors: a loop of epoll that calls an action for each descriptor that is ready."""

import select
from collections.abc import Callable


class Readiness:
    """Descriptors that are watched, with their actions."""

    def __init__(self) -> None:
        self._poll = select.epoll()
        self._actions: dict[int, Callable[[int], None]] = {}
        self._first: set[int] = set()
        """Descriptors that are served ahead of others."""
        self._afterwards: list[Callable[[], None]] = []

    @property
    def watches(self) -> bool:
        """True while any descriptor is watched."""
        return bool(self._actions)

    def turn(self, seconds: float | None) -> None:
        """Wait until descriptors are ready, and serve them.

        Parameters
        ----------
        seconds
            Longest wait in seconds; None for no limit.
        """
        ready = self._poll.poll(seconds)
        for descriptor, events in sorted(ready, key=lambda one: one[0] not in self._first):
            action = self._actions.get(descriptor)
            if action is not None:  # the number may belong to a new descriptor, with nothing to read
                action(events)
        afterwards, self._afterwards = self._afterwards, []
        for action_afterwards in afterwards:
            action_afterwards()

    def watch(
        self, descriptor: int, action: Callable[[int], None], events: int = select.EPOLLIN, *, first: bool = False
    ) -> None:
        """Call `action`, with the events, whenever a descriptor is ready; no-op where it is watched already.

        Parameters
        ----------
        descriptor
            Stays open until it is unwatched.
        action
            Must not block.
        events
            Mask of epoll.
        first
            Whether it is served ahead of other ready descriptors.
        """
        if descriptor not in self._actions:
            self._actions[descriptor] = action
            self._poll.register(descriptor, events)
            if first:
                self._first.add(descriptor)

    def later(self, action: Callable[[], None]) -> None:
        """Call `action` once all descriptors that are ready now were served, in the order of these calls."""
        self._afterwards.append(action)

    def again(self, descriptor: int, events: int) -> None:
        """Watch a partly read descriptor again; other ready descriptors are served first."""
        if descriptor in self._actions:
            self._poll.modify(descriptor, events)

    def unwatch(self, descriptor: int) -> None:
        """Forget a descriptor; no-op where it is not watched."""
        self._first.discard(descriptor)
        if self._actions.pop(descriptor, None) is not None:
            self._poll.unregister(descriptor)
