#!/usr/bin/env node
// Plain JavaScript for any Node from 20 on: it finds the Node that Keyturn is built for, and runs itself under that.
import { spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import * as nodeModule from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { cacheFolder } from './compile-cache.mjs'

const needed = 24
const self = fileURLToPath(import.meta.url)
const source = join(dirname(self), '..', 'src', 'main.ts')
const isSource = existsSync(source)
const conditions = isSource ? ['--conditions=@keyturn/source'] : []

/** Every node_modules folder above this file, the nearest first. */
function modules(folder = dirname(self)) {
  const rest = folder === dirname(folder) ? [] : modules(dirname(folder))
  const here = join(folder, 'node_modules')
  return existsSync(here) ? [here, ...rest] : rest
}

const majorOf = version => Number(version.split('.')[0])

/** The `node` package that comes with the install; its version is read, because starting it only to ask costs time. */
function pinnedNode() {
  const isRight = manifest => existsSync(manifest) && majorOf(JSON.parse(readFileSync(manifest, 'utf8')).version) >= needed
  const found = modules().find(folder => isRight(join(folder, 'node', 'package.json')) && existsSync(join(folder, '.bin', 'node')))
  return found === undefined ? undefined : join(found, '.bin', 'node')
}

function handOver(node) {
  const args = [...conditions, self, ...process.argv.slice(2)]
  if (process.execve !== undefined) {
    // the same process goes on as another program; that it is experimental is no news to a user
    process.removeAllListeners('warning')
    process.execve(node, [node, ...args], process.env)
  }
  // the channel tells the other one when this one is killed, so that none is left behind
  const child = spawn(node, args, { stdio: ['inherit', 'inherit', 'inherit', 'ipc'] })
  for (const signal of ['SIGTERM', 'SIGHUP', 'SIGQUIT']) process.on(signal, () => child.kill(signal))
  // a terminal sends its interrupt to both
  process.on('SIGINT', () => process.stdin.isTTY || child.kill('SIGINT'))
  child.on('error', error => {
    process.stderr.write(`keyturn: ${node} cannot be started: ${error.message}\n`)
    process.exitCode = 1
  })
  child.on('exit', (code, signal) => {
    if (signal === null) process.exit(code)
    process.removeAllListeners(signal)
    process.kill(process.pid, signal)
  })
}

const isNew = majorOf(process.versions.node) >= needed
const node = isNew ? process.execPath : pinnedNode()
if (isNew && conditions.every(condition => process.execArgv.includes(condition))) {
  // whatever is made beside the data, by Node's cache too, is its owner's alone
  process.umask(0o077)
  const [nearest] = modules()
  const cache = cacheFolder(process.argv.slice(2), process.env, process.cwd()) ?? (nearest && join(nearest, '.cache', 'keyturn'))
  if (cache !== undefined) nodeModule.enableCompileCache(cache)
  await import(isSource ? source : join(dirname(self), '..', 'dist', 'main.js'))
} else if (node === undefined) {
  process.stderr.write(
    `keyturn: Node ${needed} is needed, and this is ${process.versions.node}; run npm install, or install Node ${needed}\n`,
  )
  process.exitCode = 1
} else {
  handOver(node)
}
