import { execFile, spawn } from 'node:child_process'
import { appendFileSync } from 'node:fs'
import { chmod, chown, lstat, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { promisify } from 'node:util'
import { wallClock } from '@keyturn/conformance'
import { BrokerError } from '@keyturn/core'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { EnvFile } from './client.ts'
import { type Files, systemFiles } from './files.ts'
import { setVariable } from './lines.ts'
import { fileLock } from './lock.ts'

const { signal } = new AbortController()
let folder: string
let file: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'keyturn-envfile-'))
  file = join(folder, '.env')
})

afterEach(() => rm(folder, { recursive: true, force: true }))

function openFile(files: Files = systemFiles, path = file): EnvFile {
  return new EnvFile(path, files, fileLock(wallClock))
}

function set(env: EnvFile, name: string, value: string, stop: AbortSignal = signal): Promise<Date> {
  return env.change(stop, ({ text }) => setVariable(text, name, value) ?? text)
}

async function codeOf(call: Promise<unknown>): Promise<unknown> {
  const error = await call.then(
    () => undefined,
    (error: unknown) => error,
  )
  return error instanceof BrokerError ? error.code : error instanceof Error && 'code' in error ? error.code : error
}

describe('a file that is replaced', () => {
  test('is made for its owner alone when there was none', async () => {
    await set(openFile(), 'A', '1')
    expect(await readFile(file, 'utf8')).toBe('A=1\n')
    expect((await stat(file)).mode & 0o777).toBe(0o600)
  })

  test.each([0o600, 0o640, 0o644, 0o660])('keeps its mode %o', async mode => {
    await writeFile(file, 'A=1\n')
    await chmod(file, mode)
    await set(openFile(), 'A', '2')
    expect((await stat(file)).mode & 0o777).toBe(mode)
  })

  test('keeps its owner', async () => {
    await writeFile(file, 'A=1\n')
    // only root may give a file away; for others the owner that is kept is their own
    if (process.getuid?.() === 0) await chown(file, 1234, 2345)
    const { uid, gid } = await stat(file)
    await set(openFile(), 'A', '2')
    expect(await stat(file)).toMatchObject({ uid, gid })
  })

  test('is left alone when its owner cannot be kept', async () => {
    await writeFile(file, 'A=1\n')
    const refusing: Files = { ...systemFiles, create: () => Promise.reject(Object.assign(new Error('no'), { code: 'EPERM' })) }
    expect(await codeOf(set(openFile(refusing), 'A', '2'))).toBe('EPERM')
    expect(await readFile(file, 'utf8')).toBe('A=1\n')
  })

  test('stays behind its link', async () => {
    const link = join(folder, 'link.env')
    await symlink('.env', link)
    await set(openFile(systemFiles, link), 'A', '1')
    await set(openFile(systemFiles, link), 'A', '2')
    expect((await lstat(link)).isSymbolicLink()).toBe(true)
    expect(await readFile(file, 'utf8')).toBe('A=2\n')
  })

  test('is not looked for round in a circle', async () => {
    await symlink('.env', file)
    expect(await codeOf(openFile().read(signal))).toMatch(/ELOOP|invalid_argument/)
  })

  test('keeps a byte order mark, Windows line ends and a NUL of others byte for byte', async () => {
    await writeFile(file, '\ufeffA=1\r\nB=x\0y\r\n# end')
    await set(openFile(), 'A', '2')
    expect(await readFile(file, 'utf8')).toBe('\ufeffA=2\r\nB=x\0y\r\n# end')
  })

  test('leaves nothing beside it but the empty lock', async () => {
    const env = openFile()
    await set(env, 'A', '1')
    await set(env, 'A', '2')
    expect((await readdir(folder)).sort()).toEqual(['.env', '.env.keyturn-lock'])
    expect((await stat(join(folder, '.env.keyturn-lock'))).size).toBe(0)
  })

  test('is rid of what a writer that died left beside it', async () => {
    await writeFile(join(folder, '.env.keyturn-new'), 'A=half')
    await set(openFile(), 'A', '1')
    expect(await readFile(file, 'utf8')).toBe('A=1\n')
    expect(await readdir(folder)).not.toContain('.env.keyturn-new')
  })
})

