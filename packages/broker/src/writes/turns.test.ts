import { expect, test } from 'vitest'
import { Turns } from './turns.ts'

test('acts on one key come one after another, in the order of asking, whatever becomes of them; other keys do not wait', async () => {
  const turns = new Turns()
  const log: string[] = []
  const act =
    (name: string, fails = false) =>
    async () => {
      log.push(`${name} begins`)
      await new Promise(resolve => setImmediate(resolve))
      log.push(`${name} ends`)
      if (fails) throw new Error(name)
      return name
    }
  const all = [turns.run('a', act('one')), turns.run('a', act('two', true)), turns.run('a', act('three')), turns.run('b', act('other'))]
  const ends = await Promise.allSettled(all)
  expect(ends.map(end => end.status)).toEqual(['fulfilled', 'rejected', 'fulfilled', 'fulfilled'])
  expect(log.filter(line => !line.startsWith('other'))).toEqual([
    'one begins',
    'one ends',
    'two begins',
    'two ends',
    'three begins',
    'three ends',
  ])
  expect(log.indexOf('other begins')).toBeLessThan(log.indexOf('one ends'))
})
