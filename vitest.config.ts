import { defineConfig } from 'vitest/config'

/** One project per kind of test; `npm test` runs the first four. All run from source, by the export condition of every package. */
const source = { resolve: { conditions: ['@keyturn/source'] }, ssr: { resolve: { conditions: ['@keyturn/source'] } } }
/** CI counts tests from a report. */
const report = process.env.KEYTURN_COUNTS
const reports: ['json', { outputFile: string }][] = report === undefined ? [] : [['json', { outputFile: report }]]

const project = (name: string, include: string[], more: object = {}) => ({
  ...source,
  test: { name, include, environment: 'node' as const, testTimeout: 30_000, hookTimeout: 60_000, ...more },
})

export default defineConfig({
  test: {
    reporters: ['default', './test/rules-reporter.ts', ...reports],
    projects: [
      project('unit', ['packages/*/src/**/*.test.ts'], { isolate: false, pool: 'threads' }),
      project('house', ['test/*.test.ts']),
      project('crash', ['test/crash/**/*.test.ts', 'test/simulation/**/*.test.ts']),
      project('e2e', ['test/e2e/**/*.test.ts']),
      project('live', ['test/live/**/*.test.ts'], { testTimeout: 300_000, hookTimeout: 900_000 }),
      project('long', ['test/long/**/*.test.ts'], { testTimeout: 3_600_000 }),
    ],
  },
})
