import type { ErrorCode } from '@keyturn/core'
import type { Passage } from '../../servers/toxiproxy.ts'
import type { Wrong } from './wrong-server.ts'

/** Where a fault can be made: on the way to the backend, or in its place. */
export interface Scene {
  readonly passage: Passage
  /** Leads the way to a server that answers so. `as` is how it shows itself: as the backend would, without TLS, or with a certificate that is not the backend's. */
  mislead(wrong: Wrong, as?: 'backend' | 'plain' | 'impostor'): Promise<void>
}

/** One fault, with the codes that a store may give to each operation while it lasts. */
export interface Fault {
  readonly title: string
  /** For backends that speak TLS alone. */
  readonly tls?: boolean
  /** Something else stands in the backend's place, with its certificate where it has one. */
  readonly inPlace?: boolean
  /** For some protocols alone. */
  readonly speaks?: 'http' | 'grpc'
  apply(scene: Scene): Promise<void>
  readonly read?: readonly ErrorCode[]
  readonly write?: readonly ErrorCode[]
  readonly list?: readonly ErrorCode[]
  /** A write that is one request reaches the backend, so that its value must be found there. */
  readonly acted?: boolean
}

/** What the faults are made against: one call may take so long. */
export const deadlineMs = 1_000
/** The bytes of every value here: more than `passedBytes`, so that a limit cuts within it. */
export const valueBytes = 16_000
/** More than any handshake and any head of a request, less than a value. */
const passedBytes = 10_000

const cut = { read: ['unavailable'], write: ['outcome_unknown'], list: ['unavailable'] } as const
/** Nothing went out, so nothing happened. */
const unsent = { read: ['unavailable'], write: ['unavailable'], list: ['unavailable'] } as const
/** Whether a first byte went out is in doubt. */
const doubtful = { ...cut, write: ['outcome_unknown', 'unavailable'] } as const
const foreign = { read: ['corrupt'], write: ['corrupt', 'outcome_unknown'], list: ['corrupt'] } as const

const toxic = (...toxics: readonly Parameters<Passage['add']>[0][]): Fault['apply'] => {
  return async ({ passage }) => {
    for (const each of toxics) await passage.add(each)
  }
}

/** Every fault of the list, with what may come of it. */
export const faults: readonly Fault[] = [
  {
    title: 'an answer that comes after the deadline',
    apply: toxic({ type: 'latency', stream: 'downstream', attributes: { latency: 2.5 * deadlineMs } }),
    ...cut,
    acted: true,
  },
  {
    title: 'a request that arrives after the deadline',
    apply: toxic({ type: 'latency', stream: 'upstream', attributes: { latency: 2.5 * deadlineMs } }),
    ...cut,
  },
  { title: 'nobody listens', apply: ({ passage }) => passage.shut(), ...unsent },
  {
    title: 'a connection that is reset when the request comes',
    apply: toxic({ type: 'reset_peer', stream: 'upstream', attributes: { timeout: 0 } }),
    ...doubtful,
  },
  {
    title: 'a connection that is reset when the answer comes',
    apply: toxic({ type: 'reset_peer', stream: 'downstream', attributes: { timeout: 0 } }),
    ...doubtful,
  },
  {
    title: 'a cut before the request is through',
    apply: toxic({ type: 'limit_data', stream: 'upstream', attributes: { bytes: passedBytes } }),
    write: ['outcome_unknown'],
  },
  {
    title: 'a cut before the first byte of the answer',
    apply: toxic({ type: 'limit_data', stream: 'downstream', attributes: { bytes: 0 } }),
    ...doubtful,
  },
  {
    title: 'a cut within the value',
    apply: toxic({ type: 'limit_data', stream: 'downstream', attributes: { bytes: passedBytes } }),
    read: ['unavailable'],
  },
  {
    title: 'a half-open connection: nothing comes back, and nothing ends',
    apply: toxic({ type: 'timeout', stream: 'downstream', attributes: { timeout: 0 } }),
    ...cut,
    acted: true,
  },
  {
    title: 'a half-open connection: nothing arrives, and nothing ends',
    apply: toxic({ type: 'timeout', stream: 'upstream', attributes: { timeout: 0 } }),
    ...cut,
  },
  {
    title: 'a slow body, in pieces',
    apply: toxic({ type: 'slicer', stream: 'downstream', attributes: { average_size: 8, size_variation: 0, delay: 200_000 } }),
    ...cut,
    acted: true,
  },
  {
    title: 'a slow body, in a thin line',
    apply: toxic({ type: 'bandwidth', stream: 'downstream', attributes: { rate: 1 } }),
    read: ['unavailable'],
  },
  {
    title: 'a storm of 429',
    inPlace: true,
    apply: ({ mislead }) => mislead('throttled'),
    read: ['throttled'],
    write: ['throttled'],
    list: ['throttled'],
  },
  { title: 'a storm of 503', speaks: 'http', inPlace: true, apply: ({ mislead }) => mislead('unavailable'), ...unsent },
  // gRPC has one status for what was refused and for what was cut
  { title: 'a storm of UNAVAILABLE', speaks: 'grpc', inPlace: true, apply: ({ mislead }) => mislead('unavailable'), ...cut },
  { title: 'a page of HTML with 200', inPlace: true, apply: ({ mislead }) => mislead('page'), ...foreign },
  { title: 'JSON that is broken within the value', inPlace: true, apply: ({ mislead }) => mislead('broken'), ...foreign },
  {
    title: 'a body that never ends',
    inPlace: true,
    apply: ({ mislead }) => mislead('endless'),
    read: ['unavailable', 'corrupt'],
    write: ['outcome_unknown', 'corrupt'],
    list: ['unavailable', 'corrupt'],
  },
  { title: 'an answer in plain text to a TLS hello', tls: true, apply: ({ mislead }) => mislead('page', 'plain'), ...unsent },
  { title: 'a certificate that is not the backend’s', tls: true, apply: ({ mislead }) => mislead('page', 'impostor'), ...unsent },
]
