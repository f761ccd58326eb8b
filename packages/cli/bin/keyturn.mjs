#!/usr/bin/env node
// Plain JavaScript for any Node from 20 on: it finds the Node that Keyturn is built for and hands over to it.
import { spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const needed = 24
const here = dirname(fileURLToPath(import.meta.url))
const source = join(here, '..', 'src', 'main.ts')
const isSource = existsSync(source)
const main = isSource ? source : join(here, '..', 'dist', 'main.js')
const conditions = isSource ? ['--conditions=@keyturn/source'] : []

/** The `node` package that comes with the install; its version is read, because starting it only to ask costs time. */
function pinnedNode() {
  for (let folder = here; ; folder = dirname(folder)) {
    const manifest = join(folder, 'node_modules', 'node', 'package.json')
    const node = join(folder, 'node_modules', '.bin', 'node')
    if (existsSync(manifest) && existsSync(node) && majorOf(JSON.parse(readFileSync(manifest, 'utf8')).version) >= needed) return node
    if (folder === dirname(folder)) return undefined
  }
}

const majorOf = version => Number(version.split('.')[0])

function handOver(node) {
  const args = [...conditions, main, ...process.argv.slice(2)]
  if (process.execve !== undefined) {
    // the same process goes on as another program; it is marked experimental, which is no news to a user
    process.removeAllListeners('warning')
    process.execve(node, [node, ...args], process.env)
  }
  // the channel tells the other one when this one is killed, so that none is left behind
  const child = spawn(node, args, { stdio: ['inherit', 'inherit', 'inherit', 'ipc'] })
  for (const signal of ['SIGTERM', 'SIGHUP', 'SIGUSR2', 'SIGQUIT']) process.on(signal, () => child.kill(signal))
  // a terminal sends its interrupt to both
  process.on('SIGINT', () => process.stdin.isTTY || child.kill('SIGINT'))
  child.on('error', error => {
    process.stderr.write(`keyturn: ${node} cannot be started: ${error.message}\n`)
    process.exitCode = 1
  })
  child.on('exit', (code, signal) => {
    if (signal === null) process.exit(code)
    for (const name of process.eventNames()) process.removeAllListeners(name)
    process.kill(process.pid, signal)
  })
}

const isNew = majorOf(process.versions.node) >= needed
if (isNew && (!isSource || process.execArgv.some(argument => argument === conditions[0]))) {
  await import(main)
} else {
  const node = isNew ? process.execPath : pinnedNode()
  if (node === undefined) {
    process.stderr.write(
      `keyturn: Node ${needed} is needed, and this is ${process.versions.node}; run npm install, or install Node ${needed}\n`,
    )
    process.exitCode = 1
  } else {
    handOver(node)
  }
}
