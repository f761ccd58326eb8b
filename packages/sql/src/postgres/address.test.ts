import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { BrokerError } from '@keyturn/core'
import { afterAll, expect, test } from 'vitest'
import { postgresAddress } from './address.ts'

const folder = mkdtempSync(join(tmpdir(), 'keyturn-address-'))
afterAll(() => rmSync(folder, { recursive: true }))

const refusal = (url: string): BrokerError => {
  try {
    postgresAddress(url, 'broker.ledger')
  } catch (error) {
    if (error instanceof BrokerError) return error
    throw error
  }
  throw new Error('the URL was taken')
}

test('a URL says host, port, database and login', () => {
  expect(postgresAddress('postgres://us%40er:pa%2Fss@db.example.com:6432/key%20turn', 'broker.ledger')).toMatchObject({
    host: 'db.example.com',
    port: 6432,
    database: 'key turn',
    user: 'us@er',
    password: 'pa/ss',
    application_name: 'keyturn',
  })
  expect(postgresAddress('postgresql://db.example.com', 'broker.ledger')).toMatchObject({ port: 5432, database: 'postgres' })
  expect(postgresAddress('postgres:///ledger?host=/run/postgresql&application_name=broker-1', 'broker.ledger')).toMatchObject({
    host: '/run/postgresql',
    database: 'ledger',
    application_name: 'broker-1',
  })
})

test.each(['localhost', '127.0.0.1', '127.1.2.3', '[::1]'])('a connection to this machine (%s) needs no TLS', host => {
  expect(postgresAddress(`postgres://${host}/d`, 'broker.ledger').ssl).toBe(false)
})

test.each(['db.example.com', '10.0.0.1', '[fd00::1]', '127.example.com'])(
  'a connection to %s is verified unless the URL says otherwise',
  host => {
    expect(postgresAddress(`postgres://${host}/d`, 'broker.ledger').ssl).toEqual({ rejectUnauthorized: true })
    expect(postgresAddress(`postgres://${host}/d?sslmode=verify-full`, 'broker.ledger').ssl).toEqual({ rejectUnauthorized: true })
    expect(postgresAddress(`postgres://${host}/d?sslmode=disable`, 'broker.ledger').ssl).toBe(false)
  },
)

test('weaker modes mean what libpq says', () => {
  const file = join(folder, 'root.pem')
  writeFileSync(file, 'a certificate')
  const names = { checkServerIdentity: expect.any(Function) }
  expect(postgresAddress('postgres://h.example/d?sslmode=require', 'broker.ledger').ssl).toEqual({ rejectUnauthorized: false, ...names })
  expect(postgresAddress(`postgres://h.example/d?sslmode=require&sslrootcert=${file}`, 'broker.ledger').ssl).toEqual({
    ca: 'a certificate',
    rejectUnauthorized: true,
    ...names,
  })
  expect(postgresAddress(`postgres://h.example/d?sslmode=verify-ca&sslrootcert=${file}`, 'broker.ledger').ssl).toEqual({
    ca: 'a certificate',
    rejectUnauthorized: true,
    ...names,
  })
})

test.each(['prefer', 'allow', 'verify', ''])('a mode that promises nothing is refused: %j', mode => {
  expect(refusal(`postgres://u:hidden-9c@h.example/d?sslmode=${mode}`)).toMatchObject({
    code: 'invalid_argument',
    message: `sslmode ${JSON.stringify(mode)} of broker.ledger promises nothing`,
  })
})

test('several hosts are read as libpq reads them', () => {
  const hosts = (url: string) => postgresAddress(url, 'broker.ledger').hosts.map(({ host, port }) => `${host} ${port}`)
  expect(hosts('postgres://u:p@a.example:5433,b.example/d')).toEqual(['a.example 5433', 'b.example 5432'])
  expect(hosts('postgres://a.example,b.example/d?target_session_attrs=read-write&port=6000')).toEqual(['a.example 6000', 'b.example 6000'])
  expect(hosts('postgres://[::1]:5433,127.0.0.1/d')).toEqual(['::1 5433', '127.0.0.1 5432'])
  expect(hosts('postgres:///d?host=a,/run/postgresql,::1&port=1,2,3')).toEqual(['a 1', '/run/postgresql 2', '::1 3'])
  expect(hosts('postgres://%2Frun%2Fpostgresql/d')).toEqual(['/run/postgresql 5432'])
  expect(postgresAddress('postgres://localhost,b.example/d', 'broker.ledger').ssl).toEqual({ rejectUnauthorized: true })
  expect(postgresAddress('postgres://localhost,127.0.0.1/d', 'broker.ledger').ssl).toBe(false)
})

test.each(['any', 'read-only', 'standby', 'prefer-standby', ''])('a wish for %j is refused: nothing can be kept on a standby', wanted => {
  expect(refusal(`postgres://u:hidden-9c@h.example/d?target_session_attrs=${wanted}`)).toMatchObject({
    code: 'invalid_argument',
    hint: 'write read-write (the default) or primary',
  })
})

test('authorities that are given as text are those of the connection unless the URL names others', () => {
  expect(postgresAddress('postgres://h.example/d', 'database', 'a text').ssl).toEqual({ ca: 'a text', rejectUnauthorized: true })
  expect(postgresAddress('postgres://h.example/d?sslrootcert=system', 'database', 'a text').ssl).toEqual({ rejectUnauthorized: true })
})

test.each([
  'mysql://u:hidden-9c@h/d',
  'hidden-9c',
  'http://h/d',
  'postgres://u:hidden-9c@h:70000/d',
  'postgres://u:hidden-9c%@h/d',
  'postgres://u:hidden-9c@a,b:x/d',
  'postgres:///hidden-9c?host=a,b&port=1,2,3',
])('what is no PostgreSQL URL is refused without being repeated', url => {
  const error = refusal(url)
  expect(error.code).toBe('invalid_argument')
  expect(error.message + error.hint).not.toContain('hidden-9c')
})

test('a root certificate that is not there is refused by its name', () => {
  const error = refusal(`postgres://u:hidden-9c@h.example/d?sslrootcert=${join(folder, 'absent.pem')}`)
  expect(error.message).toBe(`sslrootcert of broker.ledger: ${join(folder, 'absent.pem')} cannot be read (ENOENT)`)
})
