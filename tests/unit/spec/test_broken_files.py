"""Broken farm, profile and suite files: each mistake is told at its exact line and column, in plain words.

In the tables the sign `¶` stands before the character that the position must name; it is taken out before the file is
written. A file with several signs must give exactly that many problems.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import SpecError
from harness.spec import load_farm, load_suite

HERE = "¶"

Case = tuple[str, str, str]
"""What it is about, the file with signs, and what the first message must say."""

FARM_CASES: list[Case] = [
    ("empty file", "¶", "the file is empty"),
    ("only a comment", "¶# farm\n", "the file is empty"),
    ("a list at the top", "¶- name: a\n", "found a list"),
    ("a text at the top", "¶farm\n", "found a single text"),
    ("two documents", "farm: t\n¶---\nfarm: u\n", "a second document"),
    ("tab as indentation", "farm: t\ndevices:\n¶\t- name: a\n", "a tab character"),
    ("unclosed quote", "farm: ¶'t\ndevices: []\n", "never closed"),
    ("unclosed bracket", "farm: t\ndevices: ¶[{name: a, profile: host}\n", "never closed"),
    ("colon in plain text", "farm: a¶: b\n", "not valid YAML"),
    ("python tag", "farm: ¶!!python/object/apply:os.system [id]\ndevices: [{name: a, profile: host}]\n", "YAML tag"),
    ("alias to nothing", "farm: ¶*x\n", "is not defined above"),
    ("alias to itself", "farm: &x [¶*x]\n", "contains itself"),
    ("merge key", "farm: t\n¶<<: {a: 1}\ndevices: [{name: a, profile: host}]\n", "merge key"),
    ("duplicate key", "farm: t\ndevices:\n  - name: a\n    profile: host\n    ¶name: b\n", "first on line 3"),
    ("control character", "farm: ¶\x07t\n", "control character U+0007"),
    ("unknown key", "¶frm: t\nfarm: t\ndevices: [{name: a, profile: host}]\n", "unknown key 'frm'"),
    ("unknown key of a device", "farm: t\ndevices:\n  - {name: a, profile: host, ¶thraeds: 1}\n",
     "unknown key 'thraeds'"),
    ("no devices key", "¶farm: t\n", "a farm needs the key 'devices'"),
    ("no devices", "farm: t\ndevices: ¶[]\n", "too few entries"),
    ("device without a profile", "farm: t\ndevices:\n  - ¶name: a\n", "a device needs the key 'profile'"),
    ("device is a text", "farm: t\ndevices:\n  - ¶rpi5\n", "expected keys and values, found the text 'rpi5'"),
    ("empty value", "farm: t\ndevices:\n  - name: a\n    ¶profile:\n", "'profile' has no value"),
    ("unknown profile", "farm: t\ndevices:\n  - {name: a, profile: ¶rpi55}\n", "unknown profile 'rpi55'"),
    ("duplicate device", "farm: t\ndevices:\n  - {name: a, profile: host}\n  - {name: ¶a, profile: host}\n",
     "on line 3"),
    ("long name", f"farm: t\ndevices: [{{name: ¶{'a' * 64}, profile: host}}]\n", "is not a name"),
    ("three mistakes at once", "farm: t\n¶devcies: []\ndevices:\n  - {name: ¶A, profile: host, threads: ¶0}\n",
     "unknown key"),
]  # fmt: skip

DEVICE_CASES: list[Case] = [
    ("null value", "name: a, profile: host, ¶ssh: ~", "'ssh' has no value"),
    ("profile outside the shelf", "name: a, profile: ¶../rpi5", "unknown profile"),
    ("shell in a name", "name: ¶'pi4; touch /tmp/x', profile: host", "is not a name"),
    ("path as a name", "name: ¶../x, profile: host", "is not a name"),
    ("capital in a name", "name: ¶Pi, profile: host", "is not a name"),
    ("homoglyph in a name", "name: ¶\u0440i, profile: host", "is not a name"),
    ("reserved name", "name: ¶con, profile: host", "is reserved"),
    ("name of a scope", "name: ¶all, profile: host", "is reserved"),
    ("name of another profile", "name: ¶rpi5, profile: host", "the name of another profile"),
    ("boolean as a name", "name: ¶on, profile: host", "boolean to some YAML readers"),
    ("base-60 tag", "name: a, profile: host, tags: [¶12:30]", "base-60"),
    ("octal threads", "name: a, profile: host, threads: ¶010", "octal"),
    ("exponent threads", "name: a, profile: host, threads: ¶1e3", "to some YAML readers"),
    ("number as a name", "name: ¶5, profile: host", "expected text, found the number 5"),
    ("no threads", "name: a, profile: host, threads: ¶0", "must be at least 1"),
    ("threads in words", "name: a, profile: host, threads: ¶two", "expected a whole number"),
    ("threads true", "name: a, profile: host, threads: ¶true", "expected a whole number"),
    ("negative core", "name: a, profile: host, cores: [0, ¶-1]", "must be at least 0"),
    ("core twice", "name: a, profile: host, cores: ¶[1, 1]", "named twice"),
    ("two threads on an emulated board", "name: a, profile: qemu-cortex-a53, threads: ¶2", "one CPU"),
    ("port 0", "name: a, profile: rpi5, ssh: {host: a, port: ¶0}", "must be at least 1"),
    ("port 70000", "name: a, profile: rpi5, ssh: {host: a, port: ¶70000}", "must be at most 65535"),
    ("port with a command", "name: a, profile: rpi5, ssh: {host: a, port: ¶'22; id'}", "whole number"),
    ("option as a host", "name: a, profile: rpi5, ssh: ¶-oProxyCommand=x", "is not a host"),
    ("user at host", "name: a, profile: rpi5, ssh: ¶pi@lab", "is not a host"),
    ("option as a user", "name: a, profile: rpi5, ssh: {host: a, user: ¶-lroot}", "not a user name"),
    ("no ssh", "name: a, profile: ¶rpi5", "without 'ssh'"),
    ("ssh to an emulated board", "name: a, profile: qemu-cortex-a53, ¶ssh: b", "emulated board"),
    ("bad host key", "name: a, profile: rpi5, ssh: a, host_key: ¶'SHA256:x'", "is not a host key"),
    ("host key of another type", "name: a, profile: rpi5, ssh: a, host_key: ¶ssh-rsa AAAA", "type"),
    ("unknown runtime", "name: a, profile: host, runtimes: {¶tflit: system}", "unknown runtime"),
    ("unpinned runtime", "name: a, profile: host, runtimes: {tflite: ¶tflite-runtime}", "pinned"),
    ("runtime of the wrong family", "name: a, profile: host, runtimes: {tflite: ¶numpy==1.0}", "provide"),
    ("unknown meter", "name: a, profile: host, power: {meter: ¶hwmom}", "unknown meter"),
    ("key of another meter", "name: a, profile: host, power: {meter: hwmon, ¶idle: 1 W}", "nothing of"),
    ("modelled without figures", "name: a, profile: host, power: ¶{meter: modelled, idle: 1 W}", "needs"),
    ("simulated without a model", "name: a, profile: qemu-cortex-a72, power: ¶{meter: simulated, idle: 1 W}", "needs"),
    ("simulated meter of a real board", "name: a, profile: host, power: ¶{meter: simulated, idle: 1 W, busy: 1 W}",
     "follows an emulator"),
    ("simulated meter of a board with another clock",
     "name: a, profile: qemu-cortex-a53, power: ¶{meter: simulated, idle: 1 W, busy: 1 W}", "a clock that runs"),
    ("address of a simulated meter",
     "name: a, profile: qemu-cortex-a72, power: {meter: simulated, idle: 1 W, busy: 1 W, ¶address: m}", "nothing of"),
    ("option without a name", "name: a, profile: host, power: {meter: acme, options: {¶'A b': c}}", "cannot be here"),
    ("queries of a package's meter", "name: a, profile: host, power: {meter: acme, ¶queries: ['P?']}", "nothing of"),
    ("negative power", "name: a, profile: host, power: {meter: modelled, idle: ¶-1 W, per_instruction: 1 nJ}",
     "negative"),
    ("scpi without queries", "name: a, profile: host, power: ¶{meter: scpi, address: m}", "needs the key 'queries'"),
    ("plug without a make", "name: a, profile: host, power: ¶{meter: plug, address: m}", "needs the key 'make'"),
    ("plug of an unknown make", "name: a, profile: host, power: {meter: plug, address: m, make: ¶shely-gen2}",
     "unknown make"),
    ("rail of a plug", "name: a, profile: host, power: {meter: plug, address: m, make: tasmota, ¶rail: x}",
     "nothing of"),
    ("address with a path", "name: a, profile: host, power: {meter: plug, make: tasmota, address: ¶'http://m/x'}",
     "address"),
    ("accuracy of 150 %", "name: a, profile: host, power: {meter: hwmon, accuracy: ¶150 %}", "impossible"),
    ("unknown condition", "name: a, profile: host, condition: ¶pined", "unknown condition"),
    ("pinned emulated board", "name: a, profile: qemu-cortex-a53, condition: ¶pinned", "no clock to pin"),
    ("terminal escape in a key", 'name: a, profile: host, gates: {all: {¶"\\e[2J": {max: 1 ms}}}', "unknown metric"),
    ("shell in a path", "name: a, profile: host, root: ¶'/tmp/$(id)'", "not a path"),
    ("limit in the wrong unit", "name: a, profile: host, gates: {all: {latency.p95: {max: ¶4 MiB}}}", "not a time"),
    ("limit without a bound", "name: a, profile: host, gates: {all: {¶latency.p95: {}}}", "no limit"),
]  # fmt: skip
"""Files with one device, of which only its keys are given."""

PROFILE_CASES: list[Case] = [
    ("extends itself", "extends: ¶mine\n", "in a circle: mine -> mine"),
    ("extends nothing", "extends: ¶arm46\n", "unknown profile 'arm46'"),
    ("unknown tier", "tier: ¶hardwear\n", "unknown tier"),
    ("tier against emulation", "extends: qemu-cortex-a53\ntier: ¶hardware\n", "contradicts"),
    ("unknown CPU", "extends: qemu\nemulation: {cpu: ¶cortex-a75, icount: true}\n", "unknown CPU"),
    ("emulation without icount", "extends: qemu\nemulation: ¶{cpu: cortex-a53}\n", "'icount'"),
    ("icount by word", "extends: qemu\nemulation: {cpu: cortex-a53, icount: ¶yes}\n", "boolean to some"),
    ("icount by text", "extends: qemu\nemulation: {cpu: cortex-a53, icount: ¶'true'}\n", "expected true or false"),
    ("memory without a unit", "extends: qemu-cortex-a53\nemulation: {memory: ¶1024}\n", "no unit"),
    ("too little memory", "extends: qemu-cortex-a53\nemulation: {memory: ¶1 MiB}\n", "256 MiB"),
    ("unknown metric in budgets", "budgets: {¶memory.peek: {max: 1 MiB}}\n", "unknown metric 'memory.peek'"),
    ("not a limit", "budgets: {memory.peak: ¶64 MiB}\n", "expected keys and values"),
    ("suites are no key of a profile", "extends: arm64\n¶suite: x\n", "unknown key 'suite' in a profile"),
]

SUITE = """\
suite: t
workload: {task: classification, data: data.npz}
reference: reference.onnx
artifacts:
  int8: {file: int8.onnx, runtime: onnxruntime}
