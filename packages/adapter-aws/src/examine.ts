import { BrokerError, type Examiner, type Finding, look, type StoreAdapter } from '@keyturn/core'
import { classify, isNamed } from './classify.ts'
import type { Client } from './client.ts'
import { secretId } from './names.ts'
import { current, find, type Known } from './secret.ts'

/** A version that no secret has: asking for it shows whether one may ask, and nothing else. */
const nobodys = '00000000-0000-4000-8000-000000000000'

/**
 * Logs in, then looks at the right to read and at what AWS tells of the secret. It reads the value only where the credential may not describe
 * the secret. Whether the KMS key lets the value be read shows only when it is.
 */
export function examiner(client: Client): StoreAdapter['examine'] {
  return async (path, { signal }) => {
    signal.throwIfAborted()
    const login = await look(examiningAws, signal, 'login', () => loginFinding(client, signal))
    if (path === null || !login.ok) return [login]
    const right = await look(examiningAws, signal, `right to read ${path}`, () => rightFinding(client, path, signal))
    if (!right.ok) return [login, right]
    return [login, right, await look(examiningAws, signal, `path ${path}`, () => pathFinding(client, path, signal))]
  }
}

/** A credential that AWS denies something is one that it knows. */
async function loginFinding(client: Client, signal: AbortSignal): Promise<Omit<Finding, 'what'>> {
  try {
    const { SecretList: secrets } = await client.list('', 1, undefined, signal)
    if (secrets === undefined) throw new BrokerError('corrupt', 'aws: the answer to a list has no list')
    return { ok: true }
  } catch (error) {
    if (isDenied(error)) return { ok: true, detail: 'it may not list secrets, which only `under` needs' }
    throw error
  }
}

async function rightFinding(client: Client, path: string, signal: AbortSignal): Promise<Omit<Finding, 'what'>> {
  try {
    await client.value(secretId(path), { VersionId: nobodys }, signal)
  } catch (error) {
    if (isDenied(error)) {
      return {
        ok: false,
        detail: 'the policies of the credential deny it',
        hint: `allow secretsmanager:GetSecretValue on ${path}, and kms:Decrypt on its key`,
        code: 'permission_denied',
      }
    }
    // AWS looks at rights before it looks for anything
    if (!isNamed(error, 'ResourceNotFoundException', 'InvalidRequestException')) throw error
  }
  return { ok: true }
}

async function pathFinding(client: Client, path: string, signal: AbortSignal): Promise<Omit<Finding, 'what'>> {
  const id = secretId(path)
  try {
    const known = await find(client, id, signal)
    return known === undefined ? absentFinding : ofKnown(known)
  } catch (error) {
    if (!isDenied(error)) throw error
  }
  try {
    await client.value(id, { VersionStage: current }, signal)
    return { ok: true, detail: 'the credential may not describe it, so its value was read' }
  } catch (error) {
    if (isNamed(error, 'ResourceNotFoundException')) return absentFinding
    throw error
  }
}

const absentFinding = { ok: false, detail: 'it is absent', hint: 'write the secret, or correct the path', code: 'not_found' } as const

function ofKnown(known: Known): Omit<Finding, 'what'> {
  if (known.deleted)
    return { ok: false, detail: 'its deletion is scheduled', hint: 'restore it, or write a new version', code: 'not_found' }
  if (known.current === undefined) return { ok: false, detail: 'it never had a value', hint: 'write the secret', code: 'not_found' }
  return known.rotates ? { ok: true, detail: 'AWS rotates it too: let only one of the two do it' } : { ok: true }
}

function isDenied(error: unknown): boolean {
  return isNamed(error, 'AccessDeniedException')
}

const examiningAws: Examiner = {
  classify,
  hints: {
    unavailable: 'check region and endpoint, and whether they can be reached from here',
    unauthenticated: 'check auth, and the clock of this machine',
    permission_denied: 'check the policies of the credential; README.md of adapter-aws has the least that is needed',
    corrupt: 'check that the endpoint is that of Secrets Manager itself, not of a page before it',
    throttled: 'try again later',
    precondition_failed: 'check the KMS key of the secret',
    other: 'look into CloudTrail for the request',
  },
}
