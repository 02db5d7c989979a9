"""Handlings that wait for another message."""

WAIT = 'local m = Receive({ Action = "Go" }) print("got " .. m.Data) return "end"'


def test_receive_suspends_and_resumes(process):
    first = process.eval(WAIT, id="eval-1")
    assert first["Suspended"] is True and first["Output"]["data"] == ""
    assert process.waits == [{"id": "eval-1", "action": "Eval", "pattern": "{ Action = Go }"}]
    other = process.send("Other")
    assert "Suspended" not in other and "Resumed" not in other
    result = process.send("Go", "now")
    assert result["Output"] == {
        "data": "got now\nend",
        "prompt": result["Output"]["prompt"],
        "print": True,
    }
    assert result["Resumed"] == ["eval-1"]
    assert process.waits == [] and process.value("#Handlers.coroutines") == 0
    assert "New Message" in process.send("Go", "again")["Output"]["data"]


def test_a_sent_message_receives_its_answer(process):
    sent = process.eval('return Send({ Target = "JANE", Action = "Ask" }).receive().Data')
    reference = process.tags(sent["Messages"][0])["Reference"]
    tags = {"X-Reference": reference}
    assert "New Message" in process.send(data="wrong sender", tags=tags)["Output"]["data"]
    assert process.send(data="right", tags=tags, from_="JANE")["Output"]["data"] == "right"


def test_receive_and_on_reply_from_another_sender(process):
    process.eval('ao.send({ Target = "A" }).onReply("B", function(m) print("b: " .. m.Data) end)')
    process.eval('ao.send({ Target = "A" }).onReply(function(m) print("a: " .. m.Data) end)')
    process.eval('return ao.send({ Target = "A" }).receive("C").Data')
    answers = [
        process.send(data="x", tags={"X-Reference": str(n)}, from_=who)["Output"]["data"]
        for n, who in ((1, "B"), (2, "A"), (3, "C"))
    ]
    assert answers == ["b: x", "a: x", "x"]


def test_receives_in_a_row(process):
    process.eval(
        """
        local sum = 0
        for i = 1, 3 do sum = sum + tonumber(Receive({ Action = "Add" }).Data) end
        return sum
        """,
        id="sum",
    )
    results = [process.send("Add", str(n)) for n in (1, 2, 3)]
    assert [r.get("Resumed") for r in results] == [None, None, ["sum"]]
    assert results[-1]["Output"]["data"] == "6"


def test_several_in_flight(process):
    for name in "abc":
        process.eval(f'print("{name}" .. Receive({{ To = "{name}" }}).Data)', id=name)
    assert [wait["id"] for wait in process.waits] == ["a", "b", "c"]
    for name in "bca":
        result = process.send(data="!", tags={"To": name})
        assert (result["Output"]["data"], result["Resumed"]) == (name + "!", [name])


def test_a_resumed_handling_ends_inside_one_that_waits_in_turn(process):
    process.run("""
        Handlers.prepend("outer", "Go", function(msg)
          Receive({ Action = "Stop" })
          print("outer")
        end)
    """)
    process.eval('Receive({ Action = "Stop" }) print("eval")', id="eval")
    assert process.send("Go", id="go")["Suspended"] is True
    results = [process.send("Stop") for _ in range(2)]
    # The youngest wait stands first in the list.
    assert [(r["Output"]["data"], r["Resumed"]) for r in results] == [
        ("outer", ["go"]),
        ("eval", ["eval"]),
    ]


def test_a_once_handler_that_waits_does_not_run_twice(process):
    process.run('Handlers.once("Go", function() end)')
    process.run('Handlers.once("O", "O", function() print("run") Receive("Go2") print("end") end)')
    assert process.send("O")["Output"]["data"] == "run"
    assert "New Message" in process.send("O")["Output"]["data"]
    assert process.send("Go2")["Output"]["data"] == "end"


