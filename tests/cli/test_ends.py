"""How commands end: outputs that cannot be written, readers that go away, encodings, signals, file modes. Real processes."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from typer.main import get_command

from hefl_core.cli.ends import files
from hefl_core.cli.lazy import CODES
from hefl_core.cli.main import COMMANDS
from hefl_core.ending import ENDING, Ended
from hefl_core.errors import DataError, ParameterError
from hefl_core.federation.record.transcript import Transcript

ROOT = Path(__file__).parents[2]
HEFL = [sys.executable, "-m", "hefl_core"]
TABLE = "alter,größe,klasse\n" + "".join(f"{40 + n},{150 + 3 * n},{'jä' if n % 2 else 'nein'}\n" for n in range(20))
FULL = Path("/dev/full")
needs_full = pytest.mark.skipif(not FULL.exists(), reason="no /dev/full on this system")


def environment(**more):
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHONIO", "PYTHONUTF8"))}
    return kept | {"PYTHONPATH": str(ROOT), **{name: str(value) for name, value in more.items()}}


def start(*args, **options):
    options.setdefault("env", environment())
    return subprocess.Popen([*HEFL, *args], cwd=ROOT, **options)


def ended(*args, timeout=120, **options):
    """Exit code, stdout and stderr as text; a file object may stand for either."""
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    process = start(*args, **options)
    out, err = process.communicate(timeout=timeout)
    return process.returncode, (out or b"").decode("utf-8", "replace"), (err or b"").decode("utf-8", "replace")


def every_option():
    """Every option of every command: its path and the option."""
    for one in COMMANDS:
        command = one.load()
        subcommands = getattr(command, "commands", None)
        for path, leaf in (
            [((one.name,), command)]
            if subcommands is None
            else [((one.name, name), found) for name, found in subcommands.items()]
        ):
            for parameter in leaf.params:
                if parameter.param_type_name == "option":
                    yield path, parameter


OUTPUTS = [(path, one.opts[0]) for path, one in every_option() if getattr(one, "callback", None) is not None]


# -- every command says how it ends, and checks its outputs first ------------------------------------------------------


def test_every_option_that_names_an_output_is_checked_before_the_command_begins():
    written = [
        (path, one.opts[0])
        for path, one in every_option()
        if one.name in ("json", "markdown") or (one.help or "").startswith("write ")
    ]
    assert len(written) >= 14
    assert sorted(written) == sorted(OUTPUTS)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_every_command_documents_its_exit_codes(command):
    assert command.load().epilog == CODES


@pytest.mark.parametrize(("path", "option"), OUTPUTS, ids=lambda value: str(value))
def test_an_output_that_cannot_be_written_is_refused_at_once(path, option, tmp_path):
    """In this process: parsing comes before every command, and parsing alone refuses."""
    command = get_command(__import__("hefl_core.cli.main", fromlist=["app"]).app)
    for target in (tmp_path / "none" / "x", tmp_path, tmp_path / ("x" * 300)):
        with pytest.raises(ParameterError, match="nothing was started"):
            command.main([*path, option, str(target)], standalone_mode=False)
    assert list(tmp_path.iterdir()) == []


def test_two_outputs_of_one_name_are_refused(tmp_path):
    target = str(tmp_path / "x")
    code, _, err = ended("run", "--json", target, "--transcript", target)
    assert code == 2 and "found two" in err and not Path(target).exists()
    linked = tmp_path / "y"
    linked.symlink_to(target)  # the second way to name one file
    code, _, err = ended("run", "--json", str(linked), "--transcript", target)
    assert code == 2 and "found two" in err


def test_a_transcript_needs_all_its_four_places(tmp_path):
    for name in ("t.jsonl.d", "t.jsonl.roster", "t.jsonl.heads"):
        folder = tmp_path / name[-6:]
        folder.mkdir()
        blocked = folder / name
        blocked.write_text("") if name.endswith(".d") else blocked.mkdir()
        code, _, err = ended("run", "--transcript", str(folder / "t.jsonl"))
        assert code == 2 and name in err, err


# -- a result is never lost ----------------------------------------------------------------------------------------


@needs_full
def test_a_result_that_does_not_fit_is_kept_elsewhere_and_the_code_says_so(tmp_path):
    run = ("run", "--clients", "3", "--rounds", "1")
    record = tmp_path / "t.jsonl"
    options = {"env": environment(TMPDIR=tmp_path)}
    code, _, err = ended(*run, "--json", str(FULL), "--transcript", str(record), **options)
    assert code == 4 and "NOT WRITTEN" in err and "Traceback" not in err
    (kept,) = tmp_path.glob("hefl-kept-*/full")
    assert str(kept) in err.replace("\n", "")
    assert json.loads(kept.read_text())["rounds"] and Transcript.load(record).closed
    with FULL.open("wb") as full:  # the second fault: standard output itself
        code, _, err = ended(*run, "--json", "-", stdout=full, **options)
    assert code == 4 and "Traceback" not in err
    (kept,) = tmp_path.glob("hefl-kept-*/stdout.json")
    assert json.loads(kept.read_text())["rounds"]


def test_what_can_be_kept_nowhere_is_printed(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(files, "_lost", [])
    monkeypatch.setattr(files.tempfile, "mkdtemp", lambda **_: (_ for _ in ()).throw(OSError(28, "full")))
    assert files.exit_code(0) == 0
    files.write_json(str(tmp_path / "none" / "x.json"), '{"a": 1}')
    found = capsys.readouterr()
    assert json.loads(found.out) == {"a": 1} and "LOST" in found.err
    assert files.exit_code(0) == 4 and files.exit_code(1) == 1


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
    target = tmp_path / "x.json"
    target.write_text("before")
    target.chmod(0o640)
    files.replace_file(target, b"after")
    assert target.read_bytes() == b"after" and target.stat().st_mode & 0o777 == 0o640
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "full")))
    with pytest.raises(OSError, match="full"):
        files.replace_file(target, b"torn")
    assert target.read_bytes() == b"after" and list(tmp_path.iterdir()) == [target]


def test_a_second_transcript_of_one_name_leaves_no_old_bodies(tmp_path):
    path, folder = tmp_path / "t.jsonl", tmp_path / "t.jsonl.d"
    for seed in ("1", "2"):
        code, _, err = ended("run", "--clients", "3", "--rounds", "1", "--seed", seed, "--transcript", str(path))
        assert code == 0, err
        (folder / "notes.txt").write_text("mine")
        names = {name for name in os.listdir(folder) if len(name) == 64}
        found = Transcript.load(path)
        assert names == {digest.hex() for digest in found.blobs} and len(names) > 5
        named = {sent.head.header.content_digest.hex() for sent in found.sent} | {s.body.hex() for s in found.sent}
        assert names <= named, "a body that no line of this record names"
    found.save(path, bodies=False)
    assert os.listdir(folder) == ["notes.txt"], "only the record's own files go"
    (folder / "notes.txt").unlink()
    found.save(path, bodies=False)
    assert not folder.exists()
    folder.symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere").mkdir()
    with pytest.raises(DataError, match="folder"):
        found.save(path)
    assert list((tmp_path / "elsewhere").iterdir()) == []


# -- streams ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inputs")
    (folder / "größe.csv").write_text(TABLE, encoding="utf-8")
    options = ("--store", str(folder / "k.sqlite"), "--key-file", str(folder / "k.key"))
    code, _, err = ended("keys", "ceremony", *options, "--clients", "3")
    assert code == 0, err
    return folder, options


QUICK = {
    "help": lambda folder, options: ("--help",),
    "schemes": lambda folder, options: ("schemes",),
    "schemes json": lambda folder, options: ("schemes", "--json", "-"),
    "claims": lambda folder, options: ("claims",),
    "claims json": lambda folder, options: ("claims", "--json", "-"),
    "attack list": lambda folder, options: ("attack", "--list"),
    "attack json": lambda folder, options: ("attack", "--list", "--json", "-"),
    "table": lambda folder, options: ("table", "check", str(folder / "größe.csv")),
    "keys": lambda folder, options: ("keys", "list", *options),
    "keys audit": lambda folder, options: ("keys", "audit", *options, "--json", "-"),
}


@pytest.mark.parametrize("name", QUICK)
def test_any_encoding_any_state_of_the_streams(name, inputs):
    args = QUICK[name](*inputs)
    for encoding in ("ascii", "cp1252", "utf-16", "cp437"):
        code, out, err = ended(*args, env=environment(PYTHONIOENCODING=encoding))
        assert code == 0 and out and "Traceback" not in err, (encoding, err)
        if "--json" in args and encoding != "utf-16":
            json.loads(out)
    reader, writer = os.pipe()
    os.close(reader)  # nobody reads: what `| head` ends in
    with os.fdopen(writer, "wb") as pipe:
        code, _, err = ended(*args, stdout=pipe)
    assert (code, err) == (141, "")
    if FULL.exists():
        with FULL.open("wb") as full:
            code, _, err = ended(*args, stdout=full, env=environment(TMPDIR=inputs[0]))  # what is kept stays here
            assert code == 4 and "No space left" in err and "Traceback" not in err
            assert ended(*args, stderr=full)[0] == 0


def test_closed_descriptors_are_not_given_to_files(tmp_path):
    target = tmp_path / "x.json"
    for close in ("<&- >&- 2>&-", ">&- 2>&-", "2>&-", ">&-"):
        line = f"'{sys.executable}' -m hefl_core schemes --json '{target}' {close}"
        code = subprocess.run(["sh", "-c", line], cwd=ROOT, env=environment(), timeout=60, check=False).returncode
        assert code == (4 if " >&-" in f" {close}" else 0)
        assert json.loads(target.read_text())
        target.unlink()


@needs_full
def test_a_failed_command_keeps_its_code_when_stderr_is_full():
    with FULL.open("wb") as full:
        assert ended("verify", "/nowhere.jsonl", stderr=full)[0] == 2
        assert ended("no-such-command", stderr=full)[0] == 2


def test_a_run_survives_a_stderr_that_nobody_reads(tmp_path):
    reader, writer = os.pipe()
    os.close(reader)
    target = tmp_path / "o.json"
    with os.fdopen(writer, "wb") as pipe:
        code, _, _ = ended("run", "--clients", "3", "--rounds", "1", "--json", str(target), stderr=pipe)
    assert code == 0 and json.loads(target.read_text())["rounds"]


def test_a_prompt_without_anybody_to_ask_is_bad_input(inputs):
    folder, _ = inputs
    environ = {name: value for name, value in environment().items() if name != "HEFL_PASSPHRASE"}
    code, _, err = ended(
        "keys",
        "list",
        "--store",
        str(folder / "k.sqlite"),
        stdin=subprocess.DEVNULL,
        env=environ,
        start_new_session=True,
    )
    assert code == 2 and "HEFL_PASSPHRASE" in err


# -- modes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("umask", [0o000, 0o077, 0o377])
def test_keys_and_pins_are_their_owners_alone_whatever_the_umask(umask, tmp_path):
    store, key = tmp_path / "k.sqlite", tmp_path / "k.key"
    code, _, err = ended(
        "keys", "ceremony", "--store", str(store), "--key-file", str(key), "--clients", "3", umask=umask
    )
    assert code == 0, err
    modes = {path.name: path.stat().st_mode & 0o777 for path in (store, key, Path(f"{store}.roster"))}
    assert set(modes.values()) == {0o600}, modes
    wide = Path(f"{store}.roster")
    wide.chmod(0o666)  # an earlier version's pin does not keep its mode
    rotated = ("keys", "ceremony", "--store", str(tmp_path / "2"), "--key-file", str(key), "--clients", "3")
    os.rename(wide, tmp_path / "2.roster")
    assert ended(*rotated, umask=umask)[0] == 0
    assert (tmp_path / "2.roster").stat().st_mode & 0o777 == 0o600


def test_no_file_of_a_party_is_anybody_elses(tmp_path):
    code, _, err = ended("provision", "all", str(tmp_path / "p"), "--clients", "3", umask=0)
    assert code == 0, err
    open_to_others = [
        path
        for path in (tmp_path / "p").rglob("*")
        if path.is_file()
        and path.stat().st_mode & 0o077
        and (path.suffix in (".db", ".key", ".npz") or b"PRIVATE" in path.read_bytes())
    ]
    assert open_to_others == []


def test_pin_and_heads_of_a_run(tmp_path):
    code, _, err = ended("run", "--clients", "3", "--rounds", "1", "--transcript", str(tmp_path / "t"), umask=0)
    assert code == 0, err
    for name in ("t.roster", "t.heads"):
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o600


# -- signals ---------------------------------------------------------------------------------------------------------

STATUS = Path("/proc/self/status")
LONG = ("run", "--clients", "3", "--rounds", "10000")
needs_proc = pytest.mark.skipif(not STATUS.exists(), reason="reads signal masks in /proc")


def until(found, process, seconds=90.0):
    """Wait for a state; a process that ended before it fails the test."""
    end = time.monotonic() + seconds
    while not (value := found()):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end, "the state was not reached"
        time.sleep(0.02)
    return value


def catches(process, number):
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    mask = next(int(line.split()[1], 16) for line in lines if line.startswith("SigCgt"))
    return bool(mask >> (number - 1) & 1)


def told(process, number):
    """Send a signal, wait for the end. Returns the code, stderr, and the children that outlive it."""
    children = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(number)
    _, err = process.communicate(timeout=120)
    return process.returncode, err.decode(), psutil.wait_procs(children, timeout=10)[1]


@needs_proc
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda one: one.name)
def test_a_signal_ends_a_local_run(number, tmp_path):
    process = start(*LONG, stderr=subprocess.PIPE, env=environment(TMPDIR=tmp_path))
    until(lambda: catches(process, signal.SIGHUP), process)
    code, err, left = told(process, number)
    assert (code, left) == (128 + number, []) and "Traceback" not in err and number.name in err
    assert list(tmp_path.iterdir()) == []


@needs_proc
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=lambda one: one.name)
def test_a_signal_ends_a_strict_run_with_all_its_services(number, tmp_path):
    process = start(*LONG, "--runtime", "strict", stderr=subprocess.PIPE, env=environment(TMPDIR=tmp_path))
    keys = until(lambda: list(tmp_path.glob("hefl-strict-*/parties/*/*.key")), process)
    until(lambda: len(psutil.Process(process.pid).children()) >= 6, process)
    assert keys
    code, err, left = told(process, number)
    assert (code, left) == (128 + number, []) and "Traceback" not in err
    assert list(tmp_path.iterdir()) == [], "a folder with keys outlived its process"


@needs_proc
def test_a_signal_while_the_folders_are_made(tmp_path):
    """The second fault: the earliest moment at which a key lies on disk, before any service was started."""
    process = start(*LONG, "--runtime", "strict", stderr=subprocess.PIPE, env=environment(TMPDIR=tmp_path))
    until(lambda: list(tmp_path.glob("hefl-strict-*")), process)
    code, err, left = told(process, signal.SIGTERM)
    assert (code, left) == (143, []) and "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


@needs_proc
def test_what_its_starter_ignores_stays_ignored(tmp_path):
    line = f"trap '' HUP; exec '{sys.executable}' -m hefl_core {' '.join(LONG)}"
    process = subprocess.Popen(["sh", "-c", line], cwd=ROOT, env=environment(TMPDIR=tmp_path), stderr=subprocess.PIPE)
    until(lambda: catches(process, signal.SIGTERM), process)
    assert not catches(process, signal.SIGHUP)
    process.send_signal(signal.SIGHUP)
    assert told(process, signal.SIGTERM)[0] == 143


@needs_proc
@pytest.mark.parametrize(
    "args",
    [("corrupt", "--count", "100000"), ("faults", "--count", "5000", "--processes", "0", "--network", "0")],
    ids=lambda args: args[0],
)
def test_a_signal_ends_the_long_checks(args, tmp_path):
    process = start(*args, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment(TMPDIR=tmp_path))
    until(lambda: catches(process, signal.SIGHUP), process)
    if args[0] == "corrupt":
        until(lambda: psutil.Process(process.pid).children(), process)
    else:
        until(lambda: list(tmp_path.glob("hefl-*/*.db")), process)
    code, err, left = told(process, signal.SIGTERM)
    assert (code, left) == (143, []) and "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


def test_a_signal_waits_where_a_process_is_started_and_a_second_one_does_not_disturb():
    """In this process, with the control that it is raised at once elsewhere."""
    with ENDING.raised():
        with pytest.raises(Ended, match="SIGTERM"):
            signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGHUP)  # the second: what cleans up goes on
        assert ENDING.number == signal.SIGTERM
    seen = []
    with ENDING.raised():
        with pytest.raises(Ended):
            with ENDING.held():
                signal.raise_signal(signal.SIGTERM)
                seen.append("started and noted")
        assert seen
    ENDING.number = None
