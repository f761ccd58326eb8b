import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { BrokerError } from '@keyturn/core'
import type { WrapTally } from '@keyturn/envelope'
import { writePrivate } from '../private-file.ts'

const file = 'kek-use.json'

/** Counts what this broker closes under each KEK, in a file of its data folder. */
export function fileTally(data: string): WrapTally {
  const path = join(data, file)
  const counts = new Map(existsSync(path) ? read(path) : [])
  return {
    async add(kekId, count) {
      const sum = (counts.get(kekId) ?? 0) + count
      counts.set(kekId, sum)
      writePrivate(data, file, JSON.stringify(Object.fromEntries(counts)))
      return sum
    },
  }
}

function read(path: string): readonly (readonly [string, number])[] {
  try {
    const counts: unknown = JSON.parse(readFileSync(path, 'utf8'))
    if (typeof counts === 'object' && counts !== null) {
      return Object.entries(counts).map(([id, count]) => {
        if (!Number.isSafeInteger(count)) throw new Error('not a count')
        return [id, count] as const
      })
    }
  } catch {
    // said below: a count that cannot be read must not start again at nothing
  }
  throw new BrokerError('corrupt', `${path} does not parse`, {
    hint: 'restore it, or write the counts of your last report of the keys into it',
  })
}
