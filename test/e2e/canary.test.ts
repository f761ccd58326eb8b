import { randomBytes } from 'node:crypto'
import { appendFileSync, readdirSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { VaultFake } from '../fakes/vault.ts'
import { freePort } from '../servers/free-port.ts'
import { Child } from './child.ts'
import { type Asked, Place, until } from './harness.ts'

const place = new Place()
const canaries = new Map<string, string>()
const refusals: Asked[] = []
let vault: VaultFake
let broker: Child
let port: number

/** A value that stands nowhere else, noted under what it is for. */
function canary(what: string): string {
  const value = `canary-${randomBytes(18).toString('hex')}`
  canaries.set(what, value)
  return value
}

/** Where a canary turned up, in any of the forms a careless line might give it. */
function sightings(): string[] {
  const texts = new Map<string, Buffer>([['output', Buffer.from(broker.output)]])
  texts.set('refusals', Buffer.from(refusals.map(({ text, headers }) => text + JSON.stringify([...headers])).join('\n')))
  for (const entry of readdirSync(place.folder, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name)
    // the store itself, and the one place of a token
    if (entry.isFile() && !['app.env', 'admin.token'].includes(entry.name)) texts.set(relative(place.folder, path), readFileSync(path))
  }
  const found: string[] = []
  for (const [what, value] of canaries) {
    const forms = [value, Buffer.from(value).toString('base64').slice(0, -4), Buffer.from(value).toString('hex'), encodeURIComponent(value)]
    for (const [where, text] of texts) if (forms.some(form => text.includes(form))) found.push(`${what} in ${where}`)
  }
  return found
}

const put = (name: string, body: unknown) => broker.ask('PUT', `/v1/secrets/${name}`, { body })

beforeAll(async () => {
  vault = await VaultFake.start()
  vault.mount('secret', 2).put('app/vaulted', { password: canary('a field in Vault') })
  place.write('app.env', `ONE="${canary('a variable')}"\n`)
  const token = vault.auth.grant({}, canary('the token for Vault'))
  place.write(
    'keyturn.yaml',
    [
      'dotenv: { file: app.env }',
      'database: {}',
      `vault: { address: "${vault.url}", timeout: 2s, auth: { method: token, token: "\${THE_TOKEN}" }, secrets: [{ path: secret/data/app/vaulted }] }`,
      'secrets:',
      '  app/made: { type: service-token, every: 2s, grace: 1s, cache: 0s }',
      '  ONE: { type: api-key, strategy: generated, every: 1d, grace: 1h }',
    ].join('\n'),
  )
  port = await freePort()
  broker = await Child.start(place, port, { THE_TOKEN: token })
})
afterAll(async () => {
  await broker?.kill()
  await vault?.close()
  place.remove()
})

test('a run that reads, writes, rotates, fails and crashes leaves no value anywhere but where it belongs', {
  timeout: 90_000,
}, async () => {
  await until('the made secret', async () => {
    const made = await broker.ask('GET', '/v1/secrets/app/made')
    if (made.status !== 200) return undefined
    canaries.set('a made value', made.body.value)
    return true
  })
  await put('app/text', { value: canary('a written text') })
  await put('app/text', { value: canary('its successor') })
  await put('app/set', { fields: { user: 'u', password: canary('a written field') } })
  expect((await broker.ask('GET', '/v1/secrets/app/text?stage=previous')).body.value).toBe(canaries.get('a written text'))
  expect((await broker.ask('GET', '/v1/secrets/app/vaulted')).body.fields.password).toBe(canaries.get('a field in Vault'))
  expect((await broker.ask('GET', '/v1/secrets/ONE')).body.value).toBe(canaries.get('a variable'))
  await broker.ask('POST', '/admin/v1/secrets/rotate/ONE')
  await until('a rotation of the variable', async () => {
    const read = await broker.ask('GET', '/v1/secrets/ONE')
    return read.body.value === canaries.get('a variable') ? undefined : canaries.set('the rotated variable', read.body.value)
  })
  await fail()
  void put('app/text', { value: canary('a write that is cut off') }).catch(() => undefined)
  await new Promise(resolve => setTimeout(resolve, 15))
  const output = broker.output
  await broker.kill()
  broker = await Child.start(place, port, { THE_TOKEN: canaries.get('the token for Vault') ?? '' })
  broker.output = output + broker.output
  await broker.ask('GET', '/v1/secrets/app/text')
  expect(canaries.size).toBeGreaterThan(8)
  expect(refusals.length).toBeGreaterThan(8)
  expect(broker.output).toContain('serving')
  expect(sightings()).toEqual([])
})

/** Every refusal and failure that a value could be on its way through. */
async function fail(): Promise<void> {
  const refuse = async (asked: Promise<Asked>) => {
    const answer = await asked
    expect(answer.status).toBeGreaterThanOrEqual(400)
    refusals.push(answer)
  }
  await refuse(put('ONE', { fields: { a: canary('fields for a text') } }))
  await refuse(put('app/bad', `{"value":"${canary('a body that does not parse')}"`))
  await refuse(put('app/bad', { value: canary('a value beside an unknown member'), [canary('an unknown member')]: 1 }))
  await refuse(put('app/bad', { value: canary('a value with a bad type'), type: canary('a bad type') }))
  await refuse(put('app/bad', { fields: { [`${canary('the name of a field')}${'x'.repeat(300)}`]: 'y' } }))
  await refuse(put('app/bad', { value: `${canary('a value that is too long')}${'x'.repeat(70_000)}` }))
  for (const knob of [
    { do: 'fail', status: 500, errors: [canary('an error text of Vault')] },
    { do: 'cut' },
    { do: 'page' },
    { do: 'hang' },
  ] as const) {
    vault.turn(/^(PUT|POST) \/v1\/secret\/data/, knob, 3)
    const written = put('app/vaulted', { fields: { password: canary(`a write that Vault answers with ${knob.do}`) } })
    // what was cut off after it was done is found by looking, and is a success
    await (knob.do === 'cut' ? written : refuse(written))
    vault.turnBack()
  }
}

test('a planted leak is found', () => {
  const value = canaries.get('a made value') ?? ''
  appendFileSync(join(place.folder, 'data', 'planted.log'), `debug: value=${Buffer.from(value).toString('base64')}\n`)
  expect(sightings()).toEqual(['a made value in data/planted.log'])
})
