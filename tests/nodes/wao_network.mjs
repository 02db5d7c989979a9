// wao's local network, on loopback alone and ports of its own, which are printed as JSON. It ends
// with its stdin. The first argument is the folder of the packages.
import net from "node:net"
import { join } from "node:path"
import { pathToFileURL } from "node:url"

// As it comes it listens on every interface.
const listen = net.Server.prototype.listen
net.Server.prototype.listen = function (port, ...rest) {
  return listen.call(this, port, "127.0.0.1", ...rest)
}
const say = console.log
console.log = console.error
const server = join(process.argv[2], "node_modules/wao/esm/server.js")
const { default: Server } = await import(pathToFileURL(server))
const units = ["ar", "bd", "mu", "su", "cu"]
const ports = Object.fromEntries(units.map((unit) => [unit, 0]))
const { servers } = new Server({ ...ports, db: null, log: false })
await Promise.all(servers.map((s) => s.listening || new Promise((done) => s.once("listening", done))))
say(JSON.stringify(Object.fromEntries(units.map((unit, n) => [unit, servers[n].address().port]))))
process.stdin.on("end", () => process.exit(0)).resume()
