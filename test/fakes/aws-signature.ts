import { createHash, createHmac, createSecretKey, type KeyObject } from 'node:crypto'
import type { IncomingMessage } from 'node:http'

/** What a signed request says of itself. */
export interface Signed {
  readonly accessKeyId: string
  readonly region: string
  readonly service: string
  readonly token: string | undefined
  /** Whether the signature is the one that this key gives. */
  fits(secretAccessKey: string): boolean
}

/**
 * Signature Version 4 as a server checks it: the request is put into its canonical form again and signed with the key of the credential.
 * https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
 */
export function signedBy(request: IncomingMessage, body: Buffer): Signed | undefined {
  const { authorization = '', 'x-amz-date': date, 'x-amz-security-token': token } = request.headers
  const [, credential = '', names = '', signature = ''] =
    /^AWS4-HMAC-SHA256 Credential=(\S+), SignedHeaders=(\S+), Signature=([0-9a-f]{64})$/.exec(authorization) ?? []
  const [accessKeyId = '', day = '', region = '', service = '', end = ''] = credential.split('/')
  if (typeof date !== 'string' || !date.startsWith(day) || end !== 'aws4_request') return undefined
  const headers = names.split(';')
  // what is not signed could be changed on the way
  if (!['host', 'x-amz-date', ...(token === undefined ? [] : ['x-amz-security-token'])].every(name => headers.includes(name)))
    return undefined
  const lines = headers.map(name => `${name}:${String(request.headers[name] ?? '').trim()}\n`)
  const canonical = [request.method, request.url?.split('?')[0], '', lines.join(''), names, sha256(body)].join('\n')
  const scope = [day, region, service, 'aws4_request']
  const text = ['AWS4-HMAC-SHA256', date, scope.join('/'), sha256(canonical)].join('\n')
  return {
    accessKeyId,
    region,
    service,
    token: typeof token === 'string' ? token : undefined,
    fits(secretAccessKey) {
      const key = scope.reduce((made, part) => keyOf(hmac(made, part)), keyOf(Buffer.from(`AWS4${secretAccessKey}`)))
      return hmac(key, text).toString('hex') === signature
    },
  }
}

function sha256(text: string | Buffer): string {
  return createHash('sha256').update(text).digest('hex')
}

function hmac(key: KeyObject, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest()
}

function keyOf(bytes: Buffer): KeyObject {
  return createSecretKey(bytes)
}
