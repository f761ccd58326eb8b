import { expect, test } from 'vitest'
import { BrokerError } from './error.ts'
import { look } from './look.ts'

const classify = (error: unknown) => ({ code: error instanceof BrokerError ? error.code : ('throttled' as const) })
const examiner = { classify, hints: { throttled: 'wait', other: 'see the log' } }
const { signal } = new AbortController()

test('a look that ends well is what it found', async () => {
  expect(await look(examiner, signal, 'login', async () => ({ ok: true, detail: 'as broker' }))).toEqual({
    ok: true,
    what: 'login',
    detail: 'as broker',
  })
})

test('a look that fails is a finding with its code and what to do', async () => {
  const failed = look(examiner, signal, 'login', () => Promise.reject(new Error('slow down')))
  expect(await failed).toEqual({ ok: false, what: 'login', detail: 'throttled: slow down', hint: 'wait', code: 'throttled' })
  const named = look(examiner, signal, 'path', () => Promise.reject(new BrokerError('not_found', 'it is not there')))
  expect(await named).toEqual({ ok: false, what: 'path', detail: 'it is not there', hint: 'see the log', code: 'not_found' })
})

test('the caller’s own stop goes on', async () => {
  const stop = new AbortController()
  const looking = look(examiner, stop.signal, 'login', async () => {
    stop.abort(new Error('enough'))
    throw new Error('cut')
  })
  await expect(looking).rejects.toThrow('enough')
})
