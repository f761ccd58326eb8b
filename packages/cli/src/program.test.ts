import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { SecretValue } from '@keyturn/core'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { SmallBroker } from '../../client/test/small-broker.ts'
import { type Around, type Ran, ran } from '../test/fake-terminal.ts'

let broker: SmallBroker
const scratch = mkdtempSync(join(tmpdir(), 'keyturn-cli-'))

beforeAll(async () => {
  broker = await SmallBroker.start()
})
afterAll(() => broker.stop())
beforeEach(() => {
  broker.secrets.clear()
  broker.requests.length = 0
  broker.instead = undefined
  for (const [name, value] of Object.entries({
    'payments/stripe': SecretValue.fields({ api_key: 'sk_1', note: 'x' }),
    'app/session': SecretValue.text('s3cret'),
    'app/binary': SecretValue.bytes(Buffer.from([0, 255, 10])),
    'fails/x': SecretValue.text('1'),
    'waits/x': SecretValue.text('1'),
    'grace/x': SecretValue.text('1'),
  })) {
    broker.secrets.set(name, { type: name.startsWith('app/') ? 'jwt' : 'api-key', labels: {}, versions: [value] })
  }
})

/** Against the small broker, with its token. */
function asked(line: string | readonly string[], around: Around = {}): Promise<Ran> {
  const argv = typeof line === 'string' ? line.split(' ') : line
  return ran(argv, { ...around, env: { KEYTURN_ADDR: broker.address, KEYTURN_TOKEN: broker.token, ...around.env } })
}

describe('get', () => {
  it('gives a pipe the bytes alone, and a person a line feed behind them', async () => {
    expect(await asked('get app/session')).toEqual({ code: 0, out: 's3cret', bytes: Buffer.from('s3cret'), err: '' })
    expect((await asked('get app/session', { answers: [] })).out).toBe('s3cret\n')
    expect([...(await asked('get app/binary')).bytes]).toEqual([0, 255, 10])
    expect((await asked('get payments/stripe --field api_key')).out).toBe('sk_1')
  })

  it('asks for a field where there are several', async () => {
    const answer = await asked('get payments/stripe')
    expect(answer).toMatchObject({ code: 2, out: '', err: expect.stringContaining('--field') })
    expect(JSON.parse((await asked('get payments/stripe --json')).out)).toMatchObject({ version: '1', fields: { api_key: 'sk_1' } })
  })

  it('takes --version as that of the secret', async () => {
    await asked('set app/session', { stdin: 'new' })
    expect((await asked('get app/session --version 1')).out).toBe('s3cret')
    expect((await asked('get app/session --stage previous')).out).toBe('s3cret')
    expect((await asked('get app/session --stage last')).code).toBe(2)
  })
})

describe('exit codes', () => {
  it.each([
    ['get none', 4, 'none does not exist'],
    ['get denied/x', 3, 'no rule allows this'],
    ['get a//b', 2, 'empty segment'],
    ['get', 2, "missing required argument 'name'"],
    ['get x y', 2, 'too many arguments'],
    ['rotaet x', 2, 'Did you mean rotate?'],
    ['rotate', 2, 'nothing is named'],
    ['rotate x --all', 2, 'too much is named'],
    ['rotate --label x', 2, 'write it as tier=gold'],
    ['token create --role r --ttl soon', 2, 'not a duration'],
    ['token revoke none', 4, 'no such token'],
    ['abort none', 4, 'no such operation'],
  ])('%s: %i', async (line, code, words) => {
    expect(await asked(line)).toMatchObject({ code, out: '', err: expect.stringContaining(words) })
  })

  it('a broker that is not there: 6; a wrong token: 3, with where a token is found', async () => {
    const gone = await SmallBroker.start()
    const { address } = gone
    await gone.stop()
    expect((await asked('list', { env: { KEYTURN_ADDR: address } })).code).toBe(6)
    expect(await asked('list', { env: { KEYTURN_TOKEN: 'wrong' } })).toMatchObject({ code: 3, err: expect.stringContaining('admin.token') })
  })

  it('a precondition that fails: 5; an answer that is lost behind a write: 7, because it may have happened', async () => {
    broker.instead = { status: 409, body: '{"code":"conflict","detail":"a rotation is running"}' }
    expect((await asked('set app/session', { stdin: 'x' })).code).toBe(5)
    broker.instead = { status: 504, body: '' }
    expect((await asked('set app/session', { stdin: 'x' })).code).toBe(7)
    expect((await asked('get app/session')).code).toBe(6)
  })

  it.each(
    [
      '',
      'serve',
      'check',
      'config schema',
      'get',
      'set',
      'delete',
      'copy',
      'list',
      'versions',
      'rotate',
      'status',
      'rollback',
      'abort',
      'retry',
    ].concat([
      'token create',
      'token list',
      'token revoke',
      'audit verify',
      'audit tail',
      'doctor',
      'import',
      'migrate',
      'kek status',
      'kek new',
      'kek promote',
      'kek rewrap',
      'kek reencrypt',
      'kek retire',
      'kek compromise',
      'kek destroy',
    ]),
  )('help of %j: 0, on stdout, with examples', async name => {
    const answer = await ran([...name.split(' ').filter(word => word !== ''), '--help'])
    expect(answer).toMatchObject({ code: 0, err: '', out: expect.stringContaining(name === '' ? 'Exit codes' : `$ keyturn ${name}`) })
  })
})

