import type { BackupRecord, Backups } from '../ledger.ts'
import { backupChanged, backupKnown } from '../rules/backup.ts'
import { copy } from '../rules/copy.ts'
import type { MemoryState } from './state.ts'

export class MemoryBackups implements Backups {
  readonly #state: MemoryState

  constructor(state: MemoryState) {
    this.#state = state
  }

  async add(backup: Omit<BackupRecord, 'createdAt'>): Promise<BackupRecord> {
    const { backups, clock } = this.#state
    if (backups.has(backup.id)) throw backupKnown(backup.id)
    const { id, file, host, reason, bytes, sha256, versions, keks, keepUntil } = copy(backup)
    const record = { id, createdAt: clock.now(), file, host, reason, bytes, sha256, versions, keks, keepUntil }
    backups.set(id, record)
    return copy(record)
  }

  async all(): Promise<readonly BackupRecord[]> {
    return copy([...this.#state.backups.values()])
  }

  async renew(id: string, before: string, now: Pick<BackupRecord, 'bytes' | 'sha256' | 'keks'>): Promise<void> {
    const { backups } = this.#state
    const backup = backups.get(id)
    if (backup === undefined || backup.sha256 !== before) throw backupChanged(id)
    const { bytes, sha256, keks } = copy(now)
    backups.set(id, { ...backup, bytes, sha256, keks })
  }

  async remove(id: string): Promise<void> {
    this.#state.backups.delete(id)
  }
}
