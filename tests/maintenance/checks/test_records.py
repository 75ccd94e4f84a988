"""Records that no procedure has, or that were not finished, are removed, and no others."""

from oet_kernel import procedure as lifecycle
from oet_kernel.models import FileSystemScript, ProcedureInput
from oet_kernel.state.folder import StateFolder
from oet_kernel.state.layout import DATABASE
from oet_kernel.store.rows import ProcedureRow, Unit
from oet_kernel.store.sqlite import SqliteStore
from oet_kernel.system.files import write_whole
from tests.maintenance.examining import found


def leave_records(folder):
    """Leave records of procedures 1, 2 and 5; the database has given five ids, and has procedure 2 still."""
    procedure = lifecycle.create(2, FileSystemScript(script_uri="file:///a.py"), ProcedureInput(), 1.0)
    ended = lifecycle.apply(procedure, lifecycle.Failed(2.0, "because"))
    store = SqliteStore(folder / DATABASE)
    store.write(Unit(procedures={2: ProcedureRow(procedure=ended)}, counters={"procedure": 5}))
    store.close()
    records = folder / "records"
    for name in ("1.ipynb", "2.ipynb", "5.ipynb"):
        write_whole(records / name, b"{}")
    return records


def names(records):
    return sorted(path.name for path in records.iterdir())


def test_records_of_procedures_that_are_kept_no_more_are_removed_and_no_others(folder):
    records = leave_records(folder)
    others = ["03.ipynb", "1-copy.ipynb", "6.ipynb", "600.ipynb", "note.txt"]
    for name in others:
        (records / name).touch()
    (records / "4.ipynb").mkdir()
    (one,) = found(folder, "leftovers")
    assert one.text.startswith("2 records of procedures that were removed")
    assert not one.problem
    assert [one.mended for one in found(folder, "leftovers", fix=True)] == [True]
    assert names(records) == sorted(["2.ipynb", "4.ipynb", *others])
    assert found(folder, "leftovers") == []


def test_record_whose_writing_was_not_finished_is_removed_and_the_one_before_stays(folder):
    records = leave_records(folder)
    for pid in (1, 2, 9):
        (records / f".{pid}.ipynb.new").touch()
    assert [one.mended for one in found(folder, "leftovers", fix=True)] == [True, True]
    assert names(records) == ["2.ipynb"]


def test_records_are_left_alone_while_a_service_may_write_them(folder):
    records = leave_records(folder)
    (records / ".2.ipynb.new").touch()
    before = names(records)
    state = StateFolder(folder)
    try:
        (one,) = found(folder, "leftovers", fix=True)
        assert (one.problem, one.mended) == (False, False)
        assert "while no service is using the folder" in one.remedy
        assert names(records) == before
    finally:
        state.close()


def test_records_of_a_database_that_was_put_away_are_not_taken_for_leftovers(folder):
    records = leave_records(folder)
    for path in folder.glob(f"{DATABASE}*"):
        path.unlink()
    assert found(folder, "leftovers", fix=True) == []
    SqliteStore(folder / DATABASE).close()
    assert found(folder, "leftovers", fix=True) == []
    assert names(records) == ["1.ipynb", "2.ipynb", "5.ipynb"]
