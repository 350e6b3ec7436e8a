"""Run folders: written whole, read with suspicion, replayed byte for byte."""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from harness.errors import RecordError
from harness.gate import judge
from harness.records.canonical import to_json
from harness.records.run import RunRecord
from harness.store import RunFolder, load_run, replay
from harness.store.read import is_reproduced
from harness.store.run_folder import samples_path
from harness.store.samples import pack, unpack
from harness.testing.evidence import Scene, limit, run_of

LIMITS = (
    limit("memory.peak", "max", 2**26, "64 MiB"),
    limit("latency.p50", "regress", 0.05, "5 %"),
    limit("accuracy.top1", "drop", 0.02, "2 pp"),
    limit("parity.cosine", "min", 0.9),
)
KEY = "digits::int8[pi]"


def _store(root: Path, scene: Scene | None = None, run_id: str = "r1") -> tuple[RunFolder, RunRecord]:
    """Write one run as the plugin does."""
    run, samples = run_of([(scene or Scene(limits=LIMITS, baseline=0.99)).evidence()])
    folder = RunFolder.create(root, run_id)
    folder.write_plan(run.plan)
    cells = tuple(
        replace(cell, samples_sha256=folder.write_samples(cell.key, samples.arrays(cell.key))) for cell in run.cells
    )
    run = replace(run, run_id=run_id, cells=cells)
    folder.finish(run, judge(run, folder))
    return folder, run


def _edit(path: Path, change: Callable[[dict[str, object]], object]) -> None:
    raw = json.loads(path.read_bytes())
    change(raw)
    path.write_text(json.dumps(raw))


def test_a_replay_gives_the_same_verdicts_byte_for_byte(tmp_path: Path) -> None:
    """`fleetgate gate RUN` needs nothing but the folder."""
    folder, run = _store(tmp_path)

    judgement = replay(folder.path)

    assert to_json(judgement) == (folder.path / "verdicts.json").read_bytes()
    stored = load_run(folder.path)
    assert stored.record == run
    assert is_reproduced(stored, judgement)


def test_a_run_is_found_by_folder_by_file_and_by_latest(tmp_path: Path) -> None:
    """`latest` is the run that finished last."""
    first, _ = _store(tmp_path)
    second, _ = _store(tmp_path, run_id="r2")

    assert load_run(first.path / "run.json").record.run_id == "r1"
    assert load_run(tmp_path / "latest").record.run_id == "r2"
    assert (tmp_path / "latest").readlink() == Path(second.path.name)


def test_nothing_temporary_is_left(tmp_path: Path) -> None:
    """A finished folder holds plan, record, verdicts and samples, readable by others."""
    folder, _ = _store(tmp_path)

    names = {path.relative_to(folder.path).as_posix() for path in folder.path.rglob("*") if path.is_file()}

    assert names == {"plan.json", "run.json", "verdicts.json", f"samples/{samples_path(folder.path, KEY).name}"}
    assert (folder.path / "run.json").stat().st_mode & 0o777 == 0o644


def test_a_run_is_never_written_over_another(tmp_path: Path) -> None:
    """The same id twice is an error, and an id that leaves the folder as well."""
    RunFolder.create(tmp_path, "r1")

    with pytest.raises(RecordError, match="already"):
        RunFolder.create(tmp_path, "r1")
    with pytest.raises(RecordError, match="no plain name"):
        RunFolder.create(tmp_path, "../r1")


def test_the_plan_comes_first(tmp_path: Path) -> None:
    """A run cannot be finished without the plan that was written before it."""
    run, samples = run_of([Scene().evidence()])
    folder = RunFolder.create(tmp_path, "r1")

    with pytest.raises(RecordError, match=r"no plan\.json"):
        folder.finish(run, judge(run, samples))


def test_the_log_shows_control_characters(tmp_path: Path) -> None:
    """A board cannot move the cursor of who reads the log."""
    folder = RunFolder.create(tmp_path, "r1")

    folder.log("a53: \x1b[2Jgone\r\nforged")

    text = (folder.path / "log.txt").read_text()
    assert text.endswith("a53: \\x1b[2Jgone\\r\\nforged\n")


BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "no folder": (lambda f: f.rename(f.with_name("moved")), "no such run folder"),
    "never finished": (lambda f: (f / "run.json").unlink(), "never finished"),
    "torn record": (lambda f: os.truncate(f / "run.json", 999), "not readable as JSON"),
    "empty record": (lambda f: (f / "run.json").write_bytes(b""), "not readable as JSON"),
    "newer version": (lambda f: _edit(f / "run.json", lambda raw: raw.update(schema_version=99)), "upgrade fleetgate"),
    "no version": (lambda f: _edit(f / "run.json", lambda raw: raw.pop("schema_version")), "not a record of fleetgate"),
    "unknown key": (lambda f: _edit(f / "run.json", lambda raw: raw.update(extra=1)), "unknown key 'extra'"),
    "edited plan": (lambda f: _edit(f / "run.json", lambda raw: raw["plan"].update(farm="x")), "edited after the run"),  # type: ignore[attr-defined]
    "missing samples": (lambda f: samples_path(f, KEY).unlink(), "does not exist"),
    "torn samples": (lambda f: samples_path(f, KEY).write_bytes(b"PK"), "torn or edited"),
}  # fmt: skip


