import { backupChecks } from './contract/backups.ts'
import { campaignChecks } from './contract/campaigns.ts'
import { changeChecks } from './contract/changes.ts'
import { envelopeChecks } from './contract/envelopes.ts'
import { instanceChecks } from './contract/instances.ts'
import { kekChecks } from './contract/keks.ts'
import { registerChecks } from './contract/registers.ts'
import { rotationChecks } from './contract/rotations.ts'
import { secretChecks } from './contract/secrets.ts'
import type { LedgerCheck } from './contract/subject.ts'
import { wishChecks } from './contract/wishes.ts'
import { writeChecks } from './contract/writes.ts'

export type { LedgerCheck, Subject } from './contract/subject.ts'

/** What every ledger must do, one check a promise: the same for memory, SQLite and PostgreSQL. */
export const ledgerContract: readonly LedgerCheck[] = [
  ...rotationChecks,
  ...changeChecks,
  ...wishChecks,
  ...secretChecks,
  ...writeChecks,
  ...registerChecks,
  ...envelopeChecks,
  ...kekChecks,
  ...instanceChecks,
  ...campaignChecks,
  ...backupChecks,
]
