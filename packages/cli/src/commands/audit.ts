import { existsSync } from 'node:fs'
import { open, readFile } from 'node:fs/promises'
import { setTimeout as pause } from 'node:timers/promises'
import { type Complaint, type Head, nodeDisk, readAnchor, type Verdict, verify as verifyChain } from '@keyturn/audit'
import { Command } from 'commander'
import { command, configOption, jsonOption, type Setting } from '../command.ts'
import { readConfig } from '../config-file.ts'
import { Exit, exit, wrongUse } from '../exit.ts'
import { printJson, visible } from '../print.ts'
import type { Terminal } from '../terminal.ts'

interface VerifyOptions {
  readonly anchor?: string
  readonly config?: string
  readonly json?: boolean
}

interface TailOptions {
  readonly lines: string
  readonly follow?: boolean
  readonly config?: string
  readonly json?: boolean
}

/** `audit verify|tail`. */
export function audit(setting: Setting): Command {
  return new Command('audit')
    .description('Verifies and shows the record of every access')
    .addCommand(verify(setting))
    .addCommand(tail(setting))
}

function verify({ terminal, openDoor }: Setting): Command {
  return command(
    'verify [FILE...] [options]',
    'Checks the chain offline: edits, gaps, swaps, insertions, a cut end. Exit 7 when something was changed or cut',
    [
      'audit verify',
      'audit verify /mnt/other-disk/audit.jsonl',
      'audit verify audit.jsonl.2 audit.jsonl.1 audit.jsonl',
      'audit verify --anchor /mnt/worm/anchor.json',
    ],
  )
    .argument('[file...]', 'files of one chain, the oldest first (default: that of the config, with what was rotated away)')
    .option('--anchor <file>', 'a head that was kept elsewhere: {"seq", "hash"} (default: that of the config)')
    .addOption(configOption())
    .addOption(jsonOption())
    .action(async (files: readonly string[], options: VerifyOptions) => {
      const door = await openDoor()
      const config = await readConfig(terminal, door, options.config)
      const findKey = await door.auditKeys(config, terminal.env)
      const paths = files.length === 0 ? wholeChain(config.audit.file) : files
      const anchor = await anchorOf(options.anchor, files.length === 0 ? config.audit.anchor?.file : undefined)
      const verdict = await verifyChain(paths, { findKey, ...(anchor === undefined ? {} : { anchor }) })
      if (options.json === true) printJson(terminal, verdict)
      else printVerdict(terminal, verdict, paths)
      const code = codeOf(verdict)
      if (code !== exit.ok) throw new Exit(code)
    })
}

/** The file with those that were rotated away before it, the oldest first. */
function wholeChain(path: string): readonly string[] {
  return existsSync(path) ? [...nodeDisk.rotated(path)].reverse().concat(path) : [path]
}

/** The anchor that was named, else the one of the config, once the broker has written it. */
async function anchorOf(named: string | undefined, configured: string | undefined): Promise<Head | undefined> {
  const path = named ?? (configured !== undefined && existsSync(configured) ? configured : undefined)
  if (path === undefined) return undefined
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw wrongUse(`the anchor ${path} cannot be read (${error.code})`, 'name a file that you may read')
  })
  return readAnchor(text)
}

/** That something was changed must not look like "could not look". */
function codeOf({ status, what }: Verdict): number {
  if (status === 'ok') return exit.ok
  if (status !== 'unreadable') return exit.needsPerson
  return what === 'ENOENT' ? exit.notFound : exit.failed
}

function printVerdict(terminal: Terminal, verdict: Verdict, paths: readonly string[]): void {
  const { status, lines, first, last, complaints, complaintCount, what } = verdict
  if (status === 'unreadable') {
    terminal.err(`keyturn: ${paths.join(', ')} cannot be read: ${what}\n`)
    return
  }
  for (const complaint of complaints) terminal.err(`${textOf(complaint)}\n`)
  if (complaintCount > complaints.length) terminal.err(`and ${complaintCount - complaints.length} more\n`)
  const range = first === null || last === null ? 'no records' : `${lines} lines, numbers ${first.seq} to ${last.seq}`
  terminal.out(`${status}: ${range}${last === null ? '' : `, head ${last.hash}`}\n`)
}

