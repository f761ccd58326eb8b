import { BrokerError, type Clock } from '@keyturn/core'
import type { KekWrapper } from '@keyturn/envelope'
import { Client } from './client.ts'
import { examineKms } from './examine.ts'

/** The key of KMS that closes KEKs, and where KMS answers. */
export interface AwsKmsOptions {
  readonly region: string
  /** The ARN or id of a key, or an alias: what the alias names when this is opened is used until it is closed. */
  readonly key: string
  /** Default: AWS's own of the region. */
  readonly endpoint?: string | undefined
}

/**
 * KEKs closed by a symmetric key of AWS KMS, bound to ledger and KEK as its encryption context. What is kept is the ARN of the key, never an alias:
 * an alias that is moved changes nothing of what is closed. KMS rotates the material of its keys by itself.
 * https://docs.aws.amazon.com/kms/latest/developerguide/encrypt_context.html
 */
export function openAwsKms(
  options: AwsKmsOptions,
  { env }: { readonly env: Readonly<Record<string, string | undefined>>; readonly clock: Clock },
): KekWrapper {
  const client = new Client({ ...options, env })
  let arn: string | undefined
  const newest = async (signal: AbortSignal): Promise<string> => (arn ??= (await client.describe(options.key, signal)).Arn)
  return {
    kind: 'aws-kms',
    newest,
    async wrap(kek, context, signal) {
      const key = await newest(signal)
      const wrapped = await client.encrypt(key, kek, context, signal)
      if (wrapped.key === key) return wrapped
      throw new BrokerError('corrupt', 'aws-kms: another key closed the KEK than the one that was named', { hint: 'look at the endpoint' })
    },
    async unwrap(wrapped, context, signal) {
      const { key, bytes } = await client.decrypt(wrapped, context, signal)
      if (key === wrapped.key) return bytes
      bytes.fill(0)
      throw new BrokerError('corrupt', `aws-kms: another key opened KEK ${context.kekId} than the one that closed it`, {
        hint: 'look at the endpoint',
      })
    },
    examine: async signal => examineKms({ client, key: options.key, inUse: arn }, signal),
    async close() {
      client.close()
    },
  }
}
