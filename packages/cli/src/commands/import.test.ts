import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { SecretValue } from '@keyturn/core'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { SmallBroker } from '../../../client/test/small-broker.ts'
import { type Around, ran } from '../../test/fake-terminal.ts'

let broker: SmallBroker
beforeAll(async () => {
  broker = await SmallBroker.start()
})
afterAll(() => broker.stop())
beforeEach(() => {
  broker.secrets.clear()
  broker.requests.length = 0
  broker.instead = undefined
})
const scratch = mkdtempSync(join(tmpdir(), 'keyturn-import-'))

const given = (line: string, stdin: string | Uint8Array, around: Around = {}) =>
  ran(line.split(' '), { cwd: scratch, stdin, ...around, env: { KEYTURN_ADDR: broker.address, KEYTURN_TOKEN: broker.token } })
const textOf = (name: string) => {
  const content = broker.secrets.get(name)?.versions.at(-1)?.reveal()
  return content !== undefined && 'field' in content ? Buffer.from(content.field.bytes).toString() : undefined
}
const writes = () => broker.requests.filter(({ line }) => line.startsWith('PUT')).length
const jsonLines = (out: string) =>
  out
    .trim()
    .split('\n')
    .map(line => JSON.parse(line))

describe('import of CSV', () => {
  it('keeps every byte of a value, and the type', async () => {
    const csv = '\ufeffname,type,value\r\na/one,api-key,"sk_""1"",\r\nsecond line"\r\nb/two,,  spaces \r\n'
    expect(await given('import', csv)).toEqual({ code: 0, out: '2 written\n', bytes: expect.anything(), err: '' })
    expect([textOf('a/one'), broker.secrets.get('a/one')?.type]).toEqual(['sk_"1",\r\nsecond line', 'api-key'])
    expect([textOf('b/two'), broker.secrets.get('b/two')?.type]).toEqual(['  spaces ', 'generic'])
  })

  it('names bad lines by their number, and neither their name nor their value', async () => {
    const rows = [
      'name,type,value',
      'ok,,1',
      'hunter2 ,,hunter2',
      'x,hunter2,hunter2',
      'y,,"hunter2"hunter2',
      'z,,hunter2,hunter2',
      'empty,,',
      'last,,2',
    ]
    const answer = await given('import', rows.join('\n'))
    expect(answer).toMatchObject({ code: 1, out: '2 written, 5 lines that are no entries\n' })
    expect(answer.err.match(/^line \d/gm)).toEqual(['line 3', 'line 4', 'line 5', 'line 6', 'line 7'])
    expect(answer.err).not.toContain('hunter2')
    expect(
      (
        await given(
          'import --allow-empty',
          rows.slice(6).join('\n').replace('empty', 'name,value\nempty').replace(',,', ',').replace(',,', ','),
        )
      ).out,
    ).toBe('1 written, 1 there already with the same value\n')
    expect(textOf('empty')).toBe('')
  })

  it.each(['x,type,value\na,,1', 'name;type;value\na;;1', 'name,value,value\na,1,1', 'name,type\na,jwt'])(
    'refuses the header of %j',
    async csv => {
      expect(await given('import', csv)).toMatchObject({ code: 2, out: '', err: expect.stringContaining('begin with: name,type,value') })
      expect(broker.requests).toEqual([])
    },
  )
})

describe('import of JSON', () => {
  const entries = [
    { name: 'a/one', type: 'jwt', value: 's3cret' },
    { name: 'a/fields', fields: { user: 'u', password: 'p', key: { base64: 'AP8=' } }, labels: { tier: 'gold' } },
  ]

  it('takes lines and arrays, fields, bytes and labels', async () => {
    expect(await given('import', entries.map(entry => JSON.stringify(entry)).join('\n'))).toMatchObject({ code: 0, out: '2 written\n' })
    expect(broker.secrets.get('a/fields')).toMatchObject({ labels: { tier: 'gold' }, versions: [expect.any(SecretValue)] })
    expect(broker.secrets.get('a/fields')?.versions[0]?.fieldNames).toEqual(['key', 'password', 'user'])
    expect(await given('import', JSON.stringify(entries))).toMatchObject({
      code: 0,
      out: '0 written, 2 there already with the same value\n',
    })
    expect(broker.secrets.get('a/fields')?.versions).toHaveLength(1)
  })

  it('tells a program of every line', async () => {
    const { out, err } = await given(
      'import --json',
      `[${JSON.stringify(entries[0])},{"name":"a/one","value":"sk_2"},{"value":"hunter2"},{"name":"denied/x","value":"1"}]`,
    )
    const told = jsonLines(out)
    expect(told.toSorted((one, other) => (one.item ?? 9) - (other.item ?? 9))).toMatchObject([
      { event: 'result', line: 1, item: 1, name: 'a/one', result: 'written' },
      { item: 2, name: 'a/one', result: 'conflict', message: expect.stringContaining('another value (version 1)') },
      { item: 3, result: 'unread', message: expect.stringContaining('`name`') },
      { item: 4, name: 'denied/x', result: 'failed', code: 'permission_denied' },
      { event: 'end', written: 1, same: 0, skipped: 0, conflicts: 1, failed: 1, unread: 1 },
    ])
    expect(out + err).not.toMatch(/hunter2|s3cret|sk_2/)
  })

  it('gives what a death between a value and its type left out', async () => {
    broker.secrets.set('a/one', { type: 'generic', labels: {}, versions: [SecretValue.text('s3cret')] })
    expect((await given('import', JSON.stringify(entries))).out).toBe('2 written\n')
    expect(broker.secrets.get('a/one')?.type).toBe('jwt')
    broker.secrets.set('a/one', { type: 'tls', labels: {}, versions: [SecretValue.text('s3cret')] })
    expect(await given('import', JSON.stringify(entries))).toMatchObject({
      code: 1,
      err: 'line 1, item 1: a/one is there with the same value as type tls (version 1)\n',
    })
  })
})

