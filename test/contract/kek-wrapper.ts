import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { inspect } from 'node:util'
import { BrokerError, type ErrorCode } from '@keyturn/core'
import type { KekWrapper, WrapContext, WrappedBytes } from '@keyturn/envelope'

/** How a provider can be turned wrong; left out where nobody can, as on a real service. */
export type Fault =
  | 'denied'
  | 'throttled'
  | 'page'
  | 'half an answer'
  | 'an answer without its members'
  | 'cut'
  | 'dropped'
  | 'redirect'
  | 'broken'
  | 'hang'
  | 'key disabled'
  | 'key destroyed'
  | 'login ended'

/** One wrapper at one provider, freshly set up for each check. */
export interface WrapperSubject {
  readonly wrapper: KekWrapper
  /** The name and version that `wrap` must close with. */
  readonly key: string
  /** Another key of the provider, by the name that it would be kept under, and a wrapper that closes with it. */
  readonly other: { readonly wrapper: KekWrapper; readonly key: string }
  /** The same, where nobody answers. */
  readonly unreachable: KekWrapper
  /** What must be in no error. */
  readonly credential: string
  /** Gives the key a new version, or the config's word for it another key; the new name, or the same where the provider keeps it. */
  rotate(): Promise<string>
  fault?(fault: Fault): Promise<void> | void
  /** How many requests arrived. */
  requests?(): number
}

export interface WrapperCheck {
  readonly title: string
  /** Needs a provider that can be turned wrong. */
  readonly turns: boolean
  run(subject: WrapperSubject): Promise<void>
}

const context: WrapContext = { ledgerId: 'ledger-1', kekId: 'k1' }
const live = () => new AbortController().signal
const kek = () => randomBytes(32)
const same = (a: Uint8Array, b: Uint8Array) => Buffer.from(a).equals(b)

async function failure(call: Promise<unknown>): Promise<unknown> {
  try {
    await call
  } catch (error) {
    return error
  }
  throw new assert.AssertionError({ message: 'it ended well' })
}

async function refused(call: Promise<unknown>, ...codes: readonly ErrorCode[]): Promise<BrokerError> {
  const error = await failure(call)
  assert.ok(error instanceof BrokerError, `no BrokerError: ${inspect(error)}`)
  assert.ok(codes.includes(error.code), `${error.code} (${error.message}) is none of ${codes.join(', ')}`)
  return error
}

const printed = (error: unknown) =>
  [error instanceof Error ? error.stack : '', JSON.stringify(error), inspect(error, { depth: 9 })].join('\n')

async function closed(
  { wrapper }: WrapperSubject,
  bytes = kek(),
  at = context,
): Promise<{ readonly bytes: Buffer; readonly wrapped: WrappedBytes }> {
  return { bytes, wrapped: await wrapper.wrap(bytes, at, live()) }
}

const check = (title: string, run: WrapperCheck['run']): WrapperCheck => ({ title, turns: false, run })

/** A check that turns the provider wrong and expects an error of `wrap` and of `unwrap`. */
function whenTurned(fault: Fault, codes: readonly ErrorCode[], more?: (error: BrokerError) => void): WrapperCheck {
  return {
    title: `${fault}: ${codes.join(' or ')}`,
    turns: true,
    async run(subject) {
      const { bytes, wrapped } = await closed(subject)
      await subject.fault?.(fault)
      const error = await refused(subject.wrapper.unwrap(wrapped, context, live()), ...codes)
      more?.(error)
      assert.ok(!printed(error).includes(subject.credential), 'the credential is in the error')
      for (const form of ['hex', 'base64', 'base64url'] as const) assert.ok(!printed(error).includes(bytes.toString(form)))
      assert.ok(error.hint !== undefined && error.hint !== '', 'no hint')
    },
  }
}

