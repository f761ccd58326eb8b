import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Copying, CopyOptions, CopyPlan, CopyResult, CopyRow } from '@keyturn/broker'
import { BrokerError, type ErrorCode } from '@keyturn/core'
import { afterAll, beforeEach, describe, expect, it } from 'vitest'
import { type Around, ran } from '../../test/fake-terminal.ts'
import { openDoor } from '../broker-door.ts'

const folder = mkdtempSync(join(tmpdir(), 'keyturn-cli-copy-'))
writeFileSync(join(folder, 'keyturn.yaml'), 'database: {}\nother: { kind: database, file: other.db, secrets: [{ path: a }] }\n')
afterAll(() => rmSync(folder, { recursive: true }))

const row = (name: string, action: CopyRow['action'], why: string | null = null, code?: ErrorCode): CopyRow => ({
  name,
  from: `old/${name}`,
  to: action === 'cannot' ? null : `new/${name}`,
  action,
  versions: action === 'create' ? 1 : 0,
  why,
  ...(code === undefined ? {} : { code }),
})
const result = (name: string, end: CopyResult['result'], code: ErrorCode | null = null): CopyResult => ({
  name,
  from: `old/${name}`,
  to: `new/${name}`,
  result: end,
  version: end === 'copied' ? '7' : null,
  why: code === null ? null : `it is ${code}`,
  code,
})

/** A copy whose every step is written down beforehand, and what was asked of it. */
let plan: CopyPlan
let results: readonly (CopyResult | BrokerError)[]
let verified: readonly CopyResult[]
let asked: string[]
let options: CopyOptions | undefined
beforeEach(() => {
  plan = { rows: [row('a', 'create'), row('b', 'same')], notes: ['a note'] }
  results = [result('a', 'copied'), result('b', 'same')]
  verified = [result('a', 'verified'), result('b', 'verified')]
  asked = []
  options = undefined
})

const scripted: Copying = {
  async plan() {
    asked.push('plan')
    options?.onPause?.('old', 1500, 'throttled')
    return plan
  },
  async run(tell) {
    asked.push('run')
    for (const each of results) {
      if (each instanceof BrokerError) throw each
      tell(each)
    }
  },
  async verify(tell) {
    asked.push('verify')
    for (const each of verified) tell(each)
  },
  audits: ['audit.copy.jsonl'],
  async close() {
    asked.push('close')
  },
}

async function copied(more = '', around: Around = {}) {
  const door = {
    ...(await openDoor()),
    openCopy: async (given: CopyOptions) => {
      options = given
      return scripted
    },
  }
  return ran(['copy', 'other', 'database', ...more.split(' ').filter(word => word !== '')], { cwd: folder, door, ...around })
}

describe('copy', () => {
  it('hands on what was asked for, and lets go of everything at the end', async () => {
    const { code, out, err } = await copied('--versions --verify --only a --only b/')
    expect([code, out]).toEqual([0, 'a\told/a\tnew/a\tcopied\t7\tyes\t\nb\told/b\tnew/b\tsame\t-\tyes\t\n'])
    expect(asked).toEqual(['plan', 'run', 'verify', 'close'])
    expect(options).toMatchObject({ from: { store: 'other' }, to: { store: 'database' }, versions: true, only: ['a', 'b/'] })
    expect(err).toContain('old is throttled: waiting 2 s\n')
    expect(err).toContain('a note\n')
    expect(err).toContain('1 copied, 1 same; recorded in audit.copy.jsonl\n')
  })

  it('--plan is all, on stdout, also as JSON', async () => {
    expect(await copied('--plan')).toMatchObject({ code: 0, out: 'a\told/a\tnew/a\tcreate\t\nb\told/b\tnew/b\tsame\t\n' })
    const { out } = await copied('--plan --json')
    const lines = out.trim().split('\n')
    expect(lines.map(line => JSON.parse(line).event)).toEqual(['pause', 'plan', 'plan', 'note'])
    expect(asked).toEqual(['plan', 'close', 'plan', 'close'])
  })

  it('asks a person, unless there is nothing to write or --yes was said', async () => {
    expect((await copied('', { answers: [false] })).code).toBe(1)
    expect((await copied('', { answers: [true] })).code).toBe(0)
    expect((await copied('--yes', { answers: [false] })).code).toBe(0)
    plan = { rows: [row('b', 'same')], notes: [] }
    results = [result('b', 'same')]
    expect((await copied('', { answers: [false] })).code).toBe(0)
    expect(asked.filter(word => word === 'run')).toHaveLength(3)
  })

  it.each<[string, readonly CopyRow[], readonly (CopyResult | BrokerError)[], number]>([
    ['a plan with what cannot be', [row('a', 'create'), row('b', 'cannot', 'no place')], [], 2],
    ['what failed and may pass by itself', [row('a', 'create')], [result('a', 'failed', 'unavailable')], 6],
    ['what could not be looked at for now', [row('a', 'failed', 'away', 'throttled')], [], 6],
    [
      'what failed for good',
      [row('a', 'create'), row('b', 'create')],
      [result('a', 'failed', 'unavailable'), result('b', 'failed', 'conflict')],
      1,
    ],
    ['a store that refuses us', [row('a', 'failed', 'denied', 'permission_denied')], [], 1],
    ['nothing but what is absent', [row('a', 'absent')], [], 0],
    ['a stop', [row('a', 'create'), row('b', 'create')], [result('a', 'copied'), new BrokerError('cancelled', 'the copy was stopped')], 1],
    ['a record that cannot be made', [row('a', 'create')], [new BrokerError('unavailable', 'could not be recorded')], 6],
  ])('the exit code of %s', async (_, rows, ends, code) => {
    plan = { rows, notes: [] }
    results = ends
    expect((await copied()).code).toBe(code)
    expect(asked.at(-1)).toBe('close')
    expect(asked.includes('run')).toBe(code !== 2)
  })

  it('a difference is exit 1, whatever else may pass by itself', async () => {
    verified = [{ ...result('a', 'differs'), why: 'another value' }, result('b', 'failed', 'unavailable')]
    const { code, out, err } = await copied('--verify')
    expect([code, out.split('\n')[0]]).toEqual([1, 'a\told/a\tnew/a\tcopied\t7\tdiffers\tanother value'])
    expect(err).toContain('1 differ')
  })

  it('tells what was done before the rest could not be', async () => {
    plan = { rows: [row('a', 'create'), row('b', 'create')], notes: [] }
    results = [result('a', 'copied'), new BrokerError('cancelled', 'the copy was stopped', { hint: 'run it again' })]
    const { out, err } = await copied()
    expect(out).toBe('a\told/a\tnew/a\tcopied\t7\t\nb\told/b\tnew/b\tnot reached\t-\t\n')
    expect(err).toMatch(/1 copied, 1 not reached; .*\nkeyturn: the copy was stopped\n {2}run it again\n$/)
  })

  it.each([
    ['copy other datbase', 'did you mean database?'],
    ['copy none database', 'it has database, other'],
    ['copy other other', 'name another one'],
    ['copy other', "missing required argument 'to'"],
  ])('%s: wrong use', async (line, words) => {
    expect(await ran(line.split(' '), { cwd: folder })).toMatchObject({ code: 2, out: '', err: expect.stringContaining(words) })
  })
})
