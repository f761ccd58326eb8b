import { type Config, nearest } from '@keyturn/config'
import { type SecretName, secretName } from '@keyturn/core'
import type { Command } from 'commander'
import type { BrokerOptions } from '../broker-client.ts'
import type { BrokerDoor } from '../broker-door.ts'
import { command, configOption, jsonOption, type Setting, tokenFileOption } from '../command.ts'
import { readConfig } from '../config-file.ts'
import { examineDisk } from '../disk-findings.ts'
import { Exit, exit, wrongUse } from '../exit.ts'
import { examineStores, type NamedResult, nameFinding, printFindings } from '../findings.ts'
import { printJson } from '../print.ts'
import { askRunning, findingsOfKeks, findRunning, type RunningBroker, readinessFindings } from '../running-broker.ts'
import type { Terminal } from '../terminal.ts'

interface Options extends BrokerOptions {
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
    .addOption(tokenFileOption())
    .action(async (name: string | undefined, options: Options) => {
      const door = await openDoor()
      const config = await readConfig(terminal, door, options.config)
      const running = await findRunning(terminal, config, options)
      const patient = { terminal, door, config, running }
      const findings = name === undefined ? await examineAll(patient, options.store) : await examineSecret(patient, secretName(name))
      if (options.json === true) printJson(terminal, { findings })
      else printFindings(terminal, findings)
      if (findings.some(finding => !finding.ok)) throw new Exit(exit.failed)
    })
}

interface Patient {
  readonly terminal: Terminal
  readonly door: BrokerDoor
  readonly config: Config
  readonly running: RunningBroker | undefined
}

async function examineAll(patient: Patient, store: string | undefined): Promise<readonly NamedResult[]> {
  const { terminal, door, config, running } = patient
  if (store !== undefined && !config.stores.has(store)) {
    const near = nearest(store, [...config.stores.keys()])
    const hint = near === undefined ? `it has ${[...config.stores.keys()].join(', ')}` : `did you mean ${near}?`
    throw wrongUse(`the config has no store ${store}`, hint)
  }
  const found = await examineStores(terminal, door, config, store === undefined ? {} : { store })
  const stores = found.map(finding => (isHeld(finding, running) ? heldStore(finding, running) : finding))
  if (store !== undefined) return stores
  const own = [
    ...(running === undefined
      ? await door.examineBroker(config, terminal.env)
      : [...readinessFindings(running.readiness), ...(await findingsOfKeks(running))]),
    ...examineDisk(config, running !== undefined),
    ...(await door.examineBackups(config, new Date())),
  ]
  return [...own.map(finding => nameFinding(finding, 'broker')), ...stores]
}

/** An embedded store opens for one process only: while a broker runs, that is the one. */
function isHeld(finding: NamedResult, running: RunningBroker | undefined): running is RunningBroker {
  return running !== undefined && (finding.code === 'conflict' || finding.code === 'precondition_failed')
}

function heldStore(finding: NamedResult, { readiness }: RunningBroker): NamedResult {
  const ok = readiness.stores[finding.store ?? ''] === 'ok'
  return {
    ...finding,
    ok,
    name: ok ? 'ok' : 'unreachable',
    what: 'held by the running broker',
    detail: ok ? 'it says: ok' : 'it says: unavailable',
    hint: null,
  }
}

async function examineSecret(patient: Patient, name: SecretName): Promise<readonly NamedResult[]> {
  const { terminal, door, config, running } = patient
  const known = [...config.secrets.keys()]
  // a name that only a store of everything takes may be a slip of the finger
  const near = config.secrets.has(name) ? undefined : nearest(name, known)
  if (config.find(name) === undefined) return [near === undefined ? absent(name) : misspelt(name, near)]
  const examined = await examineStores(terminal, door, config, { secret: name })
  const findings: NamedResult[] = []
  for (const finding of examined) {
    findings.push(isHeld(finding, running) ? nameFinding(await askRunning(running, name), finding.about) : finding)
  }
  const isThere = findings.every(finding => finding.ok)
  return near === undefined || isThere ? findings : [...findings, misspelt(name, near)]
}

function misspelt(name: string, near: string): NamedResult {
  const detail = 'no entry of the config has it'
  return { ok: false, name: 'misspelt', store: null, about: name, what: 'name', detail, hint: `did you mean ${near}?`, code: null }
}

function absent(name: string): NamedResult {
  const hint = 'add it under secrets of a store; keyturn check shows what there is'
  return { ok: false, name: 'absent', store: null, about: name, what: 'name', detail: 'no store takes this name', hint, code: null }
}
