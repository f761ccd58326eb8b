import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { EnvelopeRow, PassOutcome } from '@keyturn/core'
import fc from 'fast-check'
import { afterAll, afterEach, expect, test } from 'vitest'
import { addBox, addNote, closed, histories, makeShelf, marked, mustCount, shelfTables } from '../../test/shelf.ts'
import type { Sql, Transaction } from '../sql.ts'
import { SqliteDatabase } from '../sqlite/index.ts'
import { SqlEnvelopes } from './envelopes.ts'

const folder = mkdtempSync(join(tmpdir(), 'keyturn-sealed-'))
afterAll(() => rmSync(folder, { recursive: true }))
const open: SqliteDatabase[] = []
afterEach(async () => {
  for (const database of open.splice(0)) await database.close()
})

async function shelf(tables = shelfTables): Promise<SqliteDatabase> {
  const file = join(mkdtempSync(join(folder, 'shelf-')), 'shelf.db')
  const sql = new SqliteDatabase({ file, clock: { now: () => new Date(1_000), after: () => () => {} }, what: 'shelf' })
  open.push(sql)
  await sql.transaction(tx => makeShelf(tx, tables))
  return sql
}

const over = (sql: Sql) => new SqlEnvelopes(sql, { store: 'st', tables: shelfTables })

class Death extends Error {}

/** A process that dies at a statement, before or after it, or when it has committed and nobody heard. */
function mortal(sql: Sql, statements: number): Sql & { readonly isDead: () => boolean } {
  let left = statements
  const pass = <T>(act: () => Promise<T>): Promise<T> => {
    left -= 1
    return left < 0 ? Promise.reject(new Death()) : act()
  }
  const transaction = async <T>(run: (tx: Transaction) => Promise<T>): Promise<T> => {
    const result = await sql.transaction(tx =>
      run({ ...tx, rows: (...given) => pass(() => tx.rows(...given)), change: (...given) => pass(() => tx.change(...given)) }),
    )
    return pass(async () => result)
  }
  const rows: Sql['rows'] = (...given) => pass(() => sql.rows(...given))
  const erase: Sql['erase'] = tables => pass(() => sql.erase(tables))
  const mustErase: Sql['mustErase'] = tables => sql.mustErase(tables)
  return { dialect: sql.dialect, rows, transaction, erase, mustErase, close: () => sql.close(), isDead: () => left < 0 }
}

async function through(envelopes: SqlEnvelopes, id: string, outcome: (row: EnvelopeRow) => PassOutcome, rows = 3): Promise<void> {
  for (let steps = 0; (await envelopes.step(id, { rows, act: async page => page.map(outcome) })) !== 'over'; steps += 1) {
    expect(steps).toBeLessThan(200)
  }
}

test('a process that dies at any statement of a pass loses no row, changes none twice, and its counts are true', async () => {
  const sql = await shelf()
  await sql.transaction(async tx => {
    for (let owner = 1; owner <= 5; owner += 1) await addBox(tx, owner, 1, closed('k0', 'start'), owner % 2 === 0 ? 'current' : null)
    for (const name of ['a', 'b', 'c']) await addNote(tx, name, closed('k0', 'start'))
  })
  let statement = 0
  for (let died = true; died; statement += 1) {
    const [id, kekId] = [`op_${statement}`, `k${statement + 1}`]
    const kind = statement % 3 === 2 ? 'reencrypt' : 'rewrap'
    const outcome = ({ sealed }: EnvelopeRow) => marked(sealed, kekId, id)
    const first = mortal(sql, statement)
    await over(first)
      .begin({ id, kind, kekId })
      .then(() => through(over(first), id, outcome))
      .catch(error => expect(error).toBeInstanceOf(Death))
    died = first.isDead()
    await mustCount(sql)
    await over(sql).begin({ id, kind, kekId })
    await through(over(sql), id, outcome)
    await mustCount(sql)
    expect(await over(sql).progress(id)).toEqual({ total: 8, done: 8, skipped: 0, failed: 0, over: true })
    const rows = await histories(sql)
    expect(rows.size).toBe(8)
    for (const { kekId: under, marks } of rows.values()) {
      expect(under).toBe(kekId)
      expect(marks).toEqual(['start', ...Array.from({ length: statement + 1 }, (_, index) => `op_${index}`)])
    }
  }
  // there is more than one statement to die at for each of the tables' steps
  expect(statement).toBeGreaterThan(20)
})

