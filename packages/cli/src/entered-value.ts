import { readFile } from 'node:fs/promises'
import { addAbortSignal } from 'node:stream'
import type { WireField } from '@keyturn/api'
import { limits } from '@keyturn/api'
import { BrokerError } from '@keyturn/core'
import { wrongUse } from './exit.ts'
import type { Terminal } from './terminal.ts'

/**
 * A value as a person or a program gives it: from a file, from stdin byte for byte, or from a prompt that does not echo. Never from
 * the command line, where every process of the machine could read it.
 */
export async function enteredValue(
  terminal: Terminal,
  options: { readonly file?: string; readonly allowEmpty?: boolean },
): Promise<WireField> {
  const bytes = await bytesOf(terminal, options.file)
  if (bytes.length === 0 && options.allowEmpty !== true) {
    throw wrongUse('the value is empty', 'check what was to write it, or say --allow-empty')
  }
  if (bytes.length > limits.valueBytesMax) {
    throw new BrokerError('too_large', `the value is larger than ${limits.valueBytesMax} bytes`, {
      hint: 'keep large files elsewhere, and the key that opens them here',
    })
  }
  if (bytes.at(-1) === 10) terminal.err('warning: the value ends with a line feed, which is kept; printf %s writes none\n')
  return asField(bytes)
}

async function bytesOf(terminal: Terminal, file: string | undefined): Promise<Buffer> {
  if (file !== undefined) {
    return readFile(file).catch((error: NodeJS.ErrnoException) => {
      throw wrongUse(`the file ${file} cannot be read (${error.code})`, 'name a file that you may read')
    })
  }
  if (terminal.isTerminal.stdin) return Buffer.from(await terminal.askSecret('New value (it is not shown)'))
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of addAbortSignal(terminal.signal, terminal.stdin)) {
    chunks.push(Buffer.from(chunk))
    size += chunk.length
    if (size > limits.valueBytesMax) break
  }
  return Buffer.concat(chunks)
}

/** The bytes as JSON can carry them. */
function asField(bytes: Buffer): WireField {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    return { base64: bytes.toString('base64') }
  }
}
