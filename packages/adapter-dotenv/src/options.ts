import { BrokerError } from '@keyturn/core'
import { z } from 'zod'
import { parseAssignments } from './assignments.ts'
import { nameOf } from './names.ts'
import { decodeFile } from './text.ts'

export { nameOf, pathOf } from './names.ts'

/** The keys of a `dotenv` section beside what every store section has. */
export const options = z.strictObject({
  /** The file, absolute. It need not exist: the first write makes it, readable by its owner alone. */
  file: z.string().min(1),
  /** Whether variables keep their names or `DATABASE_URL` is called `database-url`. */
  names: z.enum(['same', 'kebab']).default('same'),
  /** Serves the file and never changes it. */
  readOnly: z.boolean().optional(),
})

export type DotenvOptions = z.output<typeof options>

/** A variable is one text: no entry names a field in it. */
export const keyed = 'none'
/** A text, or fields where the config says `format: json`. */
export const holds = 'text'
/** A section that lists nothing serves every variable of its file. */
export const unlisted = { paths }

/**
 * The variables of the file, for a section that lists none. `read` is the config's own. Two variables that would have one name
 * are refused with `invalid_argument`, a file that is not UTF-8 with `corrupt`.
 */
export async function paths(own: DotenvOptions, read: (path: string) => Promise<Uint8Array> | Uint8Array): Promise<readonly string[]> {
  const variables = new Set(parseAssignments(decodeFile(own.file, await read(own.file))).map(({ name }) => name))
  const takenBy = new Map<string, string>()
  for (const variable of variables) {
    const name = nameOf(variable, own)
    const other = takenBy.get(name)
    if (other !== undefined) throw new BrokerError('invalid_argument', `variables ${other} and ${variable} would both be called ${name}`)
    takenBy.set(name, variable)
  }
  return [...variables]
}
