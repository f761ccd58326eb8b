import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import * as api from '@keyturn/api'
import { routes } from '@keyturn/api/routes'
import { BrokerError, SecretValue } from '@keyturn/core'
import { type Answer, instant, SmallKeks } from './small-keks.ts'

export { instant }

/**
 * A broker of one process and no disk, over real HTTP, for tests of those who call one. It mounts the routes of `@keyturn/api`
 * and holds every answer to its schema there, so that it cannot say what a broker would not. It keeps versions, preconditions
 * and pages; a rotation is done at the third look at it. Names decide the rest: what begins with `denied/` is refused, `grace/`
 * is in grace for 2 s after the first rotation asked for, `fails/` fails, `waits/` waits for a person.
 */
export class SmallBroker {
  readonly token = 'kt_admin_0123456789abcdef'
  readonly secrets = new Map<string, Kept>()
  /** Every request, as `METHOD target`, with its body. */
  readonly requests: Array<{ line: string; body: string; headers: IncomingMessage['headers'] }> = []
  /** An answer that comes before any route: a proxy's page, a redirect. */
  instead: { status: number; headers?: Record<string, string>; body: string } | undefined
  /** Requests are taken and never answered. */
  silent = false
  readonly keks = new SmallKeks()
  readonly #operations = new Map<string, { kind: 'rotate' | 'rollback'; names: string[]; looks: number; aborted: boolean }>()
  readonly #tokens: api.Token[] = []
  readonly #server: Server
  #graceUntil = 0
  #count = 0

