import type { Readiness } from '@keyturn/api'
import type { NamedFinding } from '@keyturn/broker'
import { KeyturnClient } from '@keyturn/client'
import { type Config, nearest } from '@keyturn/config'
import { BrokerError, secretName } from '@keyturn/core'
import type { Command } from 'commander'
import type { BrokerDoor } from '../broker-door.ts'
import { command, configOption, jsonOption, type Setting } from '../command.ts'
import { readConfig } from '../config-file.ts'
import { examineDisk } from '../disk-findings.ts'
import { Exit, exit, wrongUse } from '../exit.ts'
import { examineStores, type NamedResult, nameFinding, printFindings } from '../findings.ts'
import { printJson } from '../print.ts'
import type { Terminal } from '../terminal.ts'

interface Options {
  readonly store?: string
  readonly config?: string
  readonly json?: boolean
}

/** `doctor [NAME] [--store S]`: each thing that keeps a broker, a store or a secret from working, by its name. */
export function doctor({ terminal, openDoor }: Setting): Command {
  return command('doctor [NAME] [options]', 'Says what keeps this broker, a store or a secret from working', [
    'doctor',
    'doctor payments/stripe',
    'doctor --store vault',
    "doctor --json | jq '.findings[] | select(.ok | not)'",
  ])
    .argument('[name]', 'a secret')
    .option('--store <store>', 'only this store')
    .addOption(configOption())
    .addOption(jsonOption())
    .action(async (name: string | undefined, options: Options) => {
      const door = await openDoor()
      const config = await readConfig(terminal, door, options.config)
      const findings =
        name === undefined ? await examineAll(terminal, door, config, options.store) : await examineSecret(terminal, door, config, name)
      if (options.json === true) printJson(terminal, { findings })
      else printFindings(terminal, findings)
      if (findings.some(finding => !finding.ok)) throw new Exit(exit.failed)
    })
}

async function examineAll(
  terminal: Terminal,
  door: BrokerDoor,
  config: Config,
  store: string | undefined,
): Promise<readonly NamedResult[]> {
  if (store !== undefined && !config.stores.has(store)) {
    const near = nearest(store, [...config.stores.keys()])
    throw wrongUse(
      `the config has no store ${store}`,
      near === undefined ? `it has ${[...config.stores.keys()].join(', ')}` : `did you mean ${near}?`,
    )
  }
  const stores = await examineStores(terminal, door, config, store === undefined ? {} : { store })
  if (store !== undefined) return stores
  const readiness = await readinessOf(terminal, config)
  const own = [
    ...(readiness === undefined ? [] : readinessFindings(readiness)),
    ...examineDisk(config, readiness !== undefined),
    ...(readiness === undefined ? await door.examineBroker(config, terminal.env) : []),
  ]
  return [...own.map(finding => nameFinding(finding, 'broker')), ...stores]
}

/** Undefined when no broker answers where this config says it listens. */
async function readinessOf(terminal: Terminal, config: Config): Promise<Readiness | undefined> {
  const { host, port } = config.broker.listen
  const everywhere = host === '0.0.0.0' || host === '::'
  const address = `http://${everywhere ? '127.0.0.1' : host.includes(':') ? `[${host}]` : host}:${port}`
  const client = new KeyturnClient({ address, timeoutMs: 3000, signal: terminal.signal })
  return client.readiness().catch((error: unknown) => {
    if (error instanceof BrokerError && error.code !== 'cancelled') return undefined
    throw error
  })
}

function readinessFindings({ checks }: Readiness): readonly NamedFinding[] {
  const words: Readonly<Record<string, { name: string; hint: string }>> = {
    kek: { name: 'KEK missing', hint: 'put the current KEK back where broker.keys says' },
    audit: { name: 'audit not writable', hint: 'see to the disk of the audit file: no secret is answered until it can be written' },
    ledger: { name: 'ledger unavailable', hint: 'see the log of the broker' },
    config: { name: 'config invalid', hint: 'run keyturn check' },
  }
  return Object.entries(checks).map(([what, state]) => ({
    ok: state === 'ok',
    what,
    detail: `the running broker says: ${state}`,
    ...words[what],
  }))
}

async function examineSecret(terminal: Terminal, door: BrokerDoor, config: Config, given: string): Promise<readonly NamedResult[]> {
  const name = secretName(given)
  const secret = config.find(name)
  const near = nearest(
    name,
    [...config.secrets.keys()].filter(known => known !== name),
  )
  if (secret === undefined || (near !== undefined && !config.secrets.has(name) && secret.places.length === 0)) {
    return [near === undefined ? absent(name) : misspelt(name, near)]
  }
  const examined = await examineStores(terminal, door, config, { secret: name })
  const isAbsent = examined.some(finding => finding.name === 'absent')
  // a name that only a store of everything takes, and that is not in it, is rather a slip of the finger
  return isAbsent && near !== undefined && !config.secrets.has(name) ? [...examined, misspelt(name, near)] : examined
}

function misspelt(name: string, near: string): NamedResult {
  return { ok: false, name: 'misspelt', about: name, what: 'name', detail: 'no entry of the config has it', hint: `did you mean ${near}?` }
}

function absent(name: string): NamedResult {
  const hint = 'add it under secrets of a store; keyturn check shows what there is'
  return { ok: false, name: 'absent', about: name, what: 'name', detail: 'no store takes this name', hint }
}