@pytest.mark.parametrize(("change", "message"), BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_folder_says_what_is_broken(tmp_path: Path, change: Callable[[Path], object], message: str) -> None:
    """Torn, edited or foreign folders are a RecordError that names the file, never a verdict."""
    folder, _ = _store(tmp_path)
    change(folder.path)

    with pytest.raises(RecordError, match=message):
        replay(folder.path)


def test_edited_samples_are_found(tmp_path: Path) -> None:
    """Faster latencies with a valid zip but another hash are refused."""
    folder, _ = _store(tmp_path)
    path = samples_path(folder.path, KEY)
    arrays = unpack(path.read_bytes(), "x")
    path.write_bytes(pack({key: array / 2 if "latency" in key else array for key, array in arrays.items()}))

    with pytest.raises(RecordError, match=r"hash is not the one in run\.json"):
        replay(folder.path)


def test_an_edited_limit_is_found(tmp_path: Path) -> None:
    """A limit changed after the run breaks the plan's hash."""
    folder, _ = _store(tmp_path)

    def loosen(raw: dict[str, object]) -> None:
        raw["plan"]["cells"][0]["limits"][0]["value"] = 1e12  # type: ignore[index]

    _edit(folder.path / "run.json", loosen)

    with pytest.raises(RecordError, match="edited after the run"):
        replay(folder.path)


def test_edited_verdicts_are_not_reproduced(tmp_path: Path) -> None:
    """verdicts.json is only what was concluded then; the record decides."""
    folder, _ = _store(tmp_path)
    path = folder.path / "verdicts.json"
    path.write_bytes(path.read_bytes().replace(b"PASS", b"FAIL"))

    assert not is_reproduced(load_run(folder.path), replay(folder.path))


def test_arrays_that_are_not_those_of_the_record_are_refused(tmp_path: Path) -> None:
    """A record that speaks of another shape than its sample file holds is broken."""
    folder, run = _store(tmp_path)
    session = run.cells[0].sessions[0]
    refs = {**session.arrays, "latency_s": replace(session.arrays["latency_s"], shape=(7,))}
    cell = replace(run.cells[0], sessions=(replace(session, arrays=refs), *run.cells[0].sessions[1:]))
    (folder.path / "run.json").write_bytes(to_json(replace(run, cells=(cell,))))

    with pytest.raises(RecordError, match=r"is not the float64\[7\] of run\.json"):
        replay(folder.path)


def test_equal_arrays_give_equal_bytes_and_numpy_reads_them() -> None:
    """Sample files do not depend on when or in which order they were written."""
    arrays = {"0/latency_s": np.arange(5.0), "labels": np.arange(3), "r/x": np.ones((2, 3), np.float32)}

    data = pack(arrays)

    assert data == pack(dict(reversed(arrays.items())))
    with np.load(io.BytesIO(data), allow_pickle=False) as found:
        assert {key: found[key].tolist() for key in found.files} == {k: a.tolist() for k, a in arrays.items()}
    assert all((unpack(data, "x")[key] == array).all() for key, array in arrays.items())


def _zip(name: str, content: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return stream.getvalue()


def _npy(array: np.ndarray, *, pickled: bool = False) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=pickled)
    return stream.getvalue()


HOSTILE = {
    "no zip": b"not a zip",
    "no array": _zip("x.npy", b"hello"),
    "pickle": _zip("x.npy", _npy(np.array([{"a": 1}], dtype=object), pickled=True)),
    "text": _zip("x.npy", _npy(np.array(["a"]))),
    "escape": _zip("../../x.npy", _npy(np.ones(2))),
    "torn array": _zip("x.npy", _npy(np.ones(100))[:-50]),
    "tokens": _zip("x.npy", _npy(np.ones(2)).replace(b"(2,)", b"((2,")),
    "absurd shape": _zip("x.npy", _npy(np.ones(2)).replace(b"(2,), }", b"(-9,),}")),
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_sample_files_are_refused(data: bytes) -> None:
    """Whatever a sample file holds, the answer is numbers or a RecordError."""
    with pytest.raises(RecordError, match=r"^x\.npz: "):
        unpack(data, "x.npz")


def test_a_claimed_size_beyond_all_bounds_is_refused() -> None:
    """A header that promises terabytes is refused before memory is asked for."""
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": "<f8", "fortran_order": False, "shape": (2**40,)})

    with pytest.raises(RecordError, match="does not fit"):
        unpack(_zip("x.npy", stream.getvalue()), "x.npz")


def test_a_bomb_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A small file that unpacks to more than the bound is not unpacked."""
    monkeypatch.setattr("harness.store.samples.MOST_ARRAY_BYTES", 10_000)

    with pytest.raises(RecordError, match="when unpacked"):
        unpack(pack({"x": np.zeros(10_000)}), "x.npz")


def test_samples_are_numbers() -> None:
    """Objects and strings are never written."""
    with pytest.raises(RecordError, match="plain numbers"):
        pack({"x": np.array(["a"])})
