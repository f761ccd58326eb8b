import { describe, expect, test } from 'vitest'
import { holds, nameOf, options } from './options.ts'

const of = (section: object) => options.safeParse(section)
const complaints = (section: object) => of(section).error?.issues.map(({ path, message }) => `${path.join('.')}: ${message}`)

describe('a section of kind aws', () => {
  test('needs nothing, and has its defaults', () => {
    expect(of({}).data).toEqual({ recoveryWindowDays: 30, maxInFlight: 32 })
    expect([holds, nameOf('prod/app')]).toEqual(['text', 'prod/app'])
  })

  test.each([
    { method: 'environment' },
    { method: 'profile' },
    { method: 'profile', name: 'shop', file: '/etc/aws' },
    { method: 'web-identity' },
    { method: 'web-identity', roleArn: 'arn:aws:iam::123456789012:role/a/b', tokenFile: '/t', sessionName: 'x.y' },
    { method: 'container' },
    { method: 'instance' },
    { method: 'static', accessKeyId: 'a', secretAccessKey: 'b', sessionToken: 'c' },
    { method: 'assume-role', roleArn: 'arn:aws-cn:iam::123456789012:role/x', externalId: 'id', source: { method: 'instance' } },
  ])('takes auth %o', auth => {
    expect(of({ auth }).success).toBe(true)
  })

  test.each([
    [{ auth: { method: 'sso' } }],
    [{ auth: { method: 'static', accessKeyId: 'a' } }],
    [{ auth: { method: 'assume-role', roleArn: 'keyturn' } }],
    [{ auth: { method: 'assume-role', roleArn: 'arn:aws:iam::123456789012:role/x', source: { method: 'assume-role' } } }],
    [{ auth: { method: 'environment', name: 'x' } }],
    [{ region: 'Frankfurt' }],
    [{ endpoint: 'secretsmanager' }],
    [{ recoveryWindowDays: 6 }],
    [{ recoveryWindowDays: 31 }],
    [{ maxInFlight: 0 }],
    [{ regoin: 'eu-central-1' }],
  ])('refuses %o', section => {
    expect(of(section).success).toBe(false)
  })

  test('refuses an ARN of another region at load', () => {
    const path = 'arn:aws:secretsmanager:us-east-1:123456789012:secret:app-AbCdEf'
    expect(complaints({ region: 'eu-central-1', secrets: [{ path: 'app' }, { path }] })).toEqual([
      'secrets.1.path: the ARN is of region us-east-1 and the section of eu-central-1: make a section for each region',
    ])
    expect(of({ region: 'us-east-1', secrets: [{ path }] }).success).toBe(true)
  })
})
