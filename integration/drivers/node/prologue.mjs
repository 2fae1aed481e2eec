// Connects as an application does, with one of Node's drivers, and stays connected until stdin ends.
//
//     prologue.mjs CASE PORT        DRIVERS=the directory with node_modules
//
// Each case takes a connection from the driver's pool, reads and writes with parameters, gives it back, and does so
// again. "ready NAME VERSION, NAME VERSION" on stdout says that the connection is at rest.

import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'

const [name, port] = [process.argv[2], Number(process.argv[3])]
const drivers = process.env.DRIVERS
const require = createRequire(drivers + '/of.js')
const login = { host: '127.0.0.1', port, user: 'app', password: 'secret', database: 'app' }
const read = 'select text from berth_notes where id = '
const write = 'insert into berth_notes (text) values '

const version = (pkg) => JSON.parse(readFileSync(`${drivers}/node_modules/${pkg}/package.json`, 'utf8')).version

const cases = {
  async pg() {
    const pool = new (require('pg').Pool)({ ...login, max: 1 })
    for (let i = 0; i < 2; i++) {
      const client = await pool.connect()
      await client.query('begin')
      await client.query(write + '($1)', ['pg'])
      await client.query('commit')
      await client.query({ name: 'read', text: read + '$1', values: [1] })
      client.release()
      await pool.query(read + '$1', [1])
    }
    return ['pg']
  },
  async mysql2() {
    const pool = require('mysql2/promise').createPool({ ...login, connectionLimit: 1 })
    for (let i = 0; i < 2; i++) {
      const connection = await pool.getConnection()
      await connection.beginTransaction()
      await connection.query(write + '(?)', ['mysql2'])
      await connection.commit()
      await connection.execute(read + '?', [1])
      connection.release()
      await pool.query(read + '?', [1])
    }
    return ['mysql2']
  },
  'prisma-pg': () => prisma('pg', new (require('@prisma/adapter-pg').PrismaPg)({ ...login, max: 1 }), 'pg'),
  'prisma-mariadb': () => prisma('my', new (require('@prisma/adapter-mariadb').PrismaMariaDb)({ ...login, connectionLimit: 1, minDelayValidation: 0 }), 'mariadb'),
}

async function prisma(schema, adapter, driver) {
  const client = new (require(`${drivers}/${schema}/client`).PrismaClient)({ adapter })
  for (let i = 0; i < 2; i++) {
    const note = await client.berth_notes.create({ data: { text: 'prisma' } })
    await client.$transaction([
      client.berth_notes.update({ where: { id: note.id }, data: { text: 'again' } }),
      client.berth_notes.findMany({ where: { id: note.id } }),
    ])
    if ((await client.berth_notes.findUnique({ where: { id: note.id } })).text !== 'again') throw new Error('another text')
  }
  return ['@prisma/client', driver]
}

const packages = await cases[name]()
console.log('ready ' + packages.map((p) => `${p} ${version(p)}`).join(', '))
process.stdin.resume()
process.stdin.on('end', () => process.exit(0))