gates:
  all:
"""

GATE_CASES: list[Case] = [
    ("150 % accuracy", "    accuracy.top1: {min: ¶150 %}", "is impossible for min of accuracy.top1"),
    ("0 % accuracy", "    accuracy.top1: {min: ¶0 %}", "is impossible"),
    ("negative time", "    latency.p95: {max: ¶-4 ms}", "is negative"),
    ("no time at all", "    latency.p95: {max: ¶0 ms}", "is impossible"),
    ("unit that looks right", "    latency.p95: {max: ¶4 msec}", "is not a time"),
    ("no unit", "    latency.p95: {max: ¶4}", "has no unit"),
    ("decimal comma", "    latency.p95: {max: ¶'4,5 ms'}", "a comma in its number"),
    ("not a number", "    parity.cosine: {min: ¶.nan}", "not a finite number"),
    ("not a number in quotes", "    parity.cosine: {min: ¶'nan'}", "is not a plain number"),
    ("overflow", "    parity.cosine: {min: ¶1e999}", "to some YAML readers"),
    ("base-60 limit", "    parity.cosine: {min: ¶22:22}", "base-60"),
    ("boolean limit", "    latency.p95: {max: ¶true}", "is not a time"),
    ("drop on latency", "    latency.p95: {¶drop: 1 pp}", "'drop' makes no sense on latency.p95"),
    ("min on memory", "    memory.peak: {¶min: 1 MiB}", "'min' makes no sense"),
    ("max below min", "    accuracy.top1: {min: 90 %, ¶max: 80 %}", "'max' makes no sense"),
    ("regress on temperature", "    thermal.max: {¶regress: 5 %}", "'regress' makes no sense"),
    ("drop in percent", "    accuracy.top1: {drop: ¶0.5 %}", "relative or absolute"),
    ("regress by factor", "    latency.p95: {regress: ¶5000 %}", "is impossible"),
    ("unknown metric", "    ¶latency.p59: {max: 4 ms}", "unknown metric 'latency.p59'"),
    ("unknown bound", "    latency.p95: {¶maximum: 4 ms}", "unknown key 'maximum'"),
    ("no bound", "    ¶energy.per_inference: {accept: modelled}", "energy.per_inference has no limit"),
    ("accept something else", "    energy.per_inference: {max: 3 mJ, accept: ¶anything}", "unknown word 'anything'"),
    ("accept on latency", "    latency.p95: {max: 4 ms, ¶accept: modelled}", "is never modelled"),
    ("a simulated latency", "    latency.p95: {max: 4 ms, ¶accept: simulated}", "is never simulated"),
    ("duplicate metric", "    latency.p95: {max: 4 ms}\n    ¶latency.p95: {max: 5 ms}", "duplicate key"),
]

SUITE_CASES: list[Case] = [
    ("misspelt gates", SUITE.replace("gates:\n  all:\n", "¶gate: {}\n"), "unknown key 'gate' in a suite"),
    ("misspelt task", SUITE.replace("task: classification", "task: ¶clasification"), "unknown task"),
    ("no artifact", "suite: t\nworkload: {task: parity, data: data.npz}\nreference: reference.onnx\nartifacts: ¶{}\n",
     "too few"),
    ("missing data", SUITE.replace("data.npz", "¶dat.npz"), "no such file: 'dat.npz'"),
    ("data is no npz", SUITE.replace("data.npz", "¶int8.onnx"), "is not an .npz file"),
    ("missing artifact", SUITE.replace("int8.onnx", "¶int9.onnx"), "no such file: 'int9.onnx'"),
    ("missing reference", SUITE.replace("reference: reference.onnx", "reference: ¶ref.onnx"),
     "no such file: 'ref.onnx'"),
    ("artifact is a folder", SUITE.replace("int8.onnx", "¶."), "no such file"),
    ("unknown runtime", SUITE.replace("onnxruntime", "¶onnxruntme"), "unknown runtime 'onnxruntme'"),
    ("wrong runtime", SUITE.replace("int8.onnx, runtime: onnxruntime", "¶int8.onnx, runtime: tflite"),
     "file for onnxruntime"),
    ("baseline is the candidate", SUITE.replace("runtime: onnx", "baseline: ¶./int8.onnx, runtime: onnx"),
     "candidate itself"),
    ("provider with a space", SUITE.replace("runtime: onnx", "provider: ¶a b, runtime: onnx"), "cannot be here"),
    ("unpinned build", SUITE.replace("runtime: onnx", "build: ¶onnxruntime>=1.2, runtime: onnx"),
     "not a pinned runtime"),
    ("no repeat", SUITE.replace("data.npz}", "data.npz, repeat: ¶0}"), "must be at least 1"),
    ("deadline without a unit", SUITE.replace("data.npz}", "data.npz, deadline: ¶30}"), "has no unit"),
    ("labels missing", SUITE.replace("data.npz", "¶unlabelled.npz"), "no labels 'y'"),
    ("labels of another number", SUITE.replace("data.npz", "¶short.npz"), "x has 2, y has 1"),
    ("labels as one-hot rows", SUITE.replace("data.npz", "¶onehot.npz"), "the labels 'y' have the shape (2, 2)"),
    ("no inputs", SUITE.replace("data.npz", "¶labels.npz"), "has no inputs 'x'"),
    ("no sample", SUITE.replace("data.npz", "¶none.npz"), "'x' holds no sample"),
    ("a single number as data", SUITE.replace("data.npz", "¶scalar.npz"), "'x' holds no sample"),
    ("pickled data", SUITE.replace("data.npz", "¶pickled.npz"), "'x' holds Python objects"),
    ("not a scope", SUITE.replace("  all:\n", "  ¶'a b': {latency.p50: {max: 1 ms}}\n"), "is not a name"),
    ("no reference to drop from", SUITE.replace("reference: reference.onnx\n", "")
     + "    accuracy.top1: {drop: ¶1 pp}\n", "the suite has none"),
    ("no reference for parity", SUITE.replace("reference: reference.onnx\n", "")
     + "    parity.cosine: {min: ¶0.99}\n", "the suite has none"),
    ("parity without a reference", "suite: t\nworkload: {task: ¶parity, data: data.npz}\n"
     "artifacts: {int8: {file: int8.onnx, runtime: onnxruntime}}\n", "needs the key 'reference'"),
    ("accuracy of a parity suite", SUITE.replace("classification", "parity")
     + "    accuracy.top1: {min: ¶90 %}\n", "needs 'task: classification'"),
]  # fmt: skip


def places(text: str) -> tuple[str, list[tuple[int, int]]]:
    """Take the signs out of a text and give the places where they stood."""
    found = []
    while HERE in text:
        index = text.index(HERE)
        text = text[:index] + text[index + 1 :]
        found.append((text.count("\n", 0, index) + 1, index - text.rfind("\n", 0, index)))
    return text, found


def check(error: SpecError, expected: list[tuple[int, int]], file: Path, said: str) -> None:
    """Compare the problems with the places; nothing of pydantic's vocabulary may show."""
    assert [(problem.line, problem.column) for problem in error.problems] == expected, str(error)
    assert {problem.file for problem in error.problems} == {str(file)}
    assert said in error.problems[0].message
    assert "pydantic" not in str(error)
    assert "should" not in str(error)
    assert all(sign.isprintable() or sign == "\n" for sign in str(error))


