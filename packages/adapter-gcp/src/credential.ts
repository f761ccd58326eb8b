import { BrokerError } from '@keyturn/core'
import type { GcpAuth } from './options.ts'
import type { Credential } from './tokens.ts'

/** The environment, as far as a login reads it. */
export type Environment = Readonly<Record<string, string | undefined>>

/** What a login needs beside what the section says. */
export interface LoginMeans {
  readonly env: Environment
  readonly ca?: string | undefined
  readonly proxy?: string | undefined
  readonly now: () => Date
}

/** The way to a token that a section names. */
export function credentialOf(_auth: GcpAuth | undefined, _means: LoginMeans): Credential {
  return {
    title: 'nothing',
    login: async () => {
      throw new BrokerError('unauthenticated', 'gcp: no credentials')
    },
  }
}
