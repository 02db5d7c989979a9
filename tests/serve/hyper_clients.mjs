// Clients of HyperBEAM nodes from npm, at the node whose URL is the second argument. The first one
// is the folder of the packages, the third the name of the session below; what it found is printed
// as JSON.
import { createRequire } from "node:module"
import { join } from "node:path"
import { pathToFileURL } from "node:url"

const [folder, url, name] = process.argv.slice(2)
const require = createRequire(join(folder, "package.json"))
const MODULE = "ISShJH1ij-hPPt9St5UFFr_8Ys3Kj5cyg7zrMGt7H9s"
const wallet = () => require("arweave").init({}).wallets.generate()
const say = console.log
console.log = console.error

const attempt = async (call) => {
  try {
    return { got: await call() }
  } catch (error) {
    return { error: String(error?.message ?? error) }
  }
}

const connected = async () => {
  const file = join(folder, "node_modules/@permaweb/aoconnect/dist/index.js")
  const { connect, createSigner } = await import(pathToFileURL(file))
  const signer = createSigner(await wallet())
  const scheduler = await (await fetch(`${url}/~meta@1.0/info/address`)).text()
  return { scheduler, ao: connect({ MODE: "mainnet", URL: url, SCHEDULER: scheduler, signer }) }
}

const evaluate = (ao, process, data) =>
  ao.message({ process, tags: [{ name: "Action", value: "Eval" }], data })

const sessions = {
  async aoconnect() {
    const { ao, scheduler } = await connected()
    const process = await ao.spawn({
      module: MODULE,
      scheduler,
      authority: scheduler,
      tags: [{ name: "Name", value: "mn1" }],
    })
    const slot = await evaluate(ao, process, "1+1")
    const id = await ao.message({
      process,
      tags: [{ name: "Action", value: "Eval" }],
      data: "2+2",
      opts: { returnMessageId: true },
    })
    const full = await ao.message({
      process,
      tags: [{ name: "Action", value: "Eval" }],
      data: "3+3",
      opts: { fullResponse: true },
    })
    const failed = await evaluate(ao, process, "error('boom')")
    const lines = await evaluate(ao, process, "local a = 1\nreturn 'two\\nlines'")
    return {
      scheduler,
      process,
      slot,
      id,
      full,
      result: await ao.result({ process, message: slot }),
      failed: await ao.result({ process, message: failed }),
      lines: await ao.result({ process, message: lines }),
      results: await ao.results({ process, limit: 5 }),
      dryrun: await ao.dryrun({
        process,
        tags: [
          { name: "Action", value: "Eval" },
          { name: "Foo", value: "a b ü" },
        ],
        data: "Name .. '!'",
      }),
      absent: await attempt(() => evaluate(ao, "x".repeat(43), "1+1")),
    }
  },

  async coreLibs() {
    const { ao, scheduler } = await connected()
    const process = await ao.spawn({ module: MODULE, scheduler, authority: scheduler })
    const read = await ao.request({
      path: `/${process}~process@1.0/compute/at-slot`,
      method: "GET",
      "signing-format": "httpsig",
    })
    const sent = (data) =>
      ao.request({
        path: `/${process}~process@1.0/push`,
        method: "POST",
        target: process,
        "signing-format": "httpsig",
        type: "Message",
        action: "Eval",
        data,
        "require-codec": "application/json",
      })
    const one = await sent("20+3")
    const lines = await attempt(() => sent("a = 1\nreturn a"))
    const item = await ao.request({
      path: `/${process}~process@1.0/push`,
      method: "POST",
      target: process,
      "signing-format": "ans104",
      Action: "Eval",
      data: "a = 1\nreturn a",
      "require-codec": "application/json",
    })
    const body = async (answer) => ({ status: answer.status, text: await answer.text() })
    return {
      process,
      read: await body(read),
      one: await body(one),
      lines: lines.got ? await body(lines.got) : lines,
      item: await body(item),
      slot: await (await fetch(`${url}/${process}/slot/current`)).json(),
    }
  },

  async wao() {
    const { HB } = await import(pathToFileURL(join(folder, "node_modules/wao/esm/index.js")))
    const jwk = await wallet()
    const hb = await new HB({ url, cu: url }).init(jwk)
    const { pid } = await hb.spawnLegacy()
    const one = await hb.scheduleLegacy({ pid, data: "1+1" })
    const lines = await hb.scheduleLegacy({ pid, data: "a = 1\nreturn a" })
    const flat = await hb.scheduleFlat({ pid, tags: { Action: "Eval" }, data: "4+4" })
    const legacy = await hb.messageLegacy({ pid, data: "5+5" })
    return {
      operator: hb.operator,
      pid,
      slots: [one.slot, lines.slot, flat.slot, legacy.slot],
      compute: await hb.computeLegacy({ pid, slot: one.slot }),
      lines: await hb.computeLegacy({ pid, slot: lines.slot }),
      flat: await hb.compute({ pid, slot: flat.slot, path: "results/raw/Output/data" }),
      legacy: legacy.res,
      now: await hb.now({ pid, path: "at-slot" }),
      slot: await hb.slot({ pid, path: "current" }),
      messages: await hb.messages({ pid, from: 0, to: 2 }),
      results: await hb.results({ process: pid, limit: 2 }),
      dryrun: await hb.dryrun({ pid, action: "Eval", data: "6+6" }),
      long: await hb.dryrun({ pid, action: "Eval", data: `return #[[${"x".repeat(9000)}]]` }),
      elsewhere: await attempt(() => new HB({ url }).init(jwk).then((it) => it.results({ process: pid }))),
      address: (await hb.get({ path: "/~meta@1.0/info/address" })).out,
    }
  },

  // The legacy client of wao, with one URL for all units.
  async waoLegacy() {
    const { AO } = await import(pathToFileURL(join(folder, "node_modules/wao/esm/index.js")))
    const { hostname: host, port } = new URL(url)
    const ao = new AO({
      wao: false,
      module: MODULE,
      aoconnect: { MU_URL: url, CU_URL: url, GATEWAY_URL: url },
      ar: { host, port: +port, protocol: "http" },
    })
    await ao.init(await wallet())
    const hello = "Handlers.add('Hello', 'Hello', function(m) m.reply({Data = 'hi ' .. m.Tags.Name}) end)"
    const { pid, err } = await ao.deploy({ src_data: hello })
    const said = await ao.msg({ pid, act: "Hello", tags: { Name: "you" }, get: { data: true } })
    return {
      err,
      evaluated: (await ao.msg({ pid, data: "1+1" })).res,
      said: said.results.map(({ res }) => res),
      dry: (await ao.dry({ pid, data: "2+2" })).res,
    }
  },
}

say(JSON.stringify(await sessions[name]()))
process.exit(0)
