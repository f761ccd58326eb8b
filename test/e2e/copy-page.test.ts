import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { type Around, ran } from '../../packages/cli/test/fake-terminal.ts'
import { blocksOf } from '../docs/blocks.ts'
import { Place } from './harness.ts'

const page = readFileSync(join(import.meta.dirname, '../../docs/copy.md'), 'utf8')
const place = new Place()
afterAll(() => place.remove())

test('the page on copying: its files are read, its commands work, and its plan is what is printed', async () => {
  const blocks = blocksOf(page, 'copy.md')
  for (const { file, text } of blocks) if (file !== undefined) place.write(file, text)
  const around: Around = { cwd: place.folder, env: { NO_COLOR: '1', KEYTURN_DATA: join(place.folder, 'data') } }
  const commands = blocks
    .filter(({ language, file }) => language === 'sh' && file === undefined)
    .flatMap(({ text }) => text.trim().split('\n'))
  expect(commands).toHaveLength(4)
  for (const line of commands) {
    const [program, from = '', to = ''] = line.split(' ')
    if (program === 'cp') place.write(to, place.read(from))
    else {
      const answer = await ran(line.split(' ').slice(3), line.includes('--plan') ? { ...around, answers: [] } : around)
      expect(answer.code, answer.err).toBe(0)
      if (line.includes('--plan')) expect(answer.out).toBe(blocks.find(({ language }) => language === 'text')?.text)
    }
  }
})
