"""NotebookPrinter: events of a procedure in the output of a cell."""

import msgspec
from IPython.core.interactiveshell import InteractiveShell

from oet_kernel.cli.printing import Printer
from oet_kernel.client import Event
from oet_kernel.formatting.terminal_text import StreamText
from oet_kernel.magics.pictures import picture_of
from oet_kernel.topics import OUTPUT_DISPLAY, OUTPUT_STREAM


class NotebookPrinter(Printer):
    """Printer of lines in their final form, once they are finished, and of pictures.

    Printed text in a cell cannot be withdrawn, so that a progress bar would leave each of its states in the notebook.
    The handle of the procedure shows a line while it is being written.

    Parameters
    ----------
    shell
        Shell in which pictures are shown.
    as_json
        As for `Printer`.
    """

    def __init__(self, shell: InteractiveShell, as_json: bool) -> None:
        super().__init__(as_json)
        self._shell = shell
        self._streams: dict[tuple[str, bool], tuple[Event, StreamText]] = {}
        """Newest event and unfinished text of each stream."""

    def event(self, event: Event) -> None:
        """Print an event, if it has a text for users."""
        if self.as_json or event.is_notice:
            super().event(event)
        elif event.service_topic == OUTPUT_STREAM:
            key = (event.msg_src, event.fields.get("name") == "stderr")
            _, text = self._streams.pop(key, (event, StreamText()))
            text.write(str(event.fields.get("text", "")))
            self._streams[key] = (event, text)
            self._write(event, text.take())
        elif event.service_topic == OUTPUT_DISPLAY and (picture := picture_of(event.fields)) is not None:
            transient = {"display_id": f"{event.msg_src}-{picture.display_id}"} if picture.display_id else {}
            self._shell.display_pub.publish(picture.bundle, transient=transient, update=picture.update)
        else:
            super().event(event)

    def close(self) -> None:
        """Print unfinished lines."""
        for event, text in self._streams.values():
            self._write(event, text.take(whole=True))
        self._streams.clear()

    def _write(self, event: Event, text: str) -> None:
        if text:
            super().event(msgspec.structs.replace(event, fields={**event.fields, "text": text}))
