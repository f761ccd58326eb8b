import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterAll, describe, expect, test } from 'vitest'
import { commitUntilKilled, type KillOptions, mustBeWhole, openHere } from '../../packages/ledger/test/kill.ts'

const folder = mkdtempSync(join(tmpdir(), 'keyturn-long-'))
afterAll(() => rmSync(folder, { recursive: true }))

// two brokers at a time, each in a folder of its own: most of it is waiting for processes to start
test.concurrent.each(['one', 'two'])('500 kills lose no acknowledged commit and leave none by half (folder %s)', async name => {
  const data = join(folder, name)
  for (let round = 0; round < 500; round += 1) {
    const { acknowledged, stderr } = await commitUntilKilled(data, `round/${round}`, Math.random() * 60)
    expect(acknowledged, stderr).toBeGreaterThan(0)
    const ledger = await openHere(data)
    await mustBeWhole(ledger, `round/${round}`, acknowledged)
    await ledger.close()
  }
})

const disk = build()

/** Builds the disk that keeps only what was synced, or says why there is none. */
function build(): { readonly preload: string } | { readonly absent: string } {
  if (process.platform !== 'linux') return { absent: `no preloaded disk for ${process.platform}` }
  const preload = join(folder, 'power-cut.so')
  const source = join(import.meta.dirname, '../../packages/ledger/test/power-cut.c')
  try {
    execFileSync('cc', ['-shared', '-fPIC', '-O2', '-o', preload, source, '-ldl', '-lpthread'], { stdio: 'pipe' })
    return { preload }
  } catch (error) {
    return { absent: `no C compiler that builds it (${error instanceof Error ? error.message.split('\n')[0] : 'unknown'})` }
  }
}

if ('absent' in disk) test.skip(`a power cut (absent: ${disk.absent})`, () => {})
else {
  describe('a power cut', () => {
    /** The folder a process works in, and the one that only what it synced reaches. */
    const machine = (name: string, before?: string) => {
      const [seen, kept] = [join(folder, `${name}-seen`), join(folder, `${name}-kept`)]
      for (const path of [seen, kept]) {
        mkdirSync(path, { mode: 0o700 })
        if (before !== undefined) cpSync(before, path, { recursive: true })
      }
      const environment = { LD_PRELOAD: disk.preload, KEYTURN_DISK_FROM: seen, KEYTURN_DISK_TO: kept }
      return { seen, kept, options: { environment } satisfies KillOptions }
    }

    test('loses what a careless program acknowledged', async () => {
      const { seen, kept, options } = machine('careless')
      const { acknowledged } = await commitUntilKilled(seen, '', 200, { ...options, program: 'careless.ts' })
      expect(acknowledged).toBeGreaterThan(0)
      expect(countIn(seen)).toBeGreaterThanOrEqual(acknowledged)
      expect(countIn(kept)).toBeLessThan(acknowledged)
    })

    test('loses nothing that the ledger acknowledged, whichever unsynced sectors reached the disk, 100 times', async () => {
      let before: string | undefined
      for (let round = 0; round < 100; round += 1) {
        const { seen, kept, options } = machine(`round-${round}`, before)
        const { acknowledged, stderr } = await commitUntilKilled(seen, `round/${round}`, Math.random() * 300, options)
        expect(acknowledged, stderr).toBeGreaterThan(0)
        const images = [0, 1, 0.5].map(share => mixSectors(kept, seen, join(folder, `round-${round}-${share}`), share))
        for (const image of images) {
          const ledger = await openHere(image)
          await mustBeWhole(ledger, `round/${round}`, acknowledged)
          await ledger.close()
        }
        // the machine goes on from one of the disks
        for (const used of [seen, kept, before, ...images.slice(0, 2)]) if (used !== undefined) rmSync(used, { recursive: true })
        before = images[2]
      }
    })
  })
}

/** What a disk may hold after a cut: what was synced, and a share of the sectors that were written since. */
function mixSectors(kept: string, seen: string, into: string, share: number): string {
  const sector = 512
  mkdirSync(into, { mode: 0o700 })
  for (const name of readdirSync(kept)) {
    const [synced, written] = [readFileSync(join(kept, name)), readFileSync(join(seen, name))]
    const length = share === 0 ? synced.length : Math.max(synced.length, written.length)
    const mixed = Buffer.alloc(length)
    synced.copy(mixed)
    for (let at = 0; at < length; at += sector) if (Math.random() < share) written.copy(mixed, at, at, at + sector)
    writeFileSync(join(into, name), mixed, { mode: statSync(join(kept, name)).mode })
  }
  return into
}

function countIn(data: string): number {
  if (!readdirSync(data).includes('ledger.db')) return 0
  const database = new DatabaseSync(join(data, 'ledger.db'))
  try {
    return Number(database.prepare("select count(*) as n from sqlite_master where name = 'commits'").get()?.n) === 0
      ? 0
      : Number(database.prepare('select count(*) as n from commits').get()?.n)
  } finally {
    database.close()
  }
}
