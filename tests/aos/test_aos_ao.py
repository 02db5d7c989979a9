"""Messages in and out: tags, replies, spawns, assignments, trust."""

import json

import pytest

SENT = ["Data-Protocol", "Variant", "Type", "Reference"]


def test_send(process):
    result = process.eval("""Send({
        Target = "T", Data = "d", Action = "A", Count = 7, Half = 0.5, Flag = true,
        From = "ignored", Anchor = "ignored", Tags = { Extra = "e" },
    })""")
    (message,) = result["Messages"]
    assert (message["Target"], message["Data"]) == ("T", "d")
    assert message["Anchor"] == "0" * 31 + "1"
    assert [tag["name"] for tag in message["Tags"]][:4] == SENT
    assert process.tags(message) == {
        "Data-Protocol": "ao", "Variant": "ao.TN.1", "Type": "Message", "Reference": "1",
        "Action": "A", "Count": "7", "Half": "0.5", "Flag": "true", "Extra": "e",
    }  # fmt: skip
    assert set(message) == {"Target", "Data", "Anchor", "Tags"}
    assert "Message added to outbox" in result["Output"]["data"]


def test_references_count_up(process):
    messages = process.eval('for i = 1, 3 do ao.send({ Target = "T" }) end')["Messages"]
    assert [process.tags(m)["Reference"] for m in messages] == ["1", "2", "3"]


def test_tags_as_a_list_keep_their_order_and_duplicates(process):
    (message,) = process.eval(
        'ao.send({ Tags = { { name = "a", value = "1" }, { name = "a", value = 2 } } })'
    )["Messages"]
    assert message["Tags"][4:] == [{"name": "a", "value": "1"}, {"name": "a", "value": "2"}]
    assert "Target" not in message


def test_what_was_sent_stays_as_it_was(process):
    (message,) = process.eval("""
        local tag = { name = "a", value = "1" }
        local sent = ao.send({ Target = "T", Data = "d", Tags = { tag } })
        tag.value, sent.Data, sent.Target = "2", "e", "U"
    """)["Messages"]
    assert (message["Target"], message["Data"], process.tags(message)["a"]) == ("T", "d", "1")


@pytest.mark.parametrize("verb", ["Send(", "ao.send(", 'Spawn("M", ', 'ao.spawn("M", '])
def test_a_table_as_data_is_json(process, verb):
    result = process.eval(
        verb + '{ Target = "T", Data = { foo = "bar" }, ["Content-Type"] = "x" })'
    )
    (message,) = result["Messages"] or result["Spawns"]
    assert message["Data"] == '{"foo":"bar"}'
    assert [t["value"] for t in message["Tags"] if t["name"] == "Content-Type"] == [
        "application/json"
    ]


@pytest.mark.parametrize(
    ("data", "text"), [("7", "7"), ("1.5", "1.5"), ("true", "true"), ('""', "")]
)
def test_data_is_text(process, data, text):
    (message,) = process.eval('ao.send({ Target = "T", Data = %s })' % data)["Messages"]  # noqa: UP031
    assert message["Data"] == text


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (
            "ao.send({ Bad = print })",
            "value of tag 'Bad' MUST be a string, number, boolean or table, got function",
        ),
        ("Send({ Target = 'T', Bad = print })", "value of tag 'Bad' MUST be a string"),
        ("ao.send({ Tags = { Bad = print } })", "tag 'Bad'"),
        ("ao.send({ Tags = { { name = 'Bad', value = print } } })", "tag 'Bad'"),
        ("ao.spawn('M', { Bad = print })", "tag 'Bad'"),
        ("ao.send({ Bad = { print } })", "unexpected type 'function'"),
        ("ao.send({ Tags = { { name = 'NoValue' } } })", "tag 'NoValue' MUST be a string"),
        ("ao.send({ [{}] = 'x' })", "name of a tag MUST be a string, got table"),
        (
            "ao.send({ Data = print })",
            "Data MUST be a string, number, boolean or table, got function",
        ),
        ("ao.send({ Target = {} })", "Target MUST be a string, got table"),
        ("ao.send({ Data = { 0/0 } })", "unexpected number value"),
    ],
)
def test_what_cannot_be_sent_is_refused_where_it_is_sent(process, call, error):
    text = process.eval("\nlocal _ = " + call)["Error"]
    assert '[string "aos"]:2: ' in text and error in text


