import { execFileSync } from 'node:child_process'
import { randomBytes, randomUUID } from 'node:crypto'
import { chmodSync, chownSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { type Ledger, MemoryLedger, openLedger } from '@keyturn/ledger'
import { ledgerContract } from '@keyturn/ledger/contract'
import { databaseClock } from '@keyturn/sql/postgres'
import fc from 'fast-check'
import pg from 'pg'
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest'
import { claim, opening, refused, toState } from '../../packages/ledger/src/contract/subject.ts'
import { openPostgres } from '../../packages/ledger/src/postgres/open.ts'
import { Caller, counting, sequences } from '../../packages/ledger/test/agreement.ts'
import { startWorker, type Worker } from '../../packages/ledger/test/worker.ts'
import { cutting } from '../servers/cutting.ts'
import { type PostgresServer, startPostgres } from '../servers/postgres.ts'
import { ledgerGrants } from './database-scene.ts'
import { tally, tell } from './tell.ts'

const random = { bytes: (count: number) => randomBytes(count), uuid: () => randomUUID() }
const clock = { now: () => new Date(), after: () => () => {} }
const ownersAlone = 'a pass that re-encrypts changes payloads too, a scrub looks at every envelope and changes none'
const server = await startPostgres()
const counts = tally()

afterAll(() =>
  tell({
    adapter: 'ledger',
    ...('absent' in server ? { server: 'postgresql', absent: server.absent } : { server: server.version }),
    ...counts,
  }),
)

if ('absent' in server) test.skip(`the ledger in PostgreSQL (absent: ${server.absent})`, () => {})
else suite(server)

function suite(postgres: PostgresServer): void {
  const { url } = postgres
  const admin = new pg.Pool({ connectionString: url, max: 2 })
  // the server goes away while connections are idle; that is the plan
  admin.on('error', () => {})
  const open: Ledger[] = []
  const workers: Worker[] = []

  beforeEach(async () => {
    await admin.query(
      'drop schema if exists keyturn_ledger cascade; drop table if exists passed; create table passed as select 0::bigint as ms',
    )
  })
  afterEach(async () => {
    await Promise.all(workers.splice(0).map(worker => worker.end()))
    await Promise.all(open.splice(0).map(ledger => ledger.close()))
  })
  afterAll(async () => {
    await admin.end()
    await postgres.stop()
  })

  const opened = async (address = url): Promise<Ledger> => {
    const ledger = await openLedger({ url: address, data: '', clock, random })
    open.push(ledger)
    return ledger
  }
  const working = (holder: string, pace: { leaseMs?: number; stepMs?: number } = {}): Worker => {
    const worker = startWorker(url, holder, pace)
    workers.push(worker)
    return worker
  }
  const events = async (): Promise<readonly { rotation: string; action: string; version: string }[]> =>
    (await admin.query('select rotation, action, version from keyturn_ledger.outbox order by id')).rows

  describe('the ledger in PostgreSQL keeps the contract for a role with the rights of the documents', () => {
    const grants = ledgerGrants('keyturn_broker')
    const password = randomBytes(16).toString('hex')
    const limited = url.replace(/\/\/[^@]+@/, `//keyturn_broker:${password}@`)
    // the server's clock, and the time that checks let pass
    const sqlClock = `${databaseClock} + (select ms from public.passed)`

    beforeEach(async () => {
      await admin.query(`create role keyturn_broker login password '${password}'; grant select on passed to keyturn_broker`)
    })
    afterEach(async () => {
      await admin.query('drop owned by keyturn_broker; drop role keyturn_broker')
    })

    for (const check of ledgerContract.filter(({ needs }) => needs === undefined)) {
      test(check.title, async () => {
        await (await openPostgres(url, { random })).close()
        await admin.query(grants)
        const ledger = await openPostgres(limited, { random, sqlClock })
        open.push(ledger)
        const advance = async (ms: number) => {
          await admin.query('update passed set ms = ms + $1', [ms])
        }
        const run = check.run({ ledger, advance })
        // that is its owner's: what is gone is erased by `vacuum`
        if (check.title === ownersAlone) await refused('permission_denied', Promise.resolve(run))
        else await run
      })
    }
  })

  test('memory and PostgreSQL answer every sequence of calls alike', async () => {
    await fc.assert(
      fc.asyncProperty(sequences, async steps => {
        let now = Date.UTC(2026, 0, 1)
        await admin.query(`drop schema if exists keyturn_ledger cascade; update passed set ms = ${now}`)
        const memory = new Caller(new MemoryLedger({ now: () => new Date(now), after: () => () => {} }, counting()), async () => {})
        const pass = async (ms: number) => {
          now += ms
          await admin.query('update passed set ms = $1', [now])
        }
        const ledger = await openPostgres(url, { random: counting(), sqlClock: '(select ms from public.passed)' })
        try {
          const postgresCaller = new Caller(ledger, pass)
          for (const taken of steps) expect(await postgresCaller.take(taken)).toEqual(await memory.take(taken))
        } finally {
          await ledger.close()
        }
      }),
      { numRuns: 25 },
    )
  })

  describe('several brokers share the ledger in PostgreSQL', () => {
    test('eight that start at the same moment make one', async () => {
      const ledgers = await Promise.all(Array.from({ length: 8 }, () => opened()))
      expect(new Set(ledgers.map(({ id }) => id)).size).toBe(1)
      const { rows } = await admin.query('select number from keyturn_ledger.migrations order by number')
      expect(rows.length).toBeGreaterThan(1)
    })

    test('eight workers and 200 due rotations make exactly 200 claims', async () => {
      const ledger = await opened()
      const holders = Array.from({ length: 8 }, (_, index) => working(`worker-${index}`))
      await Promise.all(holders.map(worker => worker.until(said => said.ready === true)))
      // a few at a time: what waits longer than five seconds for a connection is refused
      for (let begun = 0; begun < 200; begun += 8)
        await Promise.all(Array.from({ length: 8 }, (_, index) => opening(ledger, `secret/${begun + index}`)))
      await expect.poll(async () => (await ledger.secrets.page({ after: null, limit: 1, open: true })).length, { timeout: 60_000 }).toBe(0)
      await Promise.all(holders.map(worker => worker.end()))
      const said = holders.flatMap(worker => worker.said)
      const claims = said.filter(line => line.claimed !== undefined)
      expect(claims.length).toBe(200)
      expect(new Set(claims.map(line => line.claimed)).size).toBe(200)
      expect(claims.every(line => line.epoch === 1 && line.abandoned === false)).toBe(true)
      expect(said.filter(line => line.failed !== undefined)).toEqual([])
      expect((await events()).length).toBe(200 * 5)
    })

    test('a holder that stands still for two leases affects nothing when it goes on', async () => {
      const ledger = await opened()
      const slow = working('slow', { leaseMs: 1_500, stepMs: 400 })
      await slow.until(said => said.ready === true)
      const { rotation } = await opening(ledger)
      await slow.until(said => said.recorded !== undefined)
      slow.child.kill('SIGSTOP')
      await pause(2 * 1_500)
      const lease = await ledger.journal.claim({ holder: 'heir', leaseMs: 60_000 })
      expect(lease).toMatchObject({ abandoned: true, rotation: { id: rotation.id, epoch: 2 } })
      const before = await events()
      slow.child.kill('SIGCONT')
      await slow.until(said => said.failed !== undefined)
      expect(slow.said.at(-1)).toMatchObject({ failed: 'conflict' })
      expect(await events()).toEqual(before)
      expect(await ledger.journal.rotation(rotation.id)).toEqual(lease?.rotation)
      expect(slow.said.filter(said => said.recorded !== undefined && said.epoch !== 1)).toEqual([])
    })

    test('the server dies twice during work: nothing acknowledged is lost, nothing is done twice, everything ends', async () => {
      const ledger = await opened()
      const holders = Array.from({ length: 4 }, (_, index) => working(`worker-${index}`, { leaseMs: 2_000, stepMs: 10 }))
      await Promise.all(holders.map(worker => worker.until(said => said.ready === true)))
      await Promise.all(Array.from({ length: 60 }, (_, index) => opening(ledger, `secret/${index}`)))
      for (let round = 0; round < 2; round += 1) {
        const seen = holders.map(worker => worker.said.length)
        await Promise.race(
          holders.map((worker, index) =>
            worker.until(said => said.recorded !== undefined && worker.said.indexOf(said) >= (seen[index] ?? 0)),
          ),
        )
        await pause(100)
        await postgres.restart('immediate')
      }
      await expect
        .poll(async () => (await ledger.secrets.page({ after: null, limit: 1, open: true }).catch(() => [0])).length, { timeout: 60_000 })
        .toBe(0)
      await Promise.all(holders.map(worker => worker.end()))
      const kept = (await events()).map(({ rotation, action }) => `${rotation} ${action}`)
      expect(kept.length).toBe(60 * 5)
      expect(new Set(kept).size).toBe(60 * 5)
      const said = holders.flatMap(worker => worker.said)
      const acknowledged = said.filter(line => line.recorded !== undefined).map(line => `${line.recorded} ${line.state}`)
      expect(acknowledged.filter(step => !kept.includes(step))).toEqual([])
      expect(new Set(acknowledged).size).toBe(acknowledged.length)
      expect(said.some(line => line.failed !== undefined)).toBe(true)
    })

    test('a claim passes over a rotation that another broker is just taking', async () => {
      const ledger = await opened()
      const [first, second] = [await opening(ledger, 'first'), await opening(ledger, 'second')]
      const other = await admin.connect()
      await other.query('begin')
      await other.query('select 1 from keyturn_ledger.rotations where id = $1 for update', [first.rotation.id])
      const started = performance.now()
      expect((await claim(ledger)).rotation.id).toBe(second.rotation.id)
      expect(performance.now() - started).toBeLessThan(2_000)
      await other.query('rollback')
      other.release()
    })

    test('a change that waits for a lock too long is unavailable, and did not happen', async () => {
      const ledger = await opened()
      const { rotation, secret } = await opening(ledger)
      const lease = await claim(ledger, rotation)
      const other = await admin.connect()
      await other.query('begin')
      await other.query('select 1 from keyturn_ledger.secrets where id = $1 for update', [secret.id])
      const error = await refused('unavailable', toState(ledger, lease, 'preflight'))
      expect(error.message).toBe('ledger: the server did not answer in time (SQLSTATE 57014)')
      await other.query('rollback')
      other.release()
      expect((await ledger.journal.rotation(rotation.id)).state).toBe('queued')
      await toState(ledger, lease, 'preflight')
    })
  })

  describe('a connection to PostgreSQL that breaks', () => {
    test.each([true, false])('in the middle of a commit leaves an unknown outcome (it reached the server: %s)', async reaches => {
      const proxy = await cutting(postgres.port, 'commit\0', reaches)
      try {
        const direct = await opened()
        const { rotation } = await opening(direct)
        const ledger = await opened(url.replace(`:${postgres.port}/`, `:${proxy.port}/`))
        const lease = await claim(ledger, rotation)
        proxy.arm()
        const error = await refused('outcome_unknown', toState(ledger, lease, 'preflight'))
        expect(error.message).not.toContain(url)
        await expect.poll(async () => (await direct.journal.rotation(rotation.id)).state).toBe(reaches ? 'preflight' : 'queued')
        // the pool does not hand out the broken connection again
        expect((await ledger.journal.rotation(rotation.id)).id).toBe(rotation.id)
      } finally {
        await proxy.close()
      }
    })

    test('before a commit is unavailable, and nothing happened', async () => {
      const proxy = await cutting(postgres.port, 'update rotations', true)
      try {
        const direct = await opened()
        const { rotation } = await opening(direct)
        const ledger = await opened(url.replace(`:${postgres.port}/`, `:${proxy.port}/`))
        proxy.arm()
        await refused('unavailable', ledger.journal.claim({ holder: 'w', leaseMs: 1_000 }))
        expect((await direct.journal.rotation(rotation.id)).epoch).toBe(0)
      } finally {
        await proxy.close()
      }
    })

    test('to a server that is not there is unavailable, without the password in the message', async () => {
      const error = await refused('unavailable', openLedger({ url: 'postgres://u:hidden-3f@127.0.0.1:1/d', data: '', clock, random }))
      expect(error.message).toBe('ledger: the PostgreSQL server cannot be reached (ECONNREFUSED)')
      const wrong = await refused('unavailable', openLedger({ url: url.replace(/:[0-9a-f]{32}@/, ':hidden-3f@'), data: '', clock, random }))
      expect(JSON.stringify(wrong) + wrong.message + wrong.stack).not.toContain('hidden-3f')
      expect(wrong.message).toBe('ledger: the server refuses the login (SQLSTATE 28P01)')
    })
  })

  test('production refuses a server that acknowledges before the disk has it', async () => {
    const production = { url, data: '', clock, random, production: true }
    const ledger = await openLedger(production)
    await ledger.check()
    await ledger.close()
    for (const name of ['fsync', 'full_page_writes', 'synchronous_commit']) {
      await admin.query(`alter system set ${name} = off`)
      await admin.query('select pg_reload_conf()')
      try {
        await expect
          .poll(
            async () =>
              (
                await refused(
                  'precondition_failed',
                  openLedger(production).then(opening => opening.close()),
                )
              ).message,
          )
          .toContain(name)
        await opened()
      } finally {
        await admin.query(`alter system reset ${name}`)
        await admin.query('select pg_reload_conf()')
      }
    }
  })

  test('a certificate is verified where the URL says so', async () => {
    const place = mkdtempSync(join(tmpdir(), 'keyturn-tls-'))
    const [key, certificate] = [join(place, 'key.pem'), join(place, 'certificate.pem')]
    const names = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost']
    execFileSync(
      'openssl',
      ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '1', '-keyout', key, '-out', certificate, ...names],
      { stdio: 'ignore' },
    )
    const { uid, gid } = statSync(postgres.data)
    for (const [name, source] of Object.entries({ 'server.key': key, 'server.crt': certificate })) {
      writeFileSync(join(postgres.data, name), readFileSync(source))
      chmodSync(join(postgres.data, name), 0o600)
      chownSync(join(postgres.data, name), uid, gid)
    }
    await admin.query('alter system set ssl = on')
    await admin.query('select pg_reload_conf()')
    const named = url.replace('127.0.0.1', 'localhost')
    const encrypted = async () =>
      (
        await admin.query(
          "select count(*)::int as n from pg_stat_ssl join pg_stat_activity using (pid) where ssl and application_name = 'keyturn'",
        )
      ).rows[0].n
    try {
      await expect
        .poll(() =>
          opened(`${named}?sslmode=require`).then(
            () => true,
            () => false,
          ),
        )
        .toBe(true)
      expect(await encrypted()).toBeGreaterThan(0)
      await opened(`${named}?sslmode=verify-full&sslrootcert=${certificate}`)
      const unknown = await refused('unavailable', opened(`${named}?sslmode=verify-full`))
      expect(unknown.message).toContain('DEPTH_ZERO_SELF_SIGNED_CERT')
      const misnamed = await refused('unavailable', opened(`${url}?sslmode=verify-full&sslrootcert=${certificate}`))
      expect(misnamed.message).toContain('ERR_TLS_CERT_ALTNAME_INVALID')
      await opened(`${url}?sslmode=verify-ca&sslrootcert=${certificate}`)
    } finally {
      await admin.query('alter system reset ssl')
      await admin.query('select pg_reload_conf()')
      rmSync(place, { recursive: true })
    }
  })
}