/** What every wrapper of KEKs must do, whatever provider is behind it. */
export const wrapperChecks: readonly WrapperCheck[] = [
  check('what was closed opens as it was', async subject => {
    const { bytes, wrapped } = await closed(subject)
    assert.ok(same(await subject.wrapper.unwrap(wrapped, context, live()), bytes))
  }),
  check('what is kept holds nothing of the KEK', async subject => {
    const { bytes, wrapped } = await closed(subject)
    for (const form of ['latin1', 'hex', 'base64', 'base64url'] as const) {
      assert.ok(!Buffer.from(wrapped.bytes).toString('latin1').includes(bytes.toString(form)))
    }
  }),
  check('no two wraps look the same', async subject => {
    const bytes = kek()
    const all = [await closed(subject, bytes), await closed(subject, bytes)]
    assert.notDeepEqual(all[0]?.wrapped.bytes, all[1]?.wrapped.bytes)
  }),
  check('the KEK that was given is not changed', async subject => {
    const bytes = kek()
    const before = Buffer.from(bytes)
    await closed(subject, bytes)
    assert.ok(same(bytes, before))
  }),
  check('the key is kept by its immutable name and version', async subject => {
    assert.equal((await closed(subject)).wrapped.key, subject.key)
    assert.equal(await subject.wrapper.newest(live()), subject.key)
  }),
  ...(
    [
      ['another KEK', { ...context, kekId: 'k2' }],
      ['another ledger', { ...context, ledgerId: 'ledger-2' }],
      ['ids cut elsewhere', { ledgerId: 'ledger-1k', kekId: '1' }],
      ['ids exchanged', { ledgerId: 'k1', kekId: 'ledger-1' }],
    ] as const
  ).map(([what, elsewhere]) =>
    check(`it opens for no other place: ${what}`, async subject => {
      const { wrapped } = await closed(subject)
      await refused(subject.wrapper.unwrap(wrapped, elsewhere, live()), 'corrupt')
    }),
  ),
  check('no changed byte opens', async subject => {
    const { bytes, wrapped } = await closed(subject)
    for (let at = 0; at < wrapped.bytes.byteLength; at += 9) {
      const changed = Buffer.from(wrapped.bytes)
      changed[at] = (changed[at] ?? 0) ^ 1
      // a bit that base64 does not carry changes nothing
      const opened = await subject.wrapper.unwrap({ ...wrapped, bytes: changed }, context, live()).catch((error: unknown) => error)
      if (opened instanceof BrokerError)
        assert.ok(['corrupt', 'not_found', 'precondition_failed'].includes(opened.code), `${at}: ${opened.code}`)
      else
        assert.ok(
          opened instanceof Uint8Array && same(opened, bytes) && /[A-Za-z0-9+/]/.test(String.fromCharCode(changed[at] ?? 0)),
          `byte ${at}`,
        )
    }
  }),
  check('no shortened wrap opens', async subject => {
    const { wrapped } = await closed(subject)
    for (const length of [1, 12, wrapped.bytes.byteLength - 16, wrapped.bytes.byteLength - 4]) {
      await refused(subject.wrapper.unwrap({ ...wrapped, bytes: wrapped.bytes.subarray(0, length) }, context, live()), 'corrupt')
    }
  }),
  check('another key does not open it', async subject => {
    const { wrapped } = await closed(subject)
    await refused(subject.wrapper.unwrap({ ...wrapped, key: subject.other.key }, context, live()), 'corrupt')
  }),
  check('what another key of this provider closed is opened by that one', async subject => {
    const bytes = kek()
    const wrapped = await subject.other.wrapper.wrap(bytes, context, live())
    assert.equal(wrapped.key, subject.other.key)
    assert.ok(same(await subject.wrapper.unwrap(wrapped, context, live()), bytes))
  }),
  check('a key that is not there is not found', async subject => {
    const { wrapped } = await closed(subject)
    const key = subject.key.replace(/[a-z0-9]{4}(?=(?::v\d+)?$)/, 'dead')
    const from = Buffer.from(wrapped.bytes)
    await refused(subject.wrapper.unwrap({ key, bytes: from }, context, live()), 'not_found', 'permission_denied')
  }),
  check('after a rotation the old wrap opens, and what is newest is told', async subject => {
    const { bytes, wrapped } = await closed(subject)
    assert.equal(await subject.wrapper.newest(live()), subject.key)
    const key = await subject.rotate()
    assert.ok(same(await subject.wrapper.unwrap(wrapped, context, live()), bytes))
    assert.equal(await subject.wrapper.newest(live()), key)
    assert.equal((await closed(subject)).wrapped.key, key)
  }),
  check('where nobody answers it is unavailable, with a hint', async ({ unreachable }) => {
    const error = await refused(unreachable.newest(live()), 'unavailable')
    assert.ok(error.hint !== undefined)
    await refused(unreachable.wrap(kek(), context, live()), 'unavailable')
  }),
  check('a call that was ended before sends nothing', async subject => {
    const { wrapped } = await closed(subject)
    const before = subject.requests?.()
    const reason = new Error('told to stop')
    assert.equal(await failure(subject.wrapper.unwrap(wrapped, context, AbortSignal.abort(reason))), reason)
    assert.equal(subject.requests?.(), before)
  }),
  check('an examination of what is well finds nothing', async subject => {
    const findings = await subject.wrapper.examine(live())
    assert.ok(findings.length >= 2)
    assert.deepEqual(
      findings.filter(({ ok }) => !ok),
      [],
    )
  }),
  check('an examination of what cannot be reached is a finding', async ({ unreachable }) => {
    const bad = (await unreachable.examine(live())).filter(({ ok }) => !ok)
    assert.equal(bad[0]?.code, 'unavailable')
    assert.ok(bad[0]?.hint !== undefined)
  }),
  check('nothing goes out after the end', async subject => {
    const { wrapped } = await closed(subject)
    await subject.wrapper.close()
    const before = subject.requests?.()
    const error = await failure(subject.wrapper.unwrap(wrapped, context, live()))
    assert.ok(error instanceof BrokerError)
    assert.equal(subject.requests?.(), before)
  }),
  whenTurned('denied', ['permission_denied']),
  whenTurned('throttled', ['throttled']),
  whenTurned('page', ['unavailable']),
  whenTurned('half an answer', ['unavailable']),
  whenTurned('an answer without its members', ['unavailable']),
  whenTurned('cut', ['unavailable']),
  whenTurned('dropped', ['unavailable']),
  whenTurned('redirect', ['unavailable']),
  whenTurned('broken', ['unavailable']),
  whenTurned('key disabled', ['precondition_failed']),
  whenTurned('key destroyed', ['not_found', 'precondition_failed']),
  whenTurned('login ended', ['unauthenticated']),
  {
    title: 'a call that hangs ends with the reason of its signal',
    turns: true,
    async run(subject) {
      const { wrapped } = await closed(subject)
      await subject.fault?.('hang')
      const stop = new AbortController()
      const reason = new Error('told to stop')
      const call = failure(subject.wrapper.unwrap(wrapped, context, stop.signal))
      setTimeout(() => stop.abort(reason), 50)
      assert.equal(await call, reason)
    },
  },
  ...(['denied', 'key disabled', 'key destroyed', 'login ended'] as const).map(
    (fault): WrapperCheck => ({
      title: `an examination finds ${fault}, and says what to do`,
      turns: true,
      async run(subject) {
        await closed(subject)
        await subject.fault?.(fault)
        const bad = (await subject.wrapper.examine(live())).filter(({ ok }) => !ok)
        if (fault === 'key disabled' && bad.length === 0) return
        assert.ok(bad[0]?.hint !== undefined && bad[0].code !== undefined, inspect(bad))
      },
    }),
  ),
]