interface Event {
  readonly what: 'add' | 'relabel' | 'reseal' | 'destroy' | 'remove'
  readonly row: number
}

const events: fc.Arbitrary<Event> = fc.record({
  what: fc.constantFrom('add', 'relabel', 'reseal', 'destroy', 'remove'),
  row: fc.integer({ min: 0, max: 11 }),
})
const turns = fc.array(
  fc.record({
    rows: fc.integer({ min: 1, max: 4 }),
    before: fc.array(events, { maxLength: 2 }),
    meanwhile: fc.array(events, { maxLength: 3 }),
    other: fc.boolean(),
    ends: fc.constantFrom('well', 'well', 'badly', 'unopened'),
  }),
  { maxLength: 12 },
)

async function happen(tx: Transaction, { what, row }: Event, mark: string): Promise<void> {
  const [owner, number] = [Math.floor(row / 2), (row % 2) + 1]
  const box = [owner, number]
  const { kekId, payload, wrap } = closed(row % 3 === 0 ? 'new' : 'old', mark)
  if (what === 'add') await addBox(tx, owner, number, { kekId, payload, wrap }, row % 2 === 0 ? 'current' : null)
  if (what === 'add') await addNote(tx, `n${row}`, { kekId, payload, wrap })
  if (what === 'relabel') await tx.change(`update boxes set label = $3 where owner = $1 and number = $2`, [...box, mark])
  if (what === 'reseal')
    await tx.change(`update boxes set kek = $3, wrap = $4 where owner = $1 and number = $2 and kek is not null`, [...box, kekId, wrap])
  if (what === 'destroy') await tx.change(`update boxes set kek = null, wrap = null, payload = null where owner = $1 and number = $2`, box)
  if (what === 'remove') await tx.change(`delete from notes where name = $1`, [`n${row}`])
}

test('whatever others do between look and change, rows are changed once, and every count is that of what was committed', async () => {
  const sql = await shelf()
  let run = 0
  await fc.assert(
    fc.asyncProperty(fc.array(events, { maxLength: 12 }), turns, async (start, taken) => {
      run += 1
      const id = `op_${run}`
      await sql.transaction(async tx => {
        for (const table of ['boxes', 'notes', 'passes']) await tx.change(`delete from ${table}`)
        for (const event of start) await happen(tx, event, 'start')
      })
      await mustCount(sql)
      const [one, two] = [over(sql), over(sql)]
      await one.begin({ id, kind: 'rewrap', kekId: 'new' })
      const total = [...(await histories(sql)).values()].filter(({ kekId }) => kekId !== 'new').length
      expect(await one.progress(id)).toEqual({ total, done: 0, skipped: 0, failed: 0, over: false })
      let serial = 0
      let changed = 0
      const happens = async (list: readonly Event[]) => {
        for (const event of list) {
          serial += 1
          await sql.transaction(tx => happen(tx, event, `w${serial}`))
          await mustCount(sql)
        }
      }
      /** Every step has a mark of its own: the rows that bear it when it has committed are those that it may count. */
      const step = async (envelopes: SqlEnvelopes, rows: number, meanwhile: () => Promise<void>, ends: string): Promise<void> => {
        serial += 1
        const mark = `${id}.${serial}`
        await envelopes.step(id, {
          rows,
          act: async page => {
            await meanwhile()
            if (ends === 'badly') throw new Death()
            return page.map(
              ({ sealed }): PassOutcome => (ends === 'unopened' ? { code: 'corrupt', message: 'no' } : marked(sealed, 'new', mark)),
            )
          },
        })
        await mustCount(sql)
        changed += [...(await histories(sql)).values()].filter(({ marks }) => marks.includes(mark)).length
      }
      for (const { rows, before, meanwhile, other, ends } of taken) {
        await happens(before)
        const between = async () => {
          await happens(meanwhile)
          // another process at the same slice, where no lock keeps it out: the later one has lost
          if (other) await step(two, rows, async () => {}, 'well')
        }
        await step(one, rows, between, ends).catch(error => expect(error).toBeInstanceOf(Death))
      }
      await through(one, id, ({ sealed }) => marked(sealed, 'new', `${id}.end`))
      const progress = await one.progress(id)
      changed += [...(await histories(sql)).values()].filter(({ marks }) => marks.includes(`${id}.end`)).length
      expect(progress?.done).toBe(changed)
      expect(progress?.total).toBe((progress?.done ?? 0) + (progress?.skipped ?? 0) + (progress?.failed ?? 0))
      expect(progress?.total).toBeGreaterThanOrEqual(total)
      for (const [name, { marks }] of await histories(sql)) {
        expect(marks.filter(mark => mark.startsWith(`${id}.`)).length, name).toBeLessThanOrEqual(1)
      }
      const failed = (await one.failures(id, 100)).length
      expect(failed).toBe(progress?.failed)
    }),
    { numRuns: 60 },
  )
})