describe('set and delete', () => {
  it('keeps what stdin gives, byte for byte, and warns of a line feed at the end', async () => {
    const answer = await asked('set new/one --type jwt', { stdin: 'a\r\nb\n' })
    expect(answer).toMatchObject({ code: 0, out: '', err: expect.stringContaining('ends with a line feed, which is kept') })
    expect((await asked('get new/one')).out).toBe('a\r\nb\n')
    await asked('set new/bytes', { stdin: Buffer.from([0xff, 0xfe]) })
    expect([...(await asked('get new/bytes')).bytes]).toEqual([0xff, 0xfe])
  })

  it('changes one field and leaves the others, also when another writer comes between', async () => {
    let isFirst = true
    const put = broker.putSecret.bind(broker)
    broker.putSecret = call => {
      if (isFirst) broker.secrets.get('payments/stripe')?.versions.push(SecretValue.fields({ api_key: 'sk_1', note: 'changed' }))
      isFirst = false
      return put(call)
    }
    expect((await asked('set payments/stripe --field api_key', { stdin: 'sk_2' })).code).toBe(0)
    broker.putSecret = put
    expect(JSON.parse((await asked('get payments/stripe --json')).out).fields).toEqual({ api_key: 'sk_2', note: 'changed' })
    expect((await asked('set app/session --field x', { stdin: 'v' })).code).toBe(2)
    expect((await asked('set new/fields --field x', { stdin: 'v' })).code).toBe(0)
  })

  it('reads a file, asks a person without an echo, and refuses what is empty', async () => {
    const file = join(scratch, 'value')
    writeFileSync(file, 'from a file')
    await asked(['set', 'new/file', '--file', file])
    expect((await asked('get new/file')).out).toBe('from a file')
    const typed = await asked('set new/typed', { answers: ['typed in'] })
    expect(typed.out + typed.err).not.toContain('typed in')
    expect((await asked('get new/typed')).out).toBe('typed in')
    expect(await asked('set new/empty', { stdin: '' })).toMatchObject({ code: 2, err: expect.stringContaining('empty') })
    expect((await asked('set new/empty --allow-empty', { stdin: '' })).code).toBe(0)
    expect((await asked('set new/large', { stdin: 'x'.repeat(65_537) })).code).toBe(2)
  })

  it('has no way to put a value into the command line', async () => {
    expect((await asked('set new/one value')).code).toBe(2)
    expect((await asked('set new/one --value x')).code).toBe(2)
    expect(broker.requests).toEqual([])
  })

  it('asks a person before it deletes, and no script', async () => {
    expect((await asked('delete app/session', { answers: [false] })).code).toBe(1)
    expect((await asked('delete app/session', { answers: [true] })).code).toBe(0)
    expect((await asked('delete app/binary')).code).toBe(0)
    expect((await asked('delete app/binary')).code).toBe(4)
  })
})

describe('lists', () => {
  it('are lines with tabs for a program, a table for a person, and JSON when asked', async () => {
    expect((await asked('list app/')).out).toBe('app/binary\tjwt\tmemory\t-\t-\napp/session\tjwt\tmemory\t-\t-\n')
    const shown = (await asked('list app/', { answers: [] })).out.split('\n')
    expect(shown[0]).toMatch(/NAME +TYPE +STORE/)
    expect(shown[1]).toMatch(/^app\/binary {3,}jwt/)
    expect(JSON.parse((await asked('list --json')).out).secrets).toHaveLength(6)
    expect((await asked('versions app/session')).out).toBe('1\tcurrent\t2026-11-21T15:00:00.000Z\t-\tmemory\n')
  })

  it('cut nothing where the terminal is narrow', async () => {
    const narrow = { answers: [], columns: 40 }
    const shown = (await asked('versions app/session', { ...narrow, env: { NO_COLOR: '1' } })).out
    expect((await asked('versions app/session', narrow)).out).toBe(shown.replace(/^1/, '\u001b[1m1\u001b[22m'))
    expect(shown).toBe('1\n  state        current\n  created      2026-11-21T15:00:00.000Z\n  store        memory\n')
  })

  it('show control characters of a name as text', async () => {
    broker.instead = {
      status: 200,
      body: JSON.stringify({
        secrets: [{ id: `sec_${'0'.repeat(26)}`, name: 'a\u001b[31m\u202eb', type: 'jwt', labels: {}, owner: null, store: null }],
        next: null,
      }),
    }
    expect((await asked('list')).out).toContain('a\\u{1b}[31m\\u{202e}b')
  })

  it('say how things stand, for all or one, and follow changes', async () => {
    expect((await asked('status app/session')).out).toMatch(/^app\/session\tscheduled\t1\t-\t-\tin 0s\t\n$/)
    expect((await asked('status', { answers: [] })).out).toMatch(/^0 due · 0 running/)
    expect((await asked('status none')).code).toBe(4)
    const stop = new AbortController()
    const watching = asked('status --watch --json', { signal: stop.signal, tap: text => text.includes('grace/x') && stop.abort() })
    const { code, out } = await watching
    expect(code).toBe(0)
    expect(
      out
        .trim()
        .split('\n')
        .map(line => JSON.parse(line).name),
    ).toContain('app/session')
  })
})