def ids(cases: list[Case]) -> list[str]:
    """Name the cases."""
    return [case[0] for case in cases]


@pytest.fixture
def suite_folder(tmp_path: Path) -> Path:
    """Make a folder with the files that the suites name."""
    numpy = pytest.importorskip("numpy")
    numpy.savez(tmp_path / "data.npz", x=numpy.zeros((2, 3)), y=numpy.zeros(2, int))
    numpy.savez(tmp_path / "unlabelled.npz", x=numpy.zeros((2, 3)))
    labels = numpy.zeros(2, int)
    numpy.savez(tmp_path / "short.npz", x=numpy.zeros((2, 3)), y=labels[:1])
    numpy.savez(tmp_path / "onehot.npz", x=numpy.zeros((2, 3)), y=numpy.eye(2))
    numpy.savez(tmp_path / "labels.npz", y=labels)
    numpy.savez(tmp_path / "none.npz", x=numpy.zeros((0, 3)), y=labels[:0])
    numpy.savez(tmp_path / "scalar.npz", x=numpy.float32(1), y=labels)
    numpy.savez(tmp_path / "pickled.npz", x=numpy.array([{}, {}], dtype=object), y=labels)
    for name in ("int8.onnx", "reference.onnx"):
        (tmp_path / name).write_bytes(b"model")
    return tmp_path


