import { BrokerError, type Examiner, type Finding, look, type StoreAdapter } from '@keyturn/core'
import { classify, hasStatus } from './classify.ts'
import type { Client } from './client.ts'
import { vaultName } from './names.ts'
import type { AzureOptions } from './options.ts'
import { type Known, ranked } from './version.ts'

type Found = Omit<Finding, 'what'>

interface Subject {
  readonly client: Client
  readonly options: Pick<AzureOptions, 'vault' | 'secrets'>
}

const examining: Examiner = {
  classify,
  hints: {
    unauthenticated: 'check the login of the section, its tenant, and the host of the vault',
    permission_denied: 'give the login the role Key Vault Secrets Officer, or these rights, and look at the firewall of the vault',
    unavailable: 'check the URL of the vault, the network and the authorities of its certificate',
    other: 'look at the vault itself',
  },
}

/** A version that no secret has: who may read is told that it is not there, who may not is forbidden, and no value goes out. */
const noVersion = '0'.repeat(32)

/** Logs in, then looks at the rights to list and to read, and at the secret. It reads the value only where the login may not list. */
export function examiner({ client, options }: Subject): StoreAdapter['examine'] {
  return async (path, { signal }) => {
    signal.throwIfAborted()
    const login = await look(examining, signal, 'login', () => loginFinding(client, options, signal))
    if (path === null || !login.ok) {
      return login.ok ? [login, await look(examining, signal, 'right to list', () => listFinding(client, options, signal))] : [login]
    }
    const name = nameFinding(path)
    if (typeof name !== 'string') return [login, name]
    const right = await look(examining, signal, `right to read ${path}`, () => readFinding(client, name, signal))
    if (!right.ok) return [login, right]
    return [login, right, await look(examining, signal, `path ${path}`, () => pathFinding(client, name, signal))]
  }
}

async function loginFinding(client: Client, { vault }: Subject['options'], signal: AbortSignal): Promise<Found> {
  await mayList(client, signal)
  return { ok: true, detail: vault }
}

async function listFinding(client: Client, { secrets = [] }: Subject['options'], signal: AbortSignal): Promise<Found> {
  if (await mayList(client, signal)) return { ok: true }
  // the config calls a prefix what ends in a slash
  const isNeeded = secrets.some(({ path, under }) => under !== undefined || path === '' || path?.endsWith('/') === true)
  const detail = isNeeded ? 'the section serves all below a prefix' : 'without it: reading only'
  return isNeeded ? { ok: false, detail, hint: 'give the login the right secrets/list', code: 'permission_denied' } : { ok: true, detail }
}

/** Whether the login may list; any other failure is thrown. */
async function mayList(client: Client, signal: AbortSignal): Promise<boolean> {
  try {
    for await (const _ of client.names(signal, 1)) break
    return true
  } catch (error) {
    if (hasStatus(error, 403)) return false
    throw error
  }
}

function nameFinding(path: string): string | Finding {
  try {
    return vaultName(path)
  } catch (error) {
    if (!(error instanceof BrokerError)) throw error
    return { ok: false, what: `path ${path}`, detail: error.message, hint: error.hint ?? 'correct the path', code: error.code }
  }
}

async function readFinding(client: Client, name: string, signal: AbortSignal): Promise<Found> {
  try {
    await client.read(name, signal, noVersion)
  } catch (error) {
    if (classify(error).code !== 'not_found') throw error
  }
  return { ok: true }
}

async function pathFinding(client: Client, name: string, signal: AbortSignal): Promise<Found> {
  try {
    const found: Known[] = []
    for await (const each of client.versions(name, signal)) found.push(each)
    const [current] = ranked(found).versions
    return current === undefined ? absent(await client.isDeleted(name, signal)) : present(current)
  } catch (error) {
    const { code } = classify(error)
    if (code === 'not_found') return absent(await client.isDeleted(name, signal))
    if (code !== 'permission_denied') throw error
  }
  try {
    const { text: _, ...current } = await client.read(name, signal)
    return present(current)
  } catch (error) {
    if (classify(error).code === 'not_found') return absent(false)
    throw error
  }

  function present({ enabled, expiresAt }: Known): Found {
    if (!enabled)
      return {
        ok: false,
        detail: 'its current version is disabled',
        hint: 'enable it, or write a new version',
        code: 'precondition_failed',
      }
    return { ok: true, ...(expiresAt === undefined ? {} : { detail: `it has the end ${expiresAt.toISOString()}` }) }
  }

  function absent(deleted: boolean): Found {
    return deleted
      ? { ok: false, detail: 'it is soft-deleted', hint: 'restore it, or write a new version', code: 'not_found' }
      : { ok: false, detail: 'it is absent', hint: 'write it, or correct the path', code: 'not_found' }
  }
}
