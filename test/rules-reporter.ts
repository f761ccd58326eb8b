import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import process from 'node:process'
import type { Reporter, TestModule } from 'vitest/node'

const table = join(import.meta.dirname, '../docs/rotation-rules.md')

/** The test titles that the table of rules names: its second column, below the head. */
export function titlesOf(markdown: string): readonly string[] {
  const cells = markdown.split('\n').flatMap(line => (line.startsWith('|') ? [line.split(/(?<!\\)\|/)[2]?.trim() ?? ''] : []))
  return cells.slice(cells.findIndex(cell => /^-+$/.test(cell)) + 1)
}

/** The titles that no passed test bears. */
export function unkept(titles: readonly string[], passed: ReadonlySet<string>): readonly string[] {
  return [...new Set(titles)].filter(title => !passed.has(title))
}

/** At the end of a whole `npm test`: every rule's test exists and ran, or the run has failed. */
export default class RulesReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    const whole = ['unit', 'house', 'crash', 'e2e'].every(project => modules.some(module => module.project.name === project))
    const filtered = process.argv.some(argument => argument === '-t' || argument.startsWith('--testNamePattern'))
    if (!whole || filtered) return
    const passed = new Set<string>()
    for (const module of modules) for (const test of module.children.allTests('passed')) passed.add(test.name)
    const titles = titlesOf(readFileSync(table, 'utf8'))
    const missing = unkept(titles, passed)
    for (const title of missing) process.stderr.write(`docs/rotation-rules.md: no test of this title passed: ${title}\n`)
    process.stdout.write(`rules of rotation: ${titles.length - missing.length} of ${titles.length} rows held by tests that ran\n`)
    if (missing.length > 0) process.exitCode = 1
  }
}
