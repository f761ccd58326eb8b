import { randomBytes, timingSafeEqual } from 'node:crypto'
import { BrokerError, type Finding } from '@keyturn/core'
import { member } from './classify.ts'
import { bound, type Transit, usable } from './transit-key.ts'

/** Looks at the key, and closes and opens noise with it; nothing is kept. */
export async function examineTransit(transit: Transit, signal: AbortSignal): Promise<readonly Finding[]> {
  const name = `${transit.mount}/${transit.key}`
  const findings: Finding[] = []
  const look = async (what: string, run: () => Promise<string>) => {
    try {
      findings.push({ ok: true, what, detail: await run() })
      return true
    } catch (error) {
      signal.throwIfAborted()
      if (!(error instanceof BrokerError)) throw error
      findings.push({ ok: false, what, detail: error.message, code: error.code, ...(error.hint === undefined ? {} : { hint: error.hint }) })
      return false
    }
  }
  const isThere = await look(`key ${name}`, async () => {
    const found = usable(transit, await transit.describe(signal))
    if (!found.isExportable) return `${found.type}, version ${found.latest}`
    throw new BrokerError('precondition_failed', `vault-transit: key ${name} can be exported, so that it may be elsewhere`, {
      hint: 'make a key that is not exportable and name it in broker.keys: the wraps are renewed by themselves',
    })
  })
  if (isThere) await look(`closing and opening by ${name}`, () => thereAndBack(transit, signal))
  return findings
}

async function thereAndBack(transit: Transit, signal: AbortSignal): Promise<string> {
  const noise = randomBytes(32)
  const context = { associated_data: bound({ ledgerId: 'examine', kekId: 'none' }) }
  const closed = await transit.ask('closing', 'encrypt', transit, { plaintext: noise.toString('base64'), ...context }, signal)
  const opened = await transit.ask('opening', 'decrypt', transit, { ciphertext: member(closed, 'ciphertext'), ...context }, signal)
  const back = Buffer.from(String(member(opened, 'plaintext')), 'base64')
  if (back.byteLength === noise.byteLength && timingSafeEqual(back, noise)) return 'it came back as it was'
  throw new BrokerError('corrupt', 'vault-transit: what was closed did not come back', {
    hint: 'look at what stands between here and the server',
  })
}
