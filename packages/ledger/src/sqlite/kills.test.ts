import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { commitUntilKilled, mustBeWhole, openHere } from '../../test/kill.ts'

const folder = mkdtempSync(join(tmpdir(), 'keyturn-kills-'))
afterAll(() => rmSync(folder, { recursive: true }))

// two brokers at a time, each in a folder of its own: most of it is waiting for processes to start
test.concurrent.each(['one', 'two'])(
  '10 kills in the middle of commits lose no acknowledged one and leave none by half (folder %s)',
  async name => {
    const data = join(folder, name)
    for (let round = 0; round < 10; round += 1) {
      const { acknowledged, stderr } = await commitUntilKilled(data, `round/${round}`, round * 4)
      expect(acknowledged, stderr).toBeGreaterThan(0)
      const ledger = await openHere(data)
      await mustBeWhole(ledger, `round/${round}`, acknowledged)
      await ledger.close()
    }
  },
  60_000,
)