  private constructor() {
    this.#server = createServer((request, response) => {
      const chunks: Buffer[] = []
      request.on('data', chunk => chunks.push(chunk))
      request.on('end', () => {
        if (this.silent) return
        const answer = this.#answer(request, Buffer.concat(chunks))
        response.writeHead(answer.status, answer.headers).end(answer.body)
      })
    })
  }

  static async start(secrets: Readonly<Record<string, SecretValue>> = {}): Promise<SmallBroker> {
    const broker = new SmallBroker()
    for (const [name, value] of Object.entries(secrets)) broker.secrets.set(name, { type: 'api-key', labels: {}, versions: [value] })
    await new Promise<void>(resolve => broker.#server.listen(0, '127.0.0.1', resolve))
    return broker
  }

  get address(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}` // it listens on TCP: start() saw to it
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise(resolve => this.#server.close(resolve))
  }

  #answer(request: IncomingMessage, raw: Buffer): { status: number; headers: Record<string, string>; body: string | Uint8Array } {
    const { method = '', url = '' } = request
    this.requests.push({ line: `${method} ${url}`, body: raw.toString(), headers: request.headers })
    if (this.instead !== undefined) return { headers: {}, ...this.instead }
    try {
      const path = url.replace(/\?.*/, '')
      if (path !== '/readyz' && request.headers.authorization !== `Bearer ${this.token}`) {
        throw new BrokerError('unauthenticated', 'the token is unknown, expired or revoked')
      }
      const found = Object.entries(routes).find(([, route]) => route.method === method.toLowerCase() && patternOf(route.path).test(path))
      if (found === undefined) throw new BrokerError('not_found', 'there is no such route')
      const [operationId, route] = found
      const call: Call = {
        target: url,
        id: decodeURIComponent(patternOf(route.path).exec(path)?.[1] ?? ''),
        query: Object.fromEntries(new URL(url, this.address).searchParams),
        headers: request.headers,
        body: raw.length === 0 ? {} : JSON.parse(raw.toString()),
      }
      const answer = this[operationId as keyof Handlers](call) // not every route is here; a missing one fails the test that asks for it
      return { status: answer.status, headers: answer.headers ?? {}, body: checked(operationId, answer) }
    } catch (error) {
      if (!(error instanceof BrokerError)) process.stderr.write(`small broker: ${error instanceof Error ? error.stack : error}\n`)
      return api.problemAnswer(api.problemOf(error, `req-${this.requests.length}`))
    }
  }

  getSecret({ target, query, headers }: Call): Answer {
    const { field, stage, version } = api.secretQuery.parse(query)
    const { name, kept } = this.#kept(api.nameInTarget(target, '/v1/secrets/'))
    const number = version === undefined ? kept.versions.length - (stage === 'previous' ? 1 : 0) : Number(version)
    const value = kept.versions[number - 1]
    if (value === undefined) throw new BrokerError('not_found', `${name} has no such version`)
    const etag = { etag: `"${number}"`, 'cache-control': 'no-store' }
    if (headers.accept === 'text/plain') {
      return { status: 200, headers: { ...etag, 'content-type': 'text/plain' }, bytes: api.toPlain(value, field) }
    }
    return { status: 200, headers: etag, json: this.#secret(name, kept, value, number, field) }
  }

  putSecret({ target, headers, body }: Call): Answer {
    const name = this.#allowed(api.nameInTarget(target, '/v1/secrets/'))
    const { type, labels, ...value } = api.secretWrite.parse(body)
    const kept = this.secrets.get(name)
    const current = kept === undefined ? undefined : `"${kept.versions.length}"`
    const isMet = headers['if-none-match'] === '*' ? kept === undefined : (headers['if-match'] ?? current) === current
    if (!isMet) throw new BrokerError('conflict', `${name} is at another version`, { detail: { current: kept?.versions.length ?? null } })
    const versions = [...(kept?.versions ?? []), api.fromWire(value)]
    if (kept !== undefined && kept.type !== 'generic' && type !== undefined && type !== kept.type) {
      throw new BrokerError('conflict', `the type of this secret is ${kept.type}`)
    }
    this.secrets.set(name, { type: type ?? kept?.type ?? 'generic', labels: labels ?? kept?.labels ?? {}, versions })
    const json = { name, version: String(versions.length), createdAt: instant }
    return { status: kept === undefined ? 201 : 200, headers: { etag: `"${versions.length}"` }, json }
  }

  deleteSecret({ target }: Call): Answer {
    const { name } = this.#kept(api.nameInTarget(target, '/v1/secrets/'))
    this.secrets.delete(name)
    return { status: 204 }
  }

  getVersions({ target }: Call): Answer {
    const { name, kept } = this.#kept(api.nameInTarget(target, '/v1/versions/'))
    const count = kept.versions.length
    const versions = kept.versions.map((_, at) => ({
      version: String(count - at),
      state: at === 0 ? 'current' : at === 1 ? 'previous' : 'older',
      createdAt: instant,
      graceUntil: at === 1 ? instant : null,
      store: 'memory',
    }))
    return { status: 200, json: { name, versions } }
  }

  listSecrets({ query }: Call): Answer {
    const { prefix = '', limit, cursor } = api.secretListQuery.parse(query)
    const names = [...this.secrets.keys()].filter(name => name.startsWith(prefix) && name > (cursor ?? '')).sort()
    const page = names.slice(0, limit)
    const secrets = page.map(name => ({
      id: idOf(name),
      name,
      type: this.secrets.get(name)?.type,
      labels: {},
      owner: null,
      store: 'memory',
    }))
    return { status: 200, json: { secrets, next: names.length > limit ? page.at(-1) : null } }
  }

  batchSecrets({ body }: Call): Answer {
    const items = api.batch.parse(body).items.map(item => {
      try {
        const { name, kept } = this.#kept(item.name)
        const [value = SecretValue.text('')] = kept.versions.slice(-1)
        return { name, status: 200, secret: this.#secret(name, kept, value, kept.versions.length, item.field) }
      } catch (error) {
        const problem = api.problemOf(error, 'req')
        return { name: item.name, status: problem.status, error: problem }
      }
    })
    return { status: 200, json: { items } }
  }

  getRotationStatus(): Answer {
    const secrets = [...this.secrets].map(([name, kept]) => ({
      secret_id: idOf(name),
      name,
      type: kept.type,
      state: kept.versions.length > 1 ? 'in_grace' : 'scheduled',
      step: null,
      version: String(kept.versions.length),
      previous: kept.versions.length > 1 ? String(kept.versions.length - 1) : null,
      grace_until: kept.versions.length > 1 ? instant : null,
      next_rotation_at: instant,
      op_id: null,
      attempts: 0,
      next_try_at: null,
      error: null,
    }))
    const in_grace = secrets.filter(row => row.state === 'in_grace').length
    const counts = { due: 0, running: 0, waiting: 0, in_grace, failed: 0, needs_attention: 0 }
    return { status: 200, json: { now: instant, next_scan_at: instant, counts, secrets, next: null } }
  }

  rotateSecret({ target }: Call): Answer {
    const reference = api.referenceInTarget(target, '/admin/v1/secrets/rotate/')
    const { name } = this.#kept('name' in reference ? reference.name : reference.id)
    if (name.startsWith('grace/') && this.#graceUntil === 0) this.#graceUntil = Date.now() + 1200
    if (name.startsWith('grace/') && Date.now() < this.#graceUntil) {
      throw new BrokerError('conflict', `version 1 of ${name} is in grace`, { retryAfterMs: 1000, detail: { reason: 'in_grace' } })
    }
    return this.#started('rotate', [name])
  }

  rotateSecrets({ body }: Call): Answer {
    const given = api.rotateMany.parse(body)
    const names =
      given.names ?? [...this.secrets.keys()].filter(name => given.all || given.types?.includes(this.secrets.get(name)?.type ?? ''))
    if (!given.dry_run) return this.#started('rotate', names)
    const plan = names.map(name => ({
      secret_id: idOf(name),
      name,
      type: this.secrets.get(name)?.type ?? 'generic',
      strategy: 'generated',
      verdict: name.startsWith('grace/') ? 'wait' : this.secrets.get(name)?.type === 'oauth' ? 'refuse' : 'rotate',
      why: name.startsWith('grace/') ? 'version 1 is in grace' : null,
      not_before: name.startsWith('grace/') ? instant : null,
      grace: 60,
    }))
    return { status: 200, json: { plan } }
  }

  rotateAll(): Answer {
    this.#count += 1
    return this.keks.begin(`op_${this.#count}`)
  }

  reencryptAll(): Answer {
    return this.rotateAll()
  }

  getKekStatus(): Answer {
    return this.keks.status()
  }

  retireKek({ id }: Call): Answer {
    return this.keks.retire(id)
  }

  destroyKek({ id, body }: Call): Answer {
    return this.keks.destroy(id, body)
  }

  getOperation({ id }: Call): Answer {
    const campaign = this.keks.campaign(id)
    if (campaign !== undefined) return campaign
    const operation = this.#operations.get(id)
    if (operation === undefined) throw new BrokerError('not_found', 'there is no such operation')
    operation.looks += 1
    const [first = ''] = operation.names
    const end = first.startsWith('fails/') ? 'failed' : first.startsWith('waits/') ? 'waiting' : 'done'
    const state = operation.aborted ? 'aborted' : operation.looks < 3 ? 'running' : end
    const isDone = state === 'done'
    const items = operation.names.map(name => ({
      name,
      state: isDone ? 'grace' : 'staged',
      waiting_for: state === 'waiting' ? 'a person: enter the new value' : null,
      version: '2',
      rotation: isDone ? 'ok' : 'running',
      delivery: isDone ? 'complete' : 'pending',
      revocation: 'pending',
      error: state === 'failed' ? { code: 'unavailable', detail: 'the store does not answer' } : null,
    }))
    const count = operation.names.length
    const counts = { total: count, done: isDone ? count : 0, skipped: 0, failed: state === 'failed' ? count : 0 }
    return { status: 200, json: { op_id: id, kind: operation.kind, state, ...counts, started: instant, finished: null, items } }
  }

  rollbackSecret({ target }: Call): Answer {
    const reference = api.referenceInTarget(target, '/admin/v1/secrets/rollback/')
    return this.#started('rollback', [this.#kept('name' in reference ? reference.name : reference.id).name])
  }

  abortOperation({ id }: Call): Answer {
    const operation = this.#operations.get(id)
    if (operation === undefined) throw new BrokerError('not_found', 'there is no such operation')
    operation.aborted = true
    return { status: 202, json: { op_id: id, status_url: `/admin/v1/secrets/rotation-status/${id}` } }
  }

  retryOperation(call: Call): Answer {
    const answer = this.abortOperation(call)
    const operation = this.#operations.get(call.id)
    if (operation !== undefined) operation.aborted = false
    return answer
  }

  createToken({ body }: Call): Answer {
    const { role, ttl, name = 'nameless' } = api.tokenCreate.parse(body)
    const row = {
      id: `t${this.#tokens.length + 1}`,
      name,
      role,
      created_at: instant,
      expires_at: new Date(Date.parse(instant) + ttl * 1000).toISOString(),
    }
    this.#tokens.push({ ...row, revoked_at: null })
    return { status: 201, json: { ...row, token: 'kt_fresh_token' } }
  }

  listTokens(): Answer {
    return { status: 200, json: { tokens: this.#tokens } }
  }

  revokeToken({ id }: Call): Answer {
    const at = this.#tokens.findIndex(token => token.id === id)
    if (at === -1) throw new BrokerError('not_found', 'there is no such token')
    this.#tokens.splice(at, 1)
    return { status: 204 }
  }

  getReadiness(): Answer {
    const json = { ready: false, checks: { config: 'ok', ledger: 'ok', audit: 'unavailable', kek: 'ok' }, stores: { memory: 'ok' } }
    return { status: 503, json }
  }

  #started(kind: 'rotate' | 'rollback', names: string[]): Answer {
    this.#count += 1
    const id = `op_${this.#count}`
    this.#operations.set(id, { kind, names, looks: 0, aborted: false })
    return { status: 202, json: { op_id: id, status_url: `/admin/v1/secrets/rotation-status/${id}` } }
  }

  #allowed(name: string): string {
    if (name.startsWith('denied/')) throw new BrokerError('permission_denied', `no rule allows this on ${name}`)
    return name
  }

  #kept(given: string): { name: string; kept: Kept } {
    const name = [...this.secrets.keys()].find(kept => idOf(kept) === given) ?? this.#allowed(given)
    const kept = this.secrets.get(name)
    if (kept === undefined) throw new BrokerError('not_found', `${name} does not exist`, { hint: 'keyturn list shows what does' })
    return { name, kept }
  }

  #secret(name: string, { type, labels }: Kept, value: SecretValue, number: number, field?: string): object {
    const metadata = { name, version: String(number), stage: 'current', type, labels, createdAt: instant }
    return { ...metadata, ...api.toWire(value, field), grace: null, rotatesAt: null, ttl: 30 }
  }
}

