import type { VersionId } from '@keyturn/core'
import { expect, test } from 'vitest'
import { conditionOf, mustHold } from './condition.ts'

const at = (version: string) => ({ version: version as VersionId })
const conflict = (current: string | null) => expect.objectContaining({ code: 'conflict', detail: { current } })

test('If-None-Match: * demands that nothing is there, and nothing else of it is understood', () => {
  const condition = conditionOf({ 'if-none-match': ' * ' })
  mustHold(condition, null)
  expect(() => mustHold(condition, at('7'))).toThrow(conflict('7'))
  expect(() => conditionOf({ 'if-none-match': '"7"' })).toThrow('If-None-Match: * only')
})

test('If-Match demands one of its versions, or with * any', () => {
  const condition = conditionOf({ 'if-match': '"6", "7"' })
  mustHold(condition, at('7'))
  expect(() => mustHold(condition, at('8'))).toThrow(conflict('8'))
  expect(() => mustHold(condition, null)).toThrow(conflict(null))
  mustHold(conditionOf({ 'if-match': '*' }), at('8'))
  expect(() => mustHold(conditionOf({ 'if-match': '*' }), null)).toThrow(conflict(null))
})

test('both at once are refused, none demands nothing', () => {
  expect(() => conditionOf({ 'if-match': '*', 'if-none-match': '*' })).toThrow('exclude one another')
  mustHold(conditionOf({}), null)
  mustHold(conditionOf({}), at('1'))
})
