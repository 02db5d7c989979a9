// Loaded before the compute unit of permaweb/ao: it reaches nothing but this machine, listens on
// loopback, stores nothing (its SQLite needs a compiler), and has what newer versions of Node have.
import { register } from "node:module"
import net from "node:net"

const store = `export default () => ({
  pragma() {}, close() {}, exec() {}, transaction: (work) => work,
  prepare: () => ({ run() {}, get() {}, all: () => [], iterate: () => [] }),
})`
const inPlace = (source) => "data:text/javascript," + encodeURIComponent(source)
register(inPlace(`export const resolve = (name, context, next) =>
  name === "better-sqlite3"
    ? { url: ${JSON.stringify(inPlace(store))}, shortCircuit: true }
    : next(name, context)`))

Promise.withResolvers ??= () => {
  const made = {}
  made.promise = new Promise((resolve, reject) => Object.assign(made, { resolve, reject }))
  return made
}
const listen = net.Server.prototype.listen
net.Server.prototype.listen = function (options, ...rest) {
  const at = options?.port === undefined ? options : { ...options, host: "127.0.0.1" }
  return listen.call(this, at, ...rest)
}
const reach = globalThis.fetch
globalThis.fetch = (what, ...rest) =>
  String(what?.url ?? what).startsWith("http://127.0.0.1:")
    ? reach(what, ...rest)
    : Promise.resolve(new Response('{"error": "offline"}', { status: 404 }))