@pytest.mark.parametrize(
    ("call", "error"),
    [
        ("ao.send()", "msg should be a table"),
        ("ao.spawn(nil, {})", "Module source id is required!"),
        ('ao.spawn("M")', "Message must be a table"),
        ("ao.assign()", "assignment should be a table"),
        ("ao.assign({})", "Processes should be a table"),
        ("ao.assign({ Processes = {} })", "Message should be a string"),
    ],
)
def test_arguments_are_checked(process, call, error):
    assert process.eval(call)["Error"].endswith("\x1b[0m" + error)


def test_a_message_without_a_target_warns(process):
    assert process.eval('Send({ Data = "x" })')["Output"]["data"].startswith(
        "WARN: No target specified for message. "
        "Data will be stored, but no process will receive it.\n"
    )


def test_fields_and_tags_of_a_message(process):
    process.run('Handlers.add("A", function(m) M = m end)')
    process.send("A", "d", tags=[
        ("x_one", "1"), ("X-ONE", "2"), ("type", "T"), ("from", "forged"), ("Data-PROTOCOL", "p"),
        ("reference", "9"),
    ])  # fmt: skip
    read = process.run("""return json.encode({
        M.Action, M.Data, M.From, M["X-One"], M.Tags["X-One"], M.Tags.Type, M.Tags.From,
        M.Tags["Data-Protocol"], tostring(M.Type), tostring(M["Data-Protocol"]), M.Reference,
        M.TagArray[2].name, #M.TagArray, M.Timestamp, M["Block-Height"], M.Module, M.Target, M.Cron,
    })""")
    assert json.loads(read) == [
        "A", "d", "FRED", "2", "1", "T", "forged", "p", "nil", "nil", "9",
        "X-One", 7, 1_700_000_000_000, 1000, "WOOPAWOOPA", process.id, False,
    ]  # fmt: skip


@pytest.mark.parametrize(
    "name", ["data-protocol", "DATA_PROTOCOL", "Data_Protocol", "data_PROTOCOL", "DATA-protocol"]
)
def test_names_of_tags_are_normalised(process, name):
    process.run('Handlers.add("A", function(m) print(m.Tags["Data-Protocol"]) end)')
    assert process.send("A", tags={name: "p"})["Output"]["data"] == "p"


def test_many_names_of_tags(process):
    process.run('Handlers.add("A", function(m) print(m["Name-" .. m.N]) end)')
    for n in range(1, 1201, 7):
        assert process.send("A", tags={"n": str(n), f"name_{n}": "v"})["Output"]["data"] == "v"


def test_json_is_decoded(process):
    process.run('Handlers.add("A", function(m) print(type(m.Data) .. (m.Data.foo or "")) end)')
    tags = {"Content-Type": "application/json"}
    assert process.send("A", '{"foo": "bar"}', tags=tags)["Output"]["data"] == "tablebar"
    assert process.send("A", None, tags=tags)["Output"]["data"] == "table"
    assert process.send("A", "no json", tags=tags)["Output"]["data"] == "string"


def test_time_is_the_messages(process):
    process.run('Handlers.add("A", function() print(os.time()) end)')
    result = process.send("A", Timestamp=1234567890123, tags={"Timestamp": "forged"})
    assert result["Output"]["data"] == "\x1b[32m1234567890123\x1b[0m"


def test_reply(process):
    process.run('Handlers.add("A", function(m) m.reply({ Data = "r", N = "1" }) end)')
    (message,) = process.send("A", tags={"Reference": "5", "X-Origin": "o"})["Messages"]
    assert message["Target"] == "FRED" and message["Data"] == "r"
    assert process.tags(message) | {"X-Reference": "5", "X-Origin": "o", "N": "1"} == process.tags(
        message
    )
    (message,) = process.send("A", tags={"Reply-To": "JANE", "X-Reference": "8"})["Messages"]
    assert (message["Target"], process.tags(message)["X-Reference"]) == ("JANE", "8")
    assert "X-Origin" not in process.tags(message)


def test_reply_from_the_inbox_later(process):
    process.send("Hello", tags={"Reference": "3"})
    (message,) = process.eval('Inbox[#Inbox].reply({ Target = "Other", Data = "late" })')[
        "Messages"
    ]
    assert (message["Target"], process.tags(message)["X-Reference"]) == ("Other", "3")


def test_forward(process):
    process.run('Handlers.add("A", function(m) m.forward("JANE", { Extra = "e" }) end)')
    (message,) = process.send(
        "A", "d", tags={"Reference": "5", "Keep": "k", "Nonce": "1", "Pushed-For": "p"}
    )["Messages"]
    tags = process.tags(message)
    assert (message["Target"], message["Data"]) == ("JANE", "d")
    assert tags | {
        "Keep": "k", "Extra": "e", "Reply-To": "FRED", "X-Reference": "5", "X-Origin": "FRED",
        "Type": "Message", "Reference": "1", "Action": "A",
    } == tags  # fmt: skip
    assert not {"Nonce", "Pushed-For", "From", "Timestamp", "Cron", "Id"} & set(tags)


