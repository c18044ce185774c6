"""Run the phone's modules: in Node where there is one, else in headless Chromium on a non-secure origin."""

import base64
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from benchmarks.browser import ARGUMENTS, CHROMIUM

WEB = Path(__file__).parents[2] / "hefl_core" / "classroom" / "web"
NODE = shutil.which("node")
MODULES = ("hash", "ring", "ntt", "phone", "holder", "ceremony", "train")
ORIGIN = "http://phone.test/"

HARNESS = """
const base64 = (bytes) => btoa(Array.from(bytes, (x) => String.fromCharCode(x)).join(""));
const seen = (key, value) => value instanceof Uint8Array ? { $bytes: base64(value) }
  : typeof value === "bigint" ? { $big: value.toString() } : ArrayBuffer.isView(value) ? Array.from(value) : value;
const revive = (key, value) => value?.$bytes !== undefined ? Uint8Array.from(atob(value.$bytes), (c) => c.charCodeAt(0))
  : value?.$big !== undefined ? BigInt(value.$big) : value;
export async function run(base, names, body, given) {
  const m = Object.fromEntries(await Promise.all(names.map(async (name) => [name, await import(`${base}${name}.js`)])));
  const work = new (Object.getPrototypeOf(async () => {}).constructor)("m", "given", body);
  try { return JSON.stringify({ found: await work(m, JSON.parse(given, revive)) ?? null }, seen); }
  catch (error) { return JSON.stringify({ error: `${error.message}` }); }
}
"""


class JavaScriptError(Exception):
    """What the script threw."""


def _shown(value):
    if isinstance(value, bytes):
        return {"$bytes": base64.b64encode(value).decode()}
    if isinstance(value, dict):
        return {key: _shown(part) for key, part in value.items()}
    return [_shown(part) for part in value] if isinstance(value, list | tuple) else value


def _read(value):
    if isinstance(value, dict):
        if "$bytes" in value:
            return base64.b64decode(value["$bytes"])
        return int(value["$big"]) if "$big" in value else {key: _read(part) for key, part in value.items()}
    return [_read(part) for part in value] if isinstance(value, list) else value


class Engine:
    """``run(body, name=value, …)``: body is an async function's with ``m`` (modules) and ``given``."""

    base: str
    """Where ``import`` finds the files."""

    def run(self, body, **given):
        answer = json.loads(self._run(body, json.dumps(_shown(given))))
        if "error" in answer:
            raise JavaScriptError(answer["error"])
        return _read(answer["found"])

    def _run(self, body, given):
        raise NotImplementedError


class Node(Engine):
    base = "./"

    def __init__(self, folder):
        # Copied beside a package.json: older Nodes read a .js file as a module only where one says so.
        shutil.copytree(WEB, folder, dirs_exist_ok=True)
        (folder / "package.json").write_text('{"type": "module"}')
        (folder / "harness.mjs").write_text(HARNESS)
        (folder / "job.mjs").write_text(
            'import { readFileSync } from "node:fs"; import { run } from "./harness.mjs";'
            "const job = JSON.parse(readFileSync(0));"
            'process.stdout.write(await run("./", job.names, job.body, job.given));'
        )
        self._folder = folder

    def _run(self, body, given):
        job = json.dumps({"names": MODULES, "body": body, "given": given})
        command = [NODE, "job.mjs"]
        done = subprocess.run(command, input=job, capture_output=True, text=True, cwd=self._folder, timeout=300)
        assert done.returncode == 0, done.stderr
        return done.stdout


class Browser(Engine):
    base = ORIGIN

    def __init__(self, page):
        self._page = page
        page.route(f"{ORIGIN}**", self._serve)
        page.goto(ORIGIN)

    def _serve(self, route):
        name = route.request.url.removeprefix(ORIGIN)
        if name == "harness.mjs":
            route.fulfill(body=HARNESS, content_type="text/javascript")
        elif name:
            route.fulfill(body=(WEB / name).read_text(encoding="utf-8"), content_type="text/javascript")
        else:
            route.fulfill(body="<!doctype html><title>phone</title>", content_type="text/html")

    def _run(self, body, given):
        return self._page.evaluate(
            f"async (job) => (await import('{ORIGIN}harness.mjs')).run('{ORIGIN}', job.names, job.body, job.given)",
            {"names": MODULES, "body": body, "given": given},
        )


def started(folder):
    """Yields the engine that this machine has. Skips where it has neither."""
    if NODE is not None and not os.environ.get("HEFL_JS_IN_BROWSER"):
        yield Node(folder)
    elif CHROMIUM is not None:
        from playwright.sync_api import sync_playwright

        with sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
            yield Browser(browser.new_page())
            browser.close()
    else:
        pytest.skip("neither node nor chromium on this machine")
