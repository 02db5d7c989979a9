// Cron messages as the network's compute unit makes them, by its own code.
//   node cu_cron.mjs SERVERS/CU < CASES.json
// CASES: a list of {tags, log: [[height, timestamp], …], blocks: [[height, seconds], …]}; the first
// of a log is its definition. Prints for each the texts of its cron messages, each behind the slot.
import { readFileSync } from 'node:fs'
import { compose } from 'node:stream'

const unit = process.argv[2]
const { loadMessagesWith } = await import(`${unit}/src/domain/lib/loadMessages.js`)
const { loadBlocksMetaWith } = await import(`${unit}/src/effects/ao-block.js`)
const { messageSchema } = await import(`${unit}/src/domain/model.js`)

const logger = () => undefined
logger.tap = () => (value) => value
logger.child = () => logger

const edge = ([height, seconds]) => ({ node: { height, timestamp: seconds } })

async function made ({ tags, log, blocks }) {
  const definition = { Module: { Id: 'm', Owner: 'o', Tags: [] }, Process: { Id: 'p', Owner: 'o', Tags: tags } }
  async function * scheduled () {
    for (const [ordinate, [height, timestamp]] of log.entries()) {
      const message = { Id: `${ordinate}`, Owner: 'o', Target: 'p', From: 'o', Tags: ordinate ? [] : [{ name: 'Type', value: 'Process' }], Nonce: ordinate, Timestamp: timestamp, 'Block-Height': height, Cron: false }
      yield { ordinate, name: `${ordinate}`, message, AoGlobal: definition, block: { height, timestamp } }
    }
  }
  const loadBlocksMeta = loadBlocksMetaWith({
    GRAPHQL_URLS: ['http://gateway'],
    pageSize: 3,
    logger,
    gatewayCounter: { inc: () => undefined },
    fetch: async (_url, { body }) => {
      const { variables: { min, limit } } = JSON.parse(body)
      const found = blocks.filter(([height]) => height >= min)
      const page = { pageInfo: { hasNextPage: found.length > limit }, edges: found.slice(0, limit).map(edge) }
      return new Response(JSON.stringify({ data: { blocks: page } }))
    }
  })
  const load = loadMessagesWith({
    logger,
    loadMessages: async () => [scheduled],
    loadTimestamp: async () => ({ height: log.at(-1)[0], timestamp: log.at(-1)[1] }),
    findBlocks: async () => [],
    saveBlocks: async () => undefined,
    getLatestBlock: async () => log.at(-1)[0],
    loadBlocksMeta,
    loadTransactionData: async () => { throw new Error('nothing is loaded') }
  })
  const [height, timestamp] = log[0]
  const context = { id: 'p', owner: 'o', tags, block: { height, timestamp }, suUrl: 'http://su', moduleId: 'm', moduleOwner: 'o', moduleTags: [], to: log.at(-1)[1] }
  const { messages } = await load(context).toPromise()
  const found = []
  for await (const one of compose(...messages)) {
    const { message, ordinate, cron } = messageSchema.parse(one)
    if (message.Cron) found.push([Number(ordinate), cron, JSON.stringify(message)])
  }
  return found
}

const results = []
for (const one of JSON.parse(readFileSync(0))) results.push(await made(one).catch((error) => ({ error: error.message })))
process.stdout.write(JSON.stringify(results) + '\n')
