// Evaluates messages in @permaweb/ao-loader: the engine of the network's compute unit.
//   node ao_loader.mjs MODULE.wasm MESSAGES.json [MEMORY-BEFORE|-] [MEMORY-AFTER]
// MESSAGES has pairs of texts, the message and the environment. Prints the results, a JSON list.
import { readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'

const require = createRequire(process.cwd() + '/')
const AoLoader = require('@permaweb/ao-loader')
const [module, messages, before, after] = process.argv.slice(2)
const handle = await AoLoader(readFileSync(module), {
  format: 'wasm64-unknown-emscripten-draft_2024_02_15',
  inputEncoding: 'JSON-1',
  outputEncoding: 'JSON-1',
  memoryLimit: '1-gb',
  computeLimit: 9e12,
  extensions: [],
})
let memory = before && before !== '-' ? readFileSync(before) : null
const results = []
for (const [message, environment] of JSON.parse(readFileSync(messages))) {
  const result = await handle(memory, JSON.parse(message), JSON.parse(environment))
  // As the compute unit: what failed leaves the memory as it was.
  if (!result.Error) memory = result.Memory
  delete result.Memory
  results.push(result)
}
if (after) writeFileSync(after, memory)
process.stdout.write(JSON.stringify(results))
