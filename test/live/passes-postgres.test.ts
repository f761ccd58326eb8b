import { randomBytes, randomInt } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import { BrokerError, type EnvelopeRow, type PassOutcome } from '@keyturn/core'
import { SqlEnvelopes, type Transaction } from '@keyturn/sql'
import { openSchema, PostgresDatabase, postgresAddress } from '@keyturn/sql/postgres'
import pg from 'pg'
import { afterAll, afterEach, beforeEach, expect, test } from 'vitest'
import { addBox, addNote, closed, histories, makeShelf, marked, mustCount, shelfTables } from '../../packages/sql/test/shelf.ts'
import { type PostgresServer, startPostgres } from '../servers/postgres.ts'
import { tally, tell } from './tell.ts'

const server = await startPostgres()
const counts = tally()

afterAll(() =>
  tell({
    adapter: 'passes',
    ...('absent' in server ? { server: 'postgresql', absent: server.absent } : { server: server.version }),
    ...counts,
  }),
)

if ('absent' in server) test.skip(`passes in PostgreSQL (absent: ${server.absent})`, () => {})
else suite(server)

function suite(postgres: PostgresServer): void {
  const admin = new pg.Pool({ connectionString: postgres.url, max: 2 })
  const open: PostgresDatabase[] = []

  beforeEach(async () => {
    await admin.query('drop schema if exists shelf cascade; create schema shelf')
    await database().transaction(tx => makeShelf(tx))
  })
  afterEach(async () => {
    await Promise.all(open.splice(0).map(sql => sql.close()))
  })
  afterAll(async () => {
    await admin.end()
    await postgres.stop()
  })

  const database = (): PostgresDatabase => {
    const address = postgresAddress(`${postgres.url}?application_name=shelf`, 'shelf')
    const sql = new PostgresDatabase(address, { schema: 'shelf', what: 'shelf' })
    open.push(sql)
    return sql
  }
  const over = (sql = database()) => new SqlEnvelopes(sql, { store: 'st', tables: shelfTables })
  const fill = (boxes: number, notes: number) =>
    database().transaction(async tx => {
      for (let owner = 1; owner <= boxes; owner += 1) await addBox(tx, owner, 1, closed('old', 'start'), owner % 2 === 0 ? 'shown' : null)
      for (let note = 1; note <= notes; note += 1) await addNote(tx, `n${note}`, closed('old', 'start'))
    })
  /** Every change of a wrap leaves a line, which goes with the change. */
  const watched = () =>
    admin.query(`create table shelf.changes (name text, wrap text);
      create function shelf.note_change() returns trigger language plpgsql as $$ begin
        insert into shelf.changes select new.owner || '.' || new.number, convert_from(new.wrap, 'UTF8') where new.wrap is distinct from old.wrap;
        return null;
      end $$;
      create trigger note_change after update on shelf.boxes for each row execute function shelf.note_change()`)

  test('three brokers, writers, and connections that are cut at any moment: no row lost, none changed twice, the counts add up', async () => {
    await fill(1_500, 40)
    await watched()
    const pass = { id: 'op_1', kind: 'rewrap', kekId: 'new' } as const
    const brokers = [database(), database(), database()]
    await Promise.all(brokers.map(sql => over(sql).begin(pass)))
    let working = true
    let deaths = 0
    const lane = async (sql: PostgresDatabase): Promise<void> => {
      const envelopes = over(sql)
      const act = async (rows: readonly EnvelopeRow[]): Promise<readonly PassOutcome[]> => {
        await pause(randomInt(4))
        return rows.map(row => marked(row.sealed, 'new', pass.id))
      }
      for (let answer = ''; answer !== 'over'; ) {
        answer = await envelopes.step(pass.id, { rows: 20, act }).catch(error => {
          expect(error).toBeInstanceOf(BrokerError)
          deaths += 1
          return 'dead'
        })
        if (answer !== 'stepped') await pause(5)
      }
    }
    const writer = async (sql: PostgresDatabase): Promise<void> => {
      while (working) {
        const owner = randomInt(1, 1_501)
        await sql.transaction(tx => change(tx, owner)).catch(error => expect(error).toBeInstanceOf(BrokerError))
      }
    }
    const killer = async (): Promise<void> => {
      while (working) {
        await pause(25)
        await admin.query(
          "select pg_terminate_backend(pid) from (select pid from pg_stat_activity where application_name = 'shelf' order by random() limit 1) one",
        )
      }
    }
    const writers = [writer(database()), writer(database())]
    const killing = killer()
    await Promise.all(brokers.flatMap(sql => [lane(sql), lane(sql)]))
    working = false
    await Promise.all([...writers, killing])

    const sql = database()
    await mustCount(sql)
    expect(deaths).toBeGreaterThan(0)
    const progress = await over(sql).progress(pass.id)
    expect(progress).toMatchObject({ failed: 0, over: true, total: (progress?.done ?? 0) + (progress?.skipped ?? 0) })
    const twice = await admin.query("select name from shelf.changes where wrap like '% op_1' group by name having count(*) > 1")
    expect(twice.rows).toEqual([])
    const { rows } = await admin.query<{ n: number }>("select count(*)::int as n from shelf.changes where wrap like '% op_1'")
    const all = await histories(sql)
    expect(progress?.done).toBe((rows[0]?.n ?? 0) + 40)
    expect([...all.keys()].filter(name => name.startsWith('note')).length).toBe(40)
    expect([...all.keys()].filter(name => /^box \d+\.1$/.test(name)).length).toBe(1_500)
    // whoever was at a slice when it died left nothing that others wait for
    const { rows: left } = await admin.query(
      "select 1 from pg_locks l join pg_class c on c.oid = l.relation where c.relname = 'pass_slices'",
    )
    expect(left).toEqual([])
  }, 120_000)

  test('a KEK is retired only when whoever just closes something with it has ended', async () => {
    const [one, two] = [database(), database()]
    let release = () => {}
    const held = new Promise<void>(done => {
      release = done
    })
    let closes = () => {}
    const closing = new Promise<void>(done => {
      closes = done
    })
    const writing = one.transaction(async tx => {
      await addNote(tx, 'a', closed('k1', 'start'))
      closes()
      await held
    })
    await closing
    const retiring = over(two)
      .retire('k1')
      .catch(error => error)
    await pause(100)
    release()
    await writing
    expect(await retiring).toMatchObject({ code: 'conflict', detail: { kekId: 'k1', needs: { notes: 1 } } })
    await two.transaction(tx => tx.change('delete from notes'))
    await over(two).retire('k1')
    await expect(one.transaction(tx => addNote(tx, 'b', closed('k1', 'start')))).rejects.toMatchObject({ code: 'precondition_failed' })
    await mustCount(one)
  })

  test('a row that is changed by hand counts too', async () => {
    await fill(6, 2)
    await admin.query("update shelf.boxes set kek = 'by hand' where owner < 3; delete from shelf.notes where name = 'n1'")
    await mustCount(database())
    expect(await over().keks()).toMatchObject([
      { id: 'by hand', needs: { shown: 1, stored: 1 } },
      { id: 'old', needs: { notes: 1, shown: 2, stored: 2 } },
    ])
    await expect(admin.query("delete from shelf.keks where id = 'old'")).rejects.toThrow('never forgotten')
    await expect(admin.query("update shelf.keks set wraps = -1 where id = 'old'")).rejects.toThrow('only grows')
  })

  test('a schema may take longer than any other statement, also for those that wait until another broker has made it', async () => {
    await admin.query('drop schema shelf cascade')
    const slow = { number: 1, name: 'slow', statements: () => ['select pg_sleep(16)', 'create table slow (id bigint)'] }
    const opened = () => openSchema(database(), { schema: 'shelf', what: 'shelf', steps: [slow] })
    expect((await Promise.all([opened(), opened(), opened()])).sort()).toEqual([0, 1, 1])
    // everything else is ended by the server as before
    const [row] = await database().transaction(tx => tx.rows("select current_setting('statement_timeout') as bound"))
    expect(row).toEqual({ bound: '10s' })
  }, 60_000)

  test('who may not erase may not re-encrypt, and is told before anything is changed', async () => {
    await fill(4, 1)
    const password = randomBytes(12).toString('hex')
    await admin.query(`create role reader login password '${password}'; grant usage on schema shelf to reader;
      grant select, insert, update, delete on all tables in schema shelf to reader`)
    const url = Object.assign(new URL(postgres.url), { username: 'reader', password })
    const sql = new PostgresDatabase(postgresAddress(url.href, 'shelf'), { schema: 'shelf', what: 'shelf' })
    open.push(sql)
    const pass = { id: 'op_1', kind: 'reencrypt', kekId: 'new' } as const
    const refused = await over(sql)
      .begin(pass)
      .catch(error => error)
    expect(refused).toMatchObject({ code: 'permission_denied', hint: expect.stringContaining('role that owns') })
    expect(refused.message).toContain('role reader')
    expect(await over().progress(pass.id)).toBe(null)
    // nor may it join a pass of somebody who may
    await over().begin(pass)
    expect(
      await over(sql)
        .begin(pass)
        .catch(error => error),
    ).toMatchObject({ code: 'permission_denied' })
    await over(sql).begin({ id: 'op_2', kind: 'rewrap', kekId: 'new' })
    await admin.query('drop owned by reader; drop role reader')
  })

  test('after a re-encryption no page of the tables holds a row as it was', async () => {
    await fill(50, 5)
    await admin.query('create extension if not exists pageinspect')
    const dead = async () =>
      (
        await admin.query(
          "select count(*)::int as n from heap_page_items(get_raw_page('shelf.boxes', 0)) where lp_flags = 1 and t_xmax <> 0",
        )
      ).rows[0].n
    const envelopes = over()
    await envelopes.begin({ id: 'op_1', kind: 'reencrypt', kekId: 'new' })
    const act = async (rows: readonly EnvelopeRow[]) => rows.map(({ sealed }) => marked(sealed, 'new', 'op_1'))
    await envelopes.step('op_1', { rows: 60, act })
    expect(await dead()).toBeGreaterThan(0)
    while ((await envelopes.step('op_1', { rows: 60, act })) !== 'over') await pause(0)
    expect(await dead()).toBe(0)
    expect(await envelopes.progress('op_1')).toMatchObject({ done: 55, over: true })
  })
}

/** What users do meanwhile. New rows come under the new KEK, and under the old one where a broker has not heard of it. */
async function change(tx: Transaction, owner: number): Promise<void> {
  const kekId = owner % 2 === 0 ? 'new' : 'old'
  if (owner % 3 === 0) await tx.change('update boxes set label = $2 where owner = $1', [owner, `label ${owner}`])
  else if (owner % 3 === 1) await addBox(tx, owner, 2, closed(kekId, 'added'), null)
  else await tx.change(`update boxes set wrap = $2, kek = $3 where owner = $1 and number = 2`, [owner, closed(kekId, 'again').wrap, kekId])
}
