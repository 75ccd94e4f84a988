"""What could not be taken is kept with its bytes, up to a bound, and counted beyond it."""

import msgspec

from oet_kernel.store.set_aside import MOST_BYTES, MOST_FILES, SetAside


def test_bytes_are_kept_as_they_came(tmp_path):
    aside = SetAside(tmp_path / "set-aside")
    aside.put("records", "procedure 3", bytes(range(256)), "it is none")
    aside.put("rows", "../../x", b"y" * (MOST_BYTES + 1), "too long")
    aside.close()
    kept = {path.name.split("-")[0]: path.read_bytes() for path in (tmp_path / "set-aside").iterdir()}
    head, _, data = kept["records"].partition(b"\n")
    assert msgspec.json.decode(head)["what"] == "records of procedure 3"
    assert msgspec.json.decode(head)["why"] == "it is none"
    assert data == bytes(range(256))
    assert len(kept["rows"].partition(b"\n")[2]) == MOST_BYTES
    assert aside.counts == {"records": 1, "rows": 1}


def test_no_more_than_so_many_are_kept_and_all_are_counted(tmp_path):
    for _ in range(2):
        aside = SetAside(tmp_path)
        for _ in range(MOST_FILES):
            aside.put("records", "procedure 1", b"x", "no")
        aside.close()
        assert aside.counts["records"] == MOST_FILES
    assert len(list(tmp_path.iterdir())) == MOST_FILES


def test_folder_that_cannot_be_written_harms_nobody(tmp_path):
    (tmp_path / "file").touch()
    aside = SetAside(tmp_path / "file")
    aside.put("records", "procedure 1", b"x", "no")
    aside.close()
    assert aside.counts["records"] == 1
