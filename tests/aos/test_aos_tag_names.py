"""Processes that keep the names of tags, as aos did up to 2.0.4-32."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aoshell.protocol.tag_names import AS_SENT

DEFINITION = [(AS_SENT.name, AS_SENT.value)]
OWN = [
    "From",
    "Owner",
    "Id",
    "Data",
    "Tags",
    "Target",
    "Timestamp",
    "Nonce",
    "Epoch",
    "Block-Height",
    "Hash-Chain",
    "Module",
    "Cron",
    "Reference",
    "Signature",
    "TagArray",
    "Anchor",
    "Type",
    "From-Process",
    "From-Module",
    "Read-Only",
    "Reply",
    "Forward",
]
LISTED = """
    local found = {}
    for key, value in pairs(m) do
      if type(value) == "string" then found[#found + 1] = key .. "=" .. value end
    end
    for key, value in pairs(m.Tags) do found[#found + 1] = "Tags." .. key .. "=" .. value end
    table.sort(found)
    print(table.concat(found, "\\n"))
"""


def of_message(process, tags, code):
    process.run(f'Handlers.add("shown", "A", function(m) {code} end)')
    return process.send("A", "d", tags=tags)["Output"]["data"].replace("\x1b[32m", "")


@pytest.mark.parametrize(
    ("tags", "code", "text"),
    [
        ([("FQDN", "a"), ("UserName", "b")], "m.Tags.FQDN .. m.Fqdn .. m.UserName", "aab"),
        ([("FQDN", "a"), ("UserName", "b")], "m.Tags.Fqdn .. m.Tags.Username", "ab"),
        ([("my_tag", "a")], 'm.my_tag .. m["My-Tag"] .. m.TagArray[2].name', "aamy_tag"),
        # The form that aos gives a name wins over one that came so.
        ([("x_y", "1"), ("X-Y", "2")], 'm.Tags["X-Y"] .. m["X-Y"] .. m.x_y', "121"),
        ([("k", "1"), ("k", "2")], "m.Tags.k .. m.k", "12"),
        ([("reply", "evil"), ("FORWARD", "evil")], "type(m.reply) .. type(m.FORWARD)",
         "functionnil"),
        ([("tagArray", "evil"), ("tagarray", "evil")], "type(m.tagArray) .. type(m.TagArray)",
         "niltable"),
    ],
)  # fmt: skip
def test_names_stay_beside_those_of_aos(new, tags, code, text):
    assert of_message(new(tags=DEFINITION), tags, f"print({code})") == text


def test_nothing_of_it_where_the_definition_does_not_say_so(process):
    assert of_message(process, [("FQDN", "a")], "print(tostring(m.FQDN) .. m.Fqdn)") == "nila"


def test_patterns_find_such_names(new):
    process = new(tags=DEFINITION)
    process.run('Handlers.add("x", { FQDN = "a" }, function(m) print("found") end)')
    assert "found" in process.send("B", tags={"FQDN": "a"})["Output"]["data"]
    tag = 'Handlers.utils.hasMatchingTag("UserName", "b")'
    process.run(f'Handlers.add("y", {tag}, function(m) print("named") end)')
    assert "named" in process.send("B", tags={"UserName": "b"})["Output"]["data"]


def spelt(name: str) -> st.SearchStrategy[str]:
    """A name in any case, with `_` for `-` or not."""
    letters = [st.sampled_from((c.lower(), c.upper(), "_" if c == "-" else c)) for c in name]
    return st.tuples(*letters).map("".join)


@given(names=st.lists(st.sampled_from(OWN).flatmap(spelt), max_size=4))
def test_no_name_that_came_is_taken_for_what_the_node_says(new, names):
    """In every spelling: a sender cannot name a tag so that a script reads it as the node's."""
    tags = [(name, "evil") for name in names]
    kept = of_message(new(tags=DEFINITION), tags, LISTED)
    assert kept == of_message(new(), tags, LISTED)
