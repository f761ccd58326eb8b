import { spawn } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'

const kills = 5
const rows = 300
const program = `
    import { SecretValue } from '@keyturn/core'
  import { testContext } from '@keyturn/conformance'
  const { open } = await import(process.env.ADAPTER)
  const context = testContext('kill', { data: '/' })
  const store = open({ file: process.env.ENV_FILE, names: 'same' }, context)
  for (let turn = Number(process.env.FROM); ; turn += 1) {
    await store.write('TURN', SecretValue.text(String(turn)), { idempotencyKey: 'x', signal: new AbortController().signal })
    process.stdout.write(turn + '\\n')
  }`

test('a writer that is killed at any moment leaves a whole file with everything it acknowledged', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'keyturn-kill-'))
  const file = join(folder, '.env')
  const neighbours = Array.from({ length: rows }, (_, row) => `ROW_${row}='${'x'.repeat(100)}'\n`).join('')
  try {
    await writeFile(file, `TURN=0\n${neighbours}`)
    let last = 0
    for (let kill = 0; kill < kills; kill += 1) {
      const acknowledged = await writeUntilKilled(file, last + 1, 5 + kill)
      const [, turn, rest] = /^TURN=(\d+)\n([\s\S]*)$/.exec(await readFile(file, 'utf8')) ?? []
      expect(rest).toBe(neighbours)
      // what was not acknowledged may have happened: one turn at most
      expect([acknowledged, acknowledged + 1]).toContain(Number(turn))
      last = Number(turn)
    }
    expect(last).toBeGreaterThan(kills)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
})

/** Runs a writer and kills it a few milliseconds, another number each time, after some acknowledgements. Answers with the last one. */
async function writeUntilKilled(file: string, from: number, after: number): Promise<number> {
  const env = { ...process.env, ADAPTER: new URL('./index.ts', import.meta.url).href, ENV_FILE: file, FROM: String(from) }
  const child = spawn(process.execPath, ['--conditions=@keyturn/source', '--input-type=module', '-e', program], {
    cwd: new URL('..', import.meta.url),
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let told = ''
  const ended = new Promise<void>(resolve => child.once('close', () => resolve()))
  child.stdout.on('data', (bytes: Buffer) => {
    told += bytes.toString()
    if (told.split('\n').length > after) setTimeout(() => child.kill('SIGKILL'), after % 4)
  })
  try {
    await ended
  } finally {
    child.kill('SIGKILL')
  }
  return Number(told.trim().split('\n').at(-1))
}
