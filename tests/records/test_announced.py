"""What a script has announced is a table that no text can break."""

import nbformat

from oet_kernel.records import About, build
from oet_kernel.records.announced import EVENT_ROWS
from tests.records.conftest import summary_in

ABOUT = About(service="oet-kernel 1", events="http://test/procedures/3/events")


def record(said):
    notebook = build(summary_in("CREATING", "COMPLETE"), said.events, ABOUT)
    nbformat.validate(notebook)
    return notebook


def test_user_events_are_listed_with_their_times_and_mean_no_markup(script):
    script.say("subarray.scan.started", subarray_id=1)
    script.say("user.script.announce", msg="<script>alert(1)</script> | `x` $y$\n\n# no heading")
    source = record(script).cells[-2].source
    assert "2020-09-13 12:26:41.000" in source
    assert "subarray.scan.started" in source
    assert "<script>" not in source
    assert "\n\n#" not in source.partition("<table>")[2]


def test_where_it_was_paused_is_listed(script):
    script.say("procedure.lifecycle.paused", checkpoint="scan 3")
    script.say("procedure.lifecycle.resumed", checkpoint="scan 3")
    source = record(script).cells[-2].source
    assert source.count("scan 3") == 2
    assert "procedure.lifecycle.resumed" in source


def test_own_events_of_the_service_are_not_listed(script):
    script.say("request.procedure.start", cmd={})
    script.say("procedure.lifecycle.created", result={})
    script.say("activity.lifecycle.running", result={})
    assert "announced nothing" in record(script).cells[-2].source


def test_of_very_many_events_the_first_and_the_newest_are_listed(script):
    for number in range(EVENT_ROWS + 5):
        script.say("user.script.announce", msg=f"({number})")
    source = record(script).cells[-2].source
    assert "5 events are left out here" in source
    assert "http://test/procedures/3/events" in source
    half = EVENT_ROWS // 2
    assert all((f"({n})" in source) is not (half <= n < half + 5) for n in range(EVENT_ROWS + 5))
