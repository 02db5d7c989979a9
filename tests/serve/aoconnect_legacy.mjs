// Every call of aoconnect in legacy mode, at the node whose URL is the second argument; the first is
// the folder of the packages. What came of each call is printed as JSON.
import { generateKeyPairSync } from "node:crypto"
import { createRequire } from "node:module"
import { join } from "node:path"

const [folder, url] = process.argv.slice(2)
const require = createRequire(join(folder, "package.json"))
const { connect, createSigner } = require("@permaweb/aoconnect")
const arbundles = require("@dha-team/arbundles")
const bs58 = createRequire(require.resolve("@dha-team/arbundles"))("bs58")
const say = console.log
console.log = console.error

const MODULE = "ISShJH1ij-hPPt9St5UFFr_8Ys3Kj5cyg7zrMGt7H9s"
const SCHEDULER = "_GQ33BkPtZrqxA84vM8Zk-N2aO0toNNu_C-l-rawrBA"
const AUTHORITY = "fcoN_xJeisVsPXA-trzVAuIiqO3ydLQxM-L4XbrQKzY"
const NOBODY = "z".repeat(42) + "w"
const signer = createSigner(await require("arweave").init({}).wallets.generate())
const ao = connect({ MODE: "legacy", GATEWAY_URL: url, MU_URL: url, CU_URL: url })
const action = (value) => [{ name: "Action", value }]
const attempt = (call) => call.then((got) => ({ got }), (error) => ({ error: String(error.message) }))

// Signers of other types, as wallets of other chains give them to aoconnect.
const others = () => {
  const { d, x } = generateKeyPairSync("ed25519").privateKey.export({ format: "jwk" })
  const key = bs58.encode(Buffer.concat([Buffer.from(d, "base64url"), Buffer.from(x, "base64url")]))
  return [
    new arbundles.SolanaSigner(key),
    new arbundles.EthereumSigner("11".repeat(32)),
    new arbundles.HexSolanaSigner(key),
  ]
}
const signing = (with_) => async (create) => {
  const { data, tags, target, anchor } = await create({ passthrough: true })
  const item = arbundles.createData(data, with_, { tags, target, anchor })
  await item.sign(with_)
  return { id: item.id, raw: item.getRaw() }
}

const process_ = await ao.spawn({
  module: MODULE, scheduler: SCHEDULER, signer,
  tags: [{ name: "Name", value: "cl1" }, { name: "Authority", value: AUTHORITY }],
})
const send = (data, tags, with_ = signer) =>
  ao.message({ process: process_, signer: with_, tags, data })
const evaluate = (code) => send(code, action("Eval"))
const resultOf = (message) => ao.result({ process: process_, message })

const first = await evaluate("1+1")
const found = { process: process_, first: await resultOf(first) }
found.failed = await resultOf(await evaluate('error("boom")'))
await evaluate(
  'Handlers.add("ping", "Ping", function(m) print("got ping")' +
    ' Send({Target = m.From, Data = "pong", Action = "Pong"}) end)',
)
found.ping = await resultOf(await send("x", action("Ping")))
found.newest = await ao.results({ process: process_, sort: "DESC", limit: 3 })
found.oldest = await ao.results({ process: process_, sort: "ASC", limit: 2 })
found.next = await ao.results({
  process: process_, sort: "ASC", limit: 2, from: found.oldest.edges[1].cursor,
})
found.dry = await ao.dryrun({ process: process_, tags: action("Ping"), data: "x" })
found.monitor = await ao.monitor({ process: process_, signer })
found.unmonitor = await ao.unmonitor({ process: process_, signer })
await evaluate('ao.addAssignable({Action = "See"})')
await evaluate('Seen = {} Handlers.add("See", "See", function(m) table.insert(Seen, m.Data) end)')
const other = await ao.spawn({ module: MODULE, scheduler: SCHEDULER, signer })
const see = await ao.message({ process: other, signer, tags: action("See"), data: "look" })
found.assigned = await ao.assign({ process: process_, message: see })
found.assignedOf = await ao.assign({
  process: process_, message: see, baseLayer: true, exclude: ["Data"],
})
found.seen = await resultOf(await evaluate('return table.concat(Seen, ",") .. #Seen'))
found.types = []
for (const with_ of others()) {
  const message = await send("x", action("Ping"), signing(with_))
  found.types.push({ type: with_.signatureType, result: await resultOf(message) })
}
await evaluate("N = 0 Handlers.add('Add', 'Add', function() N = N + 1 end)")
const signed = await ao.signMessage({ process: process_, signer, tags: action("Add"), data: "x" })
const posted = [signed, signed].map((signedMessage) => ao.sendSignedMessage(signedMessage))
found.twice = { id: signed.id, answers: await Promise.all(posted) }
found.counted = await resultOf(await evaluate("return N"))
const raw = Buffer.from(signed.raw)
raw[raw.length - 1] ^= 1
found.tampered = await attempt(ao.sendSignedMessage({ id: signed.id, raw }))
const refused = await fetch(url, { method: "POST", body: raw })
found.refused = { status: refused.status, ...(await refused.json()) }
found.absent = await attempt(ao.message({ process: NOBODY, signer, data: "1" }))
found.unknown = await attempt(ao.result({ process: process_, message: NOBODY }))
say(JSON.stringify(found))
process.exit(0)
