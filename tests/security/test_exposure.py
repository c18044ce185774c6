"""What is open to the outside: addresses, decoders, caches. Read off the sources, so that new code is judged as well."""

import ast
import tomllib
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CODE = [
    *sorted(path for folder in ("hefl_core", "pages") for path in (ROOT / folder).rglob("*.py")),
    ROOT / "app.py",
]
FORBIDDEN_CALLS = {
    "yaml.load", "yaml.unsafe_load", "joblib.load", "torch.load", "pd.read_pickle", "pandas.read_pickle",
    "np.fromfile", "os.system", "os.popen", "tempfile.mktemp", "zipfile.ZipFile.extractall", "tarfile.open",
}  # fmt: skip
FORBIDDEN_METHODS = {"extractall", "read_pickle", "to_pickle", "loads_pickle"}
EVERYWHERE = ("0.0.0.0", "::")


@cache
def parsed(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def calls_of(tree):
    """(dotted name, call) of every call."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


FALSE = ast.Constant(False)
"""What NumPy does where nothing is said."""


def _is_false(value):
    return isinstance(value, ast.Constant) and value.value is False


def unsafe(tree):
    """What must not stand in a source: unsafe decoders, pickles in NumPy files, shells."""
    for name, call in calls_of(tree):
        keywords = {keyword.arg: keyword.value for keyword in call.keywords}
        if name in FORBIDDEN_CALLS or name.rpartition(".")[2] in FORBIDDEN_METHODS:
            yield name
        if name in ("np.load", "numpy.load") and not _is_false(keywords.get("allow_pickle", FALSE)):
            yield f"{name} with allow_pickle"
        if "shell" in keywords and not (
            isinstance(keywords["shell"], ast.Constant) and keywords["shell"].value is False
        ):
            yield f"{name} with a shell"
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            yield from (
                name
                for name in modules
                if name.split(".")[0] in ("pickle", "cloudpickle", "dill", "marshal", "shelve", "yaml")
            )


def test_nothing_from_outside_is_decoded_into_code():
    found = {(path.name, what) for path in CODE for what in unsafe(parsed(path))}
    assert found == set()


@pytest.mark.parametrize(
    "line",
    ["import pickle", "from cloudpickle import loads", "np.load(f, allow_pickle=True)", "yaml.load(x)", "z.extractall(p)",
     "subprocess.run(c, shell=True)", "import yaml"],
)  # fmt: skip
def test_the_reader_of_sources_sees_each_of_them(line):
    assert list(unsafe(ast.parse(line)))


def addresses(tree):
    """Text constants that mean every interface, except where something is only compared with them."""
    compared = {id(part) for node in ast.walk(tree) if isinstance(node, ast.Compare) for part in ast.walk(node)}
    found = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and node.value in EVERYWHERE]
    return [node.value for node in found if id(node) not in compared]


def test_nobody_listens_on_every_interface_unless_told():
    found = {path.name for path in CODE if addresses(parsed(path))}
    assert found == set()
    assert addresses(ast.parse("serve(host='0.0.0.0')"))


def test_streamlit_listens_on_loopback_and_keeps_quiet_about_errors():
    config = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text(encoding="utf-8"))
    assert config["server"]["address"] == "127.0.0.1" and config["server"]["maxUploadSize"] <= 5
    assert config["client"]["showErrorDetails"] == "none" and config["browser"]["gatherUsageStats"] is False


def test_ray_is_guarded_by_a_token():
    """The Ray that this package starts itself; its own tests start it (tests/runtime)."""
    source = (ROOT / "hefl_core" / "runtime" / "ray" / "cluster.py").read_text(encoding="utf-8")
    assert ("RAY_AUTH_MODE" in source and "token_hex" in source) or "token_urlsafe" in source


# -- decompression -------------------------------------------------------------------------------------------------

UNBOUNDED = {"decompress", "read"}
DECOMPRESSORS = (
    "zlib.",
    "gzip.",
    "bz2.",
    "lzma.",
    "zstandard.",
    "pa.decompress",
    "pa.CompressedInputStream",
    "zipfile.",
)


def test_every_decompressor_is_known():
    """Each of these files bounds what it unpacks (tests/laws, tests/federation/record/test_transcript_zip.py) or
    unpacks its own bytes."""
    users = {
        str(path.relative_to(ROOT))
        for path in CODE
        for name, _ in calls_of(parsed(path))
        if name.startswith(DECOMPRESSORS) and "compressobj" not in name
    }
    assert users == {
        "hefl_core/app/evidence/file.py",  # compresses only; its reader's browser unpacks
        "hefl_core/schemes/ring/seal.py",  # what SEAL itself has just written
        "hefl_core/schemes/ring/rlwe.py",  # reads one byte more than a ciphertext has
        "hefl_core/federation/record/transcript_zip.py",  # reads one byte more than the entry says
        "hefl_core/checks/damage/transcripts.py",  # makes bombs
        "hefl_core/learning/arrays.py",  # judges an array's size by its header first
        "hefl_core/learning/pictures.py",  # judges an entry's and a picture's size by its header first
        "hefl_core/tables/reading.py",  # lists the names in an archive, to say what it is; unpacks nothing
    }


# -- caches --------------------------------------------------------------------------------------------------------

PUBLIC = {"costs.py", "inside.py", "attack.py", "limits.py", "keys.py"}
"""Pages with a cache that all sessions share: of public data sets, parameters, measurements, and an example's key."""


def shared_caches(tree):
    """Functions whose results all sessions share."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            for decorator in node.decorator_list:
                text = ast.unparse(decorator)
                if text.startswith(("st.cache_data", "st.cache_resource")) and "scope='session'" not in text:
                    yield node


def test_no_shared_cache_takes_a_run_or_a_session():
    found = {}
    for path in CODE:
        for node in shared_caches(parsed(path)):
            found.setdefault(path.name, []).append(
                ast.unparse(node.args) + (ast.unparse(node.returns) if node.returns else "")
            )
    assert set(found) <= PUBLIC, found
    for signatures in found.values():
        for text in signatures:
            assert not any(word in text for word in ("Run", "Session", "Share", "Party", "Client")), text
