import type { EnvelopeRow, Envelopes, PassOutcome } from '@keyturn/core'
import type { Mutant } from './mutant.ts'

type Act = Parameters<Envelopes['step']>[1]['act']

/** The envelopes with another idea of what becomes of rows. */
const acting =
  (change: (act: Act) => Act) =>
  ({ envelopes }: { readonly envelopes: Envelopes }): ReturnType<Mutant['plant']> => ({
    envelopes: { step: (id, { rows, act }) => envelopes.step(id, { rows, act: change(act) }) },
  })

/** Faults of counts and passes. */
export const envelopeMutants: readonly Mutant[] = [
  {
    fault: 'envelopes are counted where they were',
    caughtBy: 'every envelope is counted under its KEK, by what it is, as long as it is there',
    plant: ({ envelopes }) => {
      let first: Awaited<ReturnType<Envelopes['keks']>> = []
      const keks = async () => {
        if (first.length === 0) first = await envelopes.keks()
        return first
      }
      return { envelopes: { keks } }
    },
  },
  {
    fault: 'a row is changed twice in a pass',
    caughtBy: 'a pass that re-wraps changes every wrap once, no payload, and nothing that is under its KEK',
    plant: acting(act => async rows => {
      await act(rows)
      return act(rows)
    }),
  },
  {
    fault: 'a re-encryption keeps the payloads',
    caughtBy: 'a pass that re-encrypts changes payloads too, a scrub looks at every envelope and changes none',
    plant: ({ envelopes }) => ({ envelopes: { begin: pass => envelopes.begin({ ...pass, kind: 'rewrap' }) } }),
  },
  {
    fault: 'what changed meanwhile is counted as done',
    caughtBy: 'a row that changed between look and change is skipped, and counted',
    plant: ({ envelopes }) => ({
      envelopes: {
        progress: async id => {
          const progress = await envelopes.progress(id)
          return progress && { ...progress, done: progress.done + progress.skipped, skipped: 0 }
        },
      },
    }),
  },
  {
    fault: 'what went away is left out of the sum',
    caughtBy: 'a row that went away before a pass came to it counts as skipped',
    plant: ({ envelopes }) => ({
      envelopes: {
        progress: async id => {
          const progress = await envelopes.progress(id)
          return progress && { ...progress, skipped: 0 }
        },
      },
    }),
  },
  {
    fault: 'a row that cannot be opened stops the others of its page',
    caughtBy: 'a row that cannot be opened is counted and named, and stops nothing',
    plant: acting(act => async rows => {
      const outcomes = await act(rows)
      const failure = outcomes.find(outcome => outcome !== 'kept' && 'code' in outcome)
      return failure === undefined ? outcomes : rows.map(() => failure)
    }),
  },
  {
    fault: 'rows of a step that failed are passed over',
    caughtBy: 'a step that fails changes nothing, and the next one finds the same rows',
    plant: acting(act => async rows => act(rows).catch(() => rows.map((): PassOutcome => 'kept'))),
  },
  {
    fault: 'two steps are at the same rows',
    caughtBy: 'many that step one pass at once meet every row once',
    plant: ({ envelopes }) => {
      let last: readonly EnvelopeRow[] = []
      return acting(act => async rows => {
        const both = [...last, ...rows]
        last = rows
        return (await act(both)).slice(-rows.length)
      })({ envelopes })
    },
  },
  {
    fault: 'a pass that is begun again begins anew',
    caughtBy: 'a pass goes by its id: begun twice it is one, elsewhere it does not lead, forgotten it is gone',
    plant: ({ envelopes }) => ({
      envelopes: {
        begin: async pass => {
          await envelopes.forget(pass.id)
          await envelopes.begin(pass)
        },
      },
    }),
  },
  {
    fault: 'a KEK that is needed is retired',
    caughtBy: 'a KEK is retired when nothing needs it, and nothing is closed with it from then on',
    plant: ({ envelopes }) => ({ envelopes: { retire: id => envelopes.retire(id).catch(() => {}) } }),
  },
]