@pytest.mark.parametrize(
    "case",
    FARM_CASES + [(name, f"farm: t\ndevices: [{{{keys}}}]\n", said) for name, keys, said in DEVICE_CASES],
    ids=ids(FARM_CASES) + ids(DEVICE_CASES),
)
def test_broken_farm(case: Case, tmp_path: Path) -> None:
    """A broken farm file names the exact place of each mistake."""
    text, expected = places(case[1])
    file = tmp_path / "farm.yaml"
    file.write_text(text, encoding="utf-8")

    with pytest.raises(SpecError) as caught:
        load_farm(file)

    check(caught.value, expected, file, case[2])


def test_an_item_out_of_its_column_is_told_to_be_indented(tmp_path: Path) -> None:
    """The commonest slip of YAML is named, not only quoting."""
    (tmp_path / "farm.yaml").write_text("farm: t\ndevices:\n  - name: a\n   profile: host\n")

    with pytest.raises(SpecError, match=r"farm.yaml:4:4: error: .*indent it like the lines around it"):
        load_farm(tmp_path / "farm.yaml")


@pytest.mark.parametrize("case", PROFILE_CASES, ids=ids(PROFILE_CASES))
def test_broken_profile(case: Case, tmp_path: Path) -> None:
    """A broken profile names the exact place in the profile's file, not in the farm's."""
    text, expected = places(case[1])
    file = tmp_path / "device_profiles" / "mine.yaml"
    file.parent.mkdir()
    file.write_text(text, encoding="utf-8")
    farm = tmp_path / "farm.yaml"
    farm.write_text("farm: t\ndevices: [{name: a, profile: mine, ssh: a}]\n", encoding="utf-8")
    if "qemu" in text:
        farm.write_text("farm: t\ndevices: [{name: a, profile: mine}]\n", encoding="utf-8")

    with pytest.raises(SpecError) as caught:
        load_farm(farm)

    check(caught.value, expected, file, case[2])


