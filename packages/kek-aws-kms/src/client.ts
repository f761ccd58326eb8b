import { Agent as HttpAgent } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import {
  DecryptCommand,
  DescribeKeyCommand,
  EncryptCommand,
  type KeyMetadata,
  KMSClient,
  type ServiceInputTypes,
  type ServiceOutputTypes,
} from '@aws-sdk/client-kms'
import { fromNodeProviderChain } from '@aws-sdk/credential-providers'
import { BrokerError } from '@keyturn/core'
import type { WrapContext } from '@keyturn/envelope'
import { NodeHttpHandler } from '@smithy/node-http-handler'
import { failed } from './classify.ts'
import { quietSdk } from './sdk.ts'

const connectMs = 2_000
const answerMs = 10_000

export interface ClientSettings {
  readonly region: string
  readonly endpoint?: string | undefined
  readonly env: Readonly<Record<string, string | undefined>>
}

/** What KMS made of it, and by which key: always its ARN. */
export interface Transformed {
  readonly key: string
  readonly bytes: Uint8Array
}

/** The three calls of KMS that we use. Each is one request. Errors are those of `failed`. */
export class Client {
  readonly #sdk: KMSClient
  #isClosed = false

  constructor({ region, endpoint, env }: ClientSettings) {
    const { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey, AWS_SESSION_TOKEN: sessionToken } = env
    const pool = { keepAlive: true, maxSockets: 4 }
    this.#sdk = new KMSClient({
      ...quietSdk,
      region,
      ...(endpoint === undefined ? {} : { endpoint }),
      credentials:
        accessKeyId === undefined || secretAccessKey === undefined
          ? fromNodeProviderChain()
          : { accessKeyId, secretAccessKey, ...(sessionToken === undefined ? {} : { sessionToken }) },
      requestHandler: new NodeHttpHandler({
        httpAgent: new HttpAgent(pool),
        // whatever NODE_TLS_REJECT_UNAUTHORIZED says
        httpsAgent: new HttpsAgent({ ...pool, rejectUnauthorized: true }),
        connectionTimeout: connectMs,
        requestTimeout: answerMs,
        throwOnRequestTimeout: true,
        logger: quietSdk.logger,
      }),
    })
  }

  async encrypt(key: string, plaintext: Uint8Array, context: WrapContext, signal: AbortSignal): Promise<Transformed> {
    const input = { KeyId: key, Plaintext: plaintext, EncryptionContext: { ...context } }
    const { KeyId, CiphertextBlob } = await this.#send('closing a KEK', new EncryptCommand(input), signal)
    return whole(KeyId, CiphertextBlob)
  }

  /** Names the key too, so that no other may have closed it. */
  async decrypt({ key, bytes }: Transformed, context: WrapContext, signal: AbortSignal): Promise<Transformed> {
    const input = { KeyId: key, CiphertextBlob: bytes, EncryptionContext: { ...context } }
    const { KeyId, Plaintext } = await this.#send(`opening KEK ${context.kekId}`, new DecryptCommand(input), signal)
    return whole(KeyId, Plaintext)
  }

  async describe(key: string, signal: AbortSignal): Promise<KeyMetadata & { readonly Arn: string }> {
    const { KeyMetadata: found } = await this.#send(`looking at key ${key}`, new DescribeKeyCommand({ KeyId: key }), signal)
    if (found?.Arn === undefined) throw foreign()
    return { ...found, Arn: found.Arn }
  }

  close(): void {
    this.#isClosed = true
    this.#sdk.destroy()
  }

  async #send<In extends ServiceInputTypes, Out extends ServiceOutputTypes>(
    what: string,
    command: Parameters<typeof KMSClient.prototype.send<In, Out>>[0],
    signal: AbortSignal,
  ): Promise<Out> {
    signal.throwIfAborted()
    // agents of node that were destroyed open new connections
    if (this.#isClosed) throw new BrokerError('cancelled', 'aws-kms: the provider of keys was closed')
    try {
      return await this.#sdk.send<In, Out>(command, { abortSignal: signal })
    } catch (error) {
      signal.throwIfAborted()
      throw failed(what, error)
    }
  }
}

function whole(key: string | undefined, bytes: Uint8Array | undefined): Transformed {
  if (key === undefined || bytes === undefined || bytes.byteLength === 0) throw foreign()
  return { key, bytes }
}

function foreign(): BrokerError {
  return new BrokerError('unavailable', 'aws-kms: the answer is none of KMS', { hint: 'look at the endpoint, and at what stands between' })
}