describe('import where something is', () => {
  const csv = 'name,value\nkept,new\nfresh,1\nsame,x\n'
  beforeEach(() => {
    broker.secrets.set('kept', { type: 'generic', labels: {}, versions: [SecretValue.text('old')] })
    broker.secrets.set('same', { type: 'generic', labels: {}, versions: [SecretValue.text('x')] })
  })

  it('is a conflict that is named, and nothing is changed', async () => {
    const answer = await given('import', csv)
    expect(answer).toMatchObject({ code: 1, out: '1 written, 1 there already with the same value, 1 conflict\n' })
    expect(answer.err).toBe('line 2: kept is there with another value (version 1)\n')
    expect(textOf('kept')).toBe('old')
  })

  it('leaves it alone unseen, or writes a new version, as it is told', async () => {
    expect(await given('import --if-present skip', csv)).toMatchObject({ code: 0, out: '1 written, 2 there already, not looked at\n' })
    expect(broker.requests.filter(({ line }) => line.startsWith('GET'))).toEqual([])
    expect(await given('import --if-present overwrite', csv)).toMatchObject({
      code: 0,
      out: '1 written, 2 there already with the same value\n',
    })
    expect([textOf('kept'), broker.secrets.get('kept')?.versions.length]).toEqual(['new', 2])
    expect((await given('import --if-present maybe', csv)).code).toBe(2)
  })

  it('only looks with --dry-run', async () => {
    expect(await given('import --dry-run', csv)).toMatchObject({
      code: 1,
      out: '1 to be written, 1 there already with the same value, 1 conflict\n',
    })
    expect(await given('import --dry-run --if-present overwrite', csv)).toMatchObject({
      code: 0,
      out: '2 to be written, 1 there already with the same value\n',
    })
    expect(writes()).toBe(0)
  })
})

describe('import that is ended', () => {
  const csv = `name,value\n${Array.from({ length: 40 }, (_, at) => `s/${at},v${at}`).join('\n')}\n`

  it('by a person says where it is, and the next one goes on', async () => {
    const stop = new AbortController()
    const put = broker.putSecret.bind(broker)
    broker.putSecret = call => {
      if (broker.secrets.size === 12) stop.abort()
      return put(call)
    }
    const first = await given('import --in-flight 4', csv, { signal: stop.signal })
    broker.putSecret = put
    expect(first).toMatchObject({ code: 1, err: expect.stringMatching(/done with everything before line \d+/) })
    const before = Number(/before line (\d+)/.exec(first.err)?.[1])
    for (let line = 2; line < before; line += 1) expect(textOf(`s/${line - 2}`)).toBe(`v${line - 2}`)
    const written = Number(/^(\d+) written/.exec(first.out)?.[1])
    expect(broker.secrets.size).toBe(written)
    const second = await given('import', csv)
    expect(second).toMatchObject({ code: 0, out: `${40 - written} written, ${written} there already with the same value\n` })
  })

  it('by a token that ran out: 3, at once; by a broker that is gone: 6, after some tries', async () => {
    const answer = await ran(['import'], { stdin: csv, env: { KEYTURN_ADDR: broker.address, KEYTURN_TOKEN: 'wrong' } })
    expect(answer).toMatchObject({ code: 3, err: expect.stringContaining('before line 2') })
    expect(broker.requests.length).toBeLessThan(20)
  })

  it('goes on by itself when the broker asks for patience, or an answer is lost behind a write', async () => {
    const answers = [
      { status: 429, body: '{"code":"throttled","detail":"slow down","retryAfter":0}' },
      { status: 504, body: '' },
    ]
    const put = broker.putSecret.bind(broker)
    broker.putSecret = call => {
      broker.instead = undefined
      return put(call)
    }
    for (const answer of answers) {
      broker.instead = answer
      setTimeout(() => {
        broker.instead = undefined
      }, 100)
      expect(await given('import', csv)).toMatchObject({ code: 0 })
    }
    broker.putSecret = put
    expect(broker.secrets.size).toBe(40)
  })

  it('wants a stream', async () => {
    expect(await ran(['import'], { answers: [], env: { KEYTURN_ADDR: broker.address } })).toMatchObject({
      code: 2,
      err: expect.stringContaining('stdin is a terminal'),
    })
    expect((await given('import --in-flight 0', csv)).code).toBe(2)
    expect(await given('import', '')).toMatchObject({ code: 0, out: '0 written\n' })
  })
})
