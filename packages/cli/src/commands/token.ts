import { parseDuration } from '@keyturn/config'
import type { Command } from 'commander'
import { Command as Group } from 'commander'
import { type BrokerOptions, brokerClient } from '../broker-client.ts'
import { command, configOption, jsonOption, type Setting, tokenFileOption } from '../command.ts'
import { readConfig } from '../config-file.ts'
import { wrongUse } from '../exit.ts'
import { printJson, printRows } from '../print.ts'

interface CreateOptions extends BrokerOptions {
  readonly role?: string
  readonly ttl: string
  readonly name?: string
  readonly offline?: boolean
  readonly config?: string
  readonly json?: boolean
}

/** `token create|list|revoke`. */
export function token(setting: Setting): Command {
  return new Group('token')
    .description('Makes, lists and revokes tokens')
    .addCommand(create(setting))
    .addCommand(list(setting))
    .addCommand(revoke(setting))
}

function create({ terminal, openDoor }: Setting): Command {
  return command('create --role R --ttl T [options]', 'Makes a token; it is shown this once', [
    'token create --role worker-role --ttl 1h --name ci',
    'token create --role worker-role --ttl 24h > worker.token',
    'token create --offline --config keyturn.yaml --ttl 1h   # an admin token, when the first is lost and the broker is stopped',
  ])
    .option('--role <role>', 'a role of the config (with --offline: admin)')
    .requiredOption('--ttl <duration>', 'how long it holds, such as 1h or 90d')
    .option('--name <name>', 'what the audit shows: token:<name>')
    .option('--offline', 'writes to the ledger itself, while the broker is stopped')
    .addOption(configOption())
    .addOption(jsonOption())
    .addOption(tokenFileOption())
    .action(async (options: CreateOptions) => {
      const ttl = Math.ceil(parseDuration(options.ttl) / 1000)
      if (options.role === undefined && options.offline !== true) throw wrongUse('a token needs a role', 'name one with --role')
      const role = options.role ?? 'admin'
      const made = options.offline === true ? await offline() : await online()
      if (options.json === true) {
        printJson(terminal, made)
        return
      }
      terminal.err(`token:${made.name}, role ${made.role}, id ${made.id}, until ${made.expires_at ?? 'revoked'}\n`)
      terminal.out(`${made.token}\n`)

      async function offline() {
        const door = await openDoor()
        const config = await readConfig(terminal, door, options.config)
        return door.makeOfflineToken(config, { role, ttl, ...(options.name === undefined ? {} : { name: options.name }) }, terminal.env)
      }

      function online() {
        return brokerClient(terminal, options).createToken({ role, ttl, ...(options.name === undefined ? {} : { name: options.name }) })
      }
    })
}

function list({ terminal }: Setting): Command {
  return command('list [options]', 'Lists tokens, never one of them itself', ['token list', "token list --json | jq '.tokens[].name'"])
    .addOption(jsonOption())
    .addOption(tokenFileOption())
    .action(async (options: BrokerOptions & { readonly json?: boolean }) => {
      const tokens = await brokerClient(terminal, options).tokens()
      if (options.json === true) {
        printJson(terminal, { tokens })
        return
      }
      printRows(
        terminal,
        [
          { title: 'ID', of: row => row.id },
          { title: 'NAME', of: row => row.name },
          { title: 'ROLE', of: row => row.role },
          { title: 'CREATED', of: row => row.created_at },
          { title: 'EXPIRES', of: row => row.expires_at ?? 'never' },
          { title: 'REVOKED', of: row => row.revoked_at ?? '-' },
        ],
        tokens,
      )
    })
}

function revoke({ terminal }: Setting): Command {
  return command('revoke ID [options]', 'Ends a token for good', ['token revoke tok_01JD8Z4T5V'])
    .argument('<id>')
    .addOption(tokenFileOption())
    .action(async (id: string, options: BrokerOptions) => {
      await brokerClient(terminal, options).revokeToken(id)
      terminal.err(`revoked ${id}\n`)
    })
}
