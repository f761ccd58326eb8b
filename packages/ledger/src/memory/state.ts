import type {
  Clock,
  LedgerVersion,
  OperationId,
  Random,
  Revocation,
  Rotation,
  RotationId,
  Sealed,
  SecretId,
  SecretName,
} from '@keyturn/core'
import type { BackupRecord, Campaign, Instance, KekRecord, Operation, OperationItem, OutboxRow, TokenRow, WriteIntent } from '../ledger.ts'
import { kekRetired, noRotation, noSecret } from '../rules/refusal.ts'

/** A rotation with what only the ledger knows of it: who holds it until when, and whether someone acted since its holder last looked. */
export interface HeldRotation {
  readonly rotation: Rotation
  readonly lease: { readonly holder: string; readonly until: Date } | null
  readonly woken: boolean
}

export interface MemorySecret {
  readonly id: SecretId
  readonly name: SecretName
  readonly type: string | null
  readonly labels: Readonly<Record<string, string>>
  readonly nextRotationAt: Date | null
  readonly nextNumber: number
  /** The open rotation, else the last one. */
  readonly rotation: RotationId | null
}

export interface MemoryWrite {
  readonly intent: WriteIntent
  readonly begunAt: Date
  readonly incarnation: number
}

export interface MemoryAnswer {
  readonly bodyHash: Uint8Array
  readonly answer: { readonly status: number; readonly body: string } | null
  readonly begunAt: Date
  readonly incarnation: number
}

/** A KEK as those who keep envelopes know it: also of an id that was never met. */
export interface MemoryKek {
  /** Null before it was met. */
  readonly fingerprint: string | null
  readonly wraps: number
  /** From then on nothing is closed with it. */
  readonly retiredAt: Date | null
}

/** Everything a memory ledger holds. What is in it is never changed, only replaced: a method that throws has changed nothing. */
export class MemoryState {
  readonly clock: Clock
  readonly random: Random
  readonly secrets = new Map<SecretId, MemorySecret>()
  readonly names = new Map<SecretName, SecretId>()
  readonly rotations = new Map<RotationId, HeldRotation>()
  /** The rotations that are not over, by secret: at most one each. */
  readonly open = new Map<SecretId, RotationId>()
  readonly versions = new Map<SecretId, ReadonlyMap<number, LedgerVersion>>()
  readonly revocations = new Map<SecretId, ReadonlyMap<number, Revocation>>()
  readonly writes = new Map<SecretId, MemoryWrite>()
  readonly operations = new Map<OperationId, Omit<Operation, 'items'>>()
  readonly items = new Map<
    OperationId,
    ReadonlyMap<SecretId, { readonly rotation: RotationId | null; readonly error: OperationItem['error'] }>
  >()
  readonly tokens = new Map<string, TokenRow>()
  readonly answers = new Map<string, MemoryAnswer>()
  readonly outbox = new Map<number, OutboxRow>()
  readonly sealed = new Map<string, Sealed>()
  readonly keks = new Map<string, MemoryKek>()
  /** Their lives, of those that were met. */
  readonly kekLives = new Map<string, KekRecord>()
  readonly instances = new Map<string, Instance & { readonly signedOff: boolean }>()
  readonly campaigns = new Map<OperationId, Campaign>()
  readonly backups = new Map<string, BackupRecord>()
  tokenRevision = 0
  lastEvent = 0
  /** Grows when the process dies and comes back: what an earlier one began, nobody is at any more. */
  incarnation = 0

  constructor(clock: Clock, random: Random) {
    this.clock = clock
    this.random = random
  }

  secret(id: SecretId): MemorySecret {
    const secret = this.secrets.get(id)
    if (secret === undefined) throw noSecret(id)
    return secret
  }

  held(id: RotationId): HeldRotation {
    const held = this.rotations.get(id)
    if (held === undefined) throw noRotation(id)
    return held
  }

  openOf(id: SecretId): HeldRotation | null {
    const open = this.open.get(id)
    return open === undefined ? null : this.held(open)
  }

  versionsOf(id: SecretId): readonly LedgerVersion[] {
    return [...(this.versions.get(id)?.values() ?? [])].sort((a, b) => b.number - a.number)
  }

  revocationsOf(id: SecretId): readonly Revocation[] {
    return [...(this.revocations.get(id)?.values() ?? [])].sort((a, b) => a.number - b.number)
  }

  /** Notes the KEK of a value that is about to be kept; `precondition_failed` when it is retired. */
  admit({ kekId }: Sealed): void {
    const kek = this.keks.get(kekId)
    if (kek === undefined) this.keks.set(kekId, { fingerprint: null, wraps: 0, retiredAt: null })
    else if (kek.retiredAt !== null) throw kekRetired(kekId)
  }

  putVersions(id: SecretId, rows: readonly LedgerVersion[]): void {
    const { nextNumber } = this.secret(id)
    for (const { number, sealed } of rows)
      if (sealed !== null && sealed.kekId !== this.versions.get(id)?.get(number)?.sealed?.kekId) this.admit(sealed)
    this.versions.set(id, new Map([...(this.versions.get(id) ?? []), ...rows.map(row => [row.number, row] as const)]))
    this.putSecret(id, { nextNumber: rows.reduce((next, row) => Math.max(next, row.number + 1), nextNumber) })
  }

  putRevocations(id: SecretId, rows: readonly Revocation[]): void {
    this.revocations.set(id, new Map([...(this.revocations.get(id) ?? []), ...rows.map(row => [row.number, row] as const)]))
  }

  putSecret(id: SecretId, change: Partial<MemorySecret>): void {
    this.secrets.set(id, { ...this.secret(id), ...change })
  }
}