describe('rotate', () => {
  it('starts one and says where to look; with --wait it follows to the end', async () => {
    expect(await asked('rotate app/session')).toMatchObject({ code: 0, out: expect.stringMatching(/^op_\d+\n$/) })
    const waited = await asked(['rotate', 'app/session', '--wait', '--reason', 'drill', '--compromise'])
    expect(waited).toMatchObject({ code: 0, out: 'app/session\tgrace\t2\tcomplete\tpending\t\n' })
    expect(waited.err).toContain('0/1 app/session: staged')
    expect(JSON.parse(broker.requests.findLast(request => request.line.startsWith('POST'))?.body ?? '')).toEqual({
      reason: 'drill',
      mode: 'compromise',
    })
  })

  it('gives a program one JSON line for each step', async () => {
    const { out } = await asked('rotate app/session --wait --json')
    expect(
      out
        .trim()
        .split('\n')
        .map(line => JSON.parse(line).state),
    ).toEqual(['running', 'done'])
  })

  it('ends with 1 when it failed, and with 7 when a person is needed', async () => {
    expect(await asked('rotate fails/x --wait')).toMatchObject({ code: 1, out: expect.stringContaining('the store does not answer') })
    expect(await asked('rotate waits/x --wait')).toMatchObject({ code: 7, out: expect.stringContaining('a person: enter the new value') })
  })

  it('waits for a running grace only when told to wait', async () => {
    expect(await asked('rotate grace/x')).toMatchObject({ code: 5, err: expect.stringContaining('try again in 1 s') })
    expect(await asked('rotate grace/x --wait')).toMatchObject({ code: 0, err: expect.stringContaining('waiting 1 s') })
  })

  it('shows the plan of a selector first, asks a person, and changes nothing with --plan', async () => {
    expect((await asked('rotate --type api-key --plan')).out.split('\n')[0]).toBe('payments/stripe\tapi-key\tgenerated\trotate\t-\t')
    expect(broker.requests.map(request => JSON.parse(request.body).dry_run)).toEqual([true])
    const refused = await asked('rotate --type api-key', { answers: [false] })
    expect(refused).toMatchObject({ code: 1, out: '', err: expect.stringContaining('payments/stripe') })
    const agreed = await asked('rotate --type api-key', { answers: [true] })
    expect(agreed).toMatchObject({ code: 0, out: expect.stringMatching(/^op_/) })
    expect(await asked('rotate --all')).toMatchObject({ code: 0, err: expect.stringContaining('VERDICT') })
    expect((await asked('rotate --type tls')).code).toBe(4)
  })

  it('starts nothing when nothing of the plan can be rotated', async () => {
    broker.secrets.set('vendor/key', { type: 'oauth', labels: {}, versions: [SecretValue.text('1')] })
    const { code, out, err } = await asked('rotate --type oauth')
    expect([code, out, err]).toEqual([1, '', expect.stringMatching(/refuse.*nothing was started/s)])
    expect(broker.requests.map(request => JSON.parse(request.body).dry_run)).toEqual([true])
  })

  it('rolls back, aborts and retries', async () => {
    expect(await asked('rollback app/session --wait')).toMatchObject({ code: 0 })
    const { out } = await asked('rotate app/session')
    expect(await asked(`abort ${out.trim()}`)).toMatchObject({ code: 0, out })
    expect(await asked(`retry ${out.trim()} --wait`)).toMatchObject({ code: 0 })
  })
})

it('prints a new token alone on stdout, lists and revokes it', async () => {
  const made = await asked('token create --role worker --ttl 1h30m --name ci')
  expect(made).toMatchObject({ code: 0, out: 'kt_fresh_token\n', err: expect.stringContaining('token:ci, role worker') })
  expect(JSON.parse(broker.requests.at(-1)?.body ?? '')).toEqual({ role: 'worker', ttl: 5400, name: 'ci' })
  const [row] = JSON.parse((await asked('token list --json')).out).tokens
  expect(await asked(['token', 'revoke', row.id])).toMatchObject({ code: 0, out: '' })
})
