import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { randomBytes, randomUUID } from 'node:crypto'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { secretName } from '@keyturn/core'
import type { Ledger } from '../src/ledger.ts'
import { openLedger } from '../src/open.ts'

const random = { bytes: (count: number) => randomBytes(count), uuid: () => randomUUID() }

export const openHere = (data: string): Promise<Ledger> =>
  openLedger({ data, clock: { now: () => new Date(), after: () => () => {} }, random })

export interface Killed {
  /** The last commit that was acknowledged. */
  readonly acknowledged: number
  readonly stderr: string
}

export interface KillOptions {
  readonly environment?: NodeJS.ProcessEnv
  readonly program?: 'committing.ts' | 'careless.ts'
}

/** Lets a program commit, and kills it `afterMs` after its first acknowledged commit. */
export async function commitUntilKilled(data: string, name: string, afterMs: number, options: KillOptions = {}): Promise<Killed> {
  const program = join(import.meta.dirname, options.program ?? 'committing.ts')
  const child = spawn(process.execPath, ['--conditions=@keyturn/source', program, data, name], {
    env: { ...process.env, ...options.environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let reported = ''
  let stderr = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
  })
  const ended = new Promise<void>((done, fail) => child.once('close', () => done()).once('error', fail))
  const first = new Promise<void>(done => {
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      reported += text
      done()
    })
  })
  await Promise.race([first, ended])
  await pause(afterMs)
  child.kill('SIGKILL')
  await ended
  // a line without its end was cut; the number before it was whole
  const whole = reported.slice(0, reported.lastIndexOf('\n') + 1).trimEnd()
  return { acknowledged: Number(whole.split('\n').at(-1) ?? 0), stderr }
}

/** Demands that no acknowledged commit is lost and none is there by half; gives back how many commits there are. */
export async function mustBeWhole(ledger: Ledger, name: string, acknowledged: number): Promise<number> {
  const secret = await ledger.secrets.byName(secretName(name))
  const rotation = secret?.rotation
  assert(rotation != null, `${name} is not in the ledger, though commit ${acknowledged} was acknowledged`)
  const commits = rotation.attempts
  assert(commits >= acknowledged, `commit ${acknowledged} was acknowledged; the last one there is ${commits}`)
  const versions = await ledger.journal.versions(rotation.secretId)
  assert.equal(versions.length, commits, 'the versions are those of the commits')
  assert.equal(versions[0]?.label ?? 'current', 'current')
  assert.equal(versions.filter(({ label }) => label === 'current').length, Math.min(1, commits))
  assert.equal(secret?.nextRotationAt?.getTime() ?? 0, commits, 'the schedule is that of the last commit')
  const events = (await ledger.outbox.pending(1_000_000)).filter(event => event.rotation === rotation.id)
  assert.deepEqual(
    events.map(({ action }) => action),
    Array.from({ length: commits }, (_, index) => `commit-${index + 1}`),
  )
  await ledger.outbox.delivered(events.map(({ id }) => id))
  const lease = await ledger.journal.claim({ holder: 'heir', leaseMs: 1_000, rotation: rotation.id })
  assert.equal(lease?.abandoned, true, 'its lease is free, and abandoned')
  return commits
}
