import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { AuditLog } from '@keyturn/audit'
import type { Config } from '@keyturn/config'
import { BrokerError, type Clock, type Random } from '@keyturn/core'
import { EnvelopeSealer, type Keyring } from '@keyturn/envelope'
import { openLedger } from '@keyturn/ledger'
import { openKeyring } from '../keys/keyring.ts'
import { ledgerMeter } from '../keys/ledger-meter.ts'
import { type DerivedKeys, derivedKeys, openRootCopy, rootRecord } from '../keys/root.ts'
import { leaveRootCopy, readRootCopy } from '../keys/root-copy.ts'
import { makePrivateFolder, mustBePrivate } from '../private-file.ts'

/** Where a copy records, and what it needs of it. */
export type CopyAudit = Pick<AuditLog, 'append' | 'close' | 'path'>

/** What a deployment's own files give to whoever works beside its broker. */
export interface Deployment {
  readonly config: Config
  readonly keyring: Keyring
  readonly keys: DerivedKeys
  readonly audit: CopyAudit
}

interface Setting {
  readonly env: NodeJS.ProcessEnv
  readonly clock: Clock
  readonly random: Random
}

/**
 * Opens keys and audit of a deployment, whether or not its broker runs: a running one holds its ledger alone, so that the keys are
 * taken from the copy beside the ledger. Where no broker ever started, they are made.
 */
export async function openDeployment(config: Config, setting: Setting): Promise<Deployment> {
  makePrivateFolder(config.broker.data)
  mustBePrivate(config.broker.data)
  const { keyring, keys } = existsSync(join(config.broker.data, 'root.json'))
    ? await fromCopy(config, setting)
    : await fromLedger(config, setting)
  return { config, keyring, keys, audit: await openAudit(config, keys, setting.clock) }
}

async function fromCopy(config: Config, { env, random }: Setting): Promise<Pick<Deployment, 'keyring' | 'keys'>> {
  const keyring = await openKeyring(config.broker, { env, random, fresh: false })
  const { ledger, sealed } = readRootCopy(config.broker.data)
  return { keyring, keys: openRootCopy(sealed, new EnvelopeSealer({ keyring, random, store: ledger, meter: null })) }
}

async function fromLedger(config: Config, { env, clock, random }: Setting): Promise<Pick<Deployment, 'keyring' | 'keys'>> {
  const { data, ledger: url } = config.broker
  const production = config.environment === 'production'
  const ledger = await openLedger({ data, clock, random, production, ...(url === null ? {} : { url }) })
  try {
    const fresh = (await ledger.sealed.get(rootRecord)) === null
    const keyring = await openKeyring(config.broker, { env, random, fresh, ledger })
    const meter = await ledgerMeter(ledger, keyring)
    const keys = await derivedKeys(ledger.sealed, new EnvelopeSealer({ keyring, random, store: ledger.id, meter }), random)
    const root = await ledger.sealed.get(rootRecord)
    if (root !== null) leaveRootCopy(data, { ledger: ledger.id, sealed: root })
    return { keyring, keys }
  } finally {
    await ledger.close()
  }
}

/**
 * A chain of its own beside the broker's, because a chain has one writer: so a broker that runs is not waited for, and one that starts meanwhile is not
 * kept from it. `conflict` when another copy holds it.
 */
async function openAudit(config: Config, keys: DerivedKeys, clock: Clock): Promise<AuditLog> {
  const { file, anchor } = config.audit
  const path = besideOf(file)
  const anchored = anchor?.file === undefined ? {} : { anchor: { path: besideOf(anchor.file), everyMs: anchor.every ?? 60_000 } }
  try {
    return await AuditLog.open({ path, key: keys.audit, clock, ...anchored })
  } catch (cause) {
    if (!(cause instanceof BrokerError) || cause.code !== 'conflict') throw cause
    throw new BrokerError('conflict', `another copy is under way: it holds ${path}`, { hint: 'wait for its end', cause })
  }
}

/** `audit.jsonl` becomes `audit.copy.jsonl`. */
function besideOf(file: string): string {
  const end = /\.[^./]*$/.exec(file)?.[0] ?? ''
  return `${file.slice(0, file.length - end.length)}.copy${end}`
}