def test_clone_and_sanitize(process):
    process.send("A", tags={"Reference": "1"})
    assert (
        process.run("""
        local m, t = Inbox[#Inbox], { 1 }
        t.self = t
        local c, s, u = ao.clone(m), ao.sanitize(m), ao.clone(t)
        return tostring(c ~= m and c.Id == m.Id and c.TagArray ~= m.TagArray and u.self == u
          and s.From == nil and s.Action == "A" and m.From == "FRED"
          and type(c.reply) == "function")
    """)
        == "true"
    )


def test_a_message_is_data_only(process):
    process.send("A")
    assert json.loads(process.run("json.encode(Inbox[#Inbox])"))["Action"] == "A"


def test_tab(process):
    assert (
        process.run("""return Tab({ Tags = {
        { name = "a", value = "1" }, { name = "a", value = "2" } } }).a""")
        == "1"
    )


def test_spawn(new):
    process = new(tags={"Module": "THE-MODULE"})
    result = process.eval('Spawn("MOD", { Name = "child", Tags = { N = "1" } })')
    (spawn,) = result["Spawns"]
    assert [tag["value"] for tag in spawn["Tags"]][:7] == [
        "ao", "ao.TN.1", "Process", process.id, "THE-MODULE", "MOD", "1",
    ]  # fmt: skip
    tags = process.tags(spawn)
    assert (spawn["Data"], tags["Name"], tags["N"]) == ("NODATA", "child", "1")
    assert "Authority" not in tags and "Target" not in spawn
    assert "Spawn process request added to outbox" in result["Output"]["data"]
    (spawn,) = process.eval('Spawn({ Data = "d" })')["Spawns"]
    assert (spawn["Data"], process.tags(spawn)["Module"]) == ("d", "THE-MODULE")


def spawned(process, reference, child="CHILD", **tags):
    """What the node sends to the parent."""
    tags = [*tags.items(), ("Reference", reference), ("Process", child), ("Action", "Spawned")]
    return process.send(tags=tags, from_=process.id, owner="NODE")


@pytest.fixture
def parent(new):
    return new(tags={"Authority": "NODE,NODE-2", "Module": "OWN-MODULE"})


def test_spawned_answers(parent):
    parent.eval('return ao.spawn("M", {}).receive().Process')
    parent.eval('ao.spawn("M", {}).onReply(function(m) print("reply " .. m.Process) end)')
    parent.eval('return Spawn("M", {}).receive().Process')
    answers = [
        spawned(parent, str(n), f"c{n}", Action="Forged")["Output"]["data"] for n in (1, 2, 3)
    ]
    assert answers == ["c1", "reply c2", "c3"]


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ('spawn("M")', {"Module": "M", "Authority": "NODE,NODE-2"}),
        ('spawn("M", { Name = "n" })', {"Module": "M", "Name": "n", "Authority": "NODE,NODE-2"}),
        ('spawn("M", { Authority = "A" })', {"Authority": "A"}),
        ('spawn("M", { Tags = { Authority = "A" } })', {"Authority": "A"}),
        ('spawn("M", { { name = "Authority", value = "A" } })', {"Authority": "A"}),
        (
            'Send({ Target = "AOS", Action = "Spawn", Module = "M", Scheduler = "S" })',
            {"Module": "M", "Scheduler": "S", "Authority": "NODE,NODE-2"},
        ),
        ('Send({ Target = "AOS", Action = "Spawn" })', {"Module": "OWN-MODULE"}),
    ],
)
def test_spawn_that_waits(parent, call, expected):
    result = parent.eval(call)
    assert result["Suspended"] is True and result["Messages"] == []
    (spawn,) = result["Spawns"]
    tags = parent.tags(spawn)
    assert tags | expected == tags and "Action" not in tags and "Target" not in tags
    assert len([t for t in spawn["Tags"] if t["name"] == "Authority"]) == 1
    assert spawned(parent, tags["Reference"])["Output"]["data"] == "CHILD"


def test_spawn_that_waits_is_refused_in_a_dry_run(parent):
    error = parent.eval('spawn("M")', **{"Read-Only": "true"})["Error"]
    assert "dry run" in error and parent.waits == []


def test_spawn_names_a_missing_module(parent):
    assert "Module source id is required!" in parent.eval("spawn(MyModule)")["Error"]


