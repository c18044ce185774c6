"""The phone's files as such: small, in two languages, without anything from elsewhere, legible by their numbers."""

import re
from itertools import product

import pytest

from tests.classroom.javascript import WEB

FILES = {path.name: path.read_text(encoding="utf-8") for path in WEB.iterdir() if path.is_file()}
CODE = {name: re.sub(r"(?m)^\s*//.*$|\s//\s.*$", "", text) for name, text in FILES.items() if name.endswith(".js")}
MOST_BYTES = 600_000


def test_all_files_together_are_small():
    assert sum(len(text.encode()) for text in FILES.values()) < MOST_BYTES / 4


def test_every_text_is_there_in_both_languages_and_used(js):
    texts = js.run("return (await import(`${given.base}texts.js`)).TEXTS", base=js.base)
    names = lambda text: sorted(re.findall(r"\{(\w+)\}", text))  # noqa: E731
    assert texts["en"].keys() == texts["de"].keys()
    assert all(names(texts["en"][key]) == names(texts["de"][key]) and texts["de"][key].strip() for key in texts["en"])
    code = CODE["page.js"] + CODE["views.js"]
    asked = set(re.findall(r"\"([\w-]+)\"", code)) | {
        "one",
        "dealt",
        "dealer-free",
    }  # these come from the class's state
    assert texts["en"].keys() <= asked
    directly = set(re.findall(r"\bt\(\"([\w-]+)\"", code)) | set(re.findall(r"texts\(me\)\(\"([\w-]+)\"", code))
    assert directly and directly <= texts["en"].keys()


def test_nothing_comes_from_elsewhere_or_goes_around_the_policy():
    for name, text in FILES.items():
        assert not re.findall(r"https?://|//[a-z0-9.]+\.[a-z]{2,}/", text), name
        assert "\t" not in text and (name == "texts.js" or max(map(len, text.splitlines())) <= 120), name
    for name, code in CODE.items():
        assert not re.findall(
            r"innerHTML =|insertAdjacentHTML|document\.write|eval\(|new Function|setTimeout\(['\"]", code
        ), name
        for module in re.findall(r"from \"(.+?)\"", code):
            assert module.startswith("./") and module[2:] in FILES, (name, module)
    assert not re.findall(r"<script(?![^>]*src=)|<style|\bstyle=|\son\w+=", FILES["phone.html"])


def test_answers_are_posted_by_one_line_that_encrypts():
    """Nothing but `send` posts to /answer and /update, and it posts what the worker encrypted; a page that sent the plain
    integers would be found here.
    """
    page = CODE["page.js"]
    posts = re.findall(r"post(?:Json)?\(([^;]*)\)", page)
    assert len([one for one in posts if one.startswith("path, body")]) >= 1
    assert not [one for one in posts if re.match(r"[`\"]/(answer|update)", one)]
    assert re.search(r"const \{ body, digest \} = await compute\(\s*\"encrypt\"", page)


def luminance(colour):
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one, other):
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_text_stands_out(scheme):
    """WCAG 2.2: 4.5 for text. Control: the line's colour on paper would not do as text."""
    palette = dict(re.findall(r"--([\w-]+): (#\w{6})", FILES["phone.css"].split("@media")[scheme]))
    for text, ground in [*product(("ink", "soft", "act", "alarm"), ("paper", "card")), ("on-act", "act")]:
        assert contrast(palette[text], palette[ground]) >= 4.5, (text, ground)
    assert contrast(palette["line"], palette["paper"]) < 4.5


def test_letters_are_large_enough():
    root = 18
    sizes = [float(n) * root for n in re.findall(r"(?:font(?:-size)?:[^;]*?)([\d.]+)rem", FILES["phone.css"])]
    assert sizes and min(sizes) >= 16 and re.search(rf"font:\s*{root}px", FILES["phone.css"])
