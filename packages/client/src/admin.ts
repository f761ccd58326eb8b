import { randomUUID } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import * as api from '@keyturn/api'
import type { ActOptions } from './client.ts'
import { type CallOptions, Connection, type ConnectionOptions, type Reader } from './connection.ts'
import { ofId } from './targets.ts'

/** What a second request to destroy a KEK agrees to, as the refusal of the first one said. */
export interface DestroyAgreement {
  readonly confirmation: string
  readonly loses: number
}

/** How a campaign is followed. */
export interface FollowOptions extends CallOptions {
  /** The longest pause between two looks: 500 ms. The first ones are shorter. */
  readonly pollMs?: number
  readonly onProgress?: (campaign: api.Campaign) => void
}

const admin = '/admin/v1'
/** A bundle of everything is written before it is answered; Node's fetch itself waits no longer. */
const backupMs = 5 * 60_000

/** The keys and the backups of one broker, for those who have the right `admin`. Every method throws `KeyturnError`. */
export class BrokerAdmin {
  readonly #broker: Connection
  readonly #options: ConnectionOptions

  constructor(options: ConnectionOptions) {
    this.#broker = new Connection(options)
    this.#options = options
  }

  async kekStatus(options: CallOptions = {}): Promise<api.KekStatus> {
    const { data } = await this.#broker.json({ method: 'GET', target: `${admin}/secrets/kek-status`, ...options }, api.kekStatus)
    return data
  }

  /** Begins to renew every wrap under the current KEK, or joins who does. */
  rewrap(options: ActOptions = {}): Promise<api.Accepted> {
    return this.#act(`${admin}/secrets/rotate-all`, {}, options, api.accepted)
  }

  /** Begins to encrypt every sealed value anew, or joins who does. */
  reencrypt(options: ActOptions = {}): Promise<api.Accepted> {
    return this.#act(`${admin}/secrets/reencrypt-all`, {}, options, api.accepted)
  }

  async campaign(operationId: string, options: CallOptions = {}): Promise<api.Campaign> {
    const target = ofId(`${admin}/secrets/rotation-status/`, operationId)
    const { data } = await this.#broker.json({ method: 'GET', target, ...options }, api.campaign)
    return data
  }

  /** Looks at a campaign until it no longer runs. To wait for a KEK ends it too; to wait for its backup does not. */
  async follow(operationId: string, { pollMs: longestMs = 500, onProgress, signal }: FollowOptions = {}): Promise<api.Campaign> {
    const ends = [signal, this.#options.signal].filter(end => end !== undefined)
    for (let pauseMs = Math.min(50, longestMs); ; pauseMs = Math.min(pauseMs * 2, longestMs)) {
      const campaign = await this.campaign(operationId, signal && { signal })
      onProgress?.(campaign)
      if (campaign.state !== 'running' && campaign.waiting_for !== 'backup') return campaign
      // the next look tells that it was cancelled
      await pause(pauseMs, undefined, { signal: AbortSignal.any(ends) }).catch(() => undefined)
    }
  }

  /** Has the provider make a KEK. `unsupported` where the operator makes them. */
  makeKek(id: string, options: ActOptions = {}): Promise<api.KekMoved> {
    return this.#act(`${admin}/keks`, { id }, options, api.kekMoved)
  }

  /** `conflict` while anything needs it. */
  retireKek(id: string, options: ActOptions = {}): Promise<api.KekMoved> {
    return this.#act(ofId(`${admin}/keks/`, id, '/retire'), {}, options, api.kekMoved)
  }

  compromiseKek(id: string, options: ActOptions = {}): Promise<api.KekMoved> {
    return this.#act(ofId(`${admin}/keks/`, id, '/compromise'), {}, options, api.kekMoved)
  }

  /** Without an agreement: `conflict`, whose `detail` says what would be lost (`loses`) and how to agree (`confirmation`). */
  destroyKek(id: string, agreed: DestroyAgreement | null, options: ActOptions = {}): Promise<api.KekMoved> {
    const body = agreed === null ? {} : { confirm: id, confirmation: agreed.confirmation, loses: agreed.loses }
    return this.#act(ofId(`${admin}/keks/`, id, '/destroy'), body, options, api.kekMoved)
  }

  /** The oldest first. */
  async backups(options: CallOptions = {}): Promise<api.BackupList['backups']> {
    const { data } = await this.#broker.json({ method: 'GET', target: `${admin}/backups`, ...options }, api.backupList)
    return data.backups
  }

  /** Resolves when the bundle is whole and on disk. `keepFor` in seconds; null: until somebody removes it. */
  createBackup({ keepFor, ...options }: ActOptions & { readonly keepFor?: number | null } = {}): Promise<api.Backup> {
    const body = keepFor === undefined ? {} : { keep_for: keepFor }
    return this.#act(`${admin}/backups`, body, options, api.backup, backupMs)
  }

  async #act<T>(
    target: string,
    body: object,
    { reason, idempotencyKey = randomUUID(), ...options }: ActOptions,
    reader: Reader<T>,
    timeoutMs?: number,
  ): Promise<T> {
    const request = {
      method: 'POST',
      target,
      body: { ...body, ...(reason === undefined ? {} : { reason }) },
      headers: { 'idempotency-key': idempotencyKey },
      ...(timeoutMs === undefined ? {} : { timeoutMs }),
      ...options,
    } as const
    const { data } = await this.#broker.json(request, reader)
    return data
  }
}
