import { BrokerError } from '@keyturn/core'
import { type Command, Option } from 'commander'
import { type BrokerOptions, brokerClient } from '../broker-client.ts'
import { command, jsonOption, type Setting, tokenFileOption } from '../command.ts'
import { Exit, exit, wrongUse } from '../exit.ts'
import { Crowd } from '../import/crowd.ts'
import type { Entry } from '../import/entry.ts'
import { choices, type IfPresent, Importer } from '../import/importer.ts'
import type { Spot } from '../import/part.ts'
import { ImportReport } from '../import/report.ts'
import { entriesOf, type Format, formats } from '../import/stream.ts'

interface Options extends BrokerOptions {
  readonly format?: Format
  readonly ifPresent: IfPresent
  readonly dryRun?: boolean
  readonly allowEmpty?: boolean
  readonly inFlight: string
  readonly json?: boolean
}

const inFlightMax = 256

/** `import`: names, types and values from a stream on stdin into the broker. */
export function importSecrets({ terminal }: Setting): Command {
  return command('import [options]', 'Writes secrets from a stream on stdin: JSON objects or CSV. Run it again after any end: it goes on', [
    'import < secrets.csv',
    'import --dry-run < secrets.jsonl',
    "gpg --decrypt vault-export.json.gpg | jq '.[] | {name: .path, type, value}' | keyturn import",
    'import --if-present overwrite < newer.csv',
  ])
    .addOption(new Option('--format <format>', 'default: told by the first character').choices([...formats]))
    .addOption(
      new Option('--if-present <what>', 'when another value is there: a conflict, left alone unseen, or a new version')
        .choices([...choices])
        .default('fail'),
    )
    .option('--dry-run', 'only looks, and says what would happen')
    .option('--allow-empty', 'accepts empty values')
    .option('--in-flight <count>', 'calls at the same time', '16')
    .addOption(jsonOption())
    .addOption(tokenFileOption())
    .action(async (options: Options) => {
      const inFlight = /^\d{1,3}$/.test(options.inFlight) ? Number(options.inFlight) : 0
      if (inFlight < 1 || inFlight > inFlightMax) throw wrongUse('--in-flight is no count', `write a whole number from 1 to ${inFlightMax}`)
      if (terminal.isTerminal.stdin) throw wrongUse('import reads a stream, and stdin is a terminal', 'write keyturn import < FILE')
      const { signal } = terminal
      const importer = new Importer(brokerClient(terminal, options, { untilDone: true }), {
        ifPresent: options.ifPresent,
        dryRun: options.dryRun === true,
        signal,
      })
      const report = new ImportReport(terminal, { json: options.json === true })
      const crowd = new Crowd(inFlight)
      try {
        for await (const part of entriesOf(terminal.stdin, options.format, signal)) {
          const { line, item } = part
          const spot: Spot = item === undefined ? { line } : { line, item }
          if ('fault' in part) report.unread(spot, part.fault)
          else if (isEmpty(part.content) && options.allowEmpty !== true) report.unread(spot, 'its value is empty; --allow-empty takes it')
          else await crowd.add(line, part.content.name, () => settle(importer, report, spot, part.content))
          if (crowd.broken !== undefined) break
        }
      } catch (error) {
        // what was sent comes to its end, whatever became of the stream
        await crowd.done()
        throw stopped(error, report, crowd, options)
      }
      await crowd.done()
      if (crowd.broken !== undefined) throw stopped(crowd.broken, report, crowd, options)
      report.end(options.dryRun === true)
      if (!report.isClean) throw new Exit(exit.failed)
    })
}

/** Brings one entry in. What fails for this entry alone is told; what would fail for all of them is thrown. */
async function settle(importer: Importer, report: ImportReport, spot: Spot, entry: Entry): Promise<void> {
  try {
    report.settled(spot, entry.name, await importer.bring(entry))
  } catch (error) {
    if (!(error instanceof BrokerError) || endsAll.has(error.code)) throw error
    report.failed(spot, entry.name, error)
  }
}

const endsAll: ReadonlySet<BrokerError['code']> = new Set([
  'unauthenticated',
  'unavailable',
  'throttled',
  'outcome_unknown',
  'cancelled',
  'internal',
])

/** Says how far it came, and gives back what ends the command. */
function stopped(error: unknown, report: ImportReport, crowd: Crowd, options: Options): unknown {
  // a stream of another form was not begun
  if (!(error instanceof BrokerError) || error.code === 'invalid_argument') return error
  report.end(options.dryRun === true)
  return new BrokerError(error.code, `${error.message}; it stopped, and is done with everything before line ${crowd.firstOpen}`, {
    hint: 'give the same stream again: what is there already is passed over',
    cause: error,
  })
}

function isEmpty({ body: { value, fields } }: Entry): boolean {
  const empty = (field: unknown) =>
    field === '' || (typeof field === 'object' && field !== null && 'base64' in field && field.base64 === '')
  return value === undefined ? Object.values(fields ?? {}).every(empty) : empty(value)
}
