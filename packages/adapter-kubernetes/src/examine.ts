import { BrokerError, type Examiner, type Finding, look, type StoreAdapter } from '@keyturn/core'
import { classify } from './classify.ts'
import type { Client, Verb } from './client.ts'
import { failure } from './failure.ts'
import type { Named, Place, Places } from './names.ts'
import { decodeData } from './values.ts'

interface Subject {
  readonly client: Client
  readonly places: Places
  readonly named: readonly Named[]
}

const changing: readonly Verb[] = ['create', 'update', 'delete']

/**
 * Logs in, asks the API server for the rights of the account, then looks at the object. The API tells the names of fields only together with
 * their values: so the object is read, and the finding says so.
 */
export function examiner(subject: Subject): StoreAdapter['examine'] {
  return async (path, { signal }) => {
    signal.throwIfAborted()
    const { client, places } = subject
    if (path === null) return [await look(examining, signal, 'login', () => login(subject, signal))]
    let place: Place
    try {
      place = places.of(path)
    } catch (error) {
      if (!(error instanceof BrokerError)) throw error
      return [{ ok: false, what: `path ${path}`, detail: error.message, hint: error.hint ?? 'correct the path', code: error.code }]
    }
    const read = await look(examining, signal, `right to get ${place.namespace}/${place.name}`, () => right(client, 'get', place, signal))
    const listing = isListed(subject.named, path)
      ? [
          await look(examining, signal, `right to list secrets in ${place.namespace}`, () =>
            right(client, 'list', { namespace: place.namespace }, signal),
          ),
        ]
      : []
    if (!read.ok) return [read, ...listing]
    const change = await look(examining, signal, `right to change ${place.namespace}/${place.name}`, () =>
      rightsToChange(client, place, signal),
    )
    return [read, ...listing, change, await look(examining, signal, `path ${path}`, () => fields(client, place, signal))]
  }
}

type Found = Omit<Finding, 'what'>

/** A question that every account that is known may ask. */
async function login({ client, named }: Subject, signal: AbortSignal): Promise<Found> {
  const [first] = named
  const namespace = (first?.path ?? first?.under ?? '').split('/', 1)[0] || 'default'
  await client.may('get', { namespace }, signal)
  return { ok: true }
}

async function right(
  client: Client,
  verb: Verb,
  at: { readonly namespace: string; readonly name?: string },
  signal: AbortSignal,
): Promise<Found> {
  if (await client.may(verb, at, signal)) return { ok: true }
  const hint = `bind its account a Role in ${at.namespace}: resources: [secrets], verbs: [${verb}]`
  return { ok: false, detail: `it is missing: ${verb}`, hint, code: 'permission_denied' }
}

/** To serve a secret that nobody rotates, reading is enough: what is missing is said, and is no fault. */
async function rightsToChange(client: Client, place: Place, signal: AbortSignal): Promise<Found> {
  // a creation has no name yet that a role could allow
  const asked = await Promise.all(
    changing.map(verb => client.may(verb, verb === 'create' ? { namespace: place.namespace } : place, signal)),
  )
  const missing = changing.filter((_, at) => asked[at] === false)
  if (missing.length === 0) return { ok: true, detail: changing.join(', ') }
  const toWrite = `bind its account a Role in ${place.namespace}: resources: [secrets], verbs: [${missing.join(', ')}]`
  const detail = `missing, and needed to write and rotate: ${missing.join(', ')}`
  // what is rotated is there, and stays
  return missing.includes('update') ? { ok: true, detail, toWrite } : { ok: true, detail }
}

async function fields(client: Client, place: Place, signal: AbortSignal): Promise<Found> {
  const found = await client.get(place, signal).catch((error: unknown) => {
    throw failure({ verb: 'get', ...place }, error)
  })
  if (found.isGoing)
    return { ok: false, detail: 'it is being deleted', hint: 'wait until its finalizers let it go, and write it', code: 'not_found' }
  const names = decodeData(found.data)?.fieldNames
  if (names === undefined) return { ok: false, detail: 'it holds no field', hint: 'write a value to it', code: 'precondition_failed' }
  return {
    ok: true,
    detail: `${found.type}; fields: ${names.join(', ')} (read with their values: the API tells them only so)`,
    fields: names,
  }
}

function isListed(named: readonly Named[], path: string): boolean {
  return named.some(each => {
    const under = each.under ?? (each.path === '' || each.path?.endsWith('/') ? each.path : undefined)
    return under !== undefined && path.startsWith(under)
  })
}

const examining: Examiner = {
  classify,
  hints: {
    unavailable: 'check the address, and whether the API server is up',
    unauthenticated: 'correct the auth of this section',
    permission_denied: 'bind the account to a Role with this right',
    not_found: 'write the secret, or correct the path',
    corrupt: 'check that the address is that of the API server itself, not of a page before it',
    throttled: 'try again later, or give the account a flow schema with more room',
    other: 'look into the log of the API server',
  },
}