test('of two that were at the same rows, the later one has done nothing', async () => {
  const sql = await shelf()
  await sql.transaction(tx => addNote(tx, 'a', closed('k1', 'start')))
  await over(sql).begin({ id: 'op_1', kind: 'scrub', kekId: null })
  // the slice of the other table, which is empty
  await over(sql).step('op_1', { rows: 1, act: () => Promise.reject(new Death()) })
  const looks = async () => ['kept'] as const
  const answers: string[] = []
  const act = async () => {
    answers.push(await over(sql).step('op_1', { rows: 1, act: looks }))
    return ['kept'] as const
  }
  answers.push(await over(sql).step('op_1', { rows: 1, act }))
  expect(answers).toEqual(['stepped', 'busy'])
  expect(await over(sql).progress('op_1')).toMatchObject({ total: 1, done: 1 })
})

test('a KEK that the database does not know is refused where the table says so', async () => {
  const sql = await shelf(shelfTables.map(table => ({ ...table, unknownKeks: 'refused' })))
  const add = () => sql.transaction(tx => addNote(tx, 'a', closed('k1', 'start')))
  await expect(add()).rejects.toMatchObject({ code: 'precondition_failed' })
  await sql.transaction(tx => tx.change("insert into keks (id, fingerprint) values ('k1', 'print')"))
  await add()
  await mustCount(sql)
})

test.each([
  "update keks set fingerprint = 'other'",
  'update keks set wraps = wraps - 1',
  "update keks set id = 'k2'",
  'update keks set retired_at = 2',
  'delete from keks',
])('what is known of a KEK stays: %s', async statement => {
  const sql = await shelf()
  await sql.transaction(tx => tx.change("insert into keks (id, fingerprint, wraps, retired_at) values ('k1', 'print', 5, 1)"))
  await expect(sql.transaction(tx => tx.change(statement))).rejects.toMatchObject({ code: 'precondition_failed' })
  await sql.transaction(tx => tx.change("update keks set wraps = wraps + 1, fingerprint = 'print', retired_at = 1"))
})

test('a table is cut into slices that several may be at', async () => {
  const sql = await shelf()
  await sql.transaction(async tx => {
    await tx.change('with recursive n(i) as (select 1 union all select i + 1 from n where i < 50000) insert into owners select i, i from n')
    await tx.change("insert into boxes (owner, number, made_at, kek, payload, wrap) select number, 1, 0, 'k1', x'01', x'02' from owners")
  })
  await over(sql).begin({ id: 'op_1', kind: 'scrub', kekId: null })
  const slices = await sql.rows('select sealed_table, low, high from pass_slices order by slice')
  expect(slices.map(({ sealed_table, low, high }) => [sealed_table, low, high])).toEqual([
    ['boxes', null, 16667],
    ['boxes', 16667, 33334],
    // what is added while it runs needs no look
    ['boxes', 33334, 50001],
    ['notes', null, null],
  ])
  const envelopes = over(sql)
  const seen = new Set<string>()
  const act = async (rows: readonly EnvelopeRow[]) => {
    await new Promise(done => setImmediate(done))
    for (const { slot } of rows) seen.add(slot.secretId)
    return rows.map((): PassOutcome => 'kept')
  }
  const lane = async (): Promise<void> => {
    for (let answer = ''; answer !== 'over'; ) {
      answer = await envelopes.step('op_1', { rows: 5_000, act })
      if (answer === 'busy') await new Promise(done => setTimeout(done, 1))
    }
  }
  await Promise.all([lane(), lane()])
  expect(seen.size).toBe(50_000)
  expect(await envelopes.progress('op_1')).toEqual({ total: 50_000, done: 50_000, skipped: 0, failed: 0, over: true })
})
