// Prints `passed failed` of one suite: the tests of vitest's report where there is one, else the suite itself by its exit code.
import { existsSync, readFileSync } from 'node:fs'

const [, , report, code] = process.argv
const ok = code === '0'
if (!existsSync(report)) {
  process.stdout.write(ok ? '1 0\n' : '0 1\n')
} else {
  const { numPassedTests, numFailedTests } = JSON.parse(readFileSync(report, 'utf8'))
  // a suite that failed with every test green (a file that did not load, a check after the tests) has failed all the same
  const failed = ok ? numFailedTests : Math.max(1, numFailedTests)
  process.stdout.write(`${numPassedTests} ${failed}\n`)
}
