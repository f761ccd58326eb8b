import { z } from 'zod'
import { component, seconds, time, timeOrNull } from './forms.ts'

/** A sealed bundle on the disk of a broker. */
export const backup = component(
  'Backup',
  z.object({
    id: z.string(),
    created_at: time,
    /** Whole path, on the machine of `host`. */
    file: z.string(),
    host: z.string(),
    reason: z.string(),
    bytes: z.int().nonnegative(),
    sha256: z.string().regex(/^[0-9a-f]{64}$/),
    /** Versions in it. */
    versions: z.int().nonnegative(),
    /** How many of them each KEK opens. */
    keks: z.record(z.string(), z.int().nonnegative()),
    /** Kept until then; null: until somebody removes it. */
    keep_until: timeOrNull,
    /** Whether its file is there; null: it is on another machine. */
    present: z.boolean().nullable(),
  }),
)

/** `GET /admin/v1/backups` */
export const backupList = component('BackupList', z.object({ backups: z.array(backup) }))

/** `POST /admin/v1/backups`; `keep_for` in seconds, null: until somebody removes it. Left out: as the config says. */
export const backupCreate = component(
  'BackupCreate',
  z.strictObject({ reason: z.string().max(500).default(''), keep_for: seconds.nullable().optional() }),
)

export type Backup = z.infer<typeof backup>
export type BackupList = z.infer<typeof backupList>
export type BackupCreate = z.infer<typeof backupCreate>
