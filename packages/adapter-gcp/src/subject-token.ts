import { readFile } from 'node:fs/promises'
import { BrokerError } from '@keyturn/core'
import { AwsClient, PluggableAuthClient } from 'google-auth-library'
import { membersOf, type TokenHttp } from './token-http.ts'

type Members = Readonly<Record<string, unknown>>

/**
 * The token of the other identity provider that a federation exchanges: from a file, an address, AWS or a program, as the configuration says.
 * https://google.aip.dev/auth/4117
 */
export async function subjectToken(file: Members, http: TokenHttp, signal: AbortSignal): Promise<string> {
  const source = (file.credential_source ?? {}) as Members
  if (typeof source.file === 'string') return inFormat(await contentOf(source.file, signal), source.format)
  if (typeof source.url === 'string') {
    const headers = Object.fromEntries(Object.entries((source.headers ?? {}) as Members).map(([name, value]) => [name, String(value)]))
    return inFormat((await http.send({ url: source.url, headers }, signal)).text, source.format)
  }
  // these two sign or run what only Google's library knows how to, and check what the file holds themselves; what they make goes to the exchange by our own way
  if (typeof source.environment_id === 'string') return madeBy('AWS', () => new AwsClient(file as never).retrieveSubjectToken())
  if (typeof source.executable === 'object')
    return madeBy('the program', () => new PluggableAuthClient(file as never).retrieveSubjectToken())
  throw refused('the credential configuration has no source of tokens that is supported', 'use a file, an address, AWS or a program')
}

function inFormat(content: string, format: unknown): string {
  const { type, subject_token_field_name: member } = (format ?? {}) as Members
  const found = type === 'json' ? membersOf(content)?.[String(member)] : content.trim()
  if (typeof found === 'string' && found !== '') return found
  throw refused('the source of the federation gave no token', 'check credential_source and its format')
}

async function contentOf(path: string, signal: AbortSignal): Promise<string> {
  return readFile(path, { encoding: 'utf8', signal }).catch((error: unknown) => {
    signal.throwIfAborted()
    const why = error instanceof Error && 'code' in error ? String(error.code) : 'unreadable'
    throw refused(`the token file ${path} of the federation cannot be read (${why})`, 'correct the path, or let this process read the file')
  })
}

async function madeBy(who: string, make: () => Promise<string>): Promise<string> {
  try {
    return await make()
  } catch {
    // the library's error may hold what it sent
    throw refused(
      `${who} gave no token for the federation`,
      'check credential_source; a program needs GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES=1',
    )
  }
}

function refused(why: string, hint: string): BrokerError {
  return new BrokerError('unauthenticated', `gcp: ${why}`, { hint })
}
