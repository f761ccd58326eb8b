import { BrokerError, type StoreAdapter, type VersionId } from '@keyturn/core'
import { hasStatus, status } from './classify.ts'
import type { SecretCalls } from './secret-calls.ts'
import { type Known, numberOf } from './version.ts'

/** Whether a version that is there is the one that readers get. */
export type IsCurrent = (name: string, number: number, signal: AbortSignal) => Promise<boolean>

/** What can be done to one version, each with its etag, so that a change by somebody else in between is a conflict. */
export function versionMembers(
  calls: SecretCalls,
  named: (path: string) => string,
  isCurrent: IsCurrent,
): Required<Pick<StoreAdapter, 'disable' | 'enable' | 'destroy'>> {
  const notCurrent = async (name: string, version: VersionId, signal: AbortSignal): Promise<Known> => {
    const found = await present(calls, name, version, signal)
    if (!(await isCurrent(name, found.number, signal))) return found
    throw new BrokerError('precondition_failed', `gcp: version ${version} of ${name} is the current one`, {
      hint: 'write a new version first',
    })
  }
  return {
    async disable(path, version, { signal }) {
      const name = named(path)
      const found = await notCurrent(name, version, signal)
      if (found.gone === undefined) await act(calls, 'disableSecretVersion', { name, found }, signal)
    },

    async enable(path, version, { signal }) {
      const name = named(path)
      const found = await present(calls, name, version, signal)
      if (found.gone === 'destroyed') {
        throw new BrokerError('not_found', `gcp: version ${version} of ${name} is destroyed, or will be`, {
          hint: 'a destruction that is only scheduled can be stopped with gcloud',
        })
      }
      if (found.gone === 'disabled') await act(calls, 'enableSecretVersion', { name, found }, signal)
    },

    async destroy(path, version, { signal }) {
      const name = named(path)
      const found = await notCurrent(name, version, signal)
      if (found.gone !== 'destroyed') await act(calls, 'destroySecretVersion', { name, found }, signal)
    },
  }
}

type Verb = 'disableSecretVersion' | 'enableSecretVersion' | 'destroySecretVersion'
const after: Readonly<Record<Verb, Known['gone']>> = {
  disableSecretVersion: 'disabled',
  enableSecretVersion: undefined,
  destroySecretVersion: 'destroyed',
}

async function act(
  calls: SecretCalls,
  verb: Verb,
  { name, found }: { readonly name: string; readonly found: Known },
  signal: AbortSignal,
): Promise<void> {
  try {
    await calls.client.call(verb, { name: `${name}/versions/${found.number}`, etag: found.etag }, signal)
  } catch (error) {
    if (!hasStatus(error, status.failedPrecondition)) throw error
    const now = await calls.version(name, found.number, signal)
    // somebody else did the same in this moment
    if (now.gone === after[verb]) return
    if (now.etag === found.etag) throw error
    throw new BrokerError('conflict', `gcp: version ${found.number} of ${name} was changed by somebody else`, {
      hint: 'look at it again',
      cause: error,
    })
  }
}

async function present(calls: SecretCalls, name: string, version: VersionId, signal: AbortSignal): Promise<Known> {
  const number = numberOf(version)
  if (number === 0) throw new BrokerError('not_found', `gcp: ${name} has no version ${version}`)
  return calls.version(name, number, signal)
}
