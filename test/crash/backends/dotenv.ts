import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { SecretValue, type StorePath } from '@keyturn/core'
import { open } from '../../../packages/adapter-dotenv/src/index.ts'
import { type Backend, contextIn } from './backend.ts'
import { plainTextOf } from './texts.ts'

const variable = 'APP_CREDENTIAL'
/** What people write around it, with everything that a rewriting parser loses. */
const [above, below] = ['# ours\r\nexport  OTHER = "stays" # as it is\n', "\n\n`NOT=understood\nLAST='line'"]

/** A `.env` file with lines of others above and below. Its adapter reads and writes it directly: there is no wire. */
export const dotenv: Backend = {
  name: 'dotenv',
  async start() {
    const folder = await mkdtemp(join(tmpdir(), 'keyturn-crash-'))
    const file = join(folder, '.env')
    return {
      path: variable as StorePath,
      form: 'text',
      open: async () => open({ file, names: 'same' }, contextIn(folder)),
      place: value => writeFile(file, `${above}${variable}=${plainTextOf(value)}${below}`, { mode: 0o600 }),
      async look() {
        const text = await readFile(file, 'utf8')
        const [before = '', line = '', after = ''] = text.split(new RegExp(`^(${variable}=.*)$`, 'm'))
        // generated texts have letters that no quotes are needed for
        const value = /=(.+)$/.exec(line)?.[1]
        return { current: value === undefined ? undefined : SecretValue.text(value), secret: line, neighbours: `${before}\0${after}` }
      },
      close: () => rm(folder, { recursive: true }),
    }
  },
}
