import { randomBytes, timingSafeEqual } from 'node:crypto'
import { BrokerError, type Finding } from '@keyturn/core'
import type { Client } from './client.ts'

interface Examined {
  readonly client: Client
  /** As the config names it. */
  readonly key: string
  /** The ARN in use; undefined: none yet. */
  readonly inUse: string | undefined
}

/** Looks at the key, and closes and opens noise with it; nothing is kept. */
export async function examineKms({ client, key, inUse }: Examined, signal: AbortSignal): Promise<readonly Finding[]> {
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
  let arn = inUse ?? key
  const isFit = await look(`key ${key}`, async () => {
    const found = await client.describe(key, signal)
    const moved = inUse !== undefined && found.Arn !== inUse ? `; it named ${inUse} at the start, which is used until the next` : ''
    arn = inUse ?? found.Arn
    mustBeFit(key, found)
    return `${found.Arn}${moved}`
  })
  if (isFit) await look(`closing and opening by ${key}`, () => thereAndBack(client, arn, signal))
  return findings
}

type Metadata = Awaited<ReturnType<Client['describe']>>

function mustBeFit(key: string, { KeyState: state, DeletionDate: date, KeySpec: spec }: Metadata): void {
  const unfit = (why: string, hint: string) => new BrokerError('precondition_failed', `aws-kms: key ${key} ${why}`, { hint })
  if (state === 'PendingDeletion') {
    const when = date === undefined ? 'soon' : `on ${date.toISOString()}`
    throw unfit(
      `is deleted ${when}: what it closed is lost then`,
      'cancel the deletion and enable the key; or move to another key before that day',
    )
  }
  if (state === 'Disabled') throw unfit('is disabled', 'enable the key in KMS')
  if (state !== 'Enabled') throw unfit(`is in state ${state ?? 'unknown'}`, 'look at the key in KMS')
  if (spec !== 'SYMMETRIC_DEFAULT') throw unfit(`is of kind ${spec ?? 'unknown'}`, 'name a symmetric key for encryption')
}

async function thereAndBack(client: Client, arn: string, signal: AbortSignal): Promise<string> {
  const noise = randomBytes(32)
  const context = { ledgerId: 'examine', kekId: 'none' }
  const { bytes } = await client.decrypt(await client.encrypt(arn, noise, context, signal), context, signal)
  if (bytes.byteLength === noise.byteLength && timingSafeEqual(bytes, noise)) return 'it came back as it was'
  throw new BrokerError('corrupt', 'aws-kms: what was closed did not come back', { hint: 'look at the endpoint' })
}
