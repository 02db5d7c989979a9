"""Who gets the page at `/`, what it may load, and what its files are made of."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest
from asgi_client import ask
from eventually import in_loop
from served_node import served

from aoshell.protocol.wallet import Wallet
from aoshell.serve.asgi.app import Application
from aoshell.serve.asgi.http import Request
from aoshell.serve.asgi.load import Load
from aoshell.serve.asgi.safety import Guard
from aoshell.serve.page import files
from aoshell.serve.page.accept import prefers_page
from aoshell.serve.page.role import Page

STATIC = Path(files.__file__).with_name("static")
SCRIPTS = sorted(STATIC.glob("*.js"))
# As Chromium and Firefox send them.
BROWSERS = (
    "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;"
    "q=0.8,application/signed-exchange;v=b3;q=0.7",
    "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
)
OTHERS = (
    "",
    "*/*",  # curl, fetch, aoconnect
    "application/json",
    "application/json, text/plain, */*",  # axios
    "text/*, */*;q=0.1",
    "text/html, */*",  # no less for JSON
    "text/html;q=0, */*",
    "text/html;q=x",
    "text/html;q=0.5, application/json",
    "text/html, application/json",
    "image/*",
    ";;,,;q=1,=",
)


def accepting(*values: str) -> Request:
    return Request("GET", "/", headers=tuple(("accept", value) for value in values))


def test_browsers_are_told_from_other_clients() -> None:
    assert all(prefers_page(accepting(value)) for value in BROWSERS)
    assert not any(prefers_page(accepting(value)) for value in OTHERS)
    assert not prefers_page(accepting())
    assert not prefers_page(accepting("text/html" + ";" * 2048))
    assert prefers_page(accepting("text/html", "application/json;q=0.4"))
    assert prefers_page(accepting("TEXT/HTML ; Q=0.9 , */* ; q=0.2"))


@in_loop
async def test_other_clients_get_what_they_got(folder: Path, wallet: Wallet) -> None:
    async with served(folder, wallet) as on:
        network = on.node.network
        for accept in OTHERS:
            answer = await on.client.get("/", headers={"accept": accept})
            found = answer.json()
            assert (found["network"], found["address"]) == ("aoshell.LN.1", network.address)
            assert answer.headers["content-type"] == "application/json"
            assert "content-security-policy" not in answer.headers
        for accept in BROWSERS:
            answer = await on.client.get("/", headers={"accept": accept})
            assert answer.text.startswith("<!doctype html>")
            assert answer.headers["content-type"] == "text/html; charset=utf-8"
            assert answer.headers["vary"] == "accept, origin"
            assert (await on.client.head("/", headers={"accept": accept})).content == b""
            for path in ("/?debug=true", "/?x=1", "/info", f"/{network.address}"):
                assert (
                    "<!doctype" not in (await on.client.get(path, headers={"accept": accept})).text
                )


@in_loop
async def test_the_page_loads_its_own_files_only(folder: Path, wallet: Wallet) -> None:
    async with served(folder, wallet) as on:
        answer = await on.client.get("/", headers={"accept": BROWSERS[0]})
        policy = dict(
            part.strip().split(" ", 1)
            for part in answer.headers["content-security-policy"].split(";")
        )
        own = on.serving.facts.url.removeprefix("http://") + "/~aoshell@1.0/page/"
        assert policy == {
            "default-src": "'none'",
            "script-src": own,
            "style-src": own,
            "img-src": own,
            "connect-src": "'self'",
            "base-uri": "'none'",
            "form-action": "'none'",
            "frame-ancestors": "'none'",
            "require-trusted-types-for": "'script'",
            "trusted-types": "'none'",
        }
        loaded = re.findall(r'(?:src|href)="(/[^"]*)"', answer.text)
        assert len(loaded) == 3
        for name in files.names():
            if name != files.PAGE:
                loaded.append(f"/~aoshell@1.0/page/{name}")
        for path in loaded:
            answer = await on.client.get(path)
            assert answer.status_code == 200
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["cross-origin-resource-policy"] == "same-origin"
            assert answer.headers["x-frame-options"] == "DENY"
            assert answer.headers["content-security-policy"].endswith("frame-ancestors 'none'")


@pytest.mark.parametrize(
    "path",
    [
        "/~aoshell@1.0/page",
        "/~aoshell@1.0/page/",
        "/~aoshell@1.0/page/page.html",
        "/~aoshell@1.0/page/../role.py",
        "/~aoshell@1.0/page/..%2frole.py",
        "/~aoshell@1.0/page/__init__.py",
        "/~aoshell@1.0/page/main.js/",
    ],
)
@in_loop
async def test_no_other_file_is_given(path: str, folder: Path, wallet: Wallet) -> None:
    async with served(folder, wallet) as on:
        app = Application([Page(on.node, on.node.network, Load().dry_runs)], Guard())
        found = await ask(app, target=path)
        assert (found.status == 404) or path.endswith(".js/"), found.body


@pytest.mark.parametrize("host", ["evil.test", "127.0.0.1:80; script-src *", "[::1]:4000"])
@in_loop
async def test_no_host_reaches_the_policy(host: str, folder: Path, wallet: Wallet) -> None:
    async with served(folder, wallet) as on:
        app = Application([Page(on.node, on.node.network, Load().dry_runs)], Guard())
        found = await ask(app, headers=[("host", host), ("accept", BROWSERS[0])])
        if host != "[::1]:4000":
            assert found.status == 421
        else:
            assert "script-src 'self';" in found.headers["content-security-policy"]
            assert "script-src *" not in found.headers["content-security-policy"]


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_scripts_make_text_nodes_only(path: Path) -> None:
    """All functions that parse text as markup or code have one of these names."""
    script = path.read_text()
    for name in (
        *("innerHTML", "outerHTML", "insertAdjacentHTML", "setHTML", "DOMParser", "srcdoc"),
        *("document.write", "createContextualFragment", "eval(", "Function(", "import("),
        *("javascript:", "localStorage", "sessionStorage", "cookie", "postMessage"),
    ):
        assert name not in script, name
    makes = re.findall(r"createElement(?:NS)?\b", script)
    assert not makes or path.name == "dom.js"
    assert re.findall(r"setTimeout\(['\"`]", script) == []
    assert re.findall(r"https?://[^\"' ]*", script) in ([], ["http://www.w3.org/2000/svg"])


def test_the_page_has_no_script_and_no_style_in_it() -> None:
    page = (STATIC / files.PAGE).read_text()
    assert re.findall(r"<style|style=|\son\w+=|<script>|https?:", page) == []
    assert all(name.rpartition(".")[2] in ("css", "html", "js", "svg") for name in files.names())


# Contrast -------------------------------------------------------------------------------------

TEXTS = ("text", "muted", "accent", "bad", "wait")
GROUNDS = ("page", "card", "tint", "fresh")


def colours() -> dict[str, dict[str, str]]:
    """The colours of both schemes, by their names."""
    style = (STATIC / "page.css").read_text()
    light, dark = itertools.islice(re.findall(r":root \{(.*?)\}", style, re.S), 2)
    found = [dict(re.findall(r"--(\w+): (#[0-9a-f]{6});", block)) for block in (light, dark)]
    return {"light": found[0], "dark": found[1]}


def brightness(colour: str) -> float:
    """Relative luminance. Source: WCAG 2.2."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_can_be_read_on_all_grounds(scheme: str) -> None:
    found = colours()[scheme]
    for text, ground in itertools.product(TEXTS, GROUNDS):
        low, high = sorted((brightness(found[text]), brightness(found[ground])))
        ratio = (high + 0.05) / (low + 0.05)
        assert ratio >= 4.5, f"{text} on {ground}: {ratio:.2f}"