@pytest.mark.parametrize(
    "case",
    SUITE_CASES + [(name, SUITE + gate + "\n", said) for name, gate, said in GATE_CASES],
    ids=ids(SUITE_CASES) + ids(GATE_CASES),
)
def test_broken_suite(case: Case, suite_folder: Path) -> None:
    """A broken suite file names the exact place of each mistake."""
    text, expected = places(case[1])
    text = text.replace("  all:\n", "", 1) if text.endswith("  all:\n") else text
    text = text.removesuffix("gates:\n")
    file = suite_folder / "t.suite.yaml"
    file.write_text(text, encoding="utf-8")

    with pytest.raises(SpecError) as caught:
        load_suite(file)

    check(caught.value, expected, file, case[2])


def test_bytes_that_are_not_utf8(tmp_path: Path) -> None:
    """A file in another encoding is refused at the first byte that shows it."""
    file = tmp_path / "farm.yaml"
    file.write_bytes("farm: t\n# für\n".encode("latin-1"))

    with pytest.raises(SpecError, match=r"farm\.yaml:2:4: error: not UTF-8: byte 0xfc"):
        load_farm(file)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    """A farm that is not there, or is a folder, is told like any other mistake."""
    with pytest.raises(SpecError, match="no such file"):
        load_farm(tmp_path / "nothing.yaml")
    with pytest.raises(SpecError, match="is a folder"):
        load_farm(tmp_path)


