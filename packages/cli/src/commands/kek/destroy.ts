import type { KekMoved } from '@keyturn/api'
import type { BrokerAdmin, DestroyAgreement } from '@keyturn/client'
import { BrokerError } from '@keyturn/core'
import type { Command } from 'commander'
import { type BrokerOptions, brokerAdmin } from '../../broker-client.ts'
import { command, jsonOption, type Setting, tokenFileOption } from '../../command.ts'
import { wrongUse } from '../../exit.ts'
import { printJson } from '../../print.ts'
import type { Terminal } from '../../terminal.ts'

interface Options extends BrokerOptions {
  readonly confirm?: string
  readonly loses?: string
  readonly reason?: string
  readonly json?: boolean
}

/** What the refusal of the first request tells. */
interface Loss extends DestroyAgreement {
  readonly needs: Readonly<Record<string, number>>
  /** Of how many secrets the present value is lost, and some of them. */
  readonly current: number
  readonly paths: readonly string[]
}

/** `kek destroy ID`: ends a KEK, and with it what it alone opens. */
export function destroy({ terminal }: Setting): Command {
  return command('destroy ID [options]', 'Ends a KEK for good, and every value that it alone opens', [
    'kek destroy v1',
    'kek destroy v1 --confirm v1 --loses 0   # without a person: the id again, and how many values are lost',
  ])
    .argument('<id>')
    .option('--confirm <id>', 'the id again')
    .option('--loses <count>', 'how many values you know to be lost')
    .option('--reason <text>', 'for the record')
    .addOption(jsonOption())
    .addOption(tokenFileOption())
    .action(async (id: string, options: Options) => {
      const isAlone = options.confirm !== undefined || options.loses !== undefined
      if (isAlone && (options.confirm !== id || !/^\d{1,15}$/.test(options.loses ?? ''))) {
        throw wrongUse(
          '--confirm is the same id again, and --loses a count',
          `write --confirm ${id} --loses N; keyturn kek status shows the count`,
        )
      }
      if (!isAlone && !terminal.isTerminal.stdin) {
        throw wrongUse('nobody is here to be asked', `write --confirm ${id} --loses N`)
      }
      const admin = brokerAdmin(terminal, options)
      const why = options.reason === undefined ? {} : { reason: options.reason }
      const loss = await lossOf(admin, id, why)
      if ('state' in loss) return told(terminal, loss, options)
      const count = isAlone ? Number(options.loses) : await agreed(terminal, id, loss)
      if (count !== loss.loses) {
        throw new BrokerError('conflict', `${loss.loses} values would be lost, not ${count}; nothing was done`, { hint: textOf(loss) })
      }
      told(terminal, await admin.destroyKek(id, loss, why), options)
    })
}

/** Asks without an agreement: what would be lost, or what it has come to already. */
async function lossOf(admin: BrokerAdmin, id: string, why: object): Promise<Loss | KekMoved> {
  try {
    return await admin.destroyKek(id, null, why)
  } catch (error) {
    const { confirmation, loses, needs = {}, current = 0, paths = [] } = (error instanceof BrokerError && error.detail) || {}
    if (typeof confirmation !== 'string' || typeof loses !== 'number') throw error
    // the broker's own counts and names, only shown
    return { confirmation, loses, needs: needs as Loss['needs'], current: Number(current), paths: paths as Loss['paths'] }
  }
}

/** Has a person type the id and the count. */
async function agreed(terminal: Terminal, id: string, loss: Loss): Promise<number> {
  terminal.err(`With KEK ${id}, ${textOf(loss)} can never be opened again, here or in any copy.\n`)
  if (loss.current > 0) {
    const more = loss.current > loss.paths.length ? ', ...' : ''
    terminal.err(`The present value of ${loss.current} secrets is among them: ${loss.paths.join(', ')}${more}\n`)
  }
  if ((await terminal.ask('Type the id of the KEK')) !== id) throw new BrokerError('cancelled', 'that is not its id; nothing was done')
  return Number(await terminal.ask('Type how many values are lost'))
}

function textOf({ loses, needs }: Loss): string {
  const kinds = Object.entries(needs)
    .filter(([, count]) => count > 0)
    .map(([kind, count]) => `${count} ${kind}`)
  return `${loses} values${kinds.length === 0 ? '' : ` (${kinds.join(', ')})`}`
}

function told(terminal: Terminal, moved: KekMoved, options: Options): void {
  if (options.json === true) printJson(terminal, moved)
  else terminal.err(`KEK ${moved.id} is ${moved.state}; ${moved.next ?? 'destroy every copy of the key too'}\n`)
}
