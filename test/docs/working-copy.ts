import { execFileSync, spawn } from 'node:child_process'
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { type Block, patched } from './blocks.ts'

const root = join(import.meta.dirname, '../..')
const commandWithinMs = 150_000

/** A command of a document, and what it said. */
export interface Ran {
  readonly command: string
  readonly output: string
}

/** A folder in which the blocks of a document are followed. */
export class WorkingCopy {
  readonly folder = mkdtempSync(join(tmpdir(), 'keyturn-copy-'))

  /** The checkout as it is now, committed or not, installed but for what a document adds to it. */
  static ofCheckout(): WorkingCopy {
    const copy = new WorkingCopy()
    const listed = execFileSync('git', ['ls-files', '-coz', '--exclude-standard'], { cwd: root, encoding: 'utf8' })
    // a file that is deleted and not yet committed is listed too
    for (const path of listed.split('\0').filter(path => path !== '' && existsSync(join(root, path)))) {
      cpSync(join(root, path), join(copy.folder, path))
    }
    execFileSync('git', ['init', '-q'], { cwd: copy.folder, env: copy.#env() })
    copy.#linkModules()
    copy.install()
    return copy
  }

  /** Does what a block says: makes its file, changes it, or runs its lines. Throws with the block's place when that fails. */
  async follow(block: Block): Promise<readonly Ran[]> {
    const { file, language, text } = block
    if (language === 'diff' && file !== undefined) this.write(file, patched(this.read(file), block))
    else if (file !== undefined) this.write(file, text)
    if (file !== undefined || language !== 'sh') return []
    const ran: Ran[] = []
    for (const command of text.split('\n').filter(line => line !== '')) ran.push(await this.#run(command, block))
    return ran
  }

  read(path: string): string {
    return readFileSync(join(this.folder, path), 'utf8')
  }

  write(path: string, text: string): void {
    mkdirSync(dirname(join(this.folder, path)), { recursive: true })
    writeFileSync(join(this.folder, path), text)
  }

  /**
   * What `npm install` does for packages of the workspace: links them. Done here without npm, because tests ask no registry; so a
   * dependency that is not installed already is an error.
   */
  install(): void {
    const ours = join(this.folder, 'node_modules/@keyturn')
    mkdirSync(ours, { recursive: true })
    for (const name of readdirSync(join(this.folder, 'packages'))) {
      const manifest = JSON.parse(this.read(`packages/${name}/package.json`))
      if (!existsSync(join(ours, name))) symlinkSync(`../../packages/${name}`, join(ours, name))
      for (const [dependency, version] of Object.entries({ ...manifest.dependencies, ...manifest.devDependencies })) {
        const path = dependency.startsWith('@keyturn/') ? `packages/${dependency.slice(9)}` : `node_modules/${dependency}`
        const found = existsSync(join(this.folder, path)) ? JSON.parse(this.read(`${path}/package.json`)).version : 'nothing'
        if (found !== version) throw new Error(`packages/${name} wants ${dependency} ${version}, and ${found} is installed`)
      }
    }
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true })
  }

  async #run(command: string, { at }: Block): Promise<Ran> {
    if (command === 'npm install') {
      this.install()
      return { command, output: '' }
    }
    const { code, output } = await this.#shell(command)
    if (code !== 0) throw new Error(`${at}: ${command}: ended with ${code}:\n${output}`)
    return { command, output }
  }

  #shell(command: string): Promise<{ readonly code: number | string; readonly output: string }> {
    return new Promise((resolve, reject) => {
      // a group of its own, so that nothing of it outlives the deadline
      const child = spawn('bash', ['-c', command], {
        cwd: this.folder,
        env: this.#env(),
        detached: true,
        stdio: ['ignore', 'pipe', 'pipe'],
      })
      const deadline = setTimeout(() => child.pid !== undefined && process.kill(-child.pid, 'SIGKILL'), commandWithinMs)
      let output = ''
      for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text: string) => (output += text))
      child.on('error', reject)
      child.on('close', (code, signal) => {
        clearTimeout(deadline)
        resolve({ code: code ?? signal ?? 'no code', output })
      })
    })
  }

  /** The pinned Node first, and nothing that this test run set for itself. */
  #env(): NodeJS.ProcessEnv {
    const { HOME, TMPDIR, LANG, PATH = '' } = process.env
    const path = [join(this.folder, 'node_modules/.bin'), PATH].join(delimiter)
    const known = Object.entries({ HOME, TMPDIR, LANG }).filter(([, value]) => value !== undefined)
    return { ...Object.fromEntries(known), PATH: path, NO_COLOR: '1', npm_config_offline: 'true', npm_config_update_notifier: 'false' }
  }

  /** What is installed, by links; commands by links of their own, because those of the checkout lead into its packages. */
  #linkModules(): void {
    const [from, to] = [join(root, 'node_modules'), join(this.folder, 'node_modules')]
    mkdirSync(join(to, '.bin'), { recursive: true })
    for (const name of readdirSync(from)) {
      if (!name.startsWith('.') && name !== '@keyturn') symlinkSync(join(from, name), join(to, name))
    }
    for (const name of readdirSync(join(from, '.bin'))) symlinkSync(readlinkSync(join(from, '.bin', name)), join(to, '.bin', name))
  }
}
