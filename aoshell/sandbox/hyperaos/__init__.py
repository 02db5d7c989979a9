"""The aos-compatible environment for processes on HyperBEAM (`lua@5.3a`): one text of Lua.

The modules are those of `aos/`, except those that need our own host: `host.lua`, `returned.lua` and
`waiting.lua` replace them, as the device has neither streams nor coroutines. `compute.lua` turns
assignments into messages, and results into the device's form.
"""

from __future__ import annotations

from pathlib import Path

from aoshell.sandbox import environment

FOLDER = Path(__file__).parent
REPLACED = ("host", "returned", "waiting")

# Modules, with those below them, that are left out: they need our own host, or load slowly there.
_LEFT_OUT = (".crypto.", ".update.", ".hyper.", ".hyper-ao.", ".host-version.")
_KEPT = (".crypto.util.bit",)

_HEAD = """-- aoshell's aos-compatible environment for HyperBEAM (lua@5.3a).
package = package or {}
package.loaded = package.loaded or {}
local loaded, made, outer = package.loaded, {}, require
function require(name)
  if loaded[name] == nil then
    local make = made[name]
    if not make then
      if outer then
        local found, value = pcall(outer, name)
        if found then return value end
      end
      error("module '" .. tostring(name) .. "' not found", 2)
    end
    local value = make(name)
    if loaded[name] == nil then loaded[name] = value == nil and true or value end
  end
  return loaded[name]
end
"""


def source() -> bytes:
    """The environment as a module's code."""
    modules = {
        name: text
        for name, text in environment.read_sources().items()
        if name in _KEPT or not f"{name}.".startswith(_LEFT_OUT)
    }
    modules |= {f".{name}": _read(name) for name in REPLACED}
    parts = [*(f"do\n{_read(name)}end\n" for name in ("lacking", "guards")), _HEAD]
    parts += [f'made["{name}"] = function(...)\n{modules[name]}\nend\n' for name in sorted(modules)]
    parts.append(_read("compute"))
    return "".join(parts).encode("latin-1")


def _read(name: str) -> str:
    return (FOLDER / f"{name}.lua").read_text(encoding="latin-1")