const textOf = ({ line, kind, what }: Complaint) => `line ${line}: ${kind}: ${what}`

function tail({ terminal, openDoor }: Setting): Command {
  return command('tail [FILE] [options]', 'Shows the last records', [
    'audit tail',
    'audit tail --lines 100 --follow',
    'audit tail --json | jq \'select(.outcome == "denied")\'',
  ])
    .argument('[file]', 'default: the one of the config')
    .option('-n, --lines <count>', 'how many', '20')
    .option('--follow', 'goes on with what comes')
    .addOption(configOption())
    .addOption(jsonOption())
    .action(async (file: string | undefined, options: TailOptions) => {
      const count = /^\d{1,6}$/.test(options.lines) ? Number(options.lines) : undefined
      if (count === undefined) throw wrongUse(`--lines ${options.lines} is no number`, 'write a whole number up to 999999')
      const path = file ?? (await readConfig(terminal, await openDoor(), options.config)).audit.file
      const end = await lastLines(path, count, line => terminal.out(shown(line, options)))
      if (options.follow === true) await follow(terminal, path, end, line => terminal.out(shown(line, options)))
    })
}

const windowBytes = 64 * 1024

/** Gives the last lines, and answers where the file ended. */
async function lastLines(path: string, count: number, take: (line: string) => void): Promise<number> {
  const handle = await opened(path)
  try {
    const { size } = await handle.stat()
    let bytes = Buffer.alloc(0)
    for (let from = size; from > 0 && bytes.toString('latin1').split('\n').length <= count + 1; ) {
      const length = Math.min(windowBytes, from)
      from -= length
      const { buffer, bytesRead } = await handle.read(Buffer.alloc(length), 0, length, from)
      bytes = Buffer.concat([buffer.subarray(0, bytesRead), bytes])
    }
    const whole = bytes.lastIndexOf(10) + 1
    const lines = bytes.toString('utf8', 0, whole).split('\n').slice(0, -1)
    for (const line of count === 0 ? [] : lines.slice(-count)) take(line)
    return size - (bytes.length - whole)
  } finally {
    await handle.close()
  }
}

async function follow(terminal: Terminal, path: string, from: number, take: (line: string) => void): Promise<void> {
  let at = from
  while (!terminal.signal.aborted) {
    const handle = await opened(path)
    try {
      const { size } = await handle.stat()
      // a rotated file begins anew
      if (size < at) at = 0
      const { buffer, bytesRead } = await handle.read(Buffer.alloc(Math.min(1024 * 1024, size - at)), 0, undefined, at)
      const whole = buffer.subarray(0, bytesRead).lastIndexOf(10) + 1
      for (const line of buffer.toString('utf8', 0, whole).split('\n').slice(0, -1)) take(line)
      at += whole
    } finally {
      await handle.close()
    }
    await pause(300, undefined, { signal: terminal.signal }).catch(() => undefined)
  }
}

async function opened(path: string) {
  return open(path, 'r').catch((error: NodeJS.ErrnoException) => {
    throw wrongUse(`the audit file ${path} cannot be read (${error.code})`, 'name a file that you may read, or the config that names it')
  })
}

function shown(line: string, options: TailOptions): string {
  if (options.json === true) return `${line}\n`
  try {
    const record: Readonly<Record<string, unknown>> = JSON.parse(line)
    const words = ['time', 'outcome', 'principal', 'action', 'secret', 'version', 'field', 'code', 'source'].map(key => record[key] ?? '-')
    return `${words.map(word => visible(String(word))).join(' ')}\n`
  } catch {
    return `${visible(line)}\n`
  }
}