/** Wrappers that are wrong in one way each: the checks must tell every one of them from a right one. */
export const wrapperMutants: readonly { readonly title: string; spoil(wrapper: KekWrapper): KekWrapper }[] = [
  {
    title: 'binds nothing',
    spoil: w => ({ ...w, wrap: (k, _c, s) => w.wrap(k, context, s), unwrap: (b, _c, s) => w.unwrap(b, context, s) }),
  },
  {
    title: 'binds ids without a border',
    spoil: w => {
      const joined = ({ ledgerId, kekId }: WrapContext) => ({ ledgerId: ledgerId + kekId, kekId: 'x' })
      return { ...w, wrap: (k, c, s) => w.wrap(k, joined(c), s), unwrap: (b, c, s) => w.unwrap(b, joined(c), s) }
    },
  },
  {
    title: 'keeps the KEK as it is',
    spoil: w => ({
      ...w,
      wrap: async (k, c, s) => ({ key: (await w.wrap(k, c, s)).key, bytes: k.slice() }),
      unwrap: async b => b.bytes.slice(),
    }),
  },
  { title: 'names an alias', spoil: w => ({ ...w, wrap: async (k, c, s) => ({ ...(await w.wrap(k, c, s)), key: 'alias/keyturn' }) }) },
  {
    title: 'wipes what it was given',
    spoil: w => ({
      ...w,
      wrap: async (k, c, s) => {
        const done = await w.wrap(k, c, s)
        k.fill(0)
        return done
      },
    }),
  },
  {
    title: 'answers zeros for what does not open',
    spoil: w => ({ ...w, unwrap: (b, c, s) => w.unwrap(b, c, s).catch(() => new Uint8Array(32)) }),
  },
  {
    title: 'calls every refusal absent',
    spoil: w => ({
      ...w,
      unwrap: (b, c, s) =>
        w.unwrap(b, c, s).catch(() => {
          throw new BrokerError('not_found', 'x', { hint: 'y' })
        }),
    }),
  },
  { title: 'pays no heed to signals', spoil: w => ({ ...w, unwrap: (b, c) => w.unwrap(b, c, live()) }) },
  {
    title: 'finds everything well',
    spoil: w => ({
      ...w,
      examine: async () => [
        { ok: true, what: 'a' },
        { ok: true, what: 'b' },
      ],
    }),
  },
  {
    title: 'throws what it should find',
    spoil: w => ({
      ...w,
      examine: async s => {
        await w.newest(s)
        return w.examine(s)
      },
    }),
  },
  { title: 'works after its end', spoil: w => ({ ...w, close: async () => undefined }) },
  {
    title: 'knows no newer key',
    spoil: w => {
      let first: string | undefined
      return { ...w, newest: async s => (first ??= await w.newest(s)) }
    },
  },
]
