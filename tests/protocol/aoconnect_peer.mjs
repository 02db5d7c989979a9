// Signs and verifies with the network's own libraries. Each line of stdin is a request in JSON, each
// line of stdout its answer; bytes are base64. The first argument is the folder of the packages.
import { createRequire } from "node:module"
import { join } from "node:path"
import { createInterface } from "node:readline"

const require = createRequire(join(process.argv[2], "package.json"))
const arbundles = require("@dha-team/arbundles")
const Arweave = require("arweave")
const { connect, createSigner } = require("@permaweb/aoconnect")

const bytes = (encoded) => Buffer.from(encoded, "base64")
const encode = (raw) => Buffer.from(raw).toString("base64")

async function byAoconnect({ jwk, target, tags, data }) {
  const { signMessage } = connect({ MODE: "legacy" })
  const signed = await signMessage({
    process: target, tags, data: bytes(data).toString(), signer: createSigner(jwk),
  })
  return { id: signed.id, raw: encode(signed.raw) }
}

async function byArbundles({ kind, key, target, tags, data, anchor }) {
  const signer = new arbundles[kind](...key)
  const options = { target: target || undefined, tags, anchor: anchor && bytes(anchor) }
  const item = arbundles.createData(bytes(data), signer, options)
  await item.sign(signer)
  return { id: item.id, raw: encode(item.getRaw()) }
}

async function bundled({ jwk, items }) {
  const signer = new arbundles.ArweaveSigner(jwk)
  const made = items.map((raw) => new arbundles.DataItem(bytes(raw)))
  const bundle = await arbundles.bundleAndSignData(made, signer)
  return { raw: encode(bundle.getRaw()) }
}

async function verified({ raw }) {
  const item = new arbundles.DataItem(bytes(raw))
  return {
    valid: await arbundles.DataItem.verify(bytes(raw)),
    id: item.id,
    owner: await item.signatureType === 1 ? item.owner : "",
    target: item.target,
    anchor: encode(item.rawAnchor),
    tags: item.tags,
    data: encode(item.rawData),
  }
}

async function transaction({ jwk, data, tags, format }) {
  const arweave = Arweave.init({})
  const last_tx = "A".repeat(64)
  const fields = { data: bytes(data), last_tx, reward: "12345", format }
  const made = await arweave.createTransaction(fields, jwk)
  for (const { name, value } of tags) made.addTag(name, value)
  await arweave.transactions.sign(made, jwk)
  return { header: { ...made.toJSON(), data: format === 1 ? made.toJSON().data : "" } }
}

const calls = { byAoconnect, byArbundles, bundled, verified, transaction }
for await (const line of createInterface({ input: process.stdin })) {
  const { call, ...request } = JSON.parse(line)
  process.stdout.write(`${JSON.stringify(await calls[call](request))}\n`)
}
process.exit(0)
