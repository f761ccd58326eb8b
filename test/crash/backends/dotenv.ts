import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { SecretValue, type StorePath } from '@keyturn/core'
import { type Files, systemFiles } from '../../../packages/adapter-dotenv/src/files.ts'
import { DotenvStore } from '../../../packages/adapter-dotenv/src/store.ts'
import { Death } from '../../simulation/faults.ts'
import type { Carry } from '../wire.ts'
import { type Backend, contextIn } from './backend.ts'
import { plainTextOf } from './texts.ts'

const variable = 'APP_CREDENTIAL'
/** What people write around it, with everything that a rewriting parser loses. */
const [above, below] = ['# ours\r\nexport  OTHER = "stays" # as it is\n', "\n\n`NOT=understood\nLAST='line'"]

/** A `.env` file with lines of others above and below. Its wire is the file system: each step of a read or a write is a request. */
export const dotenv: Backend = {
  name: 'dotenv',
  async start() {
    const folder = await mkdtemp(join(tmpdir(), 'keyturn-crash-'))
    const file = join(folder, '.env')
    return {
      path: variable as StorePath,
      form: 'text',
      async open(carry) {
        const { files, kill } = filesOf(carry)
        return { adapter: new DotenvStore({ file, names: 'same' }, contextIn(folder), files), kill }
      },
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

type Step = (...args: readonly never[]) => Promise<unknown>

/** The machine's file system for one process, each step of it carried. */
function filesOf(carry: Carry): { readonly files: Files; kill(): Promise<void> } {
  let isDead = false
  const kill = async () => {
    isDead = true
  }
  const carried = (title: string, step: Step): Step => {
    return (...args) => {
      if (isDead) return Promise.reject(new Death())
      return new Promise((resolve, reject) => {
        const fail = (code: string) => () => reject(Object.assign(new Error(`${code}: ${title}`), { code }))
        const act = async () => {
          const [outcome] = await Promise.allSettled([step(...args)])
          return () => (outcome.status === 'fulfilled' ? resolve(outcome.value) : reject(outcome.reason))
        }
        carry({ title, act, refuse: fail('EAGAIN'), cut: fail('EIO') }, kill)
      })
    }
  }
  const files = Object.fromEntries(Object.entries(systemFiles).map(([title, step]) => [title, carried(title, step as Step)]))
  // every member of it, by its name
  return { files: files as unknown as Files, kill }
}