describe('a file that cannot be used is named, never taken for an empty one:', () => {
  test('a folder that is not there', async () => {
    expect(await codeOf(openFile(systemFiles, join(folder, 'gone', '.env')).read(signal))).toBe('unavailable')
  })

  test('bytes that are not UTF-8', async () => {
    await writeFile(file, Buffer.from('A=caf\xe9', 'latin1'))
    expect(await codeOf(openFile().read(signal))).toBe('corrupt')
    expect(await codeOf(set(openFile(), 'A', '1'))).toBe('corrupt')
    expect(await readFile(file)).toEqual(Buffer.from('A=caf\xe9', 'latin1'))
  })

  test('a file of more than a megabyte, before and after a change', async () => {
    await writeFile(file, `#${'x'.repeat(1_048_576)}`)
    expect(await codeOf(openFile().read(signal))).toBe('too_large')
    await writeFile(file, `#${'x'.repeat(1_048_570)}\n`)
    expect(await codeOf(set(openFile(), 'A', 'too much'))).toBe('too_large')
  })

  test('a file that is read-only', async () => {
    await writeFile(file, 'A=1\n', { mode: 0o444 })
    expect(await codeOf(set(openFile(), 'A', '2'))).toBe('permission_denied')
    expect(await readFile(file, 'utf8')).toBe('A=1\n')
  })

  test('a pipe, without waiting for its writer', async () => {
    await promisify(execFile)('mkfifo', [file])
    expect(await codeOf(openFile().read(signal))).toBe('invalid_argument')
  })
})

describe('a reader', () => {
  test('sees each value or the next, and never none, while the file is replaced two hundred times', async () => {
    const env = openFile()
    await set(env, 'TURN', '0')
    let writing = true
    const reader = openFile()
    const seen: number[] = []
    const reading = (async () => {
      while (writing) {
        const { assignments } = await reader.read(signal)
        seen.push(Number(assignments.find(({ name }) => name === 'TURN')?.value ?? Number.NaN))
      }
    })()
    for (let turn = 1; turn <= 200; turn += 1) await set(env, 'TURN', String(turn))
    writing = false
    await reading
    expect(seen.length).toBeGreaterThan(50)
    expect(seen).toEqual(seen.toSorted((one, other) => one - other))
  })

  test('is not given what an editor is writing in place', async () => {
    await writeFile(file, 'A=1\n')
    let read: unknown
    const reading = codeOf(openFile().read(signal)).then(code => {
      read = code ?? 'the file'
    })
    while (read === undefined) {
      appendFileSync(file, '# one more line\n')
      await new Promise(resolve => setImmediate(resolve))
    }
    await reading
    expect(read).toBe('unavailable')
  })
})

describe('two writers', () => {
  test('lose nothing of each other', async () => {
    const writers = Array.from({ length: 8 }, () => openFile())
    await Promise.all(writers.flatMap((env, writer) => [1, 2, 3].map(turn => set(env, `V_${writer}_${turn}`, 'x'))))
    expect((await readFile(file, 'utf8')).trim().split('\n')).toHaveLength(24)
  })

  test('take in what an editor saved in between', async () => {
    await writeFile(file, 'A=1\n')
    let saved = false
    const interrupted: Files = {
      ...systemFiles,
      async sync(path) {
        await systemFiles.sync(path)
        if (!saved) await writeFile(file, 'A=1\nEDITED=yes\n')
        saved = true
      },
    }
    await set(openFile(interrupted), 'A', '2')
    expect(await readFile(file, 'utf8')).toBe('A=2\nEDITED=yes\n')
  })

  test('give up, having changed nothing, where the file never stands still', async () => {
    let edits = 0
    const restless: Files = {
      ...systemFiles,
      async sync(path) {
        await systemFiles.sync(path)
        edits += 1
        await writeFile(file, `EDITED=${edits}\n`)
      },
    }
    expect(await codeOf(set(openFile(restless), 'A', '2'))).toBe('unavailable')
    expect(await readFile(file, 'utf8')).not.toContain('A=2')
    expect(await readdir(folder)).not.toContain('.env.keyturn-new')
  })

  test('wait for the lock, and stop waiting when told to', async () => {
    const holder = new DatabaseSync(`${file}.keyturn-lock`)
    holder.exec('BEGIN EXCLUSIVE')
    const stop = new AbortController()
    const stopped = set(openFile(), 'A', '1', stop.signal)
    const waiting = set(openFile(), 'B', '2')
    stop.abort()
    await expect(stopped).rejects.toThrow('aborted')
    holder.close()
    await waiting
    expect(await readFile(file, 'utf8')).toBe('B=2\n')
  })

  test('are not held up by one that was killed holding the lock', async () => {
    const program = `
      const { DatabaseSync } = require('node:sqlite')
      const lock = new DatabaseSync(process.argv[1])
      lock.exec('BEGIN EXCLUSIVE')
      process.stdout.write('held')
      setInterval(() => lock, 1000)`
    const child = spawn(process.execPath, ['-e', program, `${file}.keyturn-lock`], { stdio: ['ignore', 'pipe', 'ignore'] })
    try {
      await new Promise(resolve => child.stdout.once('data', resolve))
      const stop = new AbortController()
      const blocked = set(openFile(), 'A', '1', stop.signal)
      await new Promise(resolve => setTimeout(resolve, 100))
      stop.abort()
      await expect(blocked).rejects.toThrow('aborted')
      const ended = new Promise(resolve => child.once('exit', resolve))
      child.kill('SIGKILL')
      await ended
      await set(openFile(), 'A', '2')
      expect(await readFile(file, 'utf8')).toBe('A=2\n')
    } finally {
      child.kill('SIGKILL')
    }
  })
})