interface Kept {
  type: string
  labels: Record<string, string>
  readonly versions: SecretValue[]
}

interface Call {
  readonly target: string
  readonly id: string
  readonly query: Record<string, string>
  readonly headers: IncomingMessage['headers']
  readonly body: unknown
}

type Handlers = Pick<SmallBroker, Extract<keyof typeof routes, keyof SmallBroker>>

/** A name stands for all of the rest of the path, any other parameter for one segment. */
function patternOf(path: string): RegExp {
  return new RegExp(`^${path.replace(/\{name\}/, '(.+)').replace(/\{\w+\}/, '([^/]+)')}$`)
}

/** The body, if its schema in the route allows it. */
function checked(operationId: string, answer: Answer): string | Uint8Array {
  if (answer.bytes !== undefined) return answer.bytes
  if (answer.json === undefined) return ''
  const route = routes[operationId as keyof typeof routes] // it came out of this table
  const response = Object.entries(route.responses).find(([status]) => Number(status) === answer.status)?.[1]
  const content: Partial<Record<string, { schema: { parse(body: unknown): unknown } }>> =
    response !== undefined && 'content' in response ? response.content : {}
  const schema = content['application/json']?.schema
  if (schema === undefined) throw new Error(`${operationId} has no answer ${answer.status}`)
  return JSON.stringify(schema.parse(answer.json))
}

/** As an id looks: the name's bytes in base 32 would be too long for some, so its letters are folded. */
export function idOf(name: string): string {
  const letters = name.toUpperCase().replace(/[^0-9A-HJKMNP-TV-Z]/g, '0')
  return `sec_${letters.padEnd(26, '0').slice(0, 26)}`
}
