// Clients of a gateway, from npm: argument 1 is the folder with the packages, 2 the URL of the
// server, 3 the wallet (JWK), 4 the id of a process. Answers what they got as JSON.
import { createRequire } from 'node:module'
import { readFileSync } from 'node:fs'
import path from 'node:path'

const [folder, url, key, ao] = process.argv.slice(2)
const require = createRequire(path.join(folder, 'index.js'))
// scheduler-utils asks a router of the public network first, whose address is fixed in it.
const { fetch } = globalThis
globalThis.fetch = async (target, options) =>
  String(target).startsWith(url) ? fetch(target, options) : new Response('', { status: 404 })
const Arweave = require('arweave')
const { ArweaveSigner, createData } = require('@dha-team/arbundles')
const schedulers = require('@permaweb/ao-scheduler-utils')
const { protocol, hostname, port } = new URL(url)
const jwk = JSON.parse(readFileSync(key, 'utf8'))
const arweave = Arweave.init({ protocol: protocol.replace(':', ''), host: hostname, port })
const say = console.error
console.error = () => {} // arweave-js prints that there are no offsets, and goes on
const got = {}

async function upload(data, tags) {
  const tx = await arweave.createTransaction({ data }, jwk)
  for (const [name, value] of Object.entries(tags)) tx.addTag(name, value)
  await arweave.transactions.sign(tx, jwk)
  const { status } = await arweave.transactions.post(tx)
  return { tx, status }
}

async function main() {
  const address = await arweave.wallets.jwkToAddress(jwk)
  got.network = await arweave.network.getInfo()
  got.peers = await arweave.network.getPeers()
  got.current = await arweave.blocks.getCurrent()
  got.block = await arweave.blocks.get(got.current.indep_hash)
  got.balance = await arweave.wallets.getBalance(address)
  got.last = await arweave.wallets.getLastTransactionID(address)
  got.price = await arweave.transactions.getPrice(1000)

  got.posts = []
  for (const size of [5, 0, 300_000, 1_100_000]) {
    const data = new Uint8Array(size).map((_, at) => (at * 7) % 251)
    const { tx, status } = await upload(data, { 'Content-Type': 'image/png', Size: String(size) })
    const back = size ? await arweave.transactions.getData(tx.id, { decode: true }) : data
    const read = await arweave.transactions.get(tx.id)
    got.posts.push({
      id: tx.id,
      size,
      status,
      same: Buffer.compare(Buffer.from(back), Buffer.from(data)) === 0,
      verified: await arweave.transactions.verify(read),
      tags: read.tags.map((tag) => [
        tag.get('name', { decode: true, string: true }),
        tag.get('value', { decode: true, string: true }),
      ]),
      confirmed: await arweave.transactions.getStatus(tx.id),
    })
  }

  const query = `query { transactions(owners: ["${address}"], sort: HEIGHT_ASC) { edges { node {
    id owner { address } tags { name value } data { size type } block { height timestamp } } } } }`
  const answer = await arweave.api.post('graphql', { query })
  got.found = answer.data.data.transactions.edges.map((edge) => edge.node)

  const signer = new ArweaveSigner(jwk)
  const source = 'Made = "in arbundles"'
  const tags = { 'Data-Protocol': 'ao', Type: 'Module', 'Module-Format': 'lua', Name: 'mine' }
  const item = createData(source, signer, {
    tags: Object.entries(tags).map(([name, value]) => ({ name, value })),
  })
  await item.sign(signer)
  const sent = await fetch(`${url}/tx`, {
    method: 'POST',
    headers: { 'content-type': 'application/octet-stream' },
    body: item.getRaw(),
  })
  got.module = { id: item.id, status: sent.status }
  const raw = await fetch(`${url}/raw/${item.id}`)
  got.module.same = (await raw.text()) === source
  const { locate, validate, raw: location } = schedulers.connect({
    GRAPHQL_URL: `${url}/graphql`,
    followRedirects: true,
  })
  got.located = await locate(ao)
  got.valid = await validate(got.located.address)
  got.location = await location(address)

  const none = await fetch(`${url}/graphql`, { method: 'POST', body: '{' })
  got.none = { status: none.status, body: await none.json() }
}

main().then(
  () => process.stdout.write(JSON.stringify(got)),
  (error) => {
    say(error)
    process.exitCode = 1
  },
)
