import { BrokerError } from '@keyturn/core'
import { regionForm } from './names.ts'
import type { Environment } from './profile.ts'

/** The region of a section that names none. `invalid_argument` when no variable gives one, or what is given is none: it becomes part of a host's name. */
export function regionIn({ AWS_REGION, AWS_DEFAULT_REGION }: Environment): string {
  const region = AWS_REGION || AWS_DEFAULT_REGION
  if (!region) {
    throw new BrokerError('invalid_argument', 'aws: no region is given', { hint: 'write region in the section, or set AWS_REGION' })
  }
  if (regionForm.test(region)) return region
  throw new BrokerError('invalid_argument', `aws: ${AWS_REGION ? 'AWS_REGION' : 'AWS_DEFAULT_REGION'} is no code of a region`, {
    hint: 'correct the variable, or write region in the section',
  })
}

/** Where a service answers, by its own variable or by the one for all; undefined when neither is set. `invalid_argument` when it is no URL. */
export function addressIn(env: Environment, own: 'AWS_ENDPOINT_URL_SECRETS_MANAGER' | 'AWS_ENDPOINT_URL_STS'): string | undefined {
  const variable = env[own] ? own : 'AWS_ENDPOINT_URL'
  const address = env[variable]
  if (!address) return undefined
  if (/^https?:$/.test(URL.parse(address)?.protocol ?? '')) return address
  throw new BrokerError('invalid_argument', `aws: ${variable} is no URL`, { hint: 'correct the variable, or unset it' })
}
