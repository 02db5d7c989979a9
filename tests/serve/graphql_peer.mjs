// The reference implementation of GraphQL reads documents: argument 1 is the folder with the
// package, standard input JSON {schema, documents}. Answers a list, one object for each document:
// {syntax} where it does not parse, {wrong} where it does not fit the schema, {keys, values} where
// it does: what is asked for by key, and the values of all arguments by path.
import { createRequire } from 'node:module'
import { readFileSync } from 'node:fs'
import path from 'node:path'

const require = createRequire(path.join(process.argv[2], 'index.js'))
const gql = require('graphql')
const { schema: sdl, documents } = JSON.parse(readFileSync(0, 'utf8'))
const schema = gql.buildSchema(sdl)

// Calls of resolvers give the values of arguments, as the reference coerces them.
function answer({ query, variables }) {
  let document
  try {
    document = gql.parse(query)
  } catch (error) {
    const [{ line, column }] = error.locations
    return { syntax: error.message, place: [line, column] }
  }
  const wrong = gql.validate(schema, document)
  if (wrong.length) return { wrong: wrong.map((error) => error.message) }
  const values = {}
  const one = () => new Proxy({}, { get: (_, name) => (name === 'then' ? undefined : one) })
  const result = gql.executeSync({
    schema,
    document,
    variableValues: variables,
    fieldResolver(_source, args, _context, info) {
      const at = gql.responsePathAsArray(info.path).filter((key) => typeof key === 'string')
      if (Object.keys(args).length) values[at.join('.')] = args
      const type = gql.getNullableType(info.returnType)
      if (gql.isListType(type)) return [{}]
      if (gql.isLeafType(type)) return type.name === 'Int' ? 1 : type.name === 'Boolean' ? true : 'x'
      return {}
    },
  })
  if (result.errors) return { wrong: result.errors.map((error) => error.message) }
  return { data: result.data, values }
}

process.stdout.write(JSON.stringify(documents.map(answer)))
