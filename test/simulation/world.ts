import { MemoryBackend, type MemoryShape, openMemoryStore } from '@keyturn/conformance'
import type { SecretValue, StoreAdapter, StorePath } from '@keyturn/core'
import { failures } from './faults.ts'
import { RotationWorld, type RotationWorldOptions } from './rotation-world.ts'

export const path = 'app/credential' as StorePath

export interface WorldOptions extends Omit<RotationWorldOptions, 'path' | 'first'> {
  readonly shape: MemoryShape
}

/** A world whose store is in memory, in one of the shapes that backends have. */
export class World extends RotationWorld {
  readonly backend: MemoryBackend
  protected readonly storeFailure = failures.store

  constructor({ shape, ...options }: WorldOptions) {
    super({ ...options, path })
    this.backend = new MemoryBackend(shape, { clock: this.clock, random: this.random })
  }

  current(): SecretValue | undefined {
    return this.backend.live(path)?.current?.value
  }

  made(): number {
    return new Set(this.backend.made.map(made => made.version)).size - 1
  }

  /** Someone writes past the broker. */
  overwrite(value: SecretValue): void {
    const { secret, version } = this.backend.add(path, value, this.random.uuid())
    this.backend.makeCurrent(path, secret, version)
  }

  protected async place(value: SecretValue): Promise<void> {
    await this.openStore().write(path, value, { signal: new AbortController().signal, idempotencyKey: this.random.uuid() })
  }

  protected openStore(): StoreAdapter {
    return openMemoryStore(this.backend)
  }
}
