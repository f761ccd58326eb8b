import {
  CreateSecretCommand,
  type CreateSecretCommandInput,
  DeleteSecretCommand,
  DescribeSecretCommand,
  type DescribeSecretCommandOutput,
  GetSecretValueCommand,
  type GetSecretValueCommandOutput,
  ListSecretsCommand,
  type ListSecretsCommandOutput,
  ListSecretVersionIdsCommand,
  type ListSecretVersionIdsCommandOutput,
  PutSecretValueCommand,
  type PutSecretValueCommandInput,
  type PutSecretValueCommandOutput,
  RestoreSecretCommand,
  SecretsManagerClient,
  UpdateSecretVersionStageCommand,
} from '@aws-sdk/client-secrets-manager'
import { readable } from './classify.ts'
import type { Credentials } from './credentials.ts'
import { quietSdk } from './sdk.ts'
import type { Wire } from './wire.ts'

export interface ClientSettings {
  readonly region: string
  /** Default: AWS's own of the region. */
  readonly endpoint: string | undefined
  readonly credentials: Credentials
  readonly wire: Wire
}

/** How one version is meant: by its id, or by a label it bears. */
export type Which = { readonly VersionId: string } | { readonly VersionStage: string }

/** A label moved from one version to another; without `to` it is taken away, without `from` it was nowhere. */
export interface LabelMove {
  readonly label: string
  readonly from?: string | undefined
  readonly to?: string | undefined
}

/** The calls of Secrets Manager that we use. Each is one request, and none is sent again by the SDK. Errors are the SDK's, or `WireError`. */
export class Client {
  readonly #sdk: SecretsManagerClient
  readonly #credentials: Credentials
  readonly #wire: Wire

  constructor({ region, endpoint, credentials, wire }: ClientSettings) {
    // `Credentials` knows when a credential ends; the SDK's own memory of it would only be in the way
    const provider = Object.assign(async () => credentials.current.reveal(), { memoized: true })
    this.#sdk = new SecretsManagerClient({
      ...quietSdk,
      region,
      ...(endpoint === undefined ? {} : { endpoint }),
      credentials: provider,
      requestHandler: wire,
      // what a call passes through is put together once, not for each call: a quarter of the time that the SDK takes
      cacheMiddleware: true,
    })
    this.#credentials = credentials
    this.#wire = wire
  }

  value(id: string, which: Which, signal: AbortSignal): Promise<GetSecretValueCommandOutput> {
    return this.#send(signal, () => this.#sdk.send(new GetSecretValueCommand({ SecretId: id, ...which })))
  }

  describe(id: string, signal: AbortSignal): Promise<DescribeSecretCommandOutput> {
    return this.#send(signal, () => this.#sdk.send(new DescribeSecretCommand({ SecretId: id })))
  }

  create(input: CreateSecretCommandInput, signal: AbortSignal): Promise<{ readonly VersionId?: string | undefined }> {
    return this.#send(signal, () => this.#sdk.send(new CreateSecretCommand(input)))
  }

  put(input: PutSecretValueCommandInput, signal: AbortSignal): Promise<PutSecretValueCommandOutput> {
    return this.#send(signal, () => this.#sdk.send(new PutSecretValueCommand(input)))
  }

  async move(id: string, { label, from, to }: LabelMove, signal: AbortSignal): Promise<void> {
    const ends = { ...(from === undefined ? {} : { RemoveFromVersionId: from }), ...(to === undefined ? {} : { MoveToVersionId: to }) }
    const command = () => new UpdateSecretVersionStageCommand({ SecretId: id, VersionStage: label, ...ends })
    await this.#send(signal, () => this.#sdk.send(command()))
  }

  /** One page, deprecated versions too. */
  versions(id: string, token: string | undefined, signal: AbortSignal): Promise<ListSecretVersionIdsCommandOutput> {
    const input = { SecretId: id, IncludeDeprecated: true, MaxResults: 100, ...(token === undefined ? {} : { NextToken: token }) }
    return this.#send(signal, () => this.#sdk.send(new ListSecretVersionIdsCommand(input)))
  }

  /** One page of the secrets whose names begin so; none that is scheduled for deletion. */
  list(prefix: string, size: number, token: string | undefined, signal: AbortSignal): Promise<ListSecretsCommandOutput> {
    const input = {
      MaxResults: size,
      ...(prefix === '' ? {} : { Filters: [{ Key: 'name' as const, Values: [prefix] }] }),
      ...(token === undefined ? {} : { NextToken: token }),
    }
    return this.#send(signal, () => this.#sdk.send(new ListSecretsCommand(input)))
  }

  async delete(id: string, recoveryWindowDays: number, signal: AbortSignal): Promise<void> {
    const input = { SecretId: id, RecoveryWindowInDays: recoveryWindowDays }
    await this.#send(signal, () => this.#sdk.send(new DeleteSecretCommand(input)))
  }

  async restore(id: string, signal: AbortSignal): Promise<void> {
    await this.#send(signal, () => this.#sdk.send(new RestoreSecretCommand({ SecretId: id })))
  }

  close(): void {
    this.#credentials.close()
    this.#sdk.destroy()
    this.#wire.destroy()
  }

  #send<T>(signal: AbortSignal, send: () => Promise<T>): Promise<T> {
    return this.#credentials.run(signal, async () => {
      try {
        return await this.#wire.until(signal, send)
      } catch (error) {
        signal.throwIfAborted()
        throw readable(error)
      }
    })
  }
}
