import { setTimeout as pause } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { Crowd } from './crowd.ts'

it('runs so much at a time, and what has one key in order', async () => {
  const crowd = new Crowd(3)
  const order: string[] = []
  let running = 0
  let most = 0
  for (let line = 1; line <= 12; line += 1) {
    const key = line % 4 === 0 ? 'same' : `${line}`
    await crowd.add(line, key, async () => {
      most = Math.max(most, ++running)
      await pause(12 - line)
      running -= 1
      if (key === 'same') order.push(`${line}`)
    })
  }
  await crowd.done()
  expect([most, order, crowd.firstOpen, crowd.broken]).toEqual([3, ['4', '8', '12'], 13, undefined])
})

it('knows the first line that is not done with, and begins nothing after one that broke', async () => {
  const crowd = new Crowd(2)
  const begun: number[] = []
  const add = (line: number, work: () => Promise<void>) =>
    crowd.add(line, `${line}`, () => {
      begun.push(line)
      return work()
    })
  const slow = Promise.withResolvers<void>()
  await add(1, async () => undefined)
  await add(2, () => slow.promise)
  await add(3, () => Promise.reject(new Error('gone')))
  await add(4, async () => undefined)
  expect(crowd.firstOpen).toBe(2)
  slow.resolve()
  await crowd.done()
  expect([begun, crowd.firstOpen, crowd.broken]).toEqual([[1, 2, 3], 3, new Error('gone')])
})
