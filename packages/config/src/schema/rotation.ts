import { secretTypes } from '@keyturn/core'
import { z } from 'zod'
import { cron, day, duration, period, text, timeZone } from '../leaves.ts'

/** The types that have a schedule. */
const scheduledTypes = secretTypes.filter(type => type !== 'generic')

export const windowSchema = z
  .strictObject({
    allow: cron(),
    for: period(),
    timeZone: timeZone().default('UTC'),
  })
  .transform(window => ({ allow: window.allow, forMs: window.for, timeZone: window.timeZone }))

export const freezeSchema = z
  .strictObject({ from: day(), to: day(), timeZone: timeZone().default('UTC') })
  .superRefine((freeze, context) => {
    if (freeze.to >= freeze.from) return
    const params = { remedy: () => 'write the first frozen day as from and the last one as to' }
    context.addIssue({ code: 'custom', message: 'the freeze ends before it starts', path: ['to'], params })
  })

/** The figures of one type. */
export const typeRowSchema = z.strictObject({
  every: period().optional(),
  grace: duration().optional(),
  windows: z.array(windowSchema).optional(),
})

export const groupSchema = z
  .strictObject({
    names: z.array(text('the name of a secret', 'payments/stripe')).min(1).optional(),
    types: z.array(z.enum(scheduledTypes)).min(1).optional(),
    labels: z.record(z.string(), text('a label', 'gold')).optional(),
  })
  .superRefine((group, context) => {
    if (group.names !== undefined || group.types !== undefined || group.labels !== undefined) return
    const params = { remedy: () => 'write names, types or labels in it' }
    context.addIssue({ code: 'custom', message: 'the group selects nothing', params })
  })

export const rotationSchema = z.strictObject({
  every: period().optional(),
  grace: duration().optional(),
  types: z.partialRecord(z.enum(scheduledTypes), typeRowSchema).optional(),
  groups: z.record(z.string(), groupSchema).optional(),
  freezes: z.array(freezeSchema).optional(),
})
