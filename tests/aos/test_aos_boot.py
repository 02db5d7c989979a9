"""The first message: owner, name, module code, On-Boot."""

import pytest


def test_the_definition_opens_the_inbox(new):
    process = new()
    assert process.first["Output"]["data"] == "" and process.first["Output"]["print"] is True
    assert process.run("#Inbox .. Inbox[1].Id .. Inbox[1].Tags.Type") == f"1{process.id}Process"
    assert process.value("#Handlers.list") == 2


@pytest.mark.parametrize(
    ("tags", "owner", "name"),
    [
        ({}, "SENDER", "aos"),
        ({"Name": "n"}, "SENDER", "n"),
        ({"From-Process": "PARENT"}, "PARENT", "aos"),
    ],
)
def test_owner_and_name(new, tags, owner, name):
    process = new(tags=tags, from_="SENDER")
    assert (process.value("Owner"), process.value("Name")) == (owner, name)


def test_the_owner_is_set_once(process):
    process.send(id=process.id, from_="FRED", tags={"Type": "Process"})
    assert process.value("Owner") == process.owner


def test_on_boot_data(new):
    process = new(tags={"On-Boot": "Data"}, data='print("booted") x = #Inbox')
    assert process.first["Output"]["data"] == "booted"
    assert process.run("x") == "1"


def test_on_boot_data_that_fails(new):
    assert (
        '[string "aos"]:1: bad' in new(tags={"On-Boot": "Data"}, data='error("bad")').first["Error"]
    )
    assert new(tags={"On-Boot": "Data"}, data="x y").first == {
        "Error": "[string \"aos\"]:1: syntax error near 'y'"
    }


def test_on_boot_of_a_transaction(new):
    process = new(tags={"On-Boot": "TX"}, boot=("TX", "return 'from tx'"))
    assert process.first["Output"]["data"] == "from tx"


@pytest.mark.parametrize("boot", [None, ("OTHER", "x = 1")])
def test_on_boot_of_a_transaction_that_is_missing(new, boot):
    assert new(tags={"On-Boot": "TX"}, boot=boot).first["Error"].endswith("File not found!")


CODE = """
Handlers.add("Square", function(m)
  ao.send({ Target = m.From, Data = tonumber(m.N) * tonumber(m.N) })
end)
order = (order or "") .. "module" .. #Inbox
return "not shown"
"""


def test_a_module_of_lua_runs_before_on_boot(new):
    process = new(tags={"On-Boot": "Data"}, code=CODE, data='order = order .. " data"')
    assert process.run("order") == "module1 data" and process.first["Output"]["data"] == ""
    (message,) = process.send("Square", tags={"N": "7"})["Messages"]
    assert message["Data"] == "49"


def test_a_module_runs_where_the_definition_is_not_trusted(new):
    process = new(code=CODE, tags={"From-Process": "PARENT"}, from_="PARENT", owner="PARENT",
                  Owner="NODE")  # fmt: skip
    assert "not trusted" in process.first["Output"]["data"]
    assert process.value("order") == "module0"


def test_errors_of_a_module_name_its_place(new):
    first = new(code="\nlocal x = nil .. 'a'").first
    assert "MODULE-I:2: attempt to concatenate a nil value" in first["Error"]
    assert "stack traceback:\n\tMODULE-I:2: in " in first["Error"]
    assert "MODULE-I:1: syntax error" in new(code="x y").first["Error"]


def test_a_module_may_wait(new):
    process = new(code='Receive("Go") print("up")')
    assert process.first["Suspended"] is True
    result = process.send("Go")
    assert (result["Output"]["data"], result["Resumed"]) == ("up", [process.id])
