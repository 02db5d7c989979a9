"""Names that Lua, aos and hyper-aos give to scripts."""

from __future__ import annotations

Members = dict[str, frozenset[str]]
Path = tuple[str, ...]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Lua 5.3 ------------------------------------------------------------------------------------------

BASIC = _words(
    "_G _ENV _VERSION assert collectgarbage dofile error getmetatable ipairs load loadfile next "
    "pairs pcall print rawequal rawget rawlen rawset require select setmetatable tonumber tostring "
    "type xpcall"
)
_MATH = """abs acos asin atan ceil cos deg exp floor fmod huge log max maxinteger min mininteger
    modf pi rad random randomseed sin sqrt tan tointeger type"""
_STRING = "byte char dump find format gmatch gsub len lower match rep reverse sub upper"
_TABLE = "concat insert pack remove sort unpack"
_UTF8 = _words("char charpattern codepoint codes len offset")
_OS = "clock date difftime execute exit getenv remove rename time tmpname"

# Builds of Lua 5.3 may keep these functions of 5.2.
_COMPAT_MATH = "atan2 cosh frexp ldexp log10 pow sinh tanh"

LUA: Members = {
    "string": _words(_STRING + " pack packsize unpack"),
    "table": _words(_TABLE + " move"),
    "math": _words(f"{_MATH} ult {_COMPAT_MATH}"),
    "os": _words(_OS + " setlocale"),
    "utf8": _UTF8,
    "coroutine": _words("create isyieldable resume running status wrap yield"),
}
# Luerl 1.3: another implementation of Lua 5.3, with gaps.
LUERL: Members = {
    "string": _words(_STRING),
    "table": _words(_TABLE),
    "math": _words(f"{_MATH} {_COMPAT_MATH}"),
    "os": _words(_OS),
    "utf8": _UTF8,
    "debug": _words("getmetatable getuservalue setmetatable setuservalue"),
    "io": _words("flush write"),
}

# aos ----------------------------------------------------------------------------------------------

_HANDLERS = """_version add after append before evaluate generateResolver list once onceNonce
    prepend receive remove utils"""
_HANDLERS_UTILS = _words("_version continue hasMatchingData hasMatchingTag hasMatchingTagOf reply")
_AO = """_hints _module _version authorities clearOutbox env id init nonExtractableTags
    nonForwardableTags outbox reference registerHint result send spawn Nonce"""
_UTILS = """_version compose concat curry filter find includes keys map matchesPattern matchesSpec
    prop propEq reduce reverse values"""

AOS: Members = LUA | {
    "Handlers": _words(_HANDLERS + " coroutines"),
    "Handlers.utils": _HANDLERS_UTILS,
    "ao": _words(
        _AO + " addAssignable assign assignables clone isAssignable isAssignment isTrusted log"
        " normalize removeAssignable sanitize"
    ),
    "Utils": _words(_UTILS + " capitalize normalize"),
}
# aos 2.0.1 to 2.0.4-32: tags keep their names, so there is nothing to normalize them with.
AOS_2_0_1: Members = AOS | {
    "ao": AOS["ao"] - _words("_hints registerHint Nonce"),
    "Utils": AOS["Utils"] - _words("capitalize normalize"),
}
HYPER_AOS: Members = LUERL | {
    "Handlers": _words(_HANDLERS),
    "Handlers.utils": _HANDLERS_UTILS,
    # The device itself adds get, set, resolve and event.
    "ao": _words(_AO + " event get resolve set"),
    "Utils": _words(_UTILS + " Tab"),
}

AOS_GLOBALS = (
    BASIC
    | _words("bit32 coroutine debug io math os package string table utf8")
    | _words(
        "Assign Bell Colors Dump Errors HANDLER_PRINT_LOGS Handlers Inbox Name Nonce Owner Prompt "
        "Receive Seeded Send Spawn Tab Utils Version ao apm base64 json"
    )
)
AOS_2_0_1_GLOBALS = AOS_GLOBALS - _words("Nonce")
HYPER_AOS_GLOBALS = (
    BASIC - _words("xpcall")
    | _words("bit32 debug io loadstring math os package string table unpack utf8")
    | _words(
        "Bell Colors Dump Errors HandlerPrintLogs Handlers Inbox Initialized Name Owner Prompt "
        "Send Spawn Utils Version ao compute"
    )
)

# Only this shell's environment has these.
OWN_GLOBALS = _words("MyModule spawn")
# Globals that this shell's environment has from the start, and aos once something assigns them.
LATE_GLOBALS = {
    "json": 'write local json = require("json")',
    "base64": 'write local base64 = require(".base64")',
    "apm": "bundle the package with your files, or load aos's blueprint apm first",
}
OWN_MODULES = _words(".apm")
OWN_CALLS = frozenset((("require .process", "drop"), ("require .process", "waits")))

_COMMON_MODULES = """.ao .base64 .boot .chance .default .dump .eval .handlers .handlers-utils
    .pretty .process .stringify .utils"""
_LIBRARIES = _words("_G coroutine debug io math os package string table utf8 bit32")

AOS_MODULES = _LIBRARIES | _words(
    _COMMON_MODULES
    + " .assignment .bint .crypto .crypto.cipher .crypto.cipher.aes .crypto.cipher.aes128"
    " .crypto.cipher.aes192 .crypto.cipher.aes256 .crypto.cipher.issac .crypto.cipher.mode.cbc"
    " .crypto.cipher.mode.cfb .crypto.cipher.mode.ctr .crypto.cipher.mode.ecb"
    " .crypto.cipher.mode.ofb .crypto.cipher.morus .crypto.cipher.norx .crypto.digest"
    " .crypto.digest.blake2b .crypto.digest.md2 .crypto.digest.md4 .crypto.digest.md5"
    " .crypto.digest.sha1 .crypto.digest.sha2_256 .crypto.digest.sha2_512 .crypto.digest.sha3"
    " .crypto.kdf .crypto.kdf.pbkdf2 .crypto.mac .crypto.mac.hmac .crypto.padding.zero"
    " .crypto.util .crypto.util.array .crypto.util.bit .crypto.util.hex .crypto.util.queue"
    " .crypto.util.stream .crypto.init .crypto.cipher.init .crypto.digest.init .crypto.kdf.init"
    " .crypto.mac.init .crypto.util.init ao json lsqlite3"
)
HYPER_AOS_MODULES = (_LIBRARIES - {"coroutine"}) | _words(
    _COMMON_MODULES + " .json .state .string-ext"
)

# Sources of hyper-aos that are not in its usual build.
HYPER_AOS_SPARE = _words(".assignment .bint")

# Names of older Lua that people still write.
OLD_NAMES = {
    "unpack": "use table.unpack",
    "loadstring": "use load",
    "setfenv": "give load an environment instead",
    "getfenv": "use _ENV",
    "module": "return a table from the file instead",
    "table.getn": "use #t",
    "table.foreach": "use pairs",
    "table.foreachi": "use ipairs",
    "table.maxn": "use #t",
    "string.gfind": "use string.gmatch",
    "math.mod": "use math.fmod or %",
}
