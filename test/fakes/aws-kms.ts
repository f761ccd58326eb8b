import { createCipheriv, createDecipheriv, randomBytes, randomUUID } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { Accounts, Refusal } from './aws-accounts.ts'
import { type AnyKnob, instead, TurnableServer } from './turnable-server.ts'

/** What the fake does instead of its work, to operations whose name fits. */
export type Knob =
  | AnyKnob
  | { readonly do: 'fail'; readonly type: string; readonly status?: number; readonly message?: string }
  /** Answers 200 with this body. */
  | { readonly do: 'say'; readonly body: string }

interface Key {
  readonly arn: string
  readonly spec: string
  readonly material: Buffer
  state: 'Enabled' | 'Disabled' | 'PendingDeletion'
  deletionDate: number | undefined
}

interface Input {
  readonly KeyId?: string
  readonly Plaintext?: string
  readonly CiphertextBlob?: string
  readonly EncryptionContext?: Readonly<Record<string, string>>
}

const account = '111122223333'

/**
 * AWS KMS on a real socket: JSON 1.1 over HTTP, every request signed and checked; symmetric keys, aliases, encryption contexts, disabled keys and
 * keys whose deletion is scheduled. https://docs.aws.amazon.com/kms/latest/APIReference/
 */
export class AwsKmsFake extends TurnableServer<Knob> {
  readonly accounts: Accounts
  readonly region = 'eu-central-1'
  readonly keys = new Map<string, Key>()
  /** From `alias/...` to an ARN. */
  readonly aliases = new Map<string, string>()
  readonly seen: { readonly operation: string; readonly input: Input }[] = []

  private constructor(now: () => number) {
    super()
    this.accounts = new Accounts(now)
  }

  static start(now: () => number = Date.now): Promise<AwsKmsFake> {
    return new AwsKmsFake(now).listen()
  }

  /** The ARN of a new key; with an alias, it names this key from now on. */
  makeKey(alias?: string, spec = 'SYMMETRIC_DEFAULT'): string {
    const arn = `arn:aws:kms:${this.region}:${account}:key/${randomUUID()}`
    this.keys.set(arn, { arn, spec, material: randomBytes(32), state: 'Enabled', deletionDate: undefined })
    if (alias !== undefined) this.aliases.set(alias, arn)
    return arn
  }

  key(arn: string): Key {
    const key = this.keys.get(arn)
    if (key === undefined) throw new Error(`the fake has no key ${arn}`)
    return key
  }

  protected async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = Buffer.concat(await request.toArray())
    const [, operation = ''] = /^TrentService\.(\w+)$/.exec(String(request.headers['x-amz-target'])) ?? []
    if (request.method !== 'POST' || request.url !== '/' || operation === '') this.broken.push(`${request.method} ${request.url}`)
    const knob = this.knobFor(operation)
    if (knob?.do === 'fail') return say(response, knob.status ?? 400, { __type: knob.type, message: knob.message ?? '' })
    if (knob?.do === 'say') return void response.writeHead(200, { 'content-type': 'application/x-amz-json-1.1' }).end(knob.body)
    if (knob !== undefined && instead(knob, request, response)) return
    const [status, reply] = this.#reply(request, body, operation)
    if (knob?.do === 'cut') return void request.socket.destroy()
    if (knob?.do === 'slow') await new Promise(resolve => setTimeout(resolve, knob.ms))
    say(response, status, reply)
  }

  #reply(request: IncomingMessage, body: Buffer, operation: string): readonly [number, object] {
    try {
      const { denied = [] } = this.accounts.signer(request, body, 'kms')
      const input = JSON.parse(body.toString()) as Input
      this.seen.push({ operation, input })
      if (denied.includes(operation)) throw new Refusal('AccessDeniedException', `not authorized to perform: kms:${operation}`)
      return [200, this.#answer(operation, input)]
    } catch (error) {
      if (!(error instanceof Refusal)) throw error
      return [400, { __type: error.type, message: error.message }]
    }
  }

  #answer(operation: string, input: Input): object {
    const key = this.#named(input.KeyId ?? '')
    if (operation === 'DescribeKey') {
      const { arn, spec, state, deletionDate } = key
      const deletion = deletionDate === undefined ? {} : { DeletionDate: deletionDate / 1_000 }
      return {
        KeyMetadata: { KeyId: arn.split('/').at(-1), Arn: arn, KeyState: state, KeySpec: spec, KeyUsage: 'ENCRYPT_DECRYPT', ...deletion },
      }
    }
    if (key.state === 'Disabled') throw new Refusal('DisabledException', `${key.arn} is disabled.`)
    if (key.state === 'PendingDeletion') throw new Refusal('KMSInvalidStateException', `${key.arn} is pending deletion.`)
    const context = Buffer.from(JSON.stringify(Object.entries(input.EncryptionContext ?? {}).sort()))
    if (operation === 'Encrypt')
      return { KeyId: key.arn, CiphertextBlob: encrypted(key, Buffer.from(input.Plaintext ?? '', 'base64'), context) }
    if (operation === 'Decrypt')
      return { KeyId: key.arn, Plaintext: decrypted(key, Buffer.from(input.CiphertextBlob ?? '', 'base64'), context) }
    throw new Refusal('UnknownOperationException', operation)
  }

  #named(id: string): Key {
    const key = this.keys.get(this.aliases.get(id) ?? id) ?? [...this.keys.values()].find(({ arn }) => arn.endsWith(`/${id}`))
    if (key === undefined) throw new Refusal('NotFoundException', `Key '${id}' does not exist`)
    return key
  }
}

function encrypted({ arn, material }: Key, plaintext: Buffer, context: Buffer): string {
  const iv = randomBytes(12)
  const cipher = createCipheriv('aes-256-gcm', material, iv).setAAD(context)
  return Buffer.concat([Buffer.from(`${arn} `), iv, cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]).toString('base64')
}

function decrypted({ arn, material }: Key, blob: Buffer, context: Buffer): string {
  const end = blob.indexOf(' ')
  const [by, bytes] = [blob.subarray(0, Math.max(0, end)).toString(), blob.subarray(end + 1)]
  if (end < 0 || bytes.byteLength < 28) throw new Refusal('InvalidCiphertextException', '')
  if (by !== arn) {
    throw new Refusal(
      by.startsWith('arn:aws:kms:') && by.length === arn.length ? 'IncorrectKeyException' : 'InvalidCiphertextException',
      '',
    )
  }
  try {
    const decipher = createDecipheriv('aes-256-gcm', material, bytes.subarray(0, 12)).setAAD(context).setAuthTag(bytes.subarray(-16))
    return Buffer.concat([decipher.update(bytes.subarray(12, -16)), decipher.final()]).toString('base64')
  } catch {
    throw new Refusal('InvalidCiphertextException', '')
  }
}

function say(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/x-amz-json-1.1' }).end(JSON.stringify(body))
}
