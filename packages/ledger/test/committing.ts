/**
 * A broker that does nothing but commit, until it is killed: each commit is one record that changes a rotation, a version, the
 * schedule and the outbox together, and is reported on stdout once it is acknowledged.
 *
 * Usage: node --conditions=@keyturn/source committing.ts FOLDER NAME
 */
import { randomBytes, randomUUID } from 'node:crypto'
import { writeSync } from 'node:fs'
import { secretName } from '@keyturn/core'
import { openLedger } from '../src/open.ts'

const [data = '', name = ''] = process.argv.slice(2)
const clock = { now: () => new Date(), after: () => () => {} }
const random = { bytes: (count: number) => randomBytes(count), uuid: () => randomUUID() }
const ledger = await openLedger({ data, clock, random })
const secret = await ledger.secrets.ensure(secretName(name))
const { id } = await ledger.journal.open({
  secretId: secret.id,
  secret: secret.name,
  strategy: 'generated',
  trigger: 'manual',
  mode: 'normal',
  reason: 'to be killed',
  graceOverrideMs: null,
  op: null,
  approved: true,
})
let lease = await ledger.journal.claim({ holder: 'committing', leaseMs: 60_000, rotation: id })
if (lease === null) throw new Error('the rotation is not there to claim')
for (let count = 1; ; count += 1) {
  lease = await ledger.journal.record(lease, {
    rotation: { attempts: count },
    versions: [
      ...(count === 1 ? [] : [{ number: count - 1, label: null }]),
      { number: count, label: 'current', sealed: { kekId: 'k', payload: randomBytes(200), wrap: randomBytes(60) }, sealedAs: 'previous' },
    ],
    events: [{ action: `commit-${count}`, outcome: 'allowed', version: null, code: null }],
    nextRotationAt: new Date(count),
  })
  writeSync(1, `${count}\n`)
}