def test_billion_laughs(tmp_path: Path) -> None:
    """Nested aliases are refused before they are expanded."""
    lines = ["farm: t", "devices:", "  - &a0 {name: a, profile: host}"]
    lines += [f"  - &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    file = tmp_path / "farm.yaml"
    file.write_text("\n".join(lines), encoding="utf-8")

    with pytest.raises(SpecError, match="aliases stand for more than"):
        load_farm(file)


def test_deep_nesting(tmp_path: Path) -> None:
    """A hundred thousand brackets are refused at the first that is too deep."""
    file = tmp_path / "farm.yaml"
    file.write_text("[" * 100_000, encoding="utf-8")

    with pytest.raises(SpecError, match="nested deeper than 32 levels"):
        load_farm(file)


def test_mistakes_of_all_files_at_once(tmp_path: Path) -> None:
    """Mistakes of the farm and of two profiles come in one error."""
    profiles = tmp_path / "device_profiles"
    profiles.mkdir()
    (profiles / "one.yaml").write_text("threads: 0\n", encoding="utf-8")
    (profiles / "two.yaml").write_text("thread: 1\n", encoding="utf-8")
    file = tmp_path / "farm.yaml"
    devices = [f"  - {{name: {name}, profile: {name}x, ssh: a}}".replace("x,", ",") for name in ("one", "two", "three")]
    file.write_text("farm: t\ndevices:\n" + "\n".join(devices) + "\n", encoding="utf-8")

    with pytest.raises(SpecError) as caught:
        load_farm(file)

    assert [Path(problem.file).name for problem in caught.value.problems] == ["one.yaml", "two.yaml", "farm.yaml"]


def test_thousands_of_mistakes_stay_readable(tmp_path: Path) -> None:
    """Of very many mistakes the first two hundred are told, and how many more there are."""
    file = tmp_path / "farm.yaml"
    file.write_text("farm: t\ndevices:\n" + "  - nothing\n" * 3000, encoding="utf-8")

    with pytest.raises(SpecError) as caught:
        load_farm(file)

    assert len(caught.value.problems) == 201
    assert "2800 more" in caught.value.problems[-1].message
