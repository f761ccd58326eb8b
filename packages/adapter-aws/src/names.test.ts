import { BrokerError } from '@keyturn/core'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { arnOf, creatableName, listPrefix, nameOf, secretId } from './names.ts'

const arn = (name: string, region = 'eu-central-1') => `arn:aws:secretsmanager:${region}:123456789012:secret:${name}`
const names = fc.stringMatching(/^[A-Za-z0-9/_+=.@-]{1,512}$/)

describe('paths', () => {
  test('every name that AWS takes is itself, so that no two can meet', () => {
    fc.assert(
      fc.property(names, name => {
        expect([secretId(name), creatableName(name), nameOf(name)]).toEqual([name, name, name])
      }),
    )
  })

  test('a whole ARN is itself, and names what is in it without the six characters', () => {
    fc.assert(
      fc.property(names, fc.stringMatching(/^[A-Za-z0-9]{6}$/), (name, end) => {
        const path = arn(`${name}-${end}`)
        expect([secretId(path), nameOf(path), arnOf(path)?.region]).toEqual([path, name, 'eu-central-1'])
      }),
    )
  })

  test('whatever else is text is refused as invalid_argument, never repaired', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 600 }), text => {
        fc.pre(!/^(?:[a-z][a-z0-9-]{0,63}!)?[\w/+=.@-]{1,512}$/.test(text))
        expect(() => secretId(text)).toThrow(BrokerError)
      }),
    )
  })

  test.each(['', 'a b', 'a\n', 'ä', 'a:b', 'a!b!c', '!a', 'x'.repeat(513), 'a*', 'a\0'])('refuses %j', path => {
    expect(() => secretId(path)).toThrow(expect.objectContaining({ code: 'invalid_argument', hint: expect.any(String) }))
  })

  test.each([
    arn('prod/app'),
    arn('prod/app-'),
    arn('prod/app-abcde'),
    arn('prod/a b-AbCdEf'),
    'arn:aws:iam::123456789012:role/x',
    'arn:aws:secretsmanager:eu-central-1:1234:secret:x-AbCdEf',
    'arn:',
  ])('refuses %s, which is no whole ARN', path => {
    expect(() => secretId(path)).toThrow(
      expect.objectContaining({ code: 'invalid_argument', hint: expect.stringContaining('six characters') }),
    )
    expect(() => nameOf(path)).toThrow(BrokerError)
  })

  test('reads other partitions, and what a service of AWS manages', () => {
    expect(nameOf('arn:aws-us-gov:secretsmanager:us-gov-west-1:123456789012:secret:app-AbCdEf')).toBe('app')
    expect(nameOf('arn:aws-cn:secretsmanager:cn-north-1:123456789012:secret:app-AbCdEf')).toBe('app')
    expect(nameOf(arn('rds!db-1-AbCdEf'))).toBe('rds!db-1')
    expect(secretId('rds!db-1')).toBe('rds!db-1')
  })

  test('makes nothing under an ARN or a name of a service', () => {
    for (const path of [arn('app-AbCdEf'), 'rds!db-1']) expect(() => creatableName(path)).toThrow(BrokerError)
  })

  test('a name that ends as an ARN does stays whole', () => {
    expect([nameOf('app-config'), nameOf(arn('app-config-AbCdEf'))]).toEqual(['app-config', 'app-config'])
  })

  test('a list is asked for by the beginning of names', () => {
    expect(['', 'prod/', 'rds!', 'rds!db'].map(listPrefix)).toEqual(['', 'prod/', 'rds!', 'rds!db'])
    for (const prefix of [arn(''), 'a b', '!prod', '*']) expect(() => listPrefix(prefix)).toThrow(BrokerError)
  })
})
