import { BrokerError, type SecretVersion, type StoreAdapter, type StorePath } from '@keyturn/core'
import { hasStatus } from './classify.ts'
import type { Client } from './client.ts'
import { Lookups } from './lookups.ts'
import { pathOf, vaultName } from './names.ts'
import { settled } from './settled.ts'
import { Turns } from './turns.ts'
import { decodeText } from './values.ts'
import { infoOf, type Known } from './version.ts'
import { Writer } from './writer.ts'

type Basics = Pick<StoreAdapter, 'read' | 'write' | 'list'>
type Versions = Required<Pick<StoreAdapter, 'versions' | 'disable' | 'enable'>>
type Whole = Required<Pick<StoreAdapter, 'delete' | 'restore'>>

/** What a vault can do with secrets: no compare-and-set, no end of one version, no version beside the current one. */
export function openSecrets(client: Client): Basics & Versions & Whole {
  const lookups = new Lookups(client)
  const turns = new Turns()
  return { ...basics(client, lookups, turns), ...versions(client, lookups, turns), ...whole(client, lookups, turns) }
}

function basics(client: Client, lookups: Lookups, turns: Turns): Basics {
  const writer = new Writer(client, lookups)
  return {
    async read(path, { version, signal }): Promise<SecretVersion> {
      const name = vaultName(path)
      if (version === undefined) {
        const found = await lookups.current(path, name, signal)
        return { ...infoOf(found, found.version, 0), value: decodeText(found.text) }
      }
      const all = await lookups.ranked(path, name, signal)
      const rank = all.findIndex(each => each.version === version)
      const asked = all[rank]
      if (asked === undefined) throw new BrokerError('not_found', `azure: ${path} has no version ${version}`)
      if (!asked.enabled) throw withheld(path, version)
      const found = await client.read(name, signal, version)
      return { ...infoOf(found, all[0]?.version ?? version, rank), value: decodeText(found.text) }
    },

    async write(path, value, { idempotencyKey, signal }) {
      const name = vaultName(path)
      return turns.take(name.toLowerCase(), signal, () => writer.write({ path, name, value, key: idempotencyKey, signal }))
    },

    async *list(prefix, { signal }) {
      signal.throwIfAborted()
      // the vault repeats a name when secrets come or go between two pages
      const told = new Set<StorePath>()
      for await (const name of client.names(signal)) {
        const path = pathOf(name)
        if (path === undefined || !path.startsWith(prefix) || told.has(path)) continue
        told.add(path)
        yield path
      }
    },
  }
}

function versions(client: Client, lookups: Lookups, turns: Turns): Versions {
  const change = (
    path: StorePath,
    version: string,
    signal: AbortSignal,
    work: (name: string, all: readonly Known[], found: Known) => Promise<void>,
  ) => {
    const name = vaultName(path)
    return turns.take(name.toLowerCase(), signal, async () => {
      const all = await lookups.ranked(path, name, signal)
      const found = all.find(each => each.version === version)
      if (found === undefined) throw new BrokerError('not_found', `azure: ${path} has no version ${version}`)
      await work(name, all, found)
    })
  }
  return {
    async *versions(path, { signal }) {
      signal.throwIfAborted()
      const all = await lookups.ranked(path, vaultName(path), signal)
      const current = all[0]?.version ?? ''
      for (const [rank, each] of all.entries()) yield infoOf(each, current, rank)
    },

    disable: (path, version, { signal }) =>
      change(path, version, signal, async (name, all, found) => {
        // versions are only ever added, so what is not current now never will be
        if (found === all[0]) {
          const message = `azure: version ${version} of ${path} is the current one`
          throw new BrokerError('precondition_failed', message, { hint: 'write a new version first' })
        }
        if (found.enabled) await client.enable(name, version, false, signal)
      }),

    enable: (path, version, { signal }) =>
      change(path, version, signal, async (name, _all, found) => {
        if (!found.enabled) await client.enable(name, version, true, signal)
      }),
  }
}

function whole(client: Client, lookups: Lookups, turns: Turns): Whole {
  return {
    async delete(path, { signal }) {
      const name = vaultName(path)
      await turns.take(name.toLowerCase(), signal, async () => {
        try {
          await client.delete(name, signal)
        } catch (error) {
          if (!hasStatus(error, 404)) throw error
          if (!(await client.isDeleted(name, signal))) throw lookups.absent(path, error)
        }
      })
    },

    async restore(path, { signal }) {
      const name = vaultName(path)
      await turns.take(name.toLowerCase(), signal, async () => {
        try {
          await settled(client, signal, () => client.recover(name, signal))
        } catch (error) {
          throw hasStatus(error, 404) ? lookups.absent(path, error) : error
        }
      })
    },
  }
}

/** A version without its value. */
function withheld(path: string, version: string): BrokerError {
  return new BrokerError('precondition_failed', `azure: version ${version} of ${path} is disabled`, { hint: 'enable it first' })
}
