"""What the record of a WASM process must hold, so that its log gives the same answers for ever."""

from __future__ import annotations

import wasmtime
from eventually import in_loop
from local_home import Local

from aoshell.nodes.values import Limits
from aoshell.protocol.message import Result

MODULE = """(module (memory (export "memory") 1)
  (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
  (func (export "spin") (param i32)
    (loop $again
      (local.set 0 (i32.sub (local.get 0) (i32.const 1)))
      (br_if $again (i32.gt_s (local.get 0) (i32.const 0))))))"""


async def process_of(local: Local) -> str:
    module = await local.node.upload(wasmtime.wat2wasm(MODULE))
    return (await local.node.spawn(local.definition(module.id))).process


async def call(local: Local, process: str, function: str, number: int) -> Result:
    parameters = f"[{number}]"
    return await local.send(
        process, Action="ExecuteFunction", Function=function, Parameters=parameters
    )


@in_loop
async def test_the_memory_it_was_spawned_with_stays_its_own(opening) -> None:
    async with opening(Limits(memory=2 << 20)) as local:
        process = await process_of(local)
        refused = await call(local, process, "grow", 64)
        assert refused.ok and "-1" in refused.output, refused
        await local.node.set_limits(Limits(memory=64 << 20))
        assert (await call(local, process, "grow", 64)).output == refused.output
        assert await local.node.verify_log(process) == []
    async with opening() as local:
        assert (await call(local, process, "grow", 64)).output == refused.output
        exported = await local.node.export(process)
        await local.node.delete(process)
        await local.node.restore(exported)
        assert await local.node.verify_log(process) == []
        assert (await call(local, process, "grow", 64)).output == refused.output


@in_loop
async def test_gas_that_ran_out_is_on_record(opening) -> None:
    async with opening(Limits(gas=10_000)) as local:
        process = await process_of(local)
        short = await call(local, process, "spin", 1_000_000)
        assert (short.outcome, "out of gas" in short.error) == ("gas", True)
        assert (await call(local, process, "spin", 10)).ok
        await local.node.set_limits(Limits(gas=10_000_000_000))
        assert await local.node.verify_log(process) == []
