"""The package client: requests go out, and what the registry alone answers is installed."""

import json

import pytest

REGISTRY = "DKF8oXtPvh3q8s0fJFIeHFyHNM6oKrwMCUrPxEMroak"


def answer(process, action, data, from_=REGISTRY, **tags):
    return process.send(action, data, from_=from_, tags=tags)


@pytest.mark.parametrize(
    ("call", "action", "data"),
    [
        ('apm.install("pkg")', "APM.Download", "@apm/pkg"),
        ('apm.install("@me/pkg-2")', "APM.Download", "@me/pkg-2"),
        ('apm.install("@me/pkg@1.0.2")', "APM.Download", "@me/pkg@1.0.2"),
        (f'apm.install("pkg@{"x" * 43}")', "APM.Download", "@apm/pkg@" + "x" * 43),
        ('apm.search("words")', "APM.Search", "words"),
        ('apm.info("pkg")', "APM.Info", "pkg"),
        ("apm.update()", "APM.Update", None),
    ],
)
def test_requests(process, call, action, data):
    (message,) = process.eval(call)["Messages"]
    assert (message["Target"], message.get("Data")) == (REGISTRY, data)
    assert process.tags(message)["Action"] == action


@pytest.mark.parametrize(
    ("call", "error"),
    [
        ('apm.install("@Me/pkg")', "Invalid vendor name"),
        ('apm.install("a b")', "Invalid package name"),
        ('apm.install("pkg@latest")', "Invalid version"),
        ("apm.install()", "Invalid package name"),
        ("apm.search()", "No search query provided"),
        ('apm.uninstall("pkg")', "Package not installed"),
    ],
)
def test_bad_requests(process, call, error):
    assert f'[string "aos"]:1: {error}' in process.eval(f"local _ = {call}")["Error"]


def test_installing(process):
    process.eval('apm.install("@me/adder")')
    source = b"local function add(a, b) return a + b end return { add = add }".hex()
    result = answer(process, "APM.DownloadResponse", source, Name="@me/adder", Version="1.0.0",
                    Dependencies=json.dumps({"@apm/base": {"version": "2.0.0"}}))  # fmt: skip
    assert result["Output"]["data"].endswith("Downloaded @me/adder@1.0.0")
    assert process.run('require("@me/adder").add(2, 3)') == "5"
    assert [m["Data"] for m in result["Messages"]] == ["@apm/base"]
    assert process.run('apm.install("@me/adder@1.0.0")').endswith("already installed")
    answer(process, "APM.DownloadResponse", b"return 7".hex(), Name="@apm/base", Version="2.0.0")
    assert process.run('require("base")') == "7"
    process.run('apm.uninstall("base")')
    assert "module 'base' not found" in process.eval('require("base")')["Error"]


def test_only_the_registry_is_believed(process):
    process.eval('apm.install("pkg")')
    source = b"hacked = true".hex()
    answer(process, "APM.DownloadResponse", source, "FRED", Name="@apm/pkg", Version="1.0.0")
    assert process.run("tostring(hacked)") == "nil"


def test_nothing_listens_before_a_request(process):
    answer(process, "APM.DownloadResponse", b"hacked = true".hex(), Name="@apm/p", Version="1.0.0")
    assert process.run("tostring(hacked) .. #Handlers.list") == "nil2"


def test_other_answers(process):
    process.eval('apm.search("x")')
    found = [{"Vendor": "@me", "Name": "adder", "Description": "adds"}]
    shown = answer(process, "APM.SearchResponse", json.dumps(found))["Output"]["data"]
    assert shown == "@me/adder | adds"
    assert answer(process, "APM.SearchResponse", "[]")["Output"]["data"] == "No packages found"
    info = json.dumps(found[0] | {"Version": "1.0.0", "TotalInstalls": 3, "PkgID": "id"})
    shown = answer(process, "APM.InfoResponse", info, LatestClientVersion="9.0.0")["Output"]["data"]
    assert "@me/adder" in shown and "1.0.0" in shown and "APM update available v:9.0.0" in shown
    failed = answer(process, "APM.InfoResponse", "no such package", Result="error")
    assert failed["Output"]["data"] == "APM.InfoResponse failed: no such package"
    answer(process, "APM.UpdateResponse", b"updated = 1".hex(), Version="3.0.0")
    assert process.run("updated .. apm._version") == "13.0.0"


@pytest.mark.parametrize("data", ["zz", "616", b"x y".hex(), ""])
def test_a_source_that_is_none(process, data):
    process.eval('apm.install("pkg")')
    result = answer(process, "APM.DownloadResponse", data, Name="@apm/pkg", Version="1.0.0")
    assert ("Error" in result) is (data != "")