def test_assign(process):
    result = process.eval('Assign({ Processes = { "p1", "p2" }, Message = "m" })')
    assert result["Assignments"] == [{"Processes": ["p1", "p2"], "Message": "m"}]
    assert result["Output"]["data"] == "Assignment added to outbox.\nAssignment added to outbox."


def test_trust(new):
    process = new(tags={"Authority": "FOO,BAR,UNIQUE"})
    assert process.value("ao.authorities") == ["FOO", "BAR", "UNIQUE"]
    accepted = [("A", "A"), ("FOO", "X"), ("X", "BAR"), ("UNIQUE", "FOO")]
    for sender, owner in accepted:
        assert "New Message" in process.send(from_=sender, owner=owner)["Output"]["data"]
    result = process.send("Eval", "1", from_="BAM", owner="BEEP")
    assert result["Output"]["data"] == "Message is not trusted! From: BAM - Owner: BEEP"
    assert result["Output"]["print"] is True and result["Messages"] == []
    assert "[Inbox:\x1b[31m5" in result["Output"]["prompt"]


def test_trust_is_the_scripts_to_change(process):
    process.run('table.insert(ao.authorities, "NEW")')
    assert "New Message" in process.send(from_="X", owner="NEW")["Output"]["data"]
    process.run("function ao.isTrusted(msg) return msg.Data == 'please' end")
    assert "New Message" in process.send(data="please", from_="A", owner="B")["Output"]["data"]


def test_authorities_of_the_definition_come_back(new):
    process = new(tags={"Authority": "NODE"})
    process.run("ao.authorities = {}")
    assert "New Message" in process.send(from_="A", owner="NODE")["Output"]["data"]


def test_assignments(process):
    process.run('Handlers.add("A", function(m) print(tostring(ao.isAssignment(m))) end)')
    result = process.send("A", target="ELSEWHERE")
    assert result["Output"]["data"] == "Assignment is not trusted! From: FRED - Owner: FRED"
    (message,) = result["Messages"]
    assert (message["Target"], message["Data"]) == (
        "FRED",
        "Assignment is not trusted by this process!",
    )
    process.run('ao.addAssignable("a", { Action = "B" }) ao.addAssignable("a", { Action = "A" })')
    assert process.send("A", target="ELSEWHERE")["Output"]["data"] == "true"
    assert process.send("A")["Output"]["data"] == "false"
    assert "not trusted" in process.send("B", target="ELSEWHERE")["Output"]["data"]
    process.run('ao.removeAssignable("a") ao.addAssignable(function() return true end)')
    assert process.run("#ao.assignables .. tostring(ao.assignables[1].name)") == "1nil"
    process.run("ao.removeAssignable(5) ao.removeAssignable(1)")
    assert process.run("#ao.assignables") == "0"


@pytest.mark.parametrize(
    ("call", "error"),
    [
        ("ao.addAssignable(1, print)", "MatchSpec name MUST be a string"),
        ("ao.removeAssignable({})", "index MUST be a number"),
    ],
)
def test_assignables_are_checked(process, call, error):
    assert error in process.eval(call)["Error"]


def test_log_and_result(process):
    assert (
        process.run("""
        ao.log("a")
        local r, e = ao.result({ Output = "o" }), ao.result({ Error = "e" })
        return ao.outbox.Output[1] .. r.Output .. tostring(r.Error) .. e.Error .. tostring(e.Output)
    """)
        == "aonilenil"
    )


def test_hints_are_bounded(process):
    process.run("""
        for i = 1, 1010 do
          local from = ("p%d&hint=http://h&hint-ttl=%05d"):format(i, i)
          ao.registerHint({ Tags = { ["From-Process"] = from } })
        end
        ao.registerHint({ Tags = { ["From-Process"] = "plain" } })
    """)
    assert process.run("#Utils.keys(ao._hints)") == "1000"
    assert process.run("ao._hints.p1010.hint .. ao._hints.p1010.ttl") == "http://h01010"


@pytest.mark.parametrize("where", ["Work = {}", "Tags = {{ Work = {} }}",
                                   "Tags = {{ {{ name = 'Work', value = {} }} }}"])  # fmt: skip
def test_a_table_in_a_tag_goes_out_as_json(process, where):
    table = where.format("{ 'p1', 'p2' }")
    result = process.eval(f"local m = ao.send({{ Target = 'T', {table} }}) "
                          "return m.Tags[#m.Tags].value[2]")  # fmt: skip
    assert result["Output"]["data"] == "p2"  # the sender keeps its table, as in aos
    (message,) = result["Messages"]
    assert process.tags(message)["Work"] == '["p1","p2"]'
