// Installs what is missing: `npm ci`, only when the lockfile has changed since the last time. Plain JavaScript for any Node from 20 on.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const stamp = join(root, 'node_modules', '.keyturn-installed')
const wanted = createHash('sha256')
  .update(readFileSync(join(root, 'package-lock.json')))
  .digest('hex')
const installed = existsSync(stamp) ? readFileSync(stamp, 'utf8') : ''

if (installed !== wanted) {
  process.stderr.write('installing what is missing (npm ci) ...\n')
  // stdout belongs to the script that runs next
  const npm = spawnSync('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], {
    cwd: root,
    stdio: ['ignore', 2, 2],
    shell: process.platform === 'win32',
  })
  if (npm.status !== 0) {
    process.stderr.write('npm ci failed: its message is above; nothing was started\n')
    process.exit(npm.status ?? 1)
  }
  const pinned = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).devDependencies.node
  const node = spawnSync(join(root, 'node_modules', '.bin', 'node'), ['--version'], { encoding: 'utf8' })
  if (node.stdout?.trim() !== `v${pinned}`) {
    process.stderr.write(
      `the pinned Node ${pinned} did not come with the install (found: ${node.stdout?.trim() || 'none'}).\n` +
        'npm blocks install scripts on this machine: allow that of the package "node" (npm config set ignore-scripts false), then run again.\n',
    )
    process.exit(1)
  }
  writeFileSync(stamp, wanted)
}
