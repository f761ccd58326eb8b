import { expect, test } from 'vitest'
import { Lanes } from './lanes.ts'

test('no more run at once than there are lanes, and what weighs much runs alone', async () => {
  const lanes = new Lanes(4)
  let [now, most] = [0, 0]
  const act = (weight: number) => async () => {
    now += weight
    most = Math.max(most, now)
    await new Promise(resolve => setImmediate(resolve))
    now -= weight
  }
  for (const weight of [1, 1, 2, 3, 1, 4, 1, 1, 1, 1]) await lanes.run(act(weight), weight)
  await lanes.run(act(4), 400)
  await lanes.drain()
  expect([now, most]).toEqual([0, 4])
})

test('what fails is thrown by the next one, and by the end', async () => {
  const lanes = new Lanes(1)
  const fails = async () => {
    throw new Error('the first')
  }
  await lanes.run(fails)
  await expect(lanes.run(async () => undefined)).rejects.toThrow('the first')
  await expect(lanes.drain()).rejects.toThrow('the first')
})