def test_an_error_behind_a_wait_resurfaces(process):
    process.eval('local function f()\nReceive("Go")\nerror("late")\nend\nf()', id="eval")
    result = process.send("Go")
    assert result["Resumed"] == ["eval"]
    assert '\x1b[32m[string "aos"]:3: late\x1b[0m' in result["Error"]
    assert "[string \"aos\"]:3: in local 'f'\n" in result["Error"]


def test_receive_in_a_coroutine_of_the_users_own(process):
    result = process.eval(
        """
        local co = coroutine.create(function()
          local m = Receive("Go")
          print("co got " .. m.Data)
        end)
        coroutine.resume(co)
        return "goes on"
        """,
        id="eval",
    )
    assert result["Output"]["data"] == "goes on" and "Suspended" not in result
    assert process.waits == [{"id": "eval", "action": "Eval", "pattern": "Go"}]
    result = process.send("Go", "it")
    assert result["Output"]["data"] == "co got it" and "Resumed" not in result
    assert process.waits == []


def test_an_error_in_a_coroutine_of_the_users_own(process):
    process.run('coroutine.wrap(function() Receive("Go") error("inside") end)()')
    error = process.send("Go")["Error"]
    assert '[string "aos"]:1: inside' in error and '[string "aos"]:1: in function <' in error


def test_coroutines_that_yield_for_reasons_of_their_own(process):
    process.run("""
        co = coroutine.wrap(function()
          for i = 1, 3 do coroutine.yield(i) end
          local m = Receive("Go")
          coroutine.yield("between")
          return "end " .. m.Data
        end)
        print(co() + co() + co())
        co()
    """)
    assert process.send("Go", "x")["Output"]["data"] == ""
    assert process.run("co()") == "end x"


def test_a_bare_yield_parks_the_handling(process):
    process.eval(
        'co = coroutine.running() local v = coroutine.yield() print("woken " .. v)', id="eval"
    )
    assert process.waits == [{"id": "eval", "action": "Eval", "pattern": "coroutine.yield"}]
    assert process.value("#Handlers.coroutines") == 1
    result = process.eval('local _ = coroutine.resume(co, "up")')
    assert (result["Output"]["data"], result["Resumed"]) == ("woken up", ["eval"])
    assert process.waits == []


def test_an_error_behind_a_bare_yield_is_not_lost(process):
    process.eval('co = coroutine.running() coroutine.yield() error("late")', id="eval")
    result = process.eval("coroutine.resume(co)")
    assert "late" in result["Error"] and result["Resumed"] == ["eval"]


def test_who_resumes_a_wait_takes_it_down(process):
    process.eval('co = coroutine.running() print(Receive("Go"))')
    assert process.run('local _ = coroutine.resume(co, "timeout")') == "timeout"
    assert process.waits == []
    assert "New Message" in process.send("Go")["Output"]["data"]


def test_drop_forgets_a_wait(process):
    process.eval(WAIT, id="a")
    process.eval(WAIT, id="b")
    assert process.host.drop("a") is True and process.host.drop("a") is False
    assert [wait["id"] for wait in process.waits] == ["b"]
    assert process.value("#Handlers.coroutines") == 1
    assert process.send("Go", "x")["Resumed"] == ["b"]
    assert "New Message" in process.send("Go")["Output"]["data"]


def test_pcall_around_receive(process):
    process.run("ok = nil")
    process.eval('ok, why = pcall(function() Receive("Go") error("x", 0) end) return why')
    assert process.send("Go")["Output"]["data"] == "x"


def test_a_wait_by_function_pattern(process):
    process.eval('return Handlers.receive(function(m) return m.Data == "y" end).Data')
    assert process.waits[0]["pattern"] == "function"
    assert "New Message" in process.send(data="n")["Output"]["data"]
    assert process.send(data="y")["Output"]["data"] == "y"


def test_nothing_is_kept_of_handlings_that_ended(process):
    process.run('Handlers.add("A", function() end)')
    for _ in range(20):
        process.send("A")
    assert process.value("#Handlers.coroutines") == 0 and process.value("#Handlers.list") == 3
