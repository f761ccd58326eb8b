/**
 * The counterpart of `committing.ts`: it acknowledges commits that nothing has synced. A power cut must be seen to lose them.
 *
 * Usage: node careless.ts FOLDER
 */
import { writeSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'

const [data = ''] = process.argv.slice(2)
const database = new DatabaseSync(join(data, 'ledger.db'))
database.exec('pragma journal_mode = wal; pragma synchronous = off; create table if not exists commits (n integer)')
const insert = database.prepare('insert into commits values (?)')
for (let count = 1; ; count += 1) {
  insert.run(count)
  writeSync(1, `${count}\n`)
}
