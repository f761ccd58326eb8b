import { execFileSync } from 'node:child_process'
import { chmodSync, chownSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { failure, runStoreChecks } from '@keyturn/conformance'
import type { StoreAdapter, StorePath, VersionId } from '@keyturn/core'
import pg from 'pg'
import { afterAll, afterEach, describe, expect, test } from 'vitest'
import { open } from '../../packages/adapter-database/src/store.ts'
import { passBesideWriter } from '../../packages/adapter-database/test/pass-beside-writer.ts'
import { cutting } from '../servers/cutting.ts'
import { type PostgresServer, startPostgres } from '../servers/postgres.ts'
import { at, connected, context, harnessOf, intent, keyringOf, openAt, readyRoles, spoiling, storeOf, text } from './database-scene.ts'
import { tally, tell } from './tell.ts'

const server = await startPostgres()

if ('absent' in server) {
  test.skip(`the store in PostgreSQL (absent: ${server.absent})`, () => {})
  afterAll(() => tell({ adapter: 'database', server: 'postgresql', absent: 'absent' in server ? server.absent : '', passed: 0, failed: 0 }))
} else await suite(server)

async function suite(postgres: PostgresServer): Promise<void> {
  const roles = await readyRoles(postgres.url)
  const admin = new pg.Pool({ connectionString: postgres.url, max: 2 })
  // the server goes away while connections are idle; that is the plan
  admin.on('error', () => {})
  const spoil = spoiling(postgres.url)
  const opened: StoreAdapter[] = []
  const opening = async (...given: Parameters<typeof openAt>): Promise<StoreAdapter> => {
    const adapter = await openAt(...given)
    opened.push(adapter)
    return adapter
  }
  afterEach(() => Promise.all(opened.splice(0).map(adapter => adapter.close())))
  afterAll(async () => {
    await admin.end()
    await postgres.stop()
  })
  const versionsOf = async (path: StorePath) =>
    (
      await admin.query(
        'select v.number::int, v.label from keyturn_store.versions v join keyturn_store.secrets s on s.number = v.secret where s.path = $1 order by v.number',
        [path],
      )
    ).rows

  describe('the store in PostgreSQL', () => {
    const counts = tally()
    afterAll(() => tell({ adapter: 'database', server: postgres.version, ...counts }))
    runStoreChecks(
      harnessOf('adapter-database', () => roles.owner, spoil),
      { test },
    )

    test('eight that start at the same moment make one', async () => {
      await admin.query('create database fresh')
      const url = postgres.url.replace(/postgres$/, 'fresh')
      await Promise.all(Array.from({ length: 8 }, () => opening(url)))
      const { rows } = await connected(url, client =>
        client.query(
          'select (select count(*) from keyturn_store.store)::int as stores, (select count(*) from keyturn_store.migrations)::int as steps',
        ),
      )
      expect(rows).toEqual([{ stores: 1, steps: 2 }])
    })

    test('a row that is written while a re-wrap goes by is skipped, and the next pass takes it', async () => {
      await admin.query('create database beside')
      const keyring = keyringOf()
      await passBesideWriter(await opening(postgres.url.replace(/postgres$/, 'beside'), keyring), keyring)
    })

    test('brokers that write one secret at once number its versions without a gap, and one is current', async () => {
      const path = at('shared/counter')
      const brokers = await Promise.all([opening(roles.app), opening(roles.app)])
      const made = await Promise.all(Array.from({ length: 40 }, (_, index) => brokers[index % 2]!.write(path, text(`${index}`), intent())))
      expect(made.map(({ order }) => order).sort((a, b) => Number(a) - Number(b))).toEqual(
        Array.from({ length: 40 }, (_, index) => index + 1),
      )
      expect(new Set(made.map(({ etag }) => etag)).size).toBe(40)
      expect((await versionsOf(path)).filter(({ label }) => label !== null)).toEqual([
        { number: 39, label: 'previous' },
        { number: 40, label: 'current' },
      ])
    })

    test('of many that write on one condition exactly one succeeds, also where nothing was', async () => {
      const brokers = await Promise.all([opening(roles.app), opening(roles.app)])
      const tried = async (path: StorePath, ifMatch: Awaited<ReturnType<StoreAdapter['read']>>['etag'] | null) => {
        const ends = await Promise.allSettled(
          Array.from({ length: 12 }, (_, index) => brokers[index % 2]!.write(path, text(`${index}`), { ...intent(), ifMatch })),
        )
        return ends.map(end => (end.status === 'fulfilled' ? 'made' : end.reason.code)).sort()
      }
      const once = [...Array.from({ length: 11 }, () => 'conflict'), 'made']
      const path = at('shared/contended')
      expect(await tried(path, null)).toEqual(once)
      expect(await tried(path, (await brokers[0]!.read(path, intent())).etag)).toEqual(once)
    })

    test('one intent of many senders makes one version', async () => {
      const brokers = await Promise.all([opening(roles.app), opening(roles.app)])
      const [path, once] = [at('shared/intent'), intent()]
      const made = await Promise.all(Array.from({ length: 10 }, (_, index) => brokers[index % 2]!.write(path, text('same'), once)))
      expect(new Set(made.map(({ version }) => version))).toEqual(new Set(['1']))
      expect(await versionsOf(path)).toEqual([{ number: 1, label: 'current' }])
    })

    test('the wraps of all brokers are counted in one place', async () => {
      const before = Number((await admin.query("select wraps from keyturn_store.keks where id = 'k1'")).rows[0].wraps)
      const brokers = await Promise.all([opening(roles.app), opening(roles.app)])
      await Promise.all(brokers.map((broker, index) => broker.write(at(`shared/wraps-${index}`), text('a'), intent())))
      expect(Number((await admin.query("select wraps from keyturn_store.keks where id = 'k1'")).rows[0].wraps)).toBe(before + 2 * 4096)
    })

    test('a page of what is examined: server, role, durability, KEKs, and never a password', async () => {
      const found = await (await opening(roles.owner, keyringOf('k2'))).examine(null, intent())
      const said = JSON.stringify(found)
      expect(said).not.toContain(new URL(roles.owner).password)
      expect(found.slice(0, 5).map(({ what }) => what)).toEqual([
        postgres.version,
        'connection',
        'role keyturn_owner',
        'commits reach the disk',
        'KEK k1',
      ])
      expect(found[0]?.detail).toBe(`127.0.0.1:${postgres.port} database postgres, schema keyturn_store at step 2`)
      expect(found[2]).toEqual({ ok: true, what: 'role keyturn_owner', detail: 'owns the schema: may change and delete history' })
      expect(found[4]).toMatchObject({ ok: false, hint: 'put KEK k1 back' })
    })

    test('a login that is refused is unauthenticated, and a server that is not there unavailable; no password is told', async () => {
      const wrong = await failure(openAt(Object.assign(new URL(roles.app), { password: 'hidden-3f' }).href))
      expect([wrong.code, JSON.stringify(wrong)]).toEqual(['unauthenticated', expect.not.stringContaining('hidden-3f')])
      expect((await failure(openAt('postgres://u:hidden-3f@127.0.0.1:1/d'))).code).toBe('unavailable')
    })

    test('production refuses a server that acknowledges before the disk has it', async () => {
      await (await opening(roles.app, keyringOf(), { production: true })).read(at('shared/intent'), intent())
      await admin.query('alter role keyturn_app set synchronous_commit = off')
      try {
        const error = await failure(openAt(roles.app, keyringOf(), { production: true }))
        expect([error.code, error.message]).toEqual(['precondition_failed', expect.stringContaining('synchronous_commit')])
        const found = await (await opening(roles.app)).examine(null, intent())
        expect(found.find(({ what }) => what === 'commits reach the disk')).toMatchObject({ ok: false, detail: 'off: synchronous_commit' })
      } finally {
        await admin.query('alter role keyturn_app reset synchronous_commit')
      }
    })

    test('a certificate is verified: by the authorities of the section, and for the name that is asked', async () => {
      const place = mkdtempSync(join(tmpdir(), 'keyturn-store-tls-'))
      const [key, certificate] = [join(place, 'key.pem'), join(place, 'certificate.pem')]
      const names = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost']
      const made = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '1', '-keyout', key, '-out', certificate, ...names]
      execFileSync('openssl', made, { stdio: 'ignore' })
      const { uid, gid } = statSync(postgres.data)
      for (const [name, source] of Object.entries({ 'server.key': key, 'server.crt': certificate })) {
        writeFileSync(join(postgres.data, name), readFileSync(source))
        chmodSync(join(postgres.data, name), 0o600)
        chownSync(join(postgres.data, name), uid, gid)
      }
      await admin.query('alter system set ssl = on')
      await admin.query('select pg_reload_conf()')
      const verified = (host: string, ca?: string) => {
        const url = `${roles.app.replace('127.0.0.1', host)}?sslmode=verify-full`
        return open({ url, maxInFlight: 2, ...(ca === undefined ? {} : { ca }) }, context, { keyring: keyringOf() })
      }
      try {
        const answers = async () => (await openAt(`${roles.app}?sslmode=require`).catch(() => undefined))?.close().then(() => true)
        await expect.poll(answers).toBe(true)
        const adapter = await verified('localhost', readFileSync(certificate, 'utf8'))
        opened.push(adapter)
        const found = await adapter.examine(null, intent())
        expect(found.find(({ what }) => what === 'connection')?.detail).toMatch(/^TLSv1\.[23], /)
        expect((await failure(verified('localhost'))).message).toContain('DEPTH_ZERO_SELF_SIGNED_CERT')
        expect((await failure(verified('127.0.0.1', readFileSync(certificate, 'utf8')))).message).toContain('ERR_TLS_CERT_ALTNAME_INVALID')
      } finally {
        await admin.query('alter system reset ssl')
        await admin.query('select pg_reload_conf()')
        rmSync(place, { recursive: true })
      }
    })

    test.each([
      ['another payload', "update versions set payload = '\\x00'", 'a version is immutable'],
      ['another number', 'update versions set number = 90', 'a version is immutable'],
      ['another time', 'update versions set created_at = 0', 'a version is immutable'],
      ['half a version', 'update versions set wrap = null', 'versions_check'],
      ['no version', 'delete from versions', 'a version is never removed'],
      ['no versions at all', 'truncate versions', 'a version is never removed'],
      ['no secret', 'delete from secrets', 'a secret is never removed'],
      ['no secrets at all', 'truncate secrets cascade', 'is never removed'],
      ['another path', "update secrets set path = 'x'", 'a secret keeps its id and path'],
      ['two current', "update versions set label = 'current', disabled = 0 where payload is not null", 'one_current'],
      [
        'a gap',
        "insert into versions select secret, number + 100, kind, null, 0, 0, 'x', fingerprint, kek_id, payload, wrap from versions limit 1",
        'without gaps',
      ],
      ['a KEK in use gone', "delete from keks where id = 'k1'", 'never forgotten'],
      ['another store id', "update store set id = 'x'", 'keeps its id'],
      ['no store id', 'truncate store', 'keeps its id'],
    ])('the database refuses by itself, whoever asks: %s', async (_, sql, reason) => {
      const asked = connected(postgres.url, client => client.query(`set search_path = keyturn_store; ${sql}`))
      await expect(asked).rejects.toThrow(reason)
    })
  })

  describe('the role of the application', () => {
    const counts = tally()
    afterAll(() => tell({ adapter: 'database', server: `${postgres.version}, role of the application`, ...counts }))
    runStoreChecks(
      harnessOf('adapter-database', () => roles.app, spoil, false),
      { test },
    )

    test.each([
      'update keyturn_store.versions set payload = null, wrap = null, kek_id = null',
      'update keyturn_store.versions set number = number + 1',
      "update keyturn_store.versions set kind = 'bytes'",
      'update keyturn_store.versions set created_at = 0',
      "update keyturn_store.versions set intent = 'x'",
      'delete from keyturn_store.versions',
      'truncate keyturn_store.versions',
      'delete from keyturn_store.secrets',
      'truncate keyturn_store.secrets cascade',
      "update keyturn_store.secrets set path = 'x'",
      'delete from keyturn_store.keks',
      "update keyturn_store.store set id = 'x'",
      'delete from keyturn_store.migrations',
      'delete from keyturn_ledger.migrations',
      'drop table keyturn_store.versions cascade',
      'drop schema keyturn_store cascade',
      'alter table keyturn_store.versions disable trigger all',
      'drop trigger versions_stay on keyturn_store.versions',
      'create or replace function keyturn_store.refuse() returns trigger language plpgsql as $$ begin return new; end $$',
      'alter table keyturn_store.versions add column x text',
      'create table keyturn_store.x (x text)',
      'set session_replication_role = replica',
      'set role keyturn_owner',
    ])('may not: %s', async sql => {
      await expect(connected(roles.app, client => client.query(sql))).rejects.toMatchObject({ code: '42501' })
    })

    test('may not destroy a version, and is told so before; the role of maintenance may', async () => {
      const path = at('rights/password')
      const app = await opening(roles.app)
      for (const value of ['a', 'b']) await app.write(path, text(value), intent())
      const error = await failure(storeOf(app).destroy(path, '1' as VersionId))
      expect(error.code).toBe('permission_denied')
      const role = (await app.examine(null, intent())).find(({ what }) => what.startsWith('role'))
      expect(role).toEqual({
        ok: true,
        what: 'role keyturn_app',
        detail: 'may not destroy a version, re-encrypt, delete history, migrate the schema',
      })
      await (await opening(roles.maintenance)).destroy?.(path, '1' as VersionId, intent())
      expect((await failure(storeOf(app).read(path, { version: '1' as VersionId }))).message).toContain('is destroyed')
    })

    test('opens a schema that is up to date, and says what to do about one that is not', async () => {
      await connected(postgres.url, client => client.query('update keyturn_store.migrations set number = 5 where number = 2'))
      try {
        expect((await failure(openAt(roles.app))).hint).toBe(
          'start the version of Keyturn that wrote it, or a newer one; a schema never goes back',
        )
        await connected(postgres.url, client => client.query('delete from keyturn_store.migrations where number = 5'))
        const error = await failure(openAt(roles.app))
        expect([error.code, error.hint]).toEqual(['precondition_failed', expect.stringContaining('keyturn migrate')])
      } finally {
        await connected(postgres.url, client =>
          client.query(
            "delete from keyturn_store.migrations where number > 1; insert into keyturn_store.migrations values (2, 'sealed', 0)",
          ),
        )
      }
      await opening(roles.app)
    })

    test('may re-wrap, and may not re-encrypt', async () => {
      const app = await opening(roles.app)
      const { envelopes } = app
      if (envelopes === undefined) throw new Error('a store of its own tells its envelopes')
      const path = at('rights/pass')
      await app.write(path, text('a'), intent())
      await envelopes.begin({ id: 'scrub-1', kind: 'scrub', kekId: null })
      const stepped = () => envelopes.step('scrub-1', { rows: 500, act: async rows => rows.map(() => 'kept' as const) })
      for (let end = await stepped(); end !== 'over'; end = await stepped());
      expect(await envelopes.progress('scrub-1')).toMatchObject({ over: true, failed: 0 })
      await envelopes.forget('scrub-1')
      await connected(roles.app, client =>
        client.query("update keyturn_store.versions v set wrap = wrap, kek_id = kek_id where label = 'current'"),
      )
      await expect(
        connected(roles.app, client => client.query("update keyturn_store.versions set payload = payload where label = 'current'")),
      ).rejects.toMatchObject({ code: '42501' })
    })

    test('rights that are taken away are a denial, not an absence', async () => {
      const store = storeOf(await opening(roles.app))
      await admin.query('revoke select on keyturn_store.versions from keyturn_app')
      try {
        expect((await failure(store.read(at('rights/password')))).code).toBe('permission_denied')
        expect((await failure(store.read(at('rights/never')))).code).toBe('permission_denied')
      } finally {
        await admin.query('grant select on keyturn_store.versions to keyturn_app')
      }
      expect((await store.read(at('rights/password'))).version).toBe('2')
    })
  })

  describe('a connection to the store that breaks', () => {
    const through = (port: number) => roles.app.replace(`:${postgres.port}/`, `:${port}/`)

    test.each([true, false])('in the middle of a commit leaves an unknown outcome (it reached the server: %s)', async reaches => {
      const path = at(`cut/${reaches}`)
      const proxy = await cutting(postgres.port, 'commit\0', reaches)
      try {
        const store = storeOf(await opening(through(proxy.port)))
        await store.write(path, text('a'), intent())
        const once = intent()
        proxy.arm()
        expect((await failure(store.write(path, text('b'), once))).code).toBe('outcome_unknown')
        await expect.poll(async () => (await versionsOf(path)).length).toBe(reaches ? 2 : 1)
        // the same intent, sent again, makes no second one
        expect((await store.write(path, text('b'), once)).version).toBe('2')
      } finally {
        await proxy.close()
      }
    })

    test('before a commit is unavailable, and nothing happened; a read is asked again', async () => {
      const path = at('cut/before')
      const proxy = await cutting(postgres.port, 'insert into versions', true)
      const reads = await cutting(postgres.port, 'v.payload', false)
      try {
        const store = storeOf(await opening(through(proxy.port)))
        await store.write(path, text('a'), intent())
        proxy.arm()
        expect((await failure(store.write(path, text('b'), intent()))).code).toBe('unavailable')
        expect((await versionsOf(path)).length).toBe(1)
        const reader = storeOf(await opening(through(reads.port)))
        reads.arm()
        expect((await reader.read(path)).version).toBe('1')
      } finally {
        await Promise.all([proxy.close(), reads.close()])
      }
    })

    test('with the server leaves every acknowledged version, and the store goes on when it is back', async () => {
      const adapter = await opening(roles.app)
      const path = at('restart/counter')
      const acknowledged: number[] = []
      let ended = false
      const codes = new Set<string>()
      const writing = Promise.all(
        Array.from({ length: 4 }, async () => {
          while (!ended) {
            const made = await adapter.write(path, text('x'), intent()).catch(error => void codes.add(error.code))
            if (made !== undefined) acknowledged.push(made.order ?? 0)
            else await new Promise(done => setTimeout(done, 20))
          }
        }),
      )
      await expect.poll(() => acknowledged.length).toBeGreaterThan(10)
      await postgres.restart('immediate')
      const before = acknowledged.length
      await expect.poll(() => acknowledged.length, { timeout: 20_000 }).toBeGreaterThan(before + 10)
      ended = true
      await writing
      expect([...codes].filter(code => code !== 'unavailable' && code !== 'outcome_unknown')).toEqual([])
      expect(new Set(acknowledged).size).toBe(acknowledged.length)
      const kept = (await versionsOf(path)).map(({ number }) => number)
      expect(kept).toEqual(Array.from(kept, (_, index) => index + 1))
      expect(acknowledged.filter(number => !kept.includes(number))).toEqual([])
    })

    test('a write that waits for a lock too long is unavailable, and did not happen', async () => {
      const path = at('locked/password')
      const store = storeOf(await opening(roles.app))
      await store.write(path, text('a'), intent())
      const other = await admin.connect()
      await other.query('begin')
      await other.query('select 1 from keyturn_store.secrets where path = $1 for update', [path])
      const error = await failure(store.write(path, text('b'), intent()))
      expect([error.code, error.message]).toEqual(['unavailable', 'store: the server did not answer in time (SQLSTATE 57014)'])
      expect((await store.read(path)).version).toBe('1')
      await other.query('rollback')
      other.release()
      expect((await store.write(path, text('b'), intent())).version).toBe('2')
    })
  })
}
